/**
 * One inference request, from the client's socket to the journal's last word on it: admitted, assigned when a slot is
 * free, relayed, retried on another node while the client has seen nothing, and closed by exactly one fact.
 */
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Outgoing } from '../call.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engine/engine.ts'
import type { Admission, Order } from './admission.ts'
import { Client } from './client.ts'
import type { Batches } from './embedding/batches.ts'
import { readFigures } from './figures.ts'
import { keyIn } from './jobs/digests.ts'
import type { Jobs } from './jobs/jobs.ts'
import type { OllamaApi } from './ollama.ts'
import type { Peeked } from './peek.ts'
import { dialectOf, marks, plainly, type Refused, refuse, STOPPING, UNWRITABLE } from './refusals.ts'
import { type Ending, headersForNode } from './relay.ts'
import { type Cut, type Runs, reasonOf } from './run.ts'
import { likeness, SharedAnswer } from './shared.ts'
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
  /** For who does not wait, or may come back. */
  readonly jobs: Pick<Jobs, 'defer' | 'keyed'>
  /** For what is not a question to a model: bodies that name none, and the wish to unload one. */
  readonly api: OllamaApi
}

/** A request that somebody waits for. */
interface Live {
  readonly id: string
  readonly order: Order
  readonly out: Outgoing
  readonly sink: Sink
  /** Says no to whoever waits. */
  readonly refuse: (refused: Refused) => void
}

export class Inference {
  readonly #needs: InferenceNeeds
  /** Answers under way that others may join, by likeness. */
  readonly #shared = new Map<string, SharedAnswer>()

  constructor(needs: InferenceNeeds) {
    this.#needs = needs
  }

  async handle(visit: Visit): Promise<void> {
    const { admission, api, clock, jobs } = this.#needs
    const { req, res, route, body, by } = visit
    const { headers } = req
    const dialect = dialectOf(route)
    const key = keyIn(headers)
    const wished = wishesIn(headers)
    const verdict = await admission.judge({ route, body, headers, by, wished, wishName })
    if (res.destroyed) return
    if (verdict.as === 'refused') return refuse(res, verdict.native ? 'ollama' : dialect, verdict.refused)
    if (verdict.as === 'nameless') return api.any(visit)
    if (verdict.as === 'unload') return api.unload(visit, outgoing(visit), verdict.model)
    const { order, peeked } = verdict
    if (prefersNotToWait(headers) && visit.trusted()) return jobs.defer(visit, verdict, key)
    if (key !== undefined) return jobs.keyed(visit, verdict, key)
    const out = outgoing({ ...visit, body: verdict.body })
    if (peeked.repeatable && headers['x-quipu-coalesce'] === '1')
      return this.#together(res, out, order, peeked)
    const full = admission.full(order)
    if (full !== undefined) return refuse(res, dialect, full)
    const sink = new Client(res, clock)
    return this.#live(out, order, peeked, sink, refused => refuse(res, dialect, refused))
  }

  /** With others who ask the same at the same time, or as the first of them. */
  async #together(res: ServerResponse, out: Outgoing, order: Order, peeked: Peeked): Promise<void> {
    const { admission, clock } = this.#needs
    const alike = likeness(out.path, out.body as Buffer, JSON.stringify([out.headers, order.labels]))
    const under = this.#shared.get(alike)
    if (under?.open) return under.join(res)
    const dialect = dialectOf(order.path)
    const full = admission.full(order)
    if (full !== undefined) return refuse(res, dialect, full)
    const shared = new SharedAnswer(res, clock)
    this.#shared.set(alike, shared)
    try {
      await this.#live(out, order, peeked, shared, refused => shared.refuse(dialect, refused))
    } finally {
      if (this.#shared.get(alike) === shared) this.#shared.delete(alike)
    }
  }

  async #live(
    out: Outgoing,
    order: Order,
    { head, keepAlive }: Peeked,
    sink: Sink,
    refuse: Live['refuse'],
  ): Promise<void> {
    const { api, batches, clock, config, engine, seats } = this.#needs
    const id = clock.id()
    seats.take(id, {
      ...(head !== undefined && { head }),
      ...(keepAlive !== undefined && { keepAlive }),
    })
    if (!api.nodes.isElsewhere(order.model))
      batches.join(id, {
        route: order.path,
        target: out.path,
        headers: out.headers,
        body: out.body as Buffer,
      })
    try {
      const expiresAt = Math.min(clock.now() + config.waitMaxMs, order.deadlineAt ?? Number.POSITIVE_INFINITY)
      const { attemptsMax } = config
      engine.commit('request', id, { type: 'request.admit', data: { ...order, expiresAt, attemptsMax } })
      const node = await this.#serve({ id, order, out, sink, refuse })
      if (node !== undefined) api.nodes.stays(node, keepAlive)
    } finally {
      batches.leave(id)
      seats.leave(id)
    }
  }

  /** Waits for a slot, runs there, and again, until the request is over. Resolves to the node that answered it. */
  async #serve(live: Live): Promise<string | undefined> {
    const { id, order, sink } = live
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
          live.refuse({ status: 502, message, headers: marks(id, node) })
          return undefined
        }
      }
    }
  }

  #run({ id, order, out, sink }: Live, { node, url, batch }: Slot): Promise<Ending> {
    const { runs, seats } = this.#needs
    return runs.run({
      id,
      model: order.model,
      route: order.path,
      node,
      url,
      ...(batch !== undefined && { batch }),
      out,
      sink,
      headers: marks(id, node),
      decline: status => runs.refuses(id, status) === 'retried',
      onCut: cut => seats.onCut(id, cut),
    })
  }

  #dismiss({ id, order, refuse }: Live, reason: 'expired' | 'readonly' | 'stopped'): undefined {
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
    refuse({ ...said, headers: { ...headers, 'X-Quipu-Request': id } })
  }

  #abandon(id: string, bytes: number, chunks: number): undefined {
    this.#close(id, { type: 'request.abandon', data: { bytes, chunks } })
  }

  #close(id: string, ask: Parameters<Engine['attempt']>[2]): void {
    this.#needs.engine.attempt('request', id, ask as never)
  }
}

function outgoing({ req, target, body }: Pick<Visit, 'req' | 'target' | 'body'>): Outgoing {
  return { method: 'POST', path: target, headers: headersForNode(req.headers), body }
}

/** `Prefer: respond-async`, RFC 7240; what else is preferred there is not for us. */
function prefersNotToWait({ prefer = '' }: IncomingHttpHeaders): boolean {
  return /(?:^|,)\s*respond-async\s*(?:[;,]|$)/i.test(String(prefer))
}

function wishName(wish: string): string {
  return `X-Quipu-${wish.replace(/^./, letter => letter.toUpperCase())}`
}
