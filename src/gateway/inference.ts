/**
 * One inference request, from the client's socket to the journal's last word on it: admitted, assigned when a slot is
 * free, relayed, retried on another node while the client has seen nothing, and closed by exactly one fact.
 */
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
import { CLOUD_OFF, type OllamaApi } from './ollama.ts'
import { isZero, type Peeked, peek } from './peek.ts'
import {
  BUSY,
  type Dialect,
  dialectOf,
  lastWords,
  plainly,
  type Refused,
  refuse,
  UNWRITABLE,
} from './refusals.ts'
import { type Ending, headersForNode, type Relay, relay } from './relay.ts'
import type { Visit } from './visit.ts'

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
    | { readonly to: 'leave'; readonly reason: 'expired' | 'readonly' | 'stopped' }
  >
  onCut(id: string, cut: (reason: 'lost' | 'wedged' | 'stopped') => void): void
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
  /** For what is not a question to a model: bodies that name none, and the wish to unload one. */
  readonly api: OllamaApi
}

interface Incoming {
  readonly id: string
  readonly visit: Visit
  readonly dialect: Dialect
  readonly model: string
}

interface Running {
  readonly node: string
  readonly model: string
  /** On the monotonic clock. */
  heardAt: number
}

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

  async handle(visit: Visit): Promise<void> {
    const { api, clock, config, engine, requests, seats } = this.#needs
    const { req, res, route, body, by } = visit
    const dialect = dialectOf(route)
    const peeked = await peek(route, body, req.headers)
    const refused = this.#refusal(visit, peeked)
    if (refused !== undefined) return refuse(res, refused.native ? 'ollama' : dialect, refused)
    const model = canonicalName(sourceOf(peeked.model?.trim() ?? '').name)
    if (model === undefined) return api.any(visit)
    await api.nodes.seek(model)
    if (res.destroyed) return
    if (!config.cloud && api.nodes.isElsewhere(model)) return api.refuseCloud(res, 'inference')
    if (peeked.unload) return api.unload(visit, outgoing(visit), model)
    if (requests.state.waitingCount >= config.queueMax) {
      const headers = { 'Retry-After': this.#retryAfter(model) }
      return refuse(res, dialect, { status: 503, message: BUSY, headers })
    }

    const incoming: Incoming = { id: clock.id(), visit, dialect, model }
    const { options, keepAlive } = peeked
    seats.take(incoming.id, { ...(options && { options }), ...(keepAlive !== undefined && { keepAlive }) })
    try {
      engine.commit('request', incoming.id, {
        type: 'request.admit',
        data: {
          path: route,
          model,
          client: by,
          priority: Number(req.headers['x-quipu-priority'] ?? 5),
          bodyBytes: body.length,
          expiresAt: clock.now() + config.waitMaxMs,
          attemptsMax: config.attemptsMax,
        },
      })
      const node = await this.#serve(incoming)
      if (node === undefined || keepAlive === undefined) return
      api.nodes.touch(node) // the model stays longer now, or shorter
      if (isZero(keepAlive)) this.#needs.look(node)
    } finally {
      seats.leave(incoming.id)
    }
  }

  /** Waits for a slot, runs there, and again, until the request is over. Resolves to the node that answered it. */
  async #serve(incoming: Incoming): Promise<string | undefined> {
    const { id, visit, dialect, model } = incoming
    const { res, route } = visit
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
          const { figures, trouble } = readFigures(route, ending)
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
          if (this.#fails(id, ending.failure) === 'retried') continue
          const message = `node ${node} could not answer for ${model}: ${plainly(ending.failure)}`
          refuse(res, dialect, { status: 502, message, headers: this.#marks(id, node) })
          return undefined
        }
      }
    }
  }

  async #run(incoming: Incoming, node: string, url: string): Promise<Ending> {
    const { id, visit, dialect, model } = incoming
    const { clock, engine, seats, upstream } = this.#needs
    const running: Running = { node, model, heardAt: clock.monotonic() }
    this.#running.set(id, running)
    const job: Relay = {
      clock,
      res: visit.res,
      upstream: upstream(url),
      out: outgoing(visit),
      headers: this.#marks(id, node),
      decline: status =>
        RETRIED.has(status) && this.#fails(id, status === 503 ? BUSY_NODE : ERROR_NODE, status) === 'retried',
      begun: status => void engine.attempt('request', id, { type: 'request.begin', data: { status } }),
      heard: () => {
        running.heardAt = clock.monotonic()
      },
      lastWords: (type, failure) =>
        lastWords(
          dialect,
          visit.route,
          type,
          `node ${node} went away in the middle of its answer: ${plainly(failure)}`,
        ),
      cut: cut => seats.onCut(id, reason => cut(CUTS[reason]())),
    }
    try {
      return await relay(job)
    } finally {
      this.#running.delete(id)
    }
  }

  #refusal({ req }: Visit, peeked: Peeked): (Refused & { readonly native?: boolean }) | undefined {
    const { config, engine } = this.#needs
    const { model = '', cloud, unreadable } = peeked
    const priority = req.headers['x-quipu-priority']
    if (priority !== undefined && !/^[0-9]$/.test(String(priority))) {
      return {
        status: 400,
        message: 'X-Quipu-Priority must be one digit, 0 (last) to 9 (first); 5 is the default',
      }
    }
    if (unreadable !== undefined) return { status: 400, message: unreadable }
    if (sourceOf(model.trim()).source === 'both') {
      const message = `use either :local or :cloud, not both: "${model.trim()}"`
      return { status: 400, message, native: true }
    }
    if (cloud && !config.cloud) {
      return { status: 403, message: `ollama cloud is disabled: ${CLOUD_OFF.inference}`, native: true }
    }
    return engine.writable ? undefined : UNWRITABLE
  }

  /** Does the law say retried, or is that the end of it? */
  #fails(id: string, failure: Failure, status?: number): 'retried' | 'failed' {
    const answer = status === undefined ? {} : { status }
    const data = { reason: reasonOf(failure), retryable: failure.retryable, bytes: 0, chunks: 0, ...answer }
    const [fact] = this.#needs.engine.attempt('request', id, { type: 'request.fail', data })
    return fact?.type === 'request.retried' ? 'retried' : 'failed'
  }

  #dismiss({ id, visit, dialect, model }: Incoming, reason: 'expired' | 'readonly' | 'stopped'): undefined {
    if (reason !== 'expired') {
      const data = {
        reason: reason === 'readonly' ? 'journal' : 'stopped',
        retryable: false,
        bytes: 0,
        chunks: 0,
      }
      this.#close(id, { type: 'request.fail', data })
    }
    const busy: Refused = { status: 503, message: BUSY, headers: { 'Retry-After': this.#retryAfter(model) } }
    const refused = { expired: busy, readonly: UNWRITABLE, stopped: STOPPING }[reason]
    refuse(visit.res, dialect, { ...refused, headers: { ...refused.headers, 'X-Quipu-Request': id } })
  }

  #abandon(id: string, bytes: number, chunks: number): undefined {
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
}

/** Busy, broken or behind something broken; 501 says "never", so it is an answer. */
const RETRIED: ReadonlySet<number> = new Set([500, 502, 503, 504])

const BUSY_NODE = new Failure('ollama.busy', 'the node is busy', { retryable: true })
const ERROR_NODE = new Failure('ollama.error', 'the node answered with an error', { retryable: true })

/** Why a call is cut from our side. Another node may still do it, but not another house. */
const CUTS = {
  lost: () => new Failure('ollama.lost', 'the node is lost', { retryable: true }),
  wedged: () => new Failure('ollama.wedged', 'the node is wedged', { retryable: true }),
  stopped: () => new Failure('house.stopped', 'the house stops'),
}

const STOPPING: Refused = {
  status: 503,
  message: 'the house is stopping; ask again when it is back',
  headers: { 'Retry-After': '5' },
}

function outgoing({ req, target, body }: Visit): Outgoing {
  return { method: 'POST', path: target, headers: headersForNode(req.headers), body }
}

function reasonOf({ code }: Failure): string {
  return code.slice(code.indexOf('.') + 1)
}
