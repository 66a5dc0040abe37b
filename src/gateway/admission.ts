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
import { type EstimatesProjection, runEstimateMs } from '../projections/estimates.ts'
import type { Fleet } from '../projections/fleet.ts'
import type { RequestsProjection } from '../projections/requests.ts'
import type { Nodes } from './nodes.ts'
import { CLOUD_OFF } from './ollama.ts'
import { type Peeked, peek } from './peek.ts'
import { BUSY, type Refused, UNWRITABLE } from './refusals.ts'
import { readWishes, type Wished } from './wishes.ts'

export interface AdmissionNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly config: Config
  readonly fleet: Fleet
  readonly requests: RequestsProjection
  readonly estimates: EstimatesProjection
  readonly nodes: Nodes
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
  | { readonly as: 'admissible'; readonly order: Order; readonly peeked: Peeked }

export class Admission {
  readonly #needs: AdmissionNeeds

  constructor(needs: AdmissionNeeds) {
    this.#needs = needs
  }

  /** Throws a Refusal `request.invalid` for a wish that cannot be read. */
  async judge({ route, body, headers, by, wished, wishName }: Asked): Promise<Verdict> {
    const { clock, config, nodes } = this.#needs
    const wishes = readWishes(wished, clock.now(), wishName)
    const peeked = await peek(route, body, headers)
    const refused = this.#refusal(peeked)
    if (refused !== undefined) return refused
    const model = canonicalName(sourceOf(peeked.model?.trim() ?? '').name)
    if (model === undefined) return { as: 'nameless' }
    await nodes.seek(model)
    if (!config.cloud && nodes.isElsewhere(model)) return CLOUDY
    if (peeked.unload) return { as: 'unload', model }
    return {
      as: 'admissible',
      order: { path: route, model, client: by, bodyBytes: body.length, ...wishes },
      peeked,
    }
  }

  /** Is there room in the queue for one more whose client waits? */
  full(model: string): Refused | undefined {
    const { config, requests } = this.#needs
    return requests.state.waitingCount >= config.queueMax ? this.busy(model) : undefined
  }

  busy(model: string): Refused {
    return { status: 503, message: BUSY, headers: { 'Retry-After': this.#retryAfter(model) } }
  }

  #refusal({ model = '', cloud, unreadable }: Peeked): Verdict | undefined {
    const { config, engine } = this.#needs
    if (unreadable !== undefined) return { as: 'refused', refused: { status: 400, message: unreadable } }
    if (sourceOf(model.trim()).source === 'both') {
      const message = `use either :local or :cloud, not both: "${model.trim()}"`
      return { as: 'refused', refused: { status: 400, message }, native: true }
    }
    if (cloud && !config.cloud) return CLOUDY
    return engine.writable ? undefined : { as: 'refused', refused: UNWRITABLE }
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

const CLOUDY: Verdict = {
  as: 'refused',
  refused: { status: 403, message: `ollama cloud is disabled: ${CLOUD_OFF.inference}` },
  native: true,
}
