/**
 * What a spool is: the place for what may not be in the journal, because it is large or because somebody may want it
 * forgotten. Bodies of requests, bytes of answers. It knows nothing of either: an item has an id and parts.
 */
import type { Json } from '../../machines/entity.ts'
import type { Proof } from './proof.ts'

/** Of the plain bytes; the digest is a SHA-256, hexadecimal. */
export interface Kept {
  readonly bytes: number
  readonly digest: string
}

/** A part that grows. Once anything is rejected it is dropped, and nothing of it stays. */
export interface Writing {
  /** Resolves when more may come. The chunk is not copied: leave it as it is. */
  write(chunk: Uint8Array): Promise<void>
  /** Resolves when all of it is on the disk, under its name, with its key. */
  end(): Promise<Kept>
  drop(): Promise<void>
}

export interface Part {
  readonly part: string
  /** What it takes on the disk. */
  readonly bytes: number
  /** When it was last written to, milliseconds since the epoch. */
  readonly at: number
  /** False while it is written, and for ever where the process died meanwhile. */
  readonly ended: boolean
}

export interface Item {
  readonly id: string
  readonly parts: readonly Part[]
}

export interface Stored {
  readonly head: Json
  readonly bytes: Buffer
  /** False where it has not ended: `bytes` is what there is. */
  readonly ended: boolean
  /** SHA-256 of `bytes`, hexadecimal; only where it has ended. */
  readonly digest?: string
}

export interface Erased {
  readonly id: string
  readonly parts: readonly string[]
  /** What was given back to the disk. */
  readonly bytes: number
}

/**
 * Ids are letters, digits, `-` and `_`, at most 64; a part is a word, with a number where there are several: `body`,
 * `answer-2`. A part is written once: doing it twice is a bug. Rejects with Failures: `spool.full` and `spool.disk`
 * (retryable; nothing has changed), `spool.damaged` (names the file), `spool.gone`, `spool.closed`.
 */
export interface Spool {
  /** Writes a whole part; resolves when it is on the disk for good. */
  put(id: string, part: string, head: Json, bytes: Uint8Array): Promise<Kept>
  /** Begins a part that grows. One that was cut off by a crash is written anew. */
  open(id: string, part: string, head: Json): Promise<Writing>
  /** All of a part, every byte verified; undefined where there is none. */
  read(id: string, part: string): Promise<Stored | undefined>
  /** The head alone. */
  head(id: string, part: string): Promise<Json | undefined>
  /**
   * Plain bytes from an offset: what is there, then what comes. Returns at the part's end, once that is on the disk;
   * throws `spool.gone` where the rest will never come, and the signal's reason when it is aborted.
   */
  follow(id: string, part: string, from: number, signal: AbortSignal): AsyncGenerator<Buffer, void, void>
  parts(id: string): readonly Part[]
  items(): readonly Item[]
  /** Removes one part; the item's key stays, unless it was the last. */
  drop(id: string, part: string): Promise<void>
  /**
   * Drops the items' keys, durably, then their files. Answers with those there were. Rejects with `spool.disk` where
   * keys or files may be left: erase them again.
   */
  erase(ids: Iterable<string>): Promise<readonly Erased[]>
  /** Erases, and then looks for what is left: in the file of keys, in the files, and in all of the folder `dataDir`. */
  eraseAndProve(ids: Iterable<string>, dataDir: string): Promise<readonly Proof[]>
  /** On the disk, and on the way to it. */
  readonly usage: { readonly items: number; readonly bytes: number }
  /** Drops what has not ended. */
  close(): Promise<void>
}
