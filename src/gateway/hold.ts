/**
 * Holds the first of an answer back, where its class is watched, and moves it to another node when it comes far too
 * slowly. Only where another node is ready for it, a retry is left in the budget, and once: a slow answer is better than
 * a queue, or than none. pace.ts says what is slow.
 */
import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engine/engine.ts'
import type { Fleet } from '../projections/fleet.ts'
import type { Open, RequestsProjection } from '../projections/requests.ts'
import { type RetriesProjection, retriesLeft } from '../projections/retries.ts'
import { lineCounter, linesDue, WINDOW_MS } from './pace.ts'
import type { Hold } from './relay.ts'

export interface HoldNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly config: Pick<Config, 'slowMove'>
  readonly fleet: Fleet
  readonly requests: RequestsProjection
  readonly retries: RetriesProjection
  /** Tokens a second that an answer of a model from a node usually has; undefined where nothing like it was seen. */
  readonly decodeTps: (model: string, node: string) => number | undefined
  /** Could another node answer this running request at once? */
  readonly elsewhere: (open: Open) => boolean
}

/** Of one attempt. */
export class Holding {
  readonly #needs: HoldNeeds
  readonly #id: string
  /** On the monotonic clock. */
  #since: number | undefined

  constructor(needs: HoldNeeds, id: string) {
    this.#needs = needs
    this.#id = id
  }

  /** How long the first of the answer has been held; undefined where it has not. */
  get heldMs(): number | undefined {
    return this.#since === undefined ? undefined : Math.round(this.#needs.clock.monotonic() - this.#since)
  }

  /** What the relay asks once the head of the answer is there. */
  hold(status: number, contentType: string): Hold | undefined {
    const { clock, config, decodeTps, engine, elsewhere, fleet, requests, retries } = this.#needs
    const open = requests.state.open.get(this.#id)
    if (open === undefined || open.moved) return undefined
    const answer = { status, contentType, class: open.class }
    const due = linesDue(config.slowMove, answer, decodeTps(open.model, open.node))
    if (due === undefined) return undefined
    const lines = lineCounter(contentType)
    return {
      wait: run => {
        this.#since = clock.monotonic()
        return clock.after(WINDOW_MS, run)
      },
      enough: chunk => lines(chunk) >= due,
      giveUp: () =>
        retriesLeft(retries.state, fleet.state, clock.now()) > 0 &&
        elsewhere(open) &&
        engine.attempt('request', this.#id, { type: 'request.move', data: {} }).length > 0,
    }
  }
}
