/**
 * What a mirror and a restore need of a topic. Nothing of Kafka shows beyond kafka.ts.
 *
 * One message a fact, in the journal's one partition:
 *
 *   key      the journal's id
 *   value    the record, the very text that is stored (journal/chain.ts), so that it can be verified
 *   headers  epoch, seq, hash, type: what a consumer needs to leave out doubles, and to choose, without parsing
 */
import type { Head } from '../journal/journal.ts'

/**
 * Which writer of this journal a message is from. There is only the first: a house that takes over from another will
 * count up, so that consumers tell by (epoch, seq) who was right.
 */
export const EPOCH = 1

/** A fact on its way into the topic. */
export interface Copy extends Head {
  readonly type: string
  /** When it happened, ms. */
  readonly at: number
  readonly record: string
}

/** The last fact of a journal that the topic holds. */
export interface Tail extends Head {
  readonly epoch: number
}

export interface Opened {
  /** Undefined where the topic holds nothing of this journal. */
  readonly tail: Tail | undefined
  readonly partition: number
  /** What an operator should know of the topic, each in a sentence. */
  readonly warnings: readonly string[]
}

export interface Topic {
  /**
   * Connects anew, makes the topic where there is none, and reads back the end of what it holds of this journal. Throws
   * a Failure: `mirror.unreachable`, `mirror.refused` (both retryable), `mirror.compacted`.
   */
  open(journal: string): Promise<Opened>
  /**
   * The facts that follow the last ones, all or none; it is there once this resolves. Throws a Failure as open() does,
   * or `mirror.too-large`, after which nothing of it is there. After any other one nobody knows: open() again.
   */
  append(copies: readonly Copy[]): Promise<void>
  /** Breaks off whatever is under way. */
  close(): void
}

/** A message of the topic, whoever wrote it. */
export interface Held {
  /** The key: a journal's id, where a house wrote it. */
  readonly journal: string
  readonly record: string
}

export interface TopicReader {
  /** How many messages there are, about. */
  count(): Promise<number>
  /** All that was there when it was asked, a partition after the other, oldest first. Throws a Failure as open() does. */
  read(): AsyncGenerator<readonly Held[]>
  close(): void
}
