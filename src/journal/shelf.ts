/**
 * Pages of the journal that were read from the disk, for those who want the same ones a moment later: a thousand readers
 * who come back after a restart, or who all fell behind. Pages end at whole thousands, so that readers who began at
 * different places soon want the same.
 */
import type { Entry, Journal, Range } from './journal.ts'

const PAGE_FACTS = 1_000
/** About a megabyte each, with the texts that were made of them. */
const KEPT_MAX = 16

export class Shelf {
  readonly #journal: Pick<Journal, 'durable' | 'read'>
  /** By the range; the one that was wanted last is the last. */
  readonly #pages = new Map<string, Promise<readonly Entry[]>>()

  constructor(journal: Pick<Journal, 'durable' | 'read'>) {
    this.#journal = journal
  }

  /** As Journal.read(), and each page is the same array for all who read it. */
  async *read({ after = 0, until = this.#journal.durable }: Range = {}): AsyncGenerator<readonly Entry[]> {
    const end = Math.min(until, this.#journal.durable)
    for (let mark = after; mark < end; ) {
      const page = await this.#page(mark, Math.min(end, mark - (mark % PAGE_FACTS) + PAGE_FACTS))
      mark = page.at(-1)!.seq
      yield page
    }
  }

  #page(after: number, until: number): Promise<readonly Entry[]> {
    const key = `${after}-${until}`
    const page = this.#pages.get(key) ?? this.#load(after, until)
    this.#pages.delete(key)
    this.#pages.set(key, page)
    if (this.#pages.size > KEPT_MAX) this.#pages.delete(this.#pages.keys().next().value!)
    // What could not be read is tried again by the next who wants it.
    page.catch(() => this.#pages.get(key) === page && this.#pages.delete(key))
    return page
  }

  async #load(after: number, until: number): Promise<readonly Entry[]> {
    const entries: Entry[] = []
    for await (const page of this.#journal.read({ after, until })) entries.push(...page)
    return entries
  }
}
