/** What a journal is: the facts in order, on disk. Two implementations (level, memory) pass one suite. */
import type { Recorded } from '../../machines/entity.ts'
import type { Command, Fact, Kind } from '../../machines/index.ts'

/** A fact as the journal gives it back. */
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
  /** Last seq, inclusive. Default: everything durable when the read began. */
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
   * False after a write failed (a full disk, say), until the journal has reopened the disk, verified the tail and
   * written what was waiting. Reads go on; what is staged meanwhile waits, bounded.
   */
  readonly writable: boolean

  /**
   * Numbers the facts, hashes them into the chain and hands them to the next write. Synchronous, so that the next
   * decision already sees them. Throws a Failure `journal.full` when too much is waiting for a disk that does
   * not write, `journal.closed` after close().
   */
  stage(kind: Kind, id: string, facts: readonly Staged[]): readonly Entry[]

  /**
   * Resolves when everything staged so far is on disk. Rejects with a Failure `journal.unwritable` when that
   * write failed: the outcome is unknown, not "not written".
   */
  flushed(): Promise<void>

  /**
   * Pages of entries in order, each at most a thousand, read from disk, verified against the chain, in today's
   * shapes. Throws a Failure: `journal.gap`, `journal.broken`.
   */
  read(range?: Range): AsyncIterable<readonly Entry[]>

  /** Calls back after each write that made `durable` grow, and when `writable` changes. Returns how to stop. */
  watch(listener: () => void): () => void

  /** Writes what is staged, then lets go of the folder. */
  close(): Promise<void>
}
