/**
 * Named subscriptions: readers of the journal whose place the house keeps. What there are is facts; how far each is
 * stands in the file of marks; who has what just now is in RAM.
 */
import { isDeepStrictEqual } from 'node:util'
import { Refusal } from '../../machines/entity.ts'
import type { Filter, Webhook } from '../../machines/subscription.ts'
import type { Clock } from '../clock.ts'
import type { Engine } from '../engine/engine.ts'
import type { Reactor } from '../engine/reactor.ts'
import { Failure } from '../failure.ts'
import type { Subscription, SubscriptionsProjection } from '../projections/subscriptions.ts'
import type { Marks } from './marks.ts'
import { Reader, type Taken, type Taking } from './reader.ts'
import type { ScanNeeds, Wanted } from './scan.ts'
import { type Failing, type Target, Webhooks, type WebhooksNeeds } from './webhooks.ts'

export interface SubscriptionsNeeds extends ScanNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly subscriptions: SubscriptionsProjection
  readonly marks: Marks
  readonly wantedBy: (filter: Filter) => Wanted | undefined
  /** Where targets of webhooks are kept: they may hold secrets. */
  readonly targets: Targets
  readonly call: WebhooksNeeds['call']
  /** Throws a Refusal where it may not be called. */
  readonly mayCall: (target: Target) => void
}

export interface Targets {
  put(item: string, target: Target): Promise<void>
  get(item: string): Promise<Target | undefined>
  erase(item: string): Promise<void>
}

export interface Order {
  readonly name: string
  readonly filter: Filter
  /** It begins with the fact after this one; undefined for those to come. */
  readonly after?: number | undefined
  readonly webhook?: (Target & Pick<Webhook, 'format' | 'batchMax' | 'lingerMs' | 'failuresMax'>) | undefined
}

/** How a subscription stands. */
export interface Standing extends Omit<Subscription, 'seq'> {
  /** Everything up to here is acknowledged, or was not wanted. */
  readonly mark: number
  /** Facts between the mark and the end of the journal, wanted or not. */
  readonly lag: number
  /** Out now. */
  readonly leases: number
  readonly failing?: Failing
}

/** Each is a row in every scrape of the metrics; one that is a webhook looks at every fact. */
export const SUBSCRIPTIONS_MAX = 256
/** Connections that wait for facts, of all subscriptions together. */
const WAITING_MAX = 512

export class Subscriptions {
  readonly reactor: Reactor
  readonly #needs: SubscriptionsNeeds
  readonly #webhooks: Webhooks
  readonly #readers = new Map<string, { readonly seq: number; readonly reader: Reader }>()
  /** By name: how to send away who follows it. */
  readonly #followers = new Map<string, (failure: Failure) => void>()
  #waiting = 0
  #halted = false

  constructor(needs: SubscriptionsNeeds) {
    this.#needs = needs
    this.#webhooks = new Webhooks({
      ...needs,
      reader: subscription => this.#readerOf(subscription),
      target: item => needs.targets.get(item),
    })
    this.reactor = this.#webhooks.reactor
  }

  all(): readonly Standing[] {
    const { state } = this.#needs.subscriptions
    return [...state.keys()].sort().map(name => this.standing(name))
  }

  /** Throws a Refusal `subscription.unknown`. */
  standing(name: string): Standing {
    const found = this.#found(name)
    const { seq: _which, ...told } = found
    const { mark, leases } = this.#readerOf(found)
    const failing = this.#webhooks.failing(name)
    const lag = Math.max(0, this.#needs.journal.durable - mark)
    return { ...told, mark, lag, leases, ...(failing !== undefined && { failing }) }
  }

  /**
   * Resolves when it is on disk, to whether it is new: for the same one once more, nothing is done. Throws a Refusal
   * `subscription.taken`, `subscription.full`, `callback.url`, `callback.address`, or a Failure.
   */
  async create({ name, filter, after, webhook }: Order, by: string): Promise<boolean> {
    const { clock, engine, journal, mayCall, subscriptions, targets, wantedBy } = this.#needs
    const known = subscriptions.state.get(name)
    if (known !== undefined) {
      const same = webhook === undefined && known.webhook === undefined
      if (same && isDeepStrictEqual(known.filter, filter)) {
        await engine.settled()
        return false
      }
      const said = `there is a subscription ${name} already, and it is another; delete it, or take another name`
      throw new Refusal('subscription.taken', said)
    }
    if (subscriptions.state.size >= SUBSCRIPTIONS_MAX) {
      const said = `there are ${SUBSCRIPTIONS_MAX} subscriptions, and no more than that may be; delete one`
      throw new Refusal('subscription.full', said)
    }
    wantedBy(filter) // throws where it makes no sense
    if (after !== undefined && after > journal.head.seq) throw beyond(journal.head.seq, after)
    const item = clock.id()
    const create = (more: { readonly webhook?: Webhook }): unknown =>
      engine.commit('subscription', name, {
        type: 'subscription.create',
        by,
        data: { after: after ?? journal.head.seq, filter, ...more },
      })
    if (webhook === undefined) create({})
    else {
      const { url, secret, ...how } = webhook
      mayCall({ url })
      await targets.put(item, { url, ...(secret !== undefined && { secret }) })
      try {
        const { origin } = new URL(url)
        create({ webhook: { origin, target: item, signed: secret !== undefined, ...how } })
      } catch (error) {
        await targets.erase(item)
        throw error
      }
    }
    await engine.settled()
    return true
  }

  /** Resolves when nothing of it is left. Throws a Refusal `subscription.unknown`, or a Failure. */
  async delete(name: string, by: string): Promise<void> {
    const { engine, marks, targets } = this.#needs
    const { seq, webhook } = this.#found(name)
    engine.commit('subscription', name, { type: 'subscription.delete', by, data: {} })
    this.#readers.get(name)?.reader.close()
    this.#readers.delete(name)
    this.#followers.get(name)?.(new Failure('subscription.unknown', `${name} was deleted`))
    await engine.settled()
    marks.drop({ name, seq })
    if (webhook !== undefined) await targets.erase(webhook.target)
  }

  /** Nobody is given anything any more, until it is resumed; leases that are out stay. */
  async park(name: string, by: string): Promise<void> {
    this.#found(name)
    const data = { reason: 'asked', failures: 0 }
    this.#followers.get(name)?.(new Failure('subscription.parked', `${name} was parked`))
    await this.#needs.engine.dispatch('subscription', name, { type: 'subscription.park', by, data })
  }

  async resume(name: string, by: string): Promise<void> {
    this.#found(name)
    await this.#needs.engine.dispatch('subscription', name, { type: 'subscription.resume', by, data: {} })
  }

  /**
   * Facts on a lease, or none. Throws a Refusal `subscription.unknown`, `subscription.parked`, `subscription.webhook`,
   * a Failure `subscription.busy`, or one of the journal's.
   */
  async take(name: string, taking: Taking): Promise<Taken> {
    const reader = this.#readerOf(this.#readable(name))
    if (this.#waiting >= WAITING_MAX) {
      const said = `${WAITING_MAX} wait for facts already, and no more than that may; try again`
      throw new Failure('subscription.busy', said, { retryable: true })
    }
    this.#waiting += 1
    try {
      return await reader.take(this.#halted ? { ...taking, waitMs: 0 } : taking)
    } finally {
      this.#waiting -= 1
    }
  }

  /**
   * Where a reader that is alone goes on, and what it wants. It acknowledges by seqs. There is one: whoever comes later
   * takes its place, since the one before may be a connection that nobody knows is dead. `cut` hears why it is over,
   * unless the signal has said so. Throws as `take` does.
   */
  follow(
    name: string,
    signal: AbortSignal,
    cut: (failure: Failure) => void,
  ): { readonly after: number; readonly filter: Filter } {
    const found = this.#readable(name)
    this.#followers.get(name)?.(new Failure('subscription.followed', `another reader follows ${name} now`))
    this.#followers.set(name, cut)
    signal.addEventListener('abort', () => {
      if (this.#followers.get(name) === cut) this.#followers.delete(name)
    })
    return { after: this.#readerOf(found).mark, filter: found.filter }
  }

  /** All of a lease, or a part of it. Throws a Refusal `subscription.lease-lost`, or a Failure `marks.disk`. */
  ack(name: string, lease: string, through?: number): Promise<void> {
    return this.#readerOf(this.#found(name)).ack(lease, through)
  }

  /** Everything up to a seq, whoever has it, also of a webhook. Throws a Refusal `request.invalid`, or `marks.disk`. */
  async ackThrough(name: string, seq: number): Promise<void> {
    const { durable } = this.#needs.journal
    if (seq > durable) throw beyond(durable, seq)
    await this.#readerOf(this.#found(name)).ackThrough(seq)
  }

  giveBack(name: string, lease: string): void {
    this.#readerOf(this.#found(name)).giveBack(lease)
  }

  extend(name: string, lease: string, leaseMs: number): number {
    return this.#readerOf(this.#found(name)).extend(lease, leaseMs)
  }

  /** Sends away who waits: the house is about to stop. */
  halt(): void {
    this.#halted = true
    for (const { reader } of this.#readers.values()) reader.close()
  }

  close(): void {
    this.halt()
    this.#webhooks.close()
  }

  #found(name: string): Subscription {
    const found = this.#needs.subscriptions.state.get(name)
    if (found !== undefined) return found
    throw new Refusal('subscription.unknown', `there is no subscription ${name}; see /quipu/subscriptions`)
  }

  #readable(name: string): Subscription {
    const found = this.#found(name)
    if (found.webhook !== undefined) {
      throw new Refusal('subscription.webhook', `the house itself brings the facts of ${name} to its webhook`)
    }
    if (found.state === 'active') return found
    throw new Refusal(
      'subscription.parked',
      `${name} is parked; resume it: quipu subscriptions resume ${name}`,
    )
  }

  #readerOf(subscription: Subscription): Reader {
    const { name, seq, filter } = subscription
    const known = this.#readers.get(name)
    if (known?.seq === seq) return known.reader
    known?.reader.close()
    const reader = new Reader(this.#needs, subscription, this.#needs.wantedBy(filter))
    this.#readers.set(name, { seq, reader })
    return reader
  }
}

function beyond(end: number, seq: number): Refusal {
  return new Refusal('request.invalid', `the journal ends at ${end}, so there is no fact ${seq}`)
}
