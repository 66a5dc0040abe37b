/** The LevelDB database that a journal's records lie in: how it is opened and read, and what its errors mean. */
import { Level } from 'level'
import { Failure } from '../failure.ts'
import { unreadable } from './damage.ts'
import { missing, tablesIn } from './folder.ts'
import { keyOf } from './keys.ts'
import { locked } from './lock.ts'

const PAGE_FACTS = 1_000
const PAGE_BYTES = 1_048_576

const TUNING = {
  // Two of these in memory at worst; read back at the next start: 50,000 facts, 0.1 s.
  writeBufferSize: 16_777_216,
  // Tables of 2 MB, the default, would be 7,000 files at 100 million facts.
  maxFileSize: 8_388_608,
}

/** After every key there may be. */
const LAST = Buffer.alloc(64, 0xff)

export interface Tables {
  readonly level: Level<Buffer, string>
  /**
   * Makes a table of what is in memory, and LevelDB's log anew. Where a value and the one that overwrites it are in memory
   * together, they go into one table together, and that may lie so deep that no compaction comes by.
   */
  spill(): Promise<void>
  /**
   * Writes the tables between two keys anew, without what was deleted or overwritten; the old ones, and LevelDB's log, are
   * deleted.
   */
  compact(from: Buffer, until: Buffer): Promise<void>
  close(): Promise<void>
}

interface Compactable {
  compactRange(from: Buffer, until: Buffer, options: { readonly keyEncoding: 'buffer' }): Promise<void>
}

export async function openTables(
  dir: string,
  { sublevel, create = false }: { readonly sublevel?: string | undefined; readonly create?: boolean },
): Promise<Tables> {
  const encodings = { keyEncoding: 'buffer', valueEncoding: 'utf8' } as const
  const root = new Level<Buffer, string>(tablesIn(dir), { ...encodings, ...TUNING, createIfMissing: create })
  await root.open()
  const level =
    sublevel === undefined
      ? root
      : // The same keys(), values() and batch(), and `sync` is handed on.
        (root.sublevel<Buffer, string>(sublevel, encodings) as unknown as Level<Buffer, string>)
  const placed = (key: Buffer): Buffer => (sublevel === undefined ? key : level.prefixKey(key, 'buffer'))
  // Node has it, browsers have not, and the types are of both.
  const compact = (from: Buffer, until: Buffer): Promise<void> =>
    (root as unknown as Compactable).compactRange(from, until, { keyEncoding: 'buffer' })
  return {
    level,
    spill: () => compact(LAST, LAST),
    compact: (from, until) => compact(placed(from), placed(until)),
    close: () => root.close(),
  }
}

/** An iterator for each page: a reader that takes its time pins no old tables and goes on in a new handle. */
export async function pageOf(level: Level<Buffer, string>, from: number, until: number): Promise<string[]> {
  const values = level.values({
    gte: keyOf(from),
    lte: keyOf(until),
    limit: PAGE_FACTS,
    fillCache: false,
    highWaterMarkBytes: PAGE_BYTES,
  })
  try {
    return await values.nextv(PAGE_FACTS)
  } finally {
    await values.close()
  }
}

/** What the folder can meet us with. Where LevelDB cannot make sense of its files, that is damage; the rest may pass. */
export function failureOf(error: unknown, dir: string): unknown {
  if (!(error instanceof Error) || error instanceof Failure) return error
  const opening = 'code' in error && error.code === 'LEVEL_DATABASE_NOT_OPEN' && error.cause instanceof Error
  const cause = (opening ? error.cause : error) as NodeJS.ErrnoException
  const { message, code, errno } = cause
  if (code === 'LEVEL_LOCKED') return locked(dir, undefined, cause)
  if (message.includes('create_if_missing is false')) return missing(`${tablesIn(dir)} holds no database`)
  const lost = code === 'LEVEL_IO_ERROR' && message.includes('No such file')
  if (lost || code === 'LEVEL_CORRUPTION' || (opening && code === undefined))
    return unreadable(tablesIn(dir), cause)
  if (code !== 'LEVEL_IO_ERROR' && errno === undefined) return error
  return new Failure('journal.unwritable', `The journal in ${dir} cannot be used: ${message}`, {
    retryable: true,
    cause,
  })
}
