/**
 * The journal on LevelDB, in a folder (folder.ts) that one house holds (lock.ts).
 *
 * classic-level carries LevelDB 1.20. What that gets wrong is made good around it: it checks no checksums when it
 * reads (chain.ts does), it makes a new database over an old one (folder.ts), it loses the end of one without a
 * word (mark.ts), and once a write has failed it acknowledges writes that are lost (commit.ts).
 */
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { ANY, later } from '../../machines/releases.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import { Archives } from './archives.ts'
import { type Base, baseIn, headOf as headOfBase, vouched } from './base.ts'
import { badTables } from './blocks.ts'
import { hashOf, originOf } from './chain.ts'
import { closedFailure, journalOver } from './commit.ts'
import { gap, illegible, tableBroken, unreadable } from './damage.ts'
import { identify, init, raiseReader, readerIn, tablesIn } from './folder.ts'
import type { Head, Journal } from './journal.ts'
import { keyOf, seqOf } from './keys.ts'
import { type Lock, lockFolder } from './lock.ts'
import { type Mark, openMark } from './mark.ts'
import { damaged } from './segment.ts'
import { type Store, verified } from './store.ts'
import { failureOf, openTables, pageOf, type Tables } from './tables.ts'

export interface LevelOptions {
  readonly dir: string
  readonly clock: Clock
  /** Make a new journal where there is none. */
  readonly create?: boolean
  /** Keep the facts under this name, beside whatever else the database holds. */
  readonly sublevel?: string
  /** Where the archive files are that hold what was trimmed. As seen from `dir`; default: `archive`. */
  readonly archiveDir?: string | undefined
  /**
   * What must stay free on the disk; with less, nothing is written. LevelDB needs room even to open: what is in its
   * log becomes a table, and its manifest is written anew. On a full disk it could not be opened to be read.
   */
  readonly reserveBytes?: number
  /** How many of the last facts are verified before it is open (1,000); reading verifies the rest. */
  readonly tailFacts?: number
}

export const RESERVE_BYTES = 33_554_432
/** Deleted at once when a journal is trimmed: a write of about 30 KB, between those of the house. */
const TRIM_FACTS = 1_000
/** How often the disk's room and the lock are looked at, while there is something to write. */
const LOOK_MS = 1_000
const PROBE_BYTES = 1_048_576
/** Verified before the house starts to write. The rest is, when the engine replays. */
const TAIL_FACTS = 1_000
/** So many have died with the folder open, one after the other, before its tables are suspected. */
const DIED_MAX = 2

export async function openLevelJournal(options: LevelOptions): Promise<Journal> {
  const { dir, clock, create = false, sublevel } = options
  try {
    // Asked first, so that a wrong folder is left without a trace.
    if ((await identify(dir)) === undefined && !create) throw nothingIn(dir)
    await mkdir(dir, { recursive: true })
    const lock = await lockFolder(dir, clock)
    try {
      if (lock.died >= DIED_MAX) await inspect(dir, lock)
      const build = async () => (await openTables(dir, { sublevel, create })).close()
      const id = (await identify(dir)) ?? (await init(dir, clock, build))
      const mark = await openMark(dir, clock)
      const minReader = await readerIn(dir)
      const archives = new Archives(archivesIn(dir, options.archiveDir), id)
      const store = levelStore(await openTables(dir, { sublevel }), mark, lock, archives, minReader, options)
      try {
        const head = await headOf(store, id, mark, options.tailFacts ?? TAIL_FACTS)
        mark.move(head)
        return journalOver(store, { id, clock, head })
      } catch (error) {
        await store.close()
        throw error
      }
    } catch (error) {
      await lock.release()
      throw error
    }
  } catch (error) {
    throw failureOf(error, dir)
  }
}

/**
 * Some flipped bits in a table abort the process in the middle of a read, and nothing can catch that. So where houses
 * died on this folder one after the other, the tables are looked at before LevelDB is: 0.3 s for 100 MB.
 */
async function inspect(dir: string, lock: Lock): Promise<void> {
  const [bad] = await badTables(tablesIn(dir)).catch(unreadable => {
    throw failureOf(unreadable, dir)
  })
  if (bad === undefined) return
  // Whoever is started next is to look, too.
  await lock.leave()
  throw tableBroken(join(tablesIn(dir), bad.name), bad.at)
}

/** Where the archive files of the journal in `dir` are. */
export const archivesIn = (dir: string, archiveDir = 'archive'): string => resolve(dir, archiveDir)

interface LevelStore extends Store {
  /** Learns where the records begin, and says where they end. */
  last(): Promise<number>
}

function levelStore(
  opened: Tables,
  mark: Mark,
  lock: Lock,
  archives: Archives,
  minReader: string,
  { dir, clock, sublevel, reserveBytes = RESERVE_BYTES }: LevelOptions,
): LevelStore {
  /** The handle; the promise of the next one while the disk is reopened; or that there is none, and why. */
  let current: Tables | Promise<Tables> = opened
  let lookedAt = Number.NEGATIVE_INFINITY
  let base: Base | undefined
  /** Writes and deletions one after another: after one that failed there must be none through the same handle. */
  let busy: Promise<unknown> = Promise.resolve()
  let failed: unknown
  let compacting: Promise<unknown> = Promise.resolve()
  let closing = false

  function alone<Answer>(attempt: () => Promise<Answer>): Promise<Answer> {
    const turn = busy.then(async () => {
      if (failed !== undefined) throw failed
      return attempt()
    })
    busy = turn.catch(() => {})
    return turn
  }

  async function look(): Promise<void> {
    await lock.hold()
    const { bavail, bsize } = await statfs(dir)
    if (bavail * bsize < reserveBytes) throw tight(dir, bavail * bsize, reserveBytes)
    lookedAt = clock.monotonic()
  }

  async function replace(): Promise<Tables> {
    const old = await Promise.resolve(current).catch(() => undefined)
    await busy
    await compacting
    await old?.close()
    failed = undefined
    return openTables(dir, { sublevel })
  }

  const ours = <Answer>(attempt: Promise<Answer>): Promise<Answer> =>
    attempt.catch(error => {
      throw failureOf(error, dir)
    })

  async function write(seq: number, records: readonly string[], reader: string): Promise<void> {
    // Before the first fact that older ones do not know, so that they say so.
    if (reader !== ANY && later(minReader, reader) !== minReader) {
      await raiseReader(dir, reader)
      minReader = reader
    }
    if (clock.monotonic() - lookedAt >= LOOK_MS) await look()
    const { level } = await current
    // A chained batch takes 0.5 µs less a fact than an array.
    const batch = level.batch()
    for (const [index, record] of records.entries()) batch.put(keyOf(seq + index), record)
    await written(batch.write({ sync: true }))
    mark.move({ seq: seq + records.length - 1, hash: hashOf(records.at(-1)!) })
  }

  async function rewrite(records: ReadonlyMap<number, string>): Promise<void> {
    await look()
    const { level } = await current
    const batch = level.batch()
    for (const [seq, record] of records) batch.put(keyOf(seq), record)
    await written(batch.write({ sync: true }))
  }

  /** One after another, and none while the handle is replaced. */
  function tidy(attempt: (tables: Tables) => Promise<void>): Promise<void> {
    const run = compacting.then(async () => {
      if (failed !== undefined) throw failed
      await attempt(await current)
    })
    compacting = run.catch(() => {})
    return run
  }

  const spill = (): Promise<void> => tidy(tables => tables.spill())
  const compact = (from: number, until: number): Promise<void> =>
    tidy(tables => tables.compact(keyOf(from), keyOf(until)))

  async function last(): Promise<number> {
    const { level } = await current
    const trimmed = await level.get(keyOf(0))
    base = trimmed === undefined ? undefined : baseIn(trimmed)
    const [first] = await level.keys({ gt: keyOf(0), limit: 1 }).all()
    const [last] = await level.keys({ gt: keyOf(0), limit: 1, reverse: true }).all()
    const begins = (base?.until ?? 0) + 1
    if (first === undefined || last === undefined) {
      if (base !== undefined) throw gap(begins)
      return 0
    }
    // What a trim that was cut off has left may lie before.
    if (seqOf(first) > begins || (base === undefined && seqOf(first) !== 1))
      throw gap(begins, { found: seqOf(first) })
    if (seqOf(last) < begins) throw gap(begins)
    if (base !== undefined && !vouched(base, (await level.get(keyOf(base.fact))) ?? ''))
      throw unreadable(`Fact ${base.fact}, which says where the journal was trimmed,`)
    return seqOf(last)
  }

  async function trim(to: Base): Promise<void> {
    await alone(async () => {
      if (base !== undefined && base.until >= to.until) return
      await lock.hold()
      const { level } = await current
      // From here on, what is older is read from the archives.
      await written(level.batch().put(keyOf(0), JSON.stringify(to)).write({ sync: true }))
      base = to
    })
    // A record and its deletion in one table might lie so deep that no compaction comes by.
    await spill()
    // Not looked for with an iterator each time: that would walk over all that is deleted already.
    const { level } = await current
    const [first] = await level.keys({ gt: keyOf(0), limit: 1 }).all()
    for (let seq = first === undefined ? 1 : seqOf(first); seq <= to.until; seq += TRIM_FACTS) {
      if (closing) throw closedFailure()
      const end = Math.min(seq + TRIM_FACTS - 1, to.until)
      await alone(() => remove(seq, end))
    }
    // Only now is the room given back. Writes go on meanwhile.
    await compact(1, to.until).catch(() => {})
  }

  async function remove(from: number, until: number): Promise<void> {
    const { level } = await current
    await lock.hold()
    const batch = level.batch()
    for (let seq = from; seq <= until; seq += 1) batch.del(keyOf(seq))
    await written(batch.write({ sync: true }))
  }

  /** One that fails spoils the handle: the next one, of whatever kind, is refused, and what it tells reopens the disk. */
  async function written(attempt: Promise<void>): Promise<void> {
    try {
      await attempt
    } catch (error) {
      failed = error
      throw error
    }
  }

  async function reopen(): Promise<number> {
    // The old handle serves reads until a new one has a chance.
    await look()
    await probe(dir)
    const next = ours(replace())
    // What waited for the next handle in the line that this one waits for would wait for ever.
    failed ??= reopening(dir)
    current = next
    current = await next
    return last()
  }

  return {
    get base() {
      return base === undefined ? undefined : headOfBase(base)
    },
    write: (seq, records, reader) => ours(alone(() => write(seq, records, reader))),
    rewrite: records => ours(alone(() => rewrite(records))),
    spill: () => ours(spill()),
    compact: (from, until) => ours(compact(from, until)),
    trim: to => ours(trim(to)),
    blame(damage) {
      const { seq } = damage
      const at = base?.lasts.findIndex(last => seq !== undefined && seq <= last) ?? -1
      if (seq === undefined || base === undefined || at === -1) return damage
      const path = archives.pathOf((base.lasts[at - 1] ?? 0) + 1, base.lasts[at]!)
      return damaged(path, seq, 'it is not what was written')
    },
    last: () => ours(last()),
    reopen: () => ours(reopen()),

    async page(from, until) {
      if (base !== undefined && from <= base.until)
        return archives.page(from, Math.min(until, base.until), base.lasts)
      for (;;) {
        // Without an await where there is a handle: the disk fetches the page while the one before it is hashed.
        const tables = current instanceof Promise ? await current.catch(unopened) : current
        try {
          return await pageOf(tables.level, from, until)
        } catch (error) {
          // Otherwise the handle was replaced meanwhile.
          if (tables === current) throw illegible(from, error)
        }
      }
    },

    async close() {
      closing = true
      await busy
      await compacting
      const old = await Promise.resolve(current).catch(() => undefined)
      current = Promise.reject(closedFailure())
      current.catch(() => {})
      await old?.close()
      await mark.close()
      await lock.release()
    },
  }
}

/** Does the disk take a file? A quota, or a disk gone read-only, does not show in statfs. */
async function probe(dir: string): Promise<void> {
  const path = join(dir, 'probe')
  try {
    await writeFile(path, Buffer.alloc(PROBE_BYTES), { flush: true })
  } finally {
    await rm(path, { force: true })
  }
}

async function headOf(store: LevelStore, id: string, mark: Mark, tailFacts: number): Promise<Head> {
  const seq = await store.last()
  const begins = store.base?.seq ?? 0
  let hash = originOf(id)
  for await (const page of verified(store, id, Math.max(begins, seq - tailFacts), seq))
    hash = hashOf(page.at(-1)!)
  await mark.check(seq, async marked =>
    marked <= begins ? undefined : hashOf((await store.page(marked, marked))[0] ?? ''),
  )
  return { seq, hash }
}

function nothingIn(dir: string): Failure {
  return new Failure(
    'journal.missing',
    `There is no journal in ${dir}. Name another folder, or make one there.`,
  )
}

function reopening(dir: string): Failure {
  return new Failure('journal.unwritable', `The journal in ${dir} is being opened anew`, { retryable: true })
}

function tight(dir: string, freeBytes: number, reserveBytes: number): Failure {
  const [free, reserve] = [freeBytes, reserveBytes].map(bytes => `${Math.floor(bytes / 1_048_576)} MiB`)
  return new Failure('journal.unwritable', `${free} are left on the disk of ${dir}, and ${reserve} must be`, {
    retryable: true,
  })
}

/** There is no handle to read through: for good, or until the next attempt to open the disk. */
function unopened(error: unknown): never {
  if (!(error instanceof Failure) || !error.retryable) throw error
  const said = `Nothing can be read until the disk can be opened again: ${error.message}`
  throw new Failure('journal.unwritable', said, { retryable: true, cause: error })
}
