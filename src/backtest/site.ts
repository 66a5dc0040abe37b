/** One simulated node, as a policy sees it from outside: it takes requests and loads, and can be switched off. */
import type { VirtualClock } from '../clock.ts'
import { type Fleet, type FleetNode, fitsOn, type Pace, paceOn, serviceMs } from './fleet.ts'
import type { Lane } from './timeline.ts'
import type { Arrival } from './trace.ts'

/** The inside of a node: models in memory, slots, and Ollama's own queue. */
export interface Inside {
  /** Sends a request of a model. Answers how to hang up. */
  run(
    model: string,
    stay: Times & { readonly started: () => void; readonly begun: () => void; readonly ended: () => void },
  ): () => void
  /** Loads a model without a prompt. Answers how to hang up. */
  load(model: string, loaded: () => void): () => void
  unload(model: string): void
  /** What is in memory; a model being loaded is not. */
  resident(): readonly string[]
  kill(): void
}

export type MakeInside = (options: {
  readonly clock: VirtualClock
  readonly slots: number
  readonly resident: number
  readonly keepAliveMs: number
  readonly loadMs: (model: string) => number
  /** Is there memory for a model beside those that are loaded? Without it, only their number counts. */
  readonly fits?: ((model: string, loaded: readonly string[]) => boolean) | undefined
  readonly heard: (model: string, what: 'loading' | 'loaded' | 'gone') => void
}) => Inside

export interface Times {
  readonly promptMs: number
  readonly outputMs: number
}

/** What became of a request. Times in milliseconds since the epoch; absent is what never came. */
export interface Outcome {
  readonly arrival: Arrival
  /** Where it ran, or was last sent. */
  node?: string
  sentAt?: number
  /** It has a slot. */
  startedAt?: number
  begunAt?: number
  endedAt?: number
  /** It got no whole answer, and has stopped waiting for one. */
  leftAt?: number
}

export interface SiteNeeds {
  readonly clock: VirtualClock
  readonly fleet: Fleet
  readonly lane: Lane
  readonly make: MakeInside
}

export class Site {
  readonly node: FleetNode
  up = true
  /** Told of a model that left its memory. */
  onGone: (model: string) => void = () => {}
  readonly #needs: SiteNeeds
  readonly #inside: Inside
  readonly #running = new Map<Outcome, () => void>()
  #loads = 0

  constructor(node: FleetNode, needs: SiteNeeds) {
    const { clock, fleet, lane, make } = needs
    this.node = node
    this.#needs = needs
    this.#inside = make({
      clock,
      slots: node.slots,
      resident: node.resident,
      keepAliveMs: fleet.keepAliveMs,
      loadMs: model => this.pace(model).loadMs,
      fits: fitsOn(fleet, node),
      heard: (model, what) => {
        lane.memory(clock.now(), model, what)
        if (what === 'loaded') this.#loads += 1
        if (what === 'gone') this.onGone(model)
      },
    })
  }

  get name(): string {
    return this.node.name
  }

  /** Models brought into memory so far. */
  get loads(): number {
    return this.#loads
  }

  get resident(): readonly string[] {
    return this.#inside.resident()
  }

  has(model: string): boolean {
    return this.node.models.has(model)
  }

  pace(model: string): Pace {
    const pace = paceOn(this.#needs.fleet, this.node, model)
    if (pace === undefined) throw new TypeError(`${this.name} does not have ${model}`)
    return pace
  }

  /** Sends a request there. `begun` at its first byte, `ended` after its last. */
  send(outcome: Outcome, { begun, ended }: { begun(): void; ended(times: Times): void }): void {
    const { clock, lane } = this.#needs
    const { arrival } = outcome
    const times = serviceMs(arrival, this.pace(arrival.model))
    outcome.node = this.name
    outcome.sentAt = clock.now()
    const hangUp = this.#inside.run(arrival.model, {
      ...times,
      started() {
        outcome.startedAt = clock.now()
        lane.busy(clock.now(), arrival.model, 1)
      },
      begun() {
        outcome.begunAt = clock.now()
        begun()
      },
      ended: () => {
        this.#running.delete(outcome)
        outcome.endedAt = clock.now()
        lane.busy(clock.now(), arrival.model, -1)
        ended(times)
      },
    })
    this.#running.set(outcome, hangUp)
  }

  load(model: string, loaded: () => void): void {
    this.#inside.load(model, loaded)
  }

  unload(model: string): void {
    this.#inside.unload(model)
  }

  /** Hangs up on a request. What no byte has come of may be sent elsewhere, as if it had not started. */
  cut(outcome: Outcome): void {
    const { clock, lane } = this.#needs
    this.#running.get(outcome)?.()
    this.#running.delete(outcome)
    if (outcome.startedAt !== undefined) lane.busy(clock.now(), outcome.arrival.model, -1)
    if (outcome.begunAt === undefined) delete outcome.startedAt
  }

  /** The machine goes away, with all that is in its memory. Answers whom that cut. */
  switchOff(): readonly Outcome[] {
    const cut = [...this.#running.keys()]
    this.up = false
    for (const outcome of cut) this.cut(outcome)
    this.#inside.kill()
    this.#needs.lane.turned(this.#needs.clock.now(), false)
    return cut
  }

  switchOn(): void {
    this.up = true
    this.#needs.lane.turned(this.#needs.clock.now(), true)
  }
}
