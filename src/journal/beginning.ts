/**
 * Where a reader begins: `start`, `now`, a seq, or a time. Answers with the mark: the seq after which it goes on.
 *
 * Wall clocks jump, so that facts are not in order of their times, and a search that halves would end anywhere. What a
 * time means is therefore this: the first fact, in the journal's order, that is of that time or later. Once that has been
 * passed, so has every moment before it, whatever the clock did. The highest time up to a place only ever grows; it is
 * noted at every thousandth fact, as far as somebody has asked, and with that it is a search that halves after all.
 */
import { Refusal } from '../../machines/entity.ts'
import type { Clock } from '../clock.ts'
import { dateIn } from '../moment.ts'
import type { Entry, Journal } from './journal.ts'
import { Turns } from './turns.ts'

export interface BeginningsNeeds {
  readonly clock: Clock
  readonly journal: Pick<Journal, 'durable' | 'read'>
}

const STEP_FACTS = 1_000
/** The first who asks for a time reads up to there: 3 s for a million facts. The next ones read a step. */
const SEARCHES_WAITING_MAX = 256
const SEARCH_WAIT_MS = 60_000

export class Beginnings {
  readonly #journal: BeginningsNeeds['journal']
  readonly #turns: Turns
  /** At place n: the highest time of the first (n + 1) thousand facts. */
  readonly #highest: number[] = []

  constructor({ journal, clock }: BeginningsNeeds) {
    this.#journal = journal
    this.#turns = new Turns({
      clock,
      atOnceMax: 1,
      waitingMax: SEARCHES_WAITING_MAX,
      waitMs: SEARCH_WAIT_MS,
      what: 'for a time to be looked up',
    })
  }

  /** The mark of `start`, `now`, a seq (that fact is the first), or a time. Throws a Refusal `request.invalid`. */
  async mark(from: string, signal: AbortSignal): Promise<number> {
    if (from === 'start') return 0
    if (from === 'now') return this.#journal.durable
    if (/^\d{1,10}$/.test(from)) return Math.max(0, Number(from) - 1)
    return this.before(momentOf(from), signal)
  }

  /** The last fact before the first one that is of this time or later; the last there is when none is. */
  async before(at: number, signal: AbortSignal): Promise<number> {
    const done = await this.#turns.take(signal)
    try {
      await this.#note(at, signal)
      let step = 0
      for (let end = this.#highest.length; step < end; ) {
        const middle = (step + end) >> 1
        if (this.#highest[middle]! >= at) end = middle
        else step = middle + 1
      }
      let mark = step * STEP_FACTS
      for await (const page of this.#journal.read({ after: mark })) {
        const found = page.find(entry => entry.at >= at)
        if (found !== undefined) return found.seq - 1
        mark = page.at(-1)!.seq
      }
      return mark
    } finally {
      done()
    }
  }

  /** Reads on in whole steps until one has a time that is late enough, or there is no whole one. */
  async #note(at: number, signal: AbortSignal): Promise<void> {
    const after = this.#highest.length * STEP_FACTS
    const until = this.#journal.durable - (this.#journal.durable % STEP_FACTS)
    let highest = this.#highest.at(-1) ?? Number.NEGATIVE_INFINITY
    if (highest >= at || until <= after) return
    let rest: Entry[] = []
    for await (const page of this.#journal.read({ after, until })) {
      rest = rest.concat(page)
      for (; rest.length >= STEP_FACTS; rest = rest.slice(STEP_FACTS)) {
        for (const { at } of rest.slice(0, STEP_FACTS)) highest = Math.max(highest, at)
        this.#highest.push(highest)
      }
      if (highest >= at || signal.aborted) return
    }
  }
}

/** Milliseconds since the epoch, of ISO 8601 (without a zone: UTC) or of such a number. Throws `request.invalid`. */
export function momentOf(text: string): number {
  const at = dateIn(text, 'UTC')
  if (at !== undefined) return at
  const said = `"${text}" is not a time such as 2031-01-30T08:00:00Z, 2031-01-30, or milliseconds since the epoch`
  throw new Refusal('request.invalid', said)
}
