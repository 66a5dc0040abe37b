/**
 * One inference request, from the client's socket to the journal's last word on it: admitted, assigned when a slot is
 * free, relayed, retried on another node while the client has seen nothing, and closed by exactly one fact.
 */
import type { Outgoing } from '../call.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engine/engine.ts'
import type { Admission, Order } from './admission.ts'
import { Client } from './client.ts'
import type { Batches } from './embedding/batches.ts'
import { readFigures } from './figures.ts'
import type { OllamaApi } from './ollama.ts'
import { isZero } from './peek.ts'
import { dialectOf, plainly, type Refused, refuse, UNWRITABLE } from './refusals.ts'
import { type Ending, headersForNode } from './relay.ts'
import { type Cut, type Runs, reasonOf } from './run.ts'
import type { Sink } from './sink.ts'
import type { Visit } from './visit.ts'
import { wishesIn } from './wishes.ts'

/** A slot on a node. */
interface Slot {
  readonly to: 'run'
  readonly node: string
  readonly url: string
  /** The request whose call to the node it shares. */
  readonly batch?: string
}

/** Where a live socket waits; see scheduler/seats.ts. */
export interface SeatsLike {
  take(id: string, wish: { readonly keepAlive?: unknown; readonly head?: number }): void
  granted(
    id: string,
  ): Promise<Slot | { readonly to: 'leave'; readonly reason: 'expired' | 'readonly' | 'stopped' }>
  onCut(id: string, cut: (reason: Cut) => void): void
  leave(id: string): void
}

export interface InferenceNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly config: Config
  readonly seats: SeatsLike
  readonly admission: Admission
  readonly runs: Runs
  readonly batches: Pick<Batches, 'join' | 'leave'>
  /** Looks at a node again: it may have loaded or unloaded something. */
  readonly look: (node: string) => unknown
  /** For what is not a question to a model: bodies that name none, and the wish to unload one. */
  readonly api: OllamaApi
}

/** A request whose client waits for it. */
interface Live {
  readonly id: string
  readonly visit: Visit
  readonly order: Order
  readonly sink: Sink
}

export class Inference {
  readonly #needs: InferenceNeeds

  constructor(needs: InferenceNeeds) {
    this.#needs = needs
  }

  async handle(visit: Visit): Promise<void> {
    const { admission, api } = this.#needs
    const { req, res, route, body, by } = visit
    const { headers } = req
    const dialect = dialectOf(route)
    const wished = wishesIn(headers)
    const verdict = await admission.judge({ route, body, headers, by, wished, wishName })
    if (res.destroyed) return
    switch (verdict.as) {
      case 'refused':
        return refuse(res, verdict.native ? 'ollama' : dialect, verdict.refused)
      case 'nameless':
        return api.any(visit)
      case 'unload':
        return api.unload(visit, outgoing(visit), verdict.model)
      case 'admissible': {
        const { order, peeked } = verdict
        const amended = { ...visit, body: verdict.body }
        const full = admission.full(order)
        return full === undefined ? this.#live(amended, order, peeked) : refuse(res, dialect, full)
      }
    }
  }

  async #live(
    visit: Visit,
    order: Order,
    { head, keepAlive }: Parameters<SeatsLike['take']>[1],
  ): Promise<void> {
    const { api, batches, clock, config, engine, look, seats } = this.#needs
    const id = clock.id()
    seats.take(id, {
      ...(head !== undefined && { head }),
      ...(keepAlive !== undefined && { keepAlive }),
    })
    if (!api.nodes.isElsewhere(order.model)) batches.join(id, { ...visit, headers: visit.req.headers })
    try {
      const { deadlineAt = Number.POSITIVE_INFINITY } = order
      const expiresAt = Math.min(clock.now() + config.waitMaxMs, deadlineAt)
      const { attemptsMax } = config
      engine.commit('request', id, { type: 'request.admit', data: { ...order, expiresAt, attemptsMax } })
      const node = await this.#serve({ id, visit, order, sink: new Client(visit.res, clock) })
      if (node === undefined || keepAlive === undefined) return
      api.nodes.touch(node) // the model stays longer now, or shorter
      if (isZero(keepAlive)) look(node)
    } finally {
      batches.leave(id)
      seats.leave(id)
    }
  }

  /** Waits for a slot, runs there, and again, until the request is over. Resolves to the node that answered it. */
  async #serve(live: Live): Promise<string | undefined> {
    const { id, visit, order, sink } = live
    const { runs, seats } = this.#needs
    const gone = new Promise<{ readonly to: 'gone' }>(resolve => {
      sink.hear({ left: () => resolve({ to: 'gone' }), drained() {} })
    })
    for (;;) {
      const grant = sink.closed ? ({ to: 'gone' } as const) : await Promise.race([seats.granted(id), gone])
      if (grant.to === 'gone') return this.#abandon(id, 0, 0)
      if (grant.to === 'leave') return this.#dismiss(live, grant.reason)
      const { node } = grant
      const ending = await this.#run(live, grant)
      switch (ending.as) {
        case 'ended': {
          const { figures, trouble } = readFigures(order.path, ending)
          const { bytes, chunks } = ending
          const data = { reason: trouble ?? '', retryable: false, bytes, chunks }
          if (trouble !== undefined) this.#close(id, { type: 'request.fail', data })
          else this.#close(id, { type: 'request.complete', data: { bytes, chunks, ...figures } })
          return node
        }
        case 'left':
          return this.#abandon(id, ending.bytes, ending.chunks)
        case 'broken': {
          const { bytes, chunks, failure } = ending
          const data = { reason: reasonOf(failure), retryable: false, bytes, chunks }
          this.#close(id, { type: 'request.fail', data })
          return undefined
        }
        case 'declined':
          continue
        case 'unreached': {
          if (runs.fails(id, ending.failure) === 'retried') continue
          const message = `node ${node} could not answer for ${order.model}: ${plainly(ending.failure)}`
          refuse(visit.res, dialectOf(order.path), { status: 502, message, headers: marks(id, node) })
          return undefined
        }
      }
    }
  }

  #run({ id, visit, order, sink }: Live, { node, url, batch }: Slot): Promise<Ending> {
    const { runs, seats } = this.#needs
    return runs.run({
      id,
      model: order.model,
      route: order.path,
      node,
      url,
      ...(batch !== undefined && { batch }),
      out: outgoing(visit),
      sink,
      headers: marks(id, node),
      decline: status => runs.refuses(id, status) === 'retried',
      onCut: cut => seats.onCut(id, cut),
    })
  }

  #dismiss({ id, visit, order }: Live, reason: 'expired' | 'readonly' | 'stopped'): undefined {
    if (reason !== 'expired') {
      const data = {
        reason: reason === 'readonly' ? 'journal' : 'stopped',
        retryable: false,
        bytes: 0,
        chunks: 0,
      }
      this.#close(id, { type: 'request.fail', data })
    }
    const { admission } = this.#needs
    const refused = {
      expired: () => admission.busy(order),
      readonly: () => UNWRITABLE,
      stopped: () => STOPPING,
    }
    const { headers, ...said } = refused[reason]()
    refuse(visit.res, dialectOf(order.path), { ...said, headers: { ...headers, 'X-Quipu-Request': id } })
  }

  #abandon(id: string, bytes: number, chunks: number): undefined {
    this.#close(id, { type: 'request.abandon', data: { bytes, chunks } })
  }

  #close(id: string, ask: Parameters<Engine['attempt']>[2]): void {
    this.#needs.engine.attempt('request', id, ask as never)
  }
}

const STOPPING: Refused = {
  status: 503,
  message: 'the house is stopping; ask again when it is back',
  headers: { 'Retry-After': '5' },
}

/** What the house puts on an answer: the request, and who answered it. */
export function marks(id: string, node: string): Record<string, string> {
  return { 'X-Quipu-Request': id, 'X-Quipu-Node': node }
}

export function outgoing({ req, target, body }: Visit): Outgoing {
  return { method: 'POST', path: target, headers: headersForNode(req.headers), body }
}

function wishName(wish: string): string {
  return `X-Quipu-${wish.replace(/^./, letter => letter.toUpperCase())}`
}
