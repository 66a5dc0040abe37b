/**
 * One answer for several clients who asked the very same, at the same time, and said that this would do. Who comes later
 * is given what has come so far; who reads slowly holds the others up only when it is far behind; and when the last one
 * has left, so has "the client".
 *
 * In memory, not in the spool: it is over with the answer, nobody comes back for it, and a token should not wait for a
 * disk. An answer that has grown long takes nobody new, so that what is held has a bound.
 */
import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Clock } from '../clock.ts'
import { Client } from './client.ts'
import type { Dialect, Refused } from './refusals.ts'
import { refuse } from './refusals.ts'
import type { Ears, Sink } from './sink.ts'

/** Held for who comes later; and how far one reader may be behind the others. */
const HELD_BYTES_MAX = 1024 * 1024

interface Reader {
  readonly res: ServerResponse
  readonly client: Client
  /** Written since its socket had no more room. */
  behindBytes: number
  leave: () => void
}

/** The same for requests that one answer would do for. */
export function likeness(...fields: readonly (string | Buffer)[]): string {
  const all = createHash('sha256')
  for (const field of fields) all.update(createHash('sha256').update(field).digest())
  return all.digest('base64url')
}

export class SharedAnswer implements Sink {
  readonly #clock: Clock
  readonly #readers = new Set<Reader>()
  readonly #ears = new Set<Ears>()
  #head: { readonly status: number; readonly headers: readonly string[] } | undefined
  #held: Buffer[] = []
  #heldBytes = 0
  #over = false
  closed = false

  constructor(res: ServerResponse, clock: Clock) {
    this.#clock = clock
    this.join(res)
  }

  /** May somebody join? */
  get open(): boolean {
    return !this.closed && !this.#over && this.#heldBytes <= HELD_BYTES_MAX
  }

  join(res: ServerResponse): void {
    const client = new Client(res, this.#clock)
    const reader: Reader = { res, client, behindBytes: 0, leave: () => {} }
    const deaf = client.hear({
      left: () => {
        reader.leave()
        if (this.#readers.size > 0 || this.#over) return
        this.closed = true
        for (const { left } of [...this.#ears]) left()
      },
      drained: () => this.#drained(reader),
    })
    reader.leave = () => {
      this.#readers.delete(reader)
      deaf()
      this.#drained(reader)
    }
    this.#readers.add(reader)
    if (this.#head === undefined) return
    client.head(this.#head.status, this.#head.headers)
    for (const chunk of this.#held) write(reader, chunk)
  }

  hear(ears: Ears): () => void {
    this.#ears.add(ears)
    return () => this.#ears.delete(ears)
  }

  head(status: number, headers: readonly string[]): void {
    for (const { client } of this.#readers) client.head(status, headers)
    this.#head = { status, headers }
  }

  write(chunk: Buffer): boolean {
    for (const reader of this.#readers) write(reader, chunk)
    this.#heldBytes += chunk.length
    if (this.#heldBytes <= HELD_BYTES_MAX) this.#held.push(chunk)
    else this.#held = []
    return !this.#crowded
  }

  end(): void {
    this.#over = true
    for (const { client } of this.#readers) client.end()
  }

  breakOff(words: string, tail: Buffer): void {
    this.#over = true
    for (const { client } of this.#readers) client.breakOff(words, tail)
  }

  refuse(dialect: Dialect, refused: Refused): void {
    this.#over = true
    for (const { res } of this.#readers) refuse(res, dialect, refused)
  }

  get #crowded(): boolean {
    for (const { behindBytes } of this.#readers) if (behindBytes > HELD_BYTES_MAX) return true
    return false
  }

  #drained(reader: Reader): void {
    if (reader.behindBytes === 0) return
    reader.behindBytes = 0
    if (!this.#crowded) for (const { drained } of [...this.#ears]) drained()
  }
}

function write(reader: Reader, chunk: Buffer): void {
  if (!reader.client.write(chunk)) reader.behindBytes += chunk.length
}
