/** Wanted facts of a piece of the journal: from memory where they are new, else from the disk. */
import type { Entry, Journal } from '../journal/journal.ts'

/** See journal/wanted.ts. */
export interface Wanted {
  of(page: readonly Entry[], signal: AbortSignal): readonly Entry[] | Promise<readonly Entry[]>
}

export interface Piece {
  readonly after: number
  /** Inclusive; what is not durable is never looked at. */
  readonly through: number
  /** How many at most. */
  readonly max: number
}

export interface Found {
  readonly facts: readonly Entry[]
  /** Up to here, every fact that is wanted is in `facts`. */
  readonly through: number
}

/** Looked at in one go. Whoever wants more asks again, and others have their turn in between. */
const LOOK_FACTS = 1_000

export interface ScanNeeds {
  readonly journal: Journal
  /** Who is behind reads the disk in turns; see journal/feed.ts. */
  readonly turns: { take(signal: AbortSignal): Promise<() => void> }
}

export class Scan {
  readonly #needs: ScanNeeds
  /** Undefined where all are. */
  readonly #wanted: Wanted | undefined
  /** What was found and not asked for: the next look most often begins there. */
  #rest: (Found & { readonly after: number }) | undefined

  constructor(needs: ScanNeeds, wanted: Wanted | undefined) {
    this.#needs = needs
    this.#wanted = wanted
  }

  /** One look at a page of the journal at most. Throws the journal's Failures, and `house.busy`. */
  async look({ after, through, max }: Piece, signal: AbortSignal): Promise<Found> {
    const seen = this.#rest?.after === after ? this.#rest : await this.#page(after, through, signal)
    this.#rest = undefined
    const facts = seen.facts.filter(({ seq }) => seq <= through)
    if (facts.length <= max) return { facts, through: Math.min(seen.through, through) }
    const end = facts[max - 1]!.seq
    this.#rest = { after: end, through: seen.through, facts: seen.facts.slice(max) }
    return { facts: facts.slice(0, max), through: end }
  }

  async #page(after: number, through: number, signal: AbortSignal): Promise<Found> {
    const until = Math.min(through, this.#needs.journal.durable, after + LOOK_FACTS)
    if (until <= after) return { facts: [], through: after }
    const facts: Entry[] = []
    for await (const page of this.#pages(after, until, signal)) {
      const piece = page.at(-1)!.seq <= until ? page : page.filter(({ seq }) => seq <= until)
      facts.push(...((await this.#wanted?.of(piece, signal)) ?? piece))
    }
    return { facts, through: until }
  }

  async *#pages(after: number, until: number, signal: AbortSignal): AsyncGenerator<readonly Entry[]> {
    const { journal, turns } = this.#needs
    const recent = journal.recent(after)
    if (recent !== undefined) return yield recent
    const done = await turns.take(signal)
    try {
      yield* journal.read({ after, until })
    } finally {
      done()
    }
  }
}
