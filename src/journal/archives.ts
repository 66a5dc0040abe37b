/** The archive files of one journal, as pages of it: facts that left the disk are read as if they were still there. */
import { join } from 'node:path'
import { type Draft, fileOf, type Known, missing, openSegment, type Sealed, writeSegment } from './segment.ts'

/** A record of a file that is to be another text; undefined leaves it. The chain must hold all the same. */
export type Change = (record: string) => string | undefined

export class Archives {
  readonly dir: string
  readonly #journal: string
  readonly #known = new Map<string, Known>()
  /** The member read last: who asks for one fact mostly asks for those after it, too. */
  #last:
    | {
        readonly path: string
        readonly index: number
        readonly known: Known
        readonly records: readonly string[]
      }
    | undefined

  constructor(dir: string, journal: string) {
    this.dir = dir
    this.#journal = journal
  }

  /**
   * Records from `from` on, up to `until`; `lasts` are the last facts of the files, in order. Throws a Failure that names
   * the file: `archive.missing`, `archive.damaged`, `archive.unreadable`.
   */
  async page(from: number, until: number, lasts: readonly number[]): Promise<readonly string[]> {
    const place = placeIn(lasts, from)
    const [first, last] = [(lasts[place - 1] ?? 0) + 1, lasts[place]!]
    const path = this.pathOf(first, last)
    const segment = await openSegment(path, this.#journal, this.#known.get(path)).catch(error => {
      throw error.code === 'archive.missing' ? missing(path, first, last) : error
    })
    try {
      const { heading, size, mtimeMs } = segment
      let known = this.#known.get(path)
      if (known?.heading !== heading) {
        known = { heading, size, mtimeMs }
        this.#known.set(path, known)
      }
      const index = heading.members.findLastIndex(([begins]) => begins <= from)
      const held = this.#last
      const records =
        held?.known === known && held.index === index ? held.records : await segment.records(index)
      this.#last = { path, index, known, records }
      const begins = heading.members[index]![0]
      return records.slice(from - begins, until - begins + 1)
    } finally {
      await segment.close()
    }
  }

  pathOf(first: number, last: number): string {
    return join(this.dir, fileOf(first, last))
  }

  write(draft: Omit<Draft, 'dir' | 'journal'>): Promise<Sealed> {
    return writeSegment({ ...draft, dir: this.dir, journal: this.#journal })
  }

  /**
   * Writes a file anew with some of its records changed, in the way it was written first: whole or not at all. What the
   * chain covers may not change (the data's hash may stand for the data). Resolves to what is there now; undefined
   * where nothing was to be changed.
   */
  async rewrite(first: number, last: number, change: Change): Promise<Sealed | undefined> {
    const path = this.pathOf(first, last)
    const segment = await openSegment(path, this.#journal)
    try {
      const { heading } = segment
      let changed = 0
      async function* records(): AsyncGenerator<readonly string[]> {
        for (const index of heading.members.keys()) {
          const page = await segment.records(index)
          yield page.map(record => {
            const other = change(record)
            if (other !== undefined && other !== record) changed += 1
            return other ?? record
          })
        }
      }
      for await (const _ of records());
      if (changed === 0) return undefined
      return await this.write({
        before: { seq: first - 1, hash: heading.before },
        records: records(),
        checkpoint: () => heading.checkpoint,
      })
    } finally {
      await segment.close()
    }
  }
}

/** Which of the files has this fact? */
function placeIn(lasts: readonly number[], seq: number): number {
  let [low, high] = [0, lasts.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if (lasts[middle]! < seq) low = middle + 1
    else high = middle
  }
  return low
}
