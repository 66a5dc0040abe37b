/** What a journal is: the facts in order, on disk. Two implementations (level, memory) pass one suite. */
import type { Recorded } from '../../machines/entity.ts'
import type { Command, Fact, Kind } from '../../machines/index.ts'
import type { Base } from './base.ts'

/** A fact as the journal gives it back. Where its data has been forgotten (see chain.ts), `data`
 * is what was left of it; null where that is nothing. */
export type Entry = Fact & Recorded

/** A fact before the journal has numbered it. */
export type Staged = Pick<Command, 'at' | 'by'> & { readonly type: Fact['type']; readonly data: Fact['data'] }

/** Where the chain stands: `hash` covers every fact up to and including `seq` (0 and the origin's hash when empty). */
export interface Head {
  readonly seq: number
  readonly hash: string
}

export interface Range {
  /** First seq is `after` + 1. Default 0. */
  readonly after?: number
  /** Last seq, inclusive. Default, and never more than: everything durable when the read began. */
  readonly until?: number
}

export interface Journal {
  /** Made once, at init; the chain's origin is bound to it, so two journals cannot be spliced. */
  readonly id: string
  /** The last fact staged. */
  readonly head: Head
  /** The last fact known to be on disk. */
  readonly durable: number
  /**
   * What stands before the first fact on this disk: fact 0 and the origin, unless the journal was trimmed. Whatever is
   * older is read from archive files, and cannot be where those are away.
   */
  readonly base: Head
  /**
   * False after a write failed (a full disk, say), until the journal has reopened the disk, verified the tail and
   * written what was waiting. Reads go on; what is staged meanwhile waits, bounded. False for good after close(),
   * and after a Failure `journal.gap` or `journal.broken` met on the way back.
   */
  readonly writable: boolean
  readonly closed: boolean

  /**
   * Numbers the facts, hashes them into the chain and hands them to the next write. Synchronous, so that the next
   * decision already sees them; what one call stages reaches the disk together or not at all. Throws a Failure
   * `journal.full` when too much is waiting for a disk that does not write, `journal.closed` after close().
   *
   * `soon`: nobody waits for these, so they go with the next write, or alone after a few milliseconds.
   */
  stage(kind: Kind, id: string, facts: readonly Staged[], soon?: boolean): readonly Entry[]

  /**
   * Resolves when everything staged so far is on disk. Rejects with a Failure `journal.unwritable` when that
   * write failed, and at once while the journal is unwritable: the outcome is unknown, not "not written". What
   * was staged is kept and written later; `durable` tells when.
   */
  flushed(): Promise<void>

  /**
   * Pages of entries in order, each at most a thousand, read from disk, verified against the chain, in today's
   * shapes. Throws a Failure: `journal.gap`, `journal.broken`, `journal.newer`; `archive.missing`, `archive.damaged`,
   * `archive.unreadable` for facts that were trimmed; `journal.unwritable` (retryable) while a failing disk is being
   * reopened; `journal.closed`.
   */
  read(range?: Range): AsyncIterable<readonly Entry[]>

  /** The same pages as the very text that is stored, verified but not parsed: for export, mirrors and audits. */
  records(range?: Range): AsyncIterable<readonly string[]>

  /**
   * Puts records in the place of facts that are durable, as forgetting needs it: each has the header and the hash of the
   * one it replaces (chain.ts, withoutData), or this throws a TypeError. A batch is one write; facts may come in between.
   * Resolves when what stood there up to `until` is in no file of the journal any more, this time or at an earlier one
   * that was cut off. Rejects as flushed() does, and then nobody knows.
   */
  replace(batches: AsyncIterable<ReadonlyMap<number, string>>, until: number): Promise<void>

  /**
   * At most a thousand durable entries after `after`, from memory: nothing is read. Undefined where they are too
   * old to be held; then read() has them. This is what makes hundreds of live followers cheap.
   */
  recent(after: number): readonly Entry[] | undefined

  /**
   * Lets go of all facts up to `base.until`, which a durable fact says may go: they are in archive files. Cut off anywhere,
   * it is to be asked again, and goes on. Undefined where facts are in memory only.
   */
  readonly trim: ((base: Base) => Promise<void>) | undefined

  /** Calls back after `durable` grew, after `writable` changed, and on close. Returns how to stop. */
  watch(listener: () => void): () => void

  /**
   * Writes what is staged, then lets go of the folder. Rejects, having let go, when something could not be
   * written.
   */
  close(): Promise<void>
}
