/**
 * Is everything that was taken out of the journal covered by a forgetting? The chain holds whatever stands in the place of
 * forgotten data; the forgetting's own fact says how many facts lost something, and has the digest of all that was left.
 */
import { digestAfter } from '../journal/chain.ts'
import type { Entry } from '../journal/journal.ts'

interface Ordered {
  readonly facts: number
  readonly digest: string
  readonly until: number
}

export class Coverage {
  /** What is left, by forgetting: how many facts, the first of them, and the digest over all. */
  readonly #found = new Map<
    string,
    { facts: number; digest: string; readonly firstSeq: number; lastSeq: number }
  >()
  readonly #ordered = new Map<string, Ordered>()
  readonly #undone = new Set<string>()
  /** False where the first facts are away: then nobody can add up what was left of all. */
  #whole = true
  /** The first fact that lost all it said, and no forgetting is named. */
  #bare = 0
  /** Forgettings that were done. */
  done = 0
  /** Facts whose data, or some of it, was forgotten. */
  facts = 0

  see(page: readonly Entry[]): void {
    for (const entry of page) {
      if (entry.forgotten !== undefined || entry.data === null) this.#note(entry)
      if (entry.type === 'forgetting.ordered') {
        this.#ordered.set(entry.id, entry.data)
        this.#undone.add(entry.id)
      } else if (entry.type === 'forgetting.done') {
        this.#undone.delete(entry.id)
        this.done += 1
      }
    }
  }

  /** Begins anew with less than all facts: those in archive files are away. */
  again(): void {
    for (const seen of [this.#found, this.#ordered, this.#undone]) seen.clear()
    this.#whole = false
    this.#bare = 0
    this.done = 0
    this.facts = 0
  }

  /** Each a sentence; none where all is well. */
  get complaints(): readonly string[] {
    const said: string[] = []
    if (this.#bare > 0) said.push(`Fact ${this.#bare} has lost its data, and no forgetting is named.`)
    for (const [id, { facts, digest, firstSeq, lastSeq }] of this.#found) {
      const ordered = this.#ordered.get(id)
      if (ordered === undefined || lastSeq > ordered.until)
        said.push(
          `Fact ${ordered === undefined ? firstSeq : lastSeq} was forgotten, and no forgetting ${id} covers it.`,
        )
      else if (this.#whole && !this.#undone.has(id) && (facts !== ordered.facts || digest !== ordered.digest))
        said.push(
          `What forgetting ${id} left of ${ordered.facts} facts was altered since; the first is fact ${firstSeq}.`,
        )
    }
    if (!this.#whole) return said
    for (const id of this.#ordered.keys())
      if (!this.#found.has(id) && !this.#undone.has(id)) said.push(`What forgetting ${id} left is gone.`)
    return said
  }

  #note({ seq, forgotten }: Entry): void {
    this.facts += 1
    if (forgotten === undefined) {
      this.#bare ||= seq
      return
    }
    const found = this.#found.get(forgotten.by) ?? { facts: 0, digest: '', firstSeq: seq, lastSeq: seq }
    found.facts += 1
    found.lastSeq = seq
    found.digest = digestAfter(found.digest, forgotten)
    this.#found.set(forgotten.by, found)
  }
}
