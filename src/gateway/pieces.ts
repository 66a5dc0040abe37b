/** Facts as bytes for streams, made once for all readers who want the same of them. */
import type { Entry } from '../journal/journal.ts'

export type Form = 'sse' | 'ndjson'

/** What is handed to a socket at once, and the last fact in it. */
export interface Piece {
  readonly bytes: Buffer
  readonly seq: number
}

const PIECE_CHARACTERS = 65_536
/** Readers who are up to date all want the same page. A few others are only a little behind. */
const KEPT_PAGES = 8

export function sse(entry: Entry): string {
  return `id: ${entry.seq}\nevent: ${entry.type}\ndata: ${JSON.stringify(entry)}\n\n`
}

export function line(entry: Entry): string {
  return `${JSON.stringify(entry)}\n`
}

interface Page {
  readonly first: Entry
  readonly last: Entry
  readonly pieces: readonly Piece[]
}

export class Pieces {
  readonly #print: (entry: Entry) => string
  /** Those who are up to date are all handed the same entries (journal.recent), and so the same text. */
  readonly #texts = new WeakMap<Entry, string>()
  readonly #pages: Page[] = []

  constructor(print: (entry: Entry) => string) {
    this.#print = print
  }

  /** Facts in pieces, in order; none of none. */
  of(facts: readonly Entry[]): Iterable<Piece> {
    const first = facts[0]
    const last = facts.at(-1)
    if (first === undefined || last === undefined) return []
    // What a filter has left may begin and end as another's does, and yet be something else.
    if (last.seq - first.seq !== facts.length - 1) return this.#cut(facts)
    const known = this.#pages.find(page => page.first === first && page.last === last)
    if (known !== undefined) return known.pieces
    // Only one that is met again is kept: pages from the disk never are.
    if (!this.#texts.has(last)) {
      this.#texts.set(last, this.#print(last))
      return this.#cut(facts)
    }
    const pieces = [...this.#cut(facts)]
    this.#pages.unshift({ first, last, pieces })
    if (this.#pages.length > KEPT_PAGES) this.#pages.pop()
    return pieces
  }

  *#cut(facts: readonly Entry[]): Generator<Piece> {
    let text = ''
    for (const entry of facts) {
      text += this.#textOf(entry)
      if (text.length < PIECE_CHARACTERS) continue
      yield { bytes: Buffer.from(text), seq: entry.seq }
      text = ''
    }
    if (text !== '') yield { bytes: Buffer.from(text), seq: facts.at(-1)!.seq }
  }

  #textOf(entry: Entry): string {
    let text = this.#texts.get(entry)
    if (text === undefined) {
      text = this.#print(entry)
      this.#texts.set(entry, text)
    }
    return text
  }
}
