/**
 * Whenever a job is over that somebody wants to be called about, write down what will be said, and say it: again and
 * again, later and later, until they have taken it or all tries are used up. Rather twice than never: a house that dies
 * between a call and the fact of it calls again.
 */
import type { Clock } from '../clock.ts'
import type { Engine } from '../engine/engine.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import { Failure } from '../failure.ts'
import type { Deliveries, Delivery } from '../projections/deliveries.ts'
import { type Caller, type Outcome, troubleOf } from './caller.ts'
import type { Target } from './target.ts'

export interface CallbacksNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly caller: Pick<Caller, 'call'>
  readonly deliveries: Deliveries
  /** Where to call about a job; undefined where that has been erased. Rejects with a Failure. */
  readonly target: (job: string) => Promise<Target | undefined>
}

/** One receiver that hangs must not hold up all others for long. */
const AT_ONCE_MAX = 32

export class Callbacks {
  readonly reactor: Reactor
  readonly #needs: CallbacksNeeds
  /** Jobs whose call is due, in order; and those whose call is under way. */
  readonly #line = new Set<string>()
  readonly #active = new Map<string, AbortController>()
  #closed = false

  constructor(needs: CallbacksNeeds) {
    this.#needs = needs
    const over = (_self: unknown, { id }: { readonly id: string }): void => this.#see(id)
    this.reactor = reactor(this, {
      on: {
        'request.completed': over,
        'request.failed': over,
        'request.expired': over,
        'request.abandoned': over,
        'request.cancelled': over,
        'delivery.ordered': over,
        'delivery.retried': over,
      },
      resume: () => {
        for (const id of needs.deliveries.state.open.keys()) this.#see(id)
      },
    })
  }

  close(): void {
    this.#closed = true
    for (const abort of this.#active.values()) abort.abort()
  }

  #see(id: string): void {
    const { deliveries, engine } = this.#needs
    const delivery = deliveries.state.open.get(id)
    if (delivery?.state === 'unordered') {
      engine.attempt('delivery', id, { type: 'delivery.order', data: delivery.report! })
    }
    if (delivery?.state !== 'due' || this.#active.has(id)) return
    this.#line.add(id)
    this.#begin()
  }

  #begin(): void {
    for (const id of this.#line) {
      if (this.#closed || this.#active.size >= AT_ONCE_MAX) return
      this.#line.delete(id)
      const abort = new AbortController()
      this.#active.set(id, abort)
      void this.#call(id, abort).finally(() => {
        this.#active.delete(id)
        this.#begin()
      })
    }
  }

  /** One try, and the fact of it. */
  async #call(id: string, abort: AbortController): Promise<void> {
    const { clock, engine, deliveries } = this.#needs
    const { status, trouble } = await this.#send(deliveries.state.open.get(id)!, abort.signal)
    if (this.#closed) return // resume() calls again
    const said = status === undefined ? {} : { status }
    try {
      if (trouble === undefined) {
        engine.attempt('delivery', id, { type: 'delivery.deliver', data: { status: status! } })
      } else {
        const data = { ...trouble, ...said, chance: clock.random() }
        engine.attempt('delivery', id, { type: 'delivery.fail', data })
      }
    } catch (error) {
      // The journal takes nothing now. When it does, resume() calls again.
      if (!(error instanceof Failure)) throw error
    }
  }

  async #send({ id, report, endedAt }: Delivery, signal: AbortSignal): Promise<Outcome> {
    const { caller, target } = this.#needs
    const result = report!.state === 'completed' ? { resultUrl: `/quipu/jobs/${id}/result` } : {}
    const body = JSON.stringify({ id, ...report, endedAt, ...result })
    const headers = { 'content-type': 'application/json; charset=utf-8', 'x-quipu-request': id }
    try {
      const found = await target(id)
      if (found === undefined) throw new Failure('callback.erased', 'where to call has been erased')
      return await caller.call(found, { headers, body }, signal)
    } catch (error) {
      return { trouble: troubleOf(error) }
    }
  }
}
