/** The facts of requests before a place in the journal: the last ones are in RAM, older ones in the journal only. */
import type { Clock } from '../clock.ts'
import type { Entry, Journal } from './journal.ts'
import { Turns } from './turns.ts'

export interface StoriesNeeds {
  readonly clock: Clock
  readonly journal: Journal
  /** All facts of a request from its admission on, as far as anybody remembers it; the projection `history` does. */
  readonly remembered: (request: string) => readonly Entry[] | undefined
}

/** A search reads backwards in steps of so many facts (about 20 ms each), because what is asked for is mostly recent. */
const STEP_FACTS = 10_000
/** Each search may read the whole journal. */
const SEARCHES_MAX = 4
const SEARCHES_WAITING_MAX = 1_024
const SEARCH_WAIT_MS = 60_000

export class Stories {
  readonly #needs: StoriesNeeds
  readonly #turns: Turns

  constructor(needs: StoriesNeeds) {
    this.#needs = needs
    this.#turns = new Turns({
      clock: needs.clock,
      atOnceMax: SEARCHES_MAX,
      waitingMax: SEARCHES_WAITING_MAX,
      waitMs: SEARCH_WAIT_MS,
      what: 'for a search of the journal',
    })
  }

  remembered(request: string): readonly Entry[] | undefined {
    const facts = this.#needs.remembered(request)
    return facts?.[0]?.type === 'request.admitted' ? facts : undefined
  }

  /**
   * What happened to these requests up to the fact `until`, in order, read backwards until each one's admission has been
   * found. One that is not found has no row. Throws a Failure `house.busy` when too many search.
   */
  async before(
    requests: ReadonlySet<string>,
    until: number,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, readonly Entry[]>> {
    const { journal } = this.#needs
    const found = new Map<string, Entry[]>()
    const sought = new Set(requests)
    const done = await this.#turns.take(signal)
    try {
      for (let end = until; end > 0 && sought.size > 0 && !signal.aborted; end -= STEP_FACTS) {
        const step = new Map<string, Entry[]>()
        for await (const page of journal.read({ after: Math.max(0, end - STEP_FACTS), until: end })) {
          for (const entry of page) {
            if (entry.kind !== 'request' || !sought.has(entry.id)) continue
            const facts = step.get(entry.id)
            if (facts === undefined) step.set(entry.id, [entry])
            else facts.push(entry)
          }
        }
        for (const [id, facts] of step) {
          found.set(id, [...facts, ...(found.get(id) ?? [])])
          if (facts[0]!.type === 'request.admitted') sought.delete(id)
        }
      }
    } finally {
      done()
    }
    return found
  }
}
