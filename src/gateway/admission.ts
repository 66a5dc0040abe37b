/**
 * What becomes of an inference request at the door: refused, answered beside the queue, or told to the queue in the words
 * of `request.admit`. The same for one whose client waits and for a job.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { canonicalName, sourceOf } from '../../machines/name.ts'
import type { RequestCommand } from '../../machines/request.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engine/engine.ts'
import { type EstimatesProjection, expectTokens } from '../projections/estimates.ts'
import type { JobsProjection } from '../projections/jobs.ts'
import type { Policies } from '../projections/policies.ts'
import type { RequestsProjection } from '../projections/requests.ts'
import { amend } from './amend.ts'
import type { Nodes } from './nodes.ts'
import { CLOUD_OFF } from './ollama.ts'
import { type Peeked, peek } from './peek.ts'
import { BUSY, OVER_BUDGET, type Refused, UNWRITABLE } from './refusals.ts'
import { readWishes, type Wished } from './wishes.ts'

export interface AdmissionNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly config: Config
  readonly requests: RequestsProjection
  readonly jobs: JobsProjection
  readonly estimates: EstimatesProjection
  readonly policies: Policies
  readonly nodes: Nodes
  /** How the data folder stands to its budget; see archive/budget.ts. */
  readonly budget: { readonly standing: string }
  /** Under which name a client is written down; see naming.ts. */
  readonly naming: (name: string) => string
  /** How long it would wait for its turn, and then run; see scheduler/eta.ts. */
  readonly foresee: (order: Order) => Foreseen
}

/** Milliseconds; undefined where no node could take it. */
export interface Foreseen {
  readonly waitMs?: number | undefined
  readonly runMs?: number | undefined
}

export interface Asked {
  /** As the table of routes has it. */
  readonly route: string
  readonly body: Buffer
  readonly headers: IncomingHttpHeaders
  /** The address that asks. */
  readonly by: string
  readonly wished: Wished
  /** What a wish is called where it was made. */
  readonly wishName: (wish: keyof Wished) => string
}

/** What the queue is told, but for how long it may wait and how often it may be tried. */
export type Order = Omit<
  Extract<RequestCommand, { type: 'request.admit' }>['data'],
  'expiresAt' | 'attemptsMax' | 'job' | 'key' | 'bodyDigest' | 'callback'
>

/**
 * `refused`: with what words; `native` where they are Ollama's own, whatever the dialect. `nameless`: it names no model.
 * `unload`: a wish about memory, no question.
 */
export type Verdict =
  | { readonly as: 'refused'; readonly refused: Refused; readonly native?: boolean }
  | { readonly as: 'nameless' }
  | { readonly as: 'unload'; readonly model: string }
  | Admissible

export interface Admissible {
  readonly as: 'admissible'
  readonly order: Order
  /** These two as the model's policy leaves them. */
  readonly body: Buffer
  readonly peeked: Peeked
}

export class Admission {
  readonly #needs: AdmissionNeeds

  constructor(needs: AdmissionNeeds) {
    this.#needs = needs
  }

  /** Throws a Refusal `request.invalid` for a wish that cannot be read. */
  async judge({ route, body, headers, by, wished, wishName }: Asked): Promise<Verdict> {
    const { clock, config, estimates, foresee, naming, nodes, policies } = this.#needs
    const wishes = readWishes(wished, clock.now(), wishName)
    const peeked = await peek(route, body, headers)
    const refused = this.#refusal(peeked)
    if (refused !== undefined) return refused
    const model = canonicalName(sourceOf(peeked.model?.trim() ?? '').name)
    if (model === undefined) return { as: 'nameless' }
    await nodes.seek(model)
    if (!config.cloud && nodes.isElsewhere(model)) return CLOUDY
    const amended = await amend({ route, body, peeked }, policies.state.get(model))
    if ('refused' in amended) return { as: 'refused', refused: amended.refused }
    if (peeked.unload) return { as: 'unload', model }
    const client = naming(wishes.client ?? by)
    const { variant, keepAlive } = amended
    const question = { model, client, bodyBytes: body.length, outputMax: peeked.outputMax }
    const order: Order = {
      path: route,
      model,
      bodyBytes: body.length,
      ...wishes,
      client,
      ...(variant !== '' && { variant }),
      estimate: expectTokens(estimates.state, question),
    }
    const { waitMs, runMs = 0 } = foresee(order)
    const { deadlineAt = Number.POSITIVE_INFINITY } = order
    if (waitMs !== undefined && clock.now() + waitMs + runMs > deadlineAt)
      return this.#hopeless(order, waitMs + runMs)
    return {
      as: 'admissible',
      order: {
        ...order,
        estimate: { ...order.estimate!, ...(waitMs !== undefined && { waitMs: Math.round(waitMs) }) },
      },
      body: amended.body,
      peeked: { ...peeked, keepAlive },
    }
  }

  /** Is there room in the queue for one more whose client waits? Jobs have a limit of their own. */
  full(order: Order): Refused | undefined {
    const { config, jobs, requests } = this.#needs
    const { queue } = requests.state
    const all = queue.count - jobs.state.queuedCount
    const own =
      (queue.accounts.get(order.client)?.waiting ?? 0) - (jobs.state.queuedBy.get(order.client) ?? 0)
    return all >= config.queueMax || own >= config.clientQueueMax ? this.busy(order) : undefined
  }

  /** In Ollama's words, with when it is worth asking again: when one that came now would have its turn. */
  busy(order: Order): Refused {
    const waitMs = this.#needs.foresee(order).waitMs ?? RETRY_MAX_S * 1_000
    const seconds = Math.min(RETRY_MAX_S, Math.max(1, Math.ceil(waitMs / 1_000)))
    return { status: 503, message: BUSY, headers: { 'Retry-After': String(seconds) } }
  }

  #hopeless({ deadlineAt = 0 }: Order, endsMs: number): Verdict {
    const left = Math.max(0, deadlineAt - this.#needs.clock.now())
    const message =
      `the deadline cannot be met: it is ${seconds(left)} away, and an answer is expected in ${seconds(endsMs)}; ` +
      'allow more time, or ask again when less waits (/quipu/queue)'
    return { as: 'refused', refused: { status: 503, message } }
  }

  #refusal({ model = '', cloud, unreadable }: Peeked): Verdict | undefined {
    const { budget, config, engine } = this.#needs
    if (unreadable !== undefined) return { as: 'refused', refused: { status: 400, message: unreadable } }
    if (sourceOf(model.trim()).source === 'both') {
      const message = `use either :local or :cloud, not both: "${model.trim()}"`
      return { as: 'refused', refused: { status: 400, message }, native: true }
    }
    if (cloud && !config.cloud) return CLOUDY
    if (!engine.writable) return { as: 'refused', refused: UNWRITABLE }
    return budget.standing === 'full' ? { as: 'refused', refused: OVER_BUDGET } : undefined
  }
}

/** A client that is told to come back later than this comes back sooner. */
const RETRY_MAX_S = 60

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}

const CLOUDY: Verdict = {
  as: 'refused',
  refused: { status: 403, message: `ollama cloud is disabled: ${CLOUD_OFF.inference}` },
  native: true,
}
