/** What a journal is kept on: text in order, and nothing else. Level and memory differ only here. */

import type { Base } from './base.ts'
import { hashOf, mismatch, originOf, seqIn, verify } from './chain.ts'
import { Damage, gap } from './damage.ts'
import type { Head } from './journal.ts'

export interface Store {
  /**
   * All of these or none, the first as `seq`; on the disk once it resolves. After a rejection: reopen(). `reader` is the
   * oldest release that knows all of them.
   */
  write(seq: number, records: readonly string[], reader: string): Promise<void>
  /** Puts records in the place of those there are; on the disk once it resolves. After a rejection: reopen(). */
  rewrite(records: ReadonlyMap<number, string>): Promise<void>
  /** Before the first rewrite(): what is there goes where compact() finds it. */
  spill(): Promise<void>
  /** Resolves when what was replaced from `from` to `until` since spill() is in no file any more. */
  compact(from: number, until: number): Promise<void>
  /** Records from `from` to `until` as they lie there: at least one if there is any, at most a thousand. */
  page(from: number, until: number): Promise<readonly string[]>
  /**
   * A fresh handle after a rejected write; resolves to the last seq there is. Rejects when it cannot be had yet:
   * reads go on through the old one where they can.
   */
  reopen(): Promise<number>
  /** What stands before the first record it has; none where that is fact 1. Older ones it may know from elsewhere. */
  readonly base?: Head | undefined
  /** Lets go of all records up to a fact, for good. Goes on where an earlier attempt was cut off. */
  trim?(base: Base): Promise<void>
  /** What damage at a fact is called where it lies, if not what the chain says. */
  blame?(damage: Damage): Damage
  close(): Promise<void>
}

/** The records after `after` up to `until` in pages, each verified against the one before it. */
export async function* verified(
  store: Pick<Store, 'page' | 'base' | 'blame'>,
  id: string,
  after: number,
  until: number,
): AsyncGenerator<readonly string[]> {
  for (const seq of [after, until])
    if (!Number.isSafeInteger(seq) || seq < 0) throw new RangeError(`There is no fact ${seq}`)
  if (after >= until) return
  let seq = after
  let hash = originOf(id)
  if (after > 0 && after === store.base?.seq) hash = store.base.hash
  else if (after > 0) {
    const [before] = await store.page(after, after)
    if (before === undefined) throw gap(after)
    if (seqIn(before) !== after) throw mismatch(before, after)
    hash = hashOf(before)
  }
  let ahead = store.page(seq + 1, until)
  while (seq < until) {
    const page = await ahead
    if (page.length === 0) throw gap(seq + 1)
    const next = seq + page.length + 1
    if (next <= until) {
      // The disk fetches the next page while this one is hashed and used. Whoever stops here never hears of it.
      ahead = store.page(next, until)
      ahead.catch(() => {})
    }
    try {
      for (const record of page) hash = verify(record, ++seq, hash)
    } catch (error) {
      throw error instanceof Damage ? (store.blame?.(error) ?? error) : error
    }
    yield page
  }
}
