/** A journal in memory, for tests and simulations: the same numbers, chain and commits; the disk is an array. */
import { type Clock, systemClock } from '../clock.ts'
import { hashOf, originOf, verify } from './chain.ts'
import { journalOver } from './commit.ts'
import type { Journal } from './journal.ts'

/** Verified before anything is written, as on a disk. */
const TAIL_FACTS = 1_000

export interface MemoryOptions {
  readonly id?: string
  /** The disk: opened again over the same array, a journal finds everything that was durable. */
  readonly records?: string[]
  readonly clock?: Clock
  /** Comes before every write and every attempt to open the disk again. Where it throws a Failure, the disk failed. */
  readonly fault?: () => void | Promise<void>
}

export function openMemoryJournal({
  id = 'memory',
  records = [],
  clock = systemClock,
  fault,
}: MemoryOptions = {}): Journal {
  let seq = Math.max(0, records.length - TAIL_FACTS)
  let hash = seq === 0 ? originOf(id) : hashOf(records[seq - 1]!)
  for (const record of records.slice(seq)) hash = verify(record, ++seq, hash)
  return journalOver(
    {
      async write(_seq, batch) {
        await fault?.()
        records.push(...batch)
      },
      async rewrite(changed) {
        await fault?.()
        for (const [seq, record] of changed) records[seq - 1] = record
      },
      spill: async () => {},
      compact: async () => {},
      page: async (from, until) => records.slice(from - 1, Math.min(until, from + 999)),
      async reopen() {
        await fault?.()
        return records.length
      },
      close: async () => {},
    },
    { id, clock, head: { seq, hash } },
  )
}
