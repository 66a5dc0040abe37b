/** The facts of one request, wherever they are: the last ones are in RAM, older ones in the journal only. */
import { Failure } from '../failure.ts'
import type { Entry, Journal } from '../journal/journal.ts'
import type { History } from '../projections/history.ts'

export interface TrailNeeds {
  readonly journal: Journal
  readonly history: History
}

/** A search reads backwards in steps of so many facts (about 20 ms each), because what is asked for is mostly recent. */
const STEP_FACTS = 10_000
/** Some seconds of a busy house. */
const BESIDE_FACTS = 500
/** Each search may read the whole journal. */
const SEARCHES_MAX = 4

export class Trail {
  readonly #needs: TrailNeeds
  #searches = 0

  constructor(needs: TrailNeeds) {
    this.#needs = needs
  }

  /** All facts of a request so far, in order; none when there never was such a request. */
  async of(id: string, signal: AbortSignal): Promise<readonly Entry[]> {
    const known = this.#needs.history.state.get(id)
    if (known !== undefined) return [...known]
    if (this.#searches >= SEARCHES_MAX) {
      const message = `${SEARCHES_MAX} searches of the journal are under way, and no more than that may be; try again`
      throw new Failure('house.busy', message, { retryable: true })
    }
    this.#searches += 1
    try {
      return await this.#search(id, signal)
    } finally {
      this.#searches -= 1
    }
  }

  /** What the whole house did from a little before the first of these to a little after the last, as far as one step goes. */
  async around(facts: readonly Entry[]): Promise<readonly Entry[]> {
    const after = Math.max(0, facts[0]!.seq - BESIDE_FACTS)
    const until = Math.min(facts.at(-1)!.seq + BESIDE_FACTS, after + STEP_FACTS)
    const found: Entry[] = []
    for await (const page of this.#needs.journal.read({ after, until })) found.push(...page)
    return found
  }

  async #search(id: string, signal: AbortSignal): Promise<readonly Entry[]> {
    const { journal } = this.#needs
    const found: Entry[][] = []
    for (let until = journal.durable; until > 0 && !signal.aborted; until -= STEP_FACTS) {
      const step: Entry[] = []
      for await (const page of journal.read({ after: Math.max(0, until - STEP_FACTS), until })) {
        for (const entry of page) if (entry.kind === 'request' && entry.id === id) step.push(entry)
      }
      found.unshift(step)
      if (step[0]?.type === 'request.admitted') break
    }
    return found.flat()
  }
}
