/**
 * A journal over a store: numbering, the chain, group commit, and the way back after a failed write. A store only
 * keeps text, so this is the same for LevelDB and for memory.
 *
 *   writing ──a write was rejected──▶ unwritable ──after 1, 2, 4 … 16 s: reopened, compared, the rest written──▶ writing
 *                                         └── what was acknowledged is missing or altered ──▶ dead
 *
 * A rejected write means that nobody knows. With LevelDB, a batch whose fdatasync failed *was* there afterwards, and
 * a handle that had met a full disk acknowledged 640 facts of which 640 were lost. So nothing is written through
 * that handle again, and what lies on the disk is compared, text by text, with what was waiting.
 */
import { ANY, later, readerOf } from '../../machines/releases.ts'
import type { Clock, Timer } from '../clock.ts'
import { Failure } from '../failure.ts'
import { entryOf, hashOf, originOf, sameFact, seal } from './chain.ts'
import { Damage, foreign, gap } from './damage.ts'
import type { Entry, Head, Journal } from './journal.ts'
import { type Store, verified } from './store.ts'

/** LevelDB writes 98 k facts/s in batches of 128 and 116 k in batches of 512: beyond, they only wait longer. */
const BATCH_FACTS = 512
const BATCH_CHARACTERS = 1_048_576
/** What may wait for the disk: about 0.2 s of a healthy one at full speed. */
const BACKLOG_FACTS = 8_192
/** What is kept for followers that are almost up to date: this to twice this. */
const RECENT_FACTS = 2_048
const PAGE_FACTS = 1_000
/** How long a fact that nobody waits for may wait for company. With 100 streams: p99 to the first token 9.4 → 6.9 ms. */
const LINGER_MS = 5
const RETRY_MS = 1_000
const RETRY_MAX_MS = 16_000

interface Waiting {
  readonly record: string
  readonly entry: Entry
  /** The last fact of one call to stage(): a batch may end here, so that no decision is half on the disk. */
  readonly last: boolean
}

interface Waiter {
  readonly seq: number
  resolve(): void
  reject(failure: Failure): void
}

/** The journal `id` over a store whose last record is `head`. */
export function journalOver(
  store: Store,
  { id, head, clock }: { readonly id: string; readonly head: Head; readonly clock: Clock },
): Journal {
  let staged = head
  let durable = head
  /** Staged and not known to be on the disk, oldest first: the batch on its way, then the rest. */
  const waiting: Waiting[] = []
  const waiters: Waiter[] = []
  let recent: Entry[] = []
  const listeners = new Set<() => void>()

  /** Why nothing is written now. */
  let failure: Failure | undefined
  let writing: Promise<void> | undefined
  let recovering: Promise<void> | undefined
  let retry: Timer | undefined
  let linger: Timer | undefined
  let retryMs = RETRY_MS
  let closing: Promise<void> | undefined
  let closed = false

  function tell(): void {
    for (const listener of listeners) listener()
  }

  /** Starts when this turn ends, so that all that the turn stages goes together. */
  function write(): void {
    linger?.cancel()
    linger = undefined
    if (failure === undefined) writing ??= new Promise(resolve => setImmediate(resolve)).then(drain)
  }

  /** What nobody waits for goes with the next write, or alone if none comes for a moment. */
  function writeSoon(): void {
    if (writing === undefined) linger ??= clock.after(LINGER_MS, write)
  }

  /** One batch at a time; the next is whatever came meanwhile. No timer gathers more for who waits: 2 ms of it cost 60 %. */
  async function drain(): Promise<void> {
    while (waiting.length > 0 && failure === undefined) {
      const batch = waiting.slice(0, batchEnd(waiting))
      const records = batch.map(({ record }) => record)
      const reader = readerOfAll(batch)
      const rejection = await rejectionOf(store.write(durable.seq + 1, records, reader))
      if (rejection === undefined) written(batch.length)
      else stop(rejection)
    }
    writing = undefined
  }

  function written(count: number): void {
    for (const { entry } of waiting.splice(0, count)) recent.push(entry)
    const { seq, hash } = recent.at(-1) as Entry
    durable = { seq, hash }
    if (recent.length > 2 * RECENT_FACTS) recent = recent.slice(-RECENT_FACTS)
    const first = waiters.findIndex(waiter => waiter.seq > seq)
    const heard = waiters.splice(0, first === -1 ? waiters.length : first)
    for (const waiter of heard) waiter.resolve()
    tell()
  }

  function stop(reason: Failure): void {
    failure = reason
    for (const waiter of waiters.splice(0)) waiter.reject(reason)
    if (closing === undefined && !(reason instanceof Damage)) {
      retry = clock.after(retryMs, () => {
        recovering = recover()
      })
      retryMs = Math.min(retryMs * 2, RETRY_MAX_MS)
    }
    tell()
  }

  /** Never beside another write: which of two had failed could not be told. */
  async function rewrite(records: ReadonlyMap<number, string>): Promise<void> {
    while (writing !== undefined) await writing
    if (closing !== undefined) throw closedFailure()
    if (failure !== undefined) throw failure
    let rejection: Failure | undefined
    writing = rejectionOf(store.rewrite(records)).then(reason => {
      rejection = reason
      writing = undefined
    })
    await writing
    if (rejection !== undefined) {
      stop(rejection)
      throw rejection
    }
    recent = recent.map(entry => {
      const record = records.get(entry.seq)
      return record === undefined ? entry : entryOf(record, entry.hash)
    })
    if (waiting.length > 0) write()
  }

  async function recover(): Promise<void> {
    let found = 0
    const rejection = await rejectionOf(
      compare().then(count => {
        found = count
      }),
    )
    recovering = undefined
    if (rejection !== undefined) return stop(rejection)
    failure = undefined
    retryMs = RETRY_MS
    if (found > 0) written(found)
    else tell()
    write()
  }

  /** How many of those waiting are on the disk: all or none of the last batch. What was acknowledged must be. */
  async function compare(): Promise<number> {
    const last = await store.reopen()
    if (last < durable.seq) throw gap(last + 1)
    let seq = Math.max(store.base?.seq ?? 0, durable.seq - PAGE_FACTS)
    for await (const page of verified(store, id, seq, last)) {
      for (const record of page) {
        seq += 1
        const known =
          seq > durable.seq
            ? record === waiting[seq - durable.seq - 1]?.record
            : seq < durable.seq || hashOf(record) === durable.hash
        if (!known) throw foreign(seq)
      }
    }
    return last - durable.seq
  }

  async function shut(): Promise<void> {
    retry?.cancel()
    await recovering
    if (failure !== undefined && !(failure instanceof Damage)) await recover()
    if (waiting.length > 0) write()
    while (writing !== undefined) await writing
    closed = true
    const lost = waiting.length
    const reason = failure
    failure ??= closedFailure()
    for (const waiter of waiters.splice(0)) waiter.reject(failure)
    tell()
    await store.close()
    if (lost > 0) throw reason
  }

  return {
    id,
    get head() {
      return staged
    },
    get durable() {
      return durable.seq
    },
    get base() {
      return store.base ?? { seq: 0, hash: originOf(id) }
    },
    get writable() {
      return failure === undefined && closing === undefined
    },
    get closed() {
      return closed
    },

    stage(kind, entity, facts, soon = false) {
      if (closing !== undefined) throw closedFailure()
      if (failure instanceof Damage) throw failure
      if (waiting.length + facts.length > BACKLOG_FACTS) throw full(waiting.length)
      let end = staged
      const sealed = facts.map((fact, index) => {
        const { record, entry } = seal(end, kind, entity, fact)
        end = { seq: entry.seq, hash: entry.hash }
        return { record, entry, last: index === facts.length - 1 }
      })
      staged = end
      waiting.push(...sealed)
      if (soon) writeSoon()
      else write()
      return sealed.map(({ entry }) => entry)
    },

    flushed() {
      if (waiting.length === 0) return Promise.resolve()
      if (failure !== undefined) return Promise.reject(failure)
      write()
      return new Promise((resolve, reject) => waiters.push({ seq: staged.seq, resolve, reject }))
    },

    async *read({ after = 0, until = durable.seq } = {}) {
      if (closed) throw closedFailure()
      for await (const page of verified(store, id, after, Math.min(until, durable.seq))) {
        yield page.map(record => entryOf(record, hashOf(record)))
      }
    },

    async *records({ after = 0, until = durable.seq } = {}) {
      if (closed) throw closedFailure()
      yield* verified(store, id, after, Math.min(until, durable.seq))
    },

    async replace(batches, until) {
      if (closed) throw closedFailure()
      await store.spill()
      for await (const records of batches) {
        for (const [seq, record] of records) {
          const [found] = await store.page(seq, seq)
          if (found === undefined || seq > durable.seq || !sameFact(found, record))
            throw new TypeError(`The record for fact ${seq} is not that fact`)
        }
        await rewrite(records)
      }
      await store.compact(1, until)
    },

    recent(after) {
      const first = recent[0]?.seq ?? durable.seq + 1
      return after < first - 1 ? undefined : recent.slice(after - first + 1, after - first + 1 + PAGE_FACTS)
    },

    trim: store.trim?.bind(store),

    watch(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },

    close() {
      closing ??= shut()
      return closing
    },
  }
}

/** How many of those waiting go together: whole decisions, up to the limits, and at least one. */
function batchEnd(waiting: readonly Waiting[]): number {
  let end = 0
  let characters = 0
  for (const [index, { record, last }] of waiting.entries()) {
    characters += record.length
    if (end > 0 && (index >= BATCH_FACTS || characters > BATCH_CHARACTERS)) break
    if (last) end = index + 1
  }
  return end
}

/** The oldest release that knows all of these. */
function readerOfAll(batch: readonly Waiting[]): string {
  let oldest = ANY
  for (const { entry } of batch) {
    const reader = readerOf(entry.type, entry.v)
    if (reader !== oldest && reader !== ANY) oldest = later(reader, oldest)
  }
  return oldest
}

/** Damage stays what it is, any other Failure means: not now. What is no Failure is a bug and ends the process. */
async function rejectionOf(attempt: Promise<unknown>): Promise<Failure | undefined> {
  try {
    await attempt
    return undefined
  } catch (error) {
    if (error instanceof Damage) return error
    if (error instanceof Failure) return unwritable(error)
    throw error
  }
}

function unwritable(cause: Failure): Failure {
  const why = cause.message.replace(/\.$/, '')
  const said = `Nothing can be written: ${why}. What is decided waits in memory, and the disk is tried again.`
  return new Failure('journal.unwritable', said, { retryable: true, cause })
}

function full(count: number): Failure {
  return new Failure('journal.full', `${count} facts wait for the disk, and no more than that may.`, {
    retryable: true,
  })
}

export function closedFailure(): Failure {
  return new Failure('journal.closed', 'The journal is closed.')
}
