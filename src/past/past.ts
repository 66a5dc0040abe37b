/**
 * What was it like then, and what is different since? Read from the journal once more, one at a time, and no longer than
 * a while. A house that answers this rests as long as it reads: the other half of its time is for everything else.
 */
import { Refusal } from '../../machines/entity.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import { Between, type Change, changesBetween } from './changes.ts'
import { type Picture, pictureOf } from './picture.ts'
import { type Journey, type Stop, travel } from './travel.ts'
import { type Place, placeOf } from './when.ts'

export interface PastNeeds {
  readonly journal: Journey['journal']
  readonly snapshots: Journey['snapshots']
  readonly clock: Clock
  /** The starvation bound that held, where nobody had set another; milliseconds. */
  readonly starveMs: (set: ReadonlyMap<string, string>) => number
  /** What a time without a zone is meant in. */
  readonly zone: 'local' | 'UTC'
  /** How long an answer may take; none where nobody else has to wait for it. */
  readonly deadlineMs?: number
  /** Hears how far it has come. */
  readonly progress?: (seq: number) => void
}

/** Times are milliseconds since the epoch. */
export interface Moment {
  /** What was asked for: a time, where it was one. */
  readonly at?: number
  /** The last fact that had happened, and when; 0 before the first. */
  readonly seq: number
  readonly factAt: number
  /** The fact after which a snapshot was taken up; 0 for none. */
  readonly from: number
}

export interface StateThen extends Picture {
  readonly moment: Moment
}

export interface Difference {
  readonly from: Moment
  readonly to: Moment
  readonly facts: number
  readonly changes: readonly Change[]
  readonly requests: Between['requests']
  readonly queue: Readonly<Record<'waiting' | 'running', { readonly before: number; readonly after: number }>>
}

export class Past {
  readonly #needs: PastNeeds
  #busy = false

  constructor(needs: PastNeeds) {
    this.#needs = needs
  }

  /** Throws a Refusal `request.invalid`, `past.future`; a Failure `house.busy`, `past.slow`, and those of a read. */
  async state(at: string, signal: AbortSignal): Promise<StateThen> {
    const place = this.#place(at)
    for await (const stop of this.#travel([place], signal)) return this.#picture(stop, place)
    throw new TypeError('there is always a stop')
  }

  /** The same. What is said first may be the later one. */
  async difference(from: string, to: string, signal: AbortSignal): Promise<Difference> {
    const places = [this.#place(from), this.#place(to)].sort(inOrder)
    const between = new Between()
    const states: StateThen[] = []
    for await (const stop of this.#travel(places, signal, between)) {
      states.push(this.#picture(stop, places[states.length]!))
    }
    const [before, after] = states as [StateThen, StateThen]
    return {
      from: before.moment,
      to: after.moment,
      facts: between.facts,
      changes: changesBetween(before, after, between),
      requests: between.requests,
      queue: {
        waiting: { before: before.queue.waiting, after: after.queue.waiting },
        running: { before: before.queue.running, after: after.queue.running },
      },
    }
  }

  #place(text: string): Place {
    const { clock, journal, zone } = this.#needs
    return placeOf(text, { now: clock.now(), last: journal.durable, zone })
  }

  async *#travel(places: readonly Place[], signal: AbortSignal, between?: Between): AsyncGenerator<Stop> {
    const { clock, journal, snapshots, deadlineMs = Number.POSITIVE_INFINITY, progress } = this.#needs
    if (this.#busy) {
      const said = 'somebody else looks at the past now, and one at a time may; try again'
      throw new Failure('house.busy', said, { retryable: true })
    }
    this.#busy = true
    const began = clock.monotonic()
    let worked = began
    /** Rests as long as it worked. */
    const pace = async ({ seq }: { readonly seq: number }): Promise<void> => {
      const now = clock.monotonic()
      if (signal.aborted) throw new Refusal('request.gone', 'whoever asked has left')
      if (now - began > deadlineMs) throw slow(seq, journal.durable)
      progress?.(seq)
      if (deadlineMs < Number.POSITIVE_INFINITY)
        await new Promise<void>(resolve => clock.after(now - worked, resolve))
      worked = clock.monotonic()
    }
    try {
      const note = between?.note
      yield* travel({ journal, snapshots, pace, ...(note && { note }) }, places)
    } finally {
      this.#busy = false
    }
  }

  #picture({ seq, at: factAt, from, answers }: Stop, place: Place): StateThen {
    const asked = 'at' in place ? { at: place.at } : {}
    const starveMs = this.#needs.starveMs(answers.settings.state.values)
    return {
      moment: { ...asked, seq, factAt, from },
      ...pictureOf(answers, { now: asked.at ?? factAt, starveMs }),
    }
  }
}

function inOrder(a: Place, b: Place): number {
  if ('seq' in a && 'seq' in b) return a.seq - b.seq
  return 'at' in a && 'at' in b ? a.at - b.at : 0
}

function slow(seq: number, last: number): Failure {
  const said =
    `the journal was read up to fact ${seq} of ${last}, and no further in the time there is; ` +
    'quipu at --data takes as long as it takes, on a copy of the folder'
  return new Failure('past.slow', said, { retryable: false })
}
