/**
 * One inference request, from the client's socket to the journal's last word on it: admitted, assigned when a slot is
 * free, relayed, retried on another node while the client has seen nothing, and closed by exactly one fact.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { canonicalName, sourceOf } from '../../machines/name.ts'
import type { Outgoing, Upstream } from '../call.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engine/engine.ts'
import { Failure } from '../failure.ts'
import { type EstimatesProjection, runEstimateMs } from '../projections/estimates.ts'
import type { Fleet } from '../projections/fleet.ts'
import type { RequestsProjection } from '../projections/requests.ts'
import { readFigures } from './figures.ts'
import { type Peeked, peek } from './peek.ts'
import { BUSY, type Dialect, dialectOf, lastWords, refuse } from './refusals.ts'
import { type Ending, headersForNode, type Relay, relay } from './relay.ts'

/** Where a live socket waits; see scheduler/seats.ts. */
export interface SeatsLike {
  take(
    id: string,
    wish: { readonly options?: Readonly<Record<string, unknown>>; readonly keepAlive?: unknown },
  ): void
  granted(
    id: string,
  ): Promise<
    | { readonly to: 'run'; readonly node: string; readonly url: string }
    | { readonly to: 'leave'; readonly reason: 'expired' | 'readonly' }
  >
  onCut(id: string, cut: (reason: string) => void): void
  leave(id: string): void
}

export interface InferenceNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly config: Config
  readonly fleet: Fleet
  readonly requests: RequestsProjection
  readonly estimates: EstimatesProjection
  readonly seats: SeatsLike
  readonly upstream: (url: string) => Upstream
  /** Looks at a node again: it may have loaded or unloaded something. */
  readonly look: (node: string) => unknown
  /** Sends a request that no schedule can help: a body that names no model. */
  readonly passAny: (req: IncomingMessage, res: ServerResponse, path: string, body: Buffer) => Promise<void>
  /** A wish to unload goes to every node that has the model in memory. */
  readonly unload: (res: ServerResponse, path: string, out: Outgoing, model: string) => Promise<void>
}

interface Incoming {
  readonly id: string
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly path: string
  readonly dialect: Dialect
  readonly body: Buffer
  readonly model: string
}

interface Running {
  readonly node: string
  readonly model: string
  /** On the monotonic clock. */
  heardAt: number
}

const CLOUD_OFF = 'ollama cloud is disabled: remote model is unavailable'

export class Inference {
  readonly #needs: InferenceNeeds
  readonly #running = new Map<string, Running>()

  constructor(needs: InferenceNeeds) {
    this.#needs = needs
  }

  /** Running requests by how long nothing has come from their node. */
  *silences(): Iterable<{ readonly node: string; readonly model: string; readonly silentMs: number }> {
    const now = this.#needs.clock.monotonic()
    for (const { node, model, heardAt } of this.#running.values())
      yield { node, model, silentMs: now - heardAt }
  }

  async handle(req: IncomingMessage, res: ServerResponse, body: Buffer): Promise<void> {
    const { clock, config, engine, requests, seats } = this.#needs
    const path = req.url!
    const dialect = dialectOf(path)
    const peeked = await peek(body, req.headers)
    const refused = this.#refusal(req, peeked)
    if (refused !== undefined) return refuse(res, refused.native ? 'ollama' : dialect, refused)
    const model = peeked.model === undefined ? undefined : canonicalName(sourceOf(peeked.model).name)
    if (model === undefined) return this.#needs.passAny(req, res, path, body)
    if (peeked.unload && dialect === 'ollama') {
      return this.#needs.unload(res, path, outgoing(req, path, body), model)
    }
    if (requests.state.waitingCount >= config.queueMax) {
      return refuse(res, dialect, {
        status: 503,
        message: BUSY,
        headers: { 'Retry-After': this.#retryAfter(model) },
      })
    }

    const incoming: Incoming = { id: clock.id(), req, res, path, dialect, body, model }
    seats.take(incoming.id, {
      ...(peeked.options && { options: peeked.options }),
      ...(peeked.keepAlive !== undefined && { keepAlive: peeked.keepAlive }),
    })
    try {
      engine.commit('request', incoming.id, {
        type: 'request.admit',
        data: {
          path: path.split('?', 1)[0]!,
          model,
          client: req.socket.remoteAddress ?? '',
          priority: Number(req.headers['x-quipu-priority'] ?? 5),
          bodyBytes: body.length,
          expiresAt: clock.now() + config.waitMaxMs,
          attemptsMax: config.attemptsMax,
        },
      })
      await this.#serve(incoming)
    } finally {
      seats.leave(incoming.id)
    }
    if (peeked.keepAlive !== undefined) this.#lookWhereLoaded(model)
  }

  /** Waits for a slot, runs there, and again, until the request is over. */
  async #serve(incoming: Incoming): Promise<void> {
    const { id, res, path, dialect, model } = incoming
    const { seats } = this.#needs
    const gone = new Promise<{ readonly to: 'gone' }>(resolve => {
      res.once('close', () => resolve({ to: 'gone' }))
    })
    for (;;) {
      const grant = res.destroyed ? ({ to: 'gone' } as const) : await Promise.race([seats.granted(id), gone])
      if (grant.to === 'gone') return this.#abandon(id, 0, 0)
      if (grant.to === 'leave') return this.#dismiss(incoming, grant.reason)
      const { node, url } = grant
      const ending = await this.#run(incoming, node, url)
      switch (ending.as) {
        case 'ended': {
          const { figures, trouble } = readFigures(path, ending)
          const { bytes, chunks } = ending
          const data = { reason: trouble ?? '', retryable: false, bytes, chunks }
          if (trouble !== undefined) this.#close(id, { type: 'request.fail', data })
          else this.#close(id, { type: 'request.complete', data: { bytes, chunks, ...figures } })
          if (figures.doneReason === 'unload') this.#needs.look(node)
          return
        }
        case 'left':
          return this.#abandon(id, ending.bytes, ending.chunks)
        case 'broken': {
          const { bytes, chunks, failure } = ending
          const data = { reason: reasonOf(failure), retryable: false, bytes, chunks }
          this.#close(id, { type: 'request.fail', data })
          return
        }
        case 'declined':
          continue
        case 'unreached': {
          if (this.#fails(id, reasonOf(ending.failure)) === 'retried') continue
          const message = `node ${node} could not answer for ${model}: ${ending.failure.message}`
          return refuse(res, dialect, { status: 502, message, headers: this.#marks(id, node) })
        }
      }
    }
  }

  async #run(incoming: Incoming, node: string, url: string): Promise<Ending> {
    const { id, req, res, path, dialect, body, model } = incoming
    const { clock, engine, seats, upstream } = this.#needs
    const running: Running = { node, model, heardAt: clock.monotonic() }
    this.#running.set(id, running)
    const job: Relay = {
      clock,
      res,
      upstream: upstream(url),
      out: outgoing(req, path, body),
      headers: this.#marks(id, node),
      decline: status =>
        RETRIED.has(status) && this.#fails(id, status === 503 ? 'busy' : 'error', status) === 'retried',
      begun: status => void engine.attempt('request', id, { type: 'request.begin', data: { status } }),
      heard: () => {
        running.heardAt = clock.monotonic()
      },
      lastWords: (type, failure) =>
        lastWords(
          dialect,
          path,
          type,
          `node ${node} went away in the middle of its answer: ${failure.message}`,
        ),
      cut: cut => seats.onCut(id, reason => cut(new Failure(`ollama.${reason}`, `the node is ${reason}`))),
    }
    try {
      return await relay(job)
    } finally {
      this.#running.delete(id)
    }
  }

  #refusal(
    req: IncomingMessage,
    { model }: Peeked,
  ): { status: number; message: string; native?: boolean; headers?: Record<string, string> } | undefined {
    const { config, engine } = this.#needs
    const priority = req.headers['x-quipu-priority']
    if (priority !== undefined && !/^[0-9]$/.test(String(priority))) {
      return {
        status: 400,
        message: 'X-Quipu-Priority must be one digit, 0 (last) to 9 (first); 5 is the default',
      }
    }
    const { source } = sourceOf(model ?? '')
    if (source === 'both') {
      return { status: 400, message: `use either :local or :cloud, not both: "${model}"`, native: true }
    }
    if (source === 'cloud' && !config.cloud) return { status: 403, message: CLOUD_OFF, native: true }
    if (!engine.writable) {
      const message =
        'the house cannot write its journal (is the disk full?), so it takes nothing new; see /readyz'
      return { status: 503, message, headers: { 'Retry-After': '10' } }
    }
    return undefined
  }

  /** Does the law say retried, or is that the end of it? */
  #fails(id: string, reason: string, status?: number): 'retried' | 'failed' {
    const data = { reason, retryable: true, bytes: 0, chunks: 0, ...(status !== undefined && { status }) }
    const [fact] = this.#needs.engine.attempt('request', id, { type: 'request.fail', data })
    return fact?.type === 'request.retried' ? 'retried' : 'failed'
  }

  #dismiss({ id, res, dialect, model }: Incoming, reason: 'expired' | 'readonly'): void {
    if (reason === 'readonly') {
      this.#close(id, {
        type: 'request.fail',
        data: { reason: 'journal', retryable: false, bytes: 0, chunks: 0 },
      })
    }
    refuse(res, dialect, {
      status: 503,
      message: BUSY,
      headers: { 'Retry-After': this.#retryAfter(model), 'X-Quipu-Request': id },
    })
  }

  #abandon(id: string, bytes: number, chunks: number): void {
    this.#close(id, { type: 'request.abandon', data: { bytes, chunks } })
  }

  #close(id: string, ask: Parameters<Engine['attempt']>[2]): void {
    this.#needs.engine.attempt('request', id, ask as never)
  }

  #marks(id: string, node: string): Record<string, string> {
    return { 'X-Quipu-Request': id, 'X-Quipu-Node': node }
  }

  /** Seconds: what waits now, at the pace of the slots there are; between 1 and 60. */
  #retryAfter(model: string): string {
    const { fleet, requests, estimates } = this.#needs
    let slots = 0
    let slowest = 0
    for (const node of fleet.state.values()) {
      if (node.reach !== 'up') continue
      slots += node.slots
      slowest = Math.max(slowest, runEstimateMs(estimates.state, `${model}@${node.name}`))
    }
    const seconds = (requests.state.waitingCount * slowest) / Math.max(1, slots) / 1_000
    return String(Math.min(60, Math.max(1, Math.ceil(seconds))))
  }

  #lookWhereLoaded(model: string): void {
    for (const node of this.#needs.fleet.state.values()) {
      if (node.reach === 'up' && model !== '') this.#needs.look(node.name)
    }
  }
}

/** Busy, broken or behind something broken; 501 says "never", so it is an answer. */
const RETRIED: ReadonlySet<number> = new Set([500, 502, 503, 504])

function outgoing(req: IncomingMessage, path: string, body: Buffer): Outgoing {
  return { method: 'POST', path, headers: headersForNode(req.headers), body }
}

function reasonOf({ code }: Failure): string {
  return code.replace(/^ollama\./, '')
}
