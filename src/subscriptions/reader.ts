/**
 * The readers of one subscription, who share it: each takes facts on a lease and acknowledges them, or loses them to
 * the next. Leases are in RAM: a house that is started anew has none, and what was out goes out again.
 */
import { Refusal } from '../../machines/entity.ts'
import type { Clock, Timer } from '../clock.ts'
import type { Entry } from '../journal/journal.ts'
import type { Subscription } from '../projections/subscriptions.ts'
import type { Marks } from './marks.ts'
import { news } from './news.ts'
import { Scan, type ScanNeeds, type Wanted } from './scan.ts'
import { Stretches } from './stretches.ts'

export interface ReaderNeeds extends ScanNeeds {
  readonly clock: Clock
  readonly marks: Marks
}

export interface Taking {
  /** Facts at most. */
  readonly max: number
  readonly leaseMs: number
  /** How long to wait where there is nothing. */
  readonly waitMs: number
  /** Whoever asked has gone. */
  readonly signal: AbortSignal
}

export interface Taken {
  /** Undefined where there is nothing to be had. */
  readonly lease?: string
  /** When it runs out, milliseconds since the epoch. */
  readonly until?: number
  /** 1, or more where these came back. */
  readonly attempt?: number
  readonly facts: readonly Entry[]
}

export const LEASES_MAX = 64
/** Looks at the journal in one `take` that need not wait: 50,000 facts, of which none may be wanted. */
const LOOKS_MAX = 50

export class Reader {
  readonly #needs: ReaderNeeds
  readonly #which: Pick<Subscription, 'name' | 'seq'>
  readonly #scan: Scan
  readonly #stretches: Stretches
  readonly #leases = new Map<string, { readonly until: number; readonly timer: Timer }>()
  /** Whoever waits for something to take. */
  readonly #waiting = new Set<() => void>()
  /** Looks and acknowledgements of seqs, one after the other. */
  #turn: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(needs: ReaderNeeds, subscription: Subscription, wanted: Wanted | undefined) {
    this.#needs = needs
    this.#which = { name: subscription.name, seq: subscription.seq }
    this.#scan = new Scan(needs, wanted)
    const { after } = subscription
    const mark = needs.marks.of(this.#which) ?? after
    // One beyond the end comes from facts that this journal has lost.
    this.#stretches = new Stretches(mark > needs.journal.durable ? after : mark)
  }

  get mark(): number {
    return this.#stretches.mark
  }

  get leases(): number {
    return this.#leases.size
  }

  /** Facts on a lease, oldest first. Throws the journal's Failures. */
  async take({ max, leaseMs, waitMs, signal }: Taking): Promise<Taken> {
    const { clock, journal } = this.#needs
    const late = clock.monotonic() + waitMs
    for (let looks = 1; !this.#closed && !signal.aborted; looks += 1) {
      if (this.#leases.size < LEASES_MAX) {
        const taken = await this.#inTurn(() => this.#look(max, leaseMs, signal))
        if (taken !== undefined && !signal.aborted) return taken
        if (taken !== undefined) this.#giveBack(taken.lease!)
      }
      const behind = this.#leases.size < LEASES_MAX && this.#stretches.next().after < journal.durable
      const leftMs = late - clock.monotonic()
      if (leftMs <= 0 && (!behind || looks >= LOOKS_MAX)) break
      // A new fact, one that came back, or room for a lease.
      if (!behind && !this.#closed) await news(this.#needs, { ms: leftMs, signal, callers: this.#waiting })
    }
    return { facts: [] }
  }

  /** Resolves when it is kept. Throws a Refusal `subscription.lease-lost`, or a Failure `marks.disk`. */
  async ack(lease: string, through?: number): Promise<void> {
    this.#held(lease)
    this.#stretches.ack(lease, through)
    if (this.#stretches.of(lease) === undefined) this.#end(lease)
    await this.#keep()
  }

  /** Everything up to a seq, whoever has it. Resolves when it is kept. */
  async ackThrough(seq: number): Promise<void> {
    await this.#inTurn(async () => this.passed(seq))
    for (const lease of [...this.#leases.keys()])
      if (this.#stretches.of(lease) === undefined) this.#end(lease)
    await this.#keep()
  }

  /** For a reader that is alone: everything up to a seq is dealt with, and may be written down by and by. */
  passed(seq: number): void {
    this.#stretches.ackThrough(seq)
    this.#note()
  }

  /** Throws a Refusal `subscription.lease-lost`. */
  giveBack(lease: string): void {
    this.#held(lease)
    this.#giveBack(lease)
  }

  /** When it runs out now. Throws a Refusal `subscription.lease-lost`. */
  extend(lease: string, leaseMs: number): number {
    this.#held(lease).timer.cancel()
    return this.#arm(lease, leaseMs)
  }

  /** Sends away who waits; leases end. */
  close(): void {
    this.#closed = true
    for (const { timer } of this.#leases.values()) timer.cancel()
    this.#leases.clear()
    this.#wake()
  }

  /** One look: a lease where something wanted was found; else what was looked at is done with. */
  async #look(max: number, leaseMs: number, signal: AbortSignal): Promise<Taken | undefined> {
    const { clock } = this.#needs
    if (this.#leases.size >= LEASES_MAX || this.#closed) return undefined
    const stretch = this.#stretches.next()
    const { facts, through } = await this.#scan.look({ ...stretch, max }, signal)
    if (through === stretch.after || this.#closed) return undefined
    if (facts.length === 0) {
      this.#stretches.settle(stretch, through)
      this.#note()
      return undefined
    }
    const lease = clock.id()
    this.#stretches.settle(stretch, through, lease)
    const until = this.#arm(lease, leaseMs)
    return { lease, until, attempt: stretch.attempt, facts }
  }

  #arm(lease: string, leaseMs: number): number {
    const { clock } = this.#needs
    const until = clock.now() + leaseMs
    this.#leases.set(lease, { until, timer: clock.after(leaseMs, () => this.#giveBack(lease)) })
    return until
  }

  #held(lease: string): { readonly timer: Timer } {
    const held = this.#leases.get(lease)
    if (held !== undefined) return held
    throw new Refusal(
      'subscription.lease-lost',
      `the lease ${lease} is over, or was never one of ${this.#which.name}: its facts go to whoever takes next`,
    )
  }

  #giveBack(lease: string): void {
    this.#stretches.giveBack(lease)
    this.#end(lease)
  }

  #end(lease: string): void {
    this.#leases.get(lease)?.timer.cancel()
    this.#leases.delete(lease)
    this.#wake()
  }

  #keep(): Promise<void> {
    return this.#needs.marks.move(this.#which, this.mark)
  }

  #note(): void {
    this.#needs.marks.note(this.#which, this.mark)
  }

  #inTurn<T>(look: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(look)
    this.#turn = done.catch(() => {})
    return done
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake()
  }
}
