/**
 * Brings the facts of webhook subscriptions to whoever wants them: a batch at a time, in order, again and again until
 * it is taken, later and later; and parks the subscription when that has gone wrong too often in a row.
 *
 *   read ─▶ batch ─▶ POST ─ 2xx ─▶ mark, and on
 *             ▲        └─ else: wait ─┐  or, for the last time: park, and stop
 *             └───────────────────────┘
 *
 * A round is what is under way for one subscription. One that is parked has none, and costs nothing.
 */
import type { Filter, Webhook } from '../../machines/subscription.ts'
import type { Clock } from '../clock.ts'
import type { Engine } from '../engine/engine.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import { Failure } from '../failure.ts'
import type { Entry } from '../journal/journal.ts'
import type { Subscription, SubscriptionsProjection } from '../projections/subscriptions.ts'
import { news } from './news.ts'
import type { Reader } from './reader.ts'
import { Scan, type ScanNeeds, type Wanted } from './scan.ts'

/** Where to call, and what to sign the call with. */
export interface Target {
  readonly url: string
  readonly secret?: string
}

/** See callbacks/caller.ts. */
export interface Outcome {
  readonly status?: number
  readonly trouble?: { readonly reason: string; readonly retryable: boolean }
}

export interface WebhooksNeeds extends ScanNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly subscriptions: SubscriptionsProjection
  readonly reader: (subscription: Subscription) => Pick<Reader, 'mark' | 'passed'>
  readonly wantedBy: (filter: Filter) => Wanted | undefined
  /** By the spool's item; undefined where that has been erased. Rejects with a Failure. */
  readonly target: (item: string) => Promise<Target | undefined>
  readonly call: (
    target: Target,
    message: { readonly headers: Readonly<Record<string, string>>; readonly body: string },
    signal: AbortSignal,
  ) => Promise<Outcome>
}

/** What has gone wrong since a batch was last taken. */
export interface Failing {
  /** In a row. */
  readonly failures: number
  readonly reason: string
  readonly status?: number
  /** When it is tried again, milliseconds since the epoch. */
  readonly until: number
}

interface Round {
  /** Of the subscription that it is for: there may have been others of its name. */
  readonly seq: number
  readonly abort: AbortController
  failing?: Failing
}

interface Batch {
  readonly facts: readonly Entry[]
  /** What is done with once it has been taken. */
  readonly through: number
}

/** When a read that failed is tried again, if the journal says nothing meanwhile. */
const AGAIN_MS = 1_000
/** Full jitter: random(0, WAIT_MIN · 2^failures), never below the floor nor beyond the cap. */
const WAIT_MIN_MS = 500
const WAIT_FLOOR_MS = 250
const WAIT_MAX_MS = 300_000

export class Webhooks {
  readonly reactor: Reactor
  readonly #needs: WebhooksNeeds
  readonly #rounds = new Map<string, Round>()
  #closed = false

  constructor(needs: WebhooksNeeds) {
    this.#needs = needs
    const look = (_self: unknown, { id }: { readonly id: string }): void => this.#see(id)
    this.reactor = reactor(this, {
      on: {
        'subscription.created': look,
        'subscription.resumed': look,
        'subscription.parked': look,
        'subscription.deleted': look,
      },
      resume: () => {
        for (const name of needs.subscriptions.state.keys()) this.#see(name)
      },
    })
  }

  /** What is going wrong with it; undefined where all is well. */
  failing(name: string): Failing | undefined {
    return this.#rounds.get(name)?.failing
  }

  close(): void {
    this.#closed = true
    for (const { abort } of this.#rounds.values()) abort.abort()
  }

  #see(name: string): void {
    const subscription = this.#needs.subscriptions.state.get(name)
    const wanted = subscription?.webhook !== undefined && subscription.state === 'active'
    const round = this.#rounds.get(name)
    if (round !== undefined && wanted && round.seq === subscription.seq) return
    round?.abort.abort()
    this.#rounds.delete(name)
    if (wanted && !this.#closed) this.#begin(subscription, subscription.webhook!)
  }

  #begin(subscription: Subscription, webhook: Webhook): void {
    const { name, seq } = subscription
    const round: Round = { seq, abort: new AbortController() }
    this.#rounds.set(name, round)
    void this.#go(subscription, webhook, round).finally(() => {
      if (this.#rounds.get(name) === round) this.#rounds.delete(name)
    })
  }

  /** Until it is aborted, or parks. */
  async #go(subscription: Subscription, webhook: Webhook, round: Round): Promise<void> {
    const { wantedBy } = this.#needs
    const reader = this.#needs.reader(subscription)
    const scan = new Scan(this.#needs, wantedBy(subscription.filter))
    const { signal } = round.abort
    try {
      while (!signal.aborted) {
        const batch = await this.#batch(reader, scan, webhook, signal)
        if (batch === undefined) return
        const taken = await this.#bring(subscription, webhook, batch, round)
        if (!taken) return
        reader.passed(batch.through)
      }
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      // The journal is closed; or what is to be read is damaged, or not there any more.
      if (!signal.aborted && !error.retryable) this.#park(subscription, wordOf(error), 0)
    }
  }

  /** The next facts, once there are enough, or the first has waited for others. Undefined once it is aborted. */
  async #batch(
    reader: Pick<Reader, 'mark' | 'passed'>,
    scan: Scan,
    { batchMax, lingerMs }: Webhook,
    signal: AbortSignal,
  ): Promise<Batch | undefined> {
    const { clock, journal } = this.#needs
    const facts: Entry[] = []
    let through = reader.mark
    let late = 0
    while (!signal.aborted && !journal.closed) {
      const room = batchMax - facts.length
      const found = await this.#look(scan, through, room, signal)
      if (facts.length === 0 && found.facts.length > 0) late = clock.monotonic() + lingerMs
      facts.push(...found.facts)
      through = found.through
      if (facts.length === 0) reader.passed(through)
      const leftMs = facts.length === 0 ? undefined : late - clock.monotonic()
      if (facts.length >= batchMax || (leftMs !== undefined && leftMs <= 0)) return { facts, through }
      if (through < journal.durable) continue
      await news(this.#needs, { signal, ...(leftMs !== undefined && { ms: leftMs }) })
    }
    return undefined
  }

  /** Where there is nothing to read from just now (between two handles of a failing disk, say), it comes again. */
  async #look(scan: Scan, after: number, max: number, signal: AbortSignal): Promise<Batch> {
    for (;;) {
      try {
        return await scan.look({ after, through: Number.POSITIVE_INFINITY, max }, signal)
      } catch (error) {
        if (!(error instanceof Failure && error.retryable) || signal.aborted) throw error
        await news(this.#needs, { ms: AGAIN_MS, signal })
      }
    }
  }

  /** Until it is taken: true. False where it will not be. */
  async #bring(subscription: Subscription, webhook: Webhook, batch: Batch, round: Round): Promise<boolean> {
    const { clock } = this.#needs
    const { signal } = round.abort
    for (let failures = 1; ; failures += 1) {
      const { status, trouble } = await this.#call(subscription, webhook, batch, failures, signal)
      if (signal.aborted) return false
      if (trouble === undefined) {
        delete round.failing
        return true
      }
      const { reason, retryable } = trouble
      if (!retryable || failures >= webhook.failuresMax) {
        this.#park(subscription, reason, failures, status)
        return false
      }
      const waitMs = waitAfter(failures, clock.random())
      const said = status === undefined ? {} : { status }
      round.failing = { failures, reason, ...said, until: clock.now() + waitMs }
      await new Promise<void>(resolve => {
        const go = (): void => {
          timer.cancel()
          signal.removeEventListener('abort', go)
          resolve()
        }
        const timer = clock.after(waitMs, go)
        signal.addEventListener('abort', go)
      })
      if (signal.aborted) return false
    }
  }

  async #call(
    { name }: Subscription,
    { target, format }: Webhook,
    { facts }: Batch,
    attempt: number,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const { call, journal } = this.#needs
    const { seq: first } = facts[0]!
    const { seq: last } = facts.at(-1)!
    const id = `${name}:${first}-${last}`
    let found: Target | undefined
    try {
      found = await this.#needs.target(target)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      return { trouble: { reason: wordOf(error), retryable: error.retryable } }
    }
    if (found === undefined) return { trouble: { reason: 'erased', retryable: false } }
    const headers = {
      'x-quipu-subscription': name,
      'x-quipu-journal': journal.id,
      'x-quipu-delivery': id,
      'x-quipu-first': String(first),
      'x-quipu-last': String(last),
      'x-quipu-attempt': String(attempt),
    }
    const lines = facts.map(fact => JSON.stringify(fact))
    if (format === 'ndjson') {
      const body = `${lines.join('\n')}\n`
      return call(found, { headers: { ...headers, 'content-type': 'application/x-ndjson' }, body }, signal)
    }
    const head = JSON.stringify({ subscription: name, journal: journal.id, id, first, last })
    const body = `${head.slice(0, -1)},"facts":[${lines.join(',')}]}`
    const type = { 'content-type': 'application/json; charset=utf-8' }
    return call(found, { headers: { ...headers, ...type }, body }, signal)
  }

  #park({ name }: Subscription, reason: string, failures: number, status?: number): void {
    const data = { reason, failures, ...(status !== undefined && { status }) }
    try {
      this.#needs.engine.attempt('subscription', name, { type: 'subscription.park', data, by: 'webhooks' })
    } catch (error) {
      // The journal takes nothing now. When it does, resume() begins again.
      if (!(error instanceof Failure)) throw error
    }
  }
}

/** `chance` in [0, 1). */
export function waitAfter(failures: number, chance: number): number {
  return Math.max(WAIT_FLOOR_MS, Math.round(chance * Math.min(WAIT_MAX_MS, WAIT_MIN_MS * 2 ** failures)))
}

function wordOf({ code }: Failure): string {
  return code.slice(code.indexOf('.') + 1)
}
