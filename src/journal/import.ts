/**
 * A journal brought back: its records, out of archives or a mirror, into a folder that has none, under the id it had. Each
 * is verified against the one before it. The folder holds a journal once all of them are on the disk; cut off before,
 * it holds none, and the next attempt begins anew.
 */
import { mkdir } from 'node:fs/promises'
import { ANY, later, readerOf } from '../../machines/releases.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import { headerOf, originOf, verify } from './chain.ts'
import { identify, init, raiseReader } from './folder.ts'
import type { Head } from './journal.ts'
import { keyOf } from './keys.ts'
import { lockFolder } from './lock.ts'
import { openMark } from './mark.ts'
import { failureOf, openTables } from './tables.ts'

export interface Import {
  readonly dir: string
  /** Of the journal that the records come from: the chain begins with it. */
  readonly id: string
  /** The text of every fact from the first on, in pages of any size; each page is a write of its own. */
  readonly records: AsyncIterable<readonly string[]> | Iterable<readonly string[]>
  readonly clock: Clock
  /** Called after each page with the last seq that is on the disk. */
  readonly progress?: (seq: number) => void
}

/**
 * Resolves to where the chain ends. Rejects with a Failure: `journal.present` where the folder has a journal,
 * `journal.broken` or `journal.gap` where the records are not one whole chain of that id, `journal.locked`,
 * `journal.unwritable`; or with whatever `records` throws.
 */
export async function importRecords({ dir, id, records, clock, progress }: Import): Promise<Head> {
  try {
    await vacant(dir)
    await mkdir(dir, { recursive: true })
    const lock = await lockFolder(dir, clock)
    try {
      await vacant(dir)
      let head: Head = { seq: 0, hash: originOf(id) }
      let reader = ANY
      const build = async (): Promise<void> => {
        const { level, close } = await openTables(dir, { create: true })
        try {
          for await (const page of records) {
            const batch = level.batch()
            for (const record of page) {
              const seq = head.seq + 1
              head = { seq, hash: verify(record, seq, head.hash) }
              const { type, v } = headerOf(record)
              reader = later(readerOf(type, v), reader)
              batch.put(keyOf(seq), record)
            }
            await batch.write({ sync: true })
            progress?.(head.seq)
          }
        } finally {
          await close()
        }
      }
      await init(dir, clock, build, id)
      if (reader !== ANY) await raiseReader(dir, reader)
      const mark = await openMark(dir, clock)
      mark.move(head)
      await mark.close()
      return head
    } finally {
      await lock.release()
    }
  } catch (error) {
    throw failureOf(error, dir)
  }
}

async function vacant(dir: string): Promise<void> {
  const id = await identify(dir)
  if (id === undefined) return
  const said = `${dir} has a journal already (${id}). Name a folder that has none to bring one back into.`
  throw new Failure('journal.present', said)
}
