/**
 * How far the journal is known to have come: the last durable seq and its hash, in a small file beside the
 * database. It shows when the journal's end is missing, which the chain alone cannot: where the length of a record
 * in LevelDB's newest file is damaged, LevelDB takes that for the end of the file and says nothing.
 *
 * It is a lower bound: moved after the fact, at most five times a second, and synced only on close. One that is
 * missing or unreadable says nothing. Whoever wants to go on with a journal that has lost its end deletes it.
 */
import { constants } from 'node:fs'
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock, Timer } from '../clock.ts'
import { broken, gap } from './damage.ts'
import type { Head } from './journal.ts'

const PAUSE_MS = 200

export interface Mark {
  /**
   * Throws where a journal that ends at `last`, with these hashes, has lost or changed what was there. A hash is undefined
   * where the fact was trimmed since.
   */
  check(last: number, hashAt: (seq: number) => Promise<string | undefined>): Promise<void>
  move(head: Head): void
  close(): Promise<void>
}

export async function openMark(dir: string, clock: Clock): Promise<Mark> {
  const path = join(dir, 'mark')
  const text = await readFile(path, 'latin1').catch(() => '')
  const [, seq, hash] = /^(\d{16}) ([\w-]{43})\n$/.exec(text) ?? []
  let file: FileHandle | undefined
  let latest: Head | undefined
  let written: Head | undefined
  let writing = Promise.resolve()
  let pause: Timer | undefined

  async function put({ seq, hash }: Head): Promise<void> {
    // Not `w`, which would empty it.
    file ??= await open(path, constants.O_RDWR | constants.O_CREAT, 0o644)
    // Same length, same place, well inside one sector.
    await file.write(`${String(seq).padStart(16, '0')} ${hash}\n`, 0, 'latin1')
  }

  function write(): void {
    pause = undefined
    if (latest === undefined || latest === written) return
    written = latest
    // If it fails, the older mark is still true.
    writing = put(latest).catch(() => {})
    pause = clock.after(PAUSE_MS, () => void writing.then(write))
  }

  return {
    async check(last, hashAt) {
      const marked = Number(seq ?? 0)
      if (last < marked) throw gap(last + 1, { end: marked })
      const found = marked > 0 ? await hashAt(marked) : undefined
      if (found !== undefined && found !== hash) throw broken(marked)
    },
    move(head) {
      latest = head
      if (pause === undefined) write()
    },
    async close() {
      pause?.cancel()
      await writing
      write()
      pause?.cancel()
      await writing
      await file?.datasync().catch(() => {})
      await file?.close()
    },
  }
}
