/**
 * The journal on LevelDB, in a folder (folder.ts) that one house holds (lock.ts).
 *
 * classic-level carries LevelDB 1.20. What that gets wrong is made good around it: it checks no checksums when it
 * reads (chain.ts does), it makes a new database over an old one (folder.ts), it loses the end of one without a
 * word (mark.ts), and once a write has failed it acknowledges writes that are lost (commit.ts).
 */
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import { badTables } from './blocks.ts'
import { hashOf, originOf } from './chain.ts'
import { closedFailure, journalOver } from './commit.ts'
import { gap, illegible, tableBroken } from './damage.ts'
import { identify, init, tablesIn } from './folder.ts'
import type { Head, Journal } from './journal.ts'
import { keyOf, seqOf } from './keys.ts'
import { type Lock, lockFolder } from './lock.ts'
import { type Mark, openMark } from './mark.ts'
import { type Store, verified } from './store.ts'
import { failureOf, openTables, pageOf, type Tables } from './tables.ts'

export interface LevelOptions {
  readonly dir: string
  readonly clock: Clock
  /** Make a new journal where there is none. */
  readonly create?: boolean
  /** Keep the facts under this name, beside whatever else the database holds. */
  readonly sublevel?: string
  /**
   * What must stay free on the disk; with less, nothing is written. LevelDB needs room even to open: what is in its
   * log becomes a table, and its manifest is written anew. On a full disk it could not be opened to be read.
   */
  readonly reserveBytes?: number
  /** How many of the last facts are verified before it is open (1,000); reading verifies the rest. */
  readonly tailFacts?: number
}

export const RESERVE_BYTES = 33_554_432
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
      const store = levelStore(await openTables(dir, { sublevel }), mark, lock, options)
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

interface LevelStore extends Store {
  last(): Promise<number>
}

function levelStore(
  opened: Tables,
  mark: Mark,
  lock: Lock,
  { dir, clock, sublevel, reserveBytes = RESERVE_BYTES }: LevelOptions,
): LevelStore {
  /** The handle; the promise of the next one while the disk is reopened; or that there is none, and why. */
  let current: Tables | Promise<Tables> = opened
  let lookedAt = Number.NEGATIVE_INFINITY

  async function look(): Promise<void> {
    await lock.hold()
    const { bavail, bsize } = await statfs(dir)
    if (bavail * bsize < reserveBytes) throw tight(dir, bavail * bsize, reserveBytes)
    lookedAt = clock.monotonic()
  }

  async function replace(): Promise<Tables> {
    const old = await Promise.resolve(current).catch(() => undefined)
    await old?.close()
    return openTables(dir, { sublevel })
  }

  const ours = <Answer>(attempt: Promise<Answer>): Promise<Answer> =>
    attempt.catch(error => {
      throw failureOf(error, dir)
    })

  async function write(seq: number, records: readonly string[]): Promise<void> {
    if (clock.monotonic() - lookedAt >= LOOK_MS) await look()
    const { level } = await current
    // A chained batch takes 0.5 µs less a fact than an array.
    const batch = level.batch()
    for (const [index, record] of records.entries()) batch.put(keyOf(seq + index), record)
    await batch.write({ sync: true })
    mark.move({ seq: seq + records.length - 1, hash: hashOf(records.at(-1)!) })
  }

  async function last(): Promise<number> {
    const { level } = await current
    const [first] = await level.keys({ limit: 1 }).all()
    const [last] = await level.keys({ limit: 1, reverse: true }).all()
    if (first === undefined || last === undefined) return 0
    if (seqOf(first) !== 1) throw gap(1, { found: seqOf(first) })
    return seqOf(last)
  }

  async function reopen(): Promise<number> {
    // The old handle serves reads until a new one has a chance.
    await look()
    await probe(dir)
    const next = ours(replace())
    current = next
    current = await next
    return last()
  }

  return {
    write: (seq, records) => ours(write(seq, records)),
    last: () => ours(last()),
    reopen: () => ours(reopen()),

    async page(from, until) {
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
  let hash = originOf(id)
  for await (const page of verified(store, id, Math.max(0, seq - tailFacts), seq)) hash = hashOf(page.at(-1)!)
  await mark.check(seq, async marked => hashOf((await store.page(marked, marked))[0] ?? ''))
  return { seq, hash }
}

function nothingIn(dir: string): Failure {
  return new Failure(
    'journal.missing',
    `There is no journal in ${dir}. Name another folder, or make one there.`,
  )
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
