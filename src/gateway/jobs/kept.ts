/**
 * The spool as the place where an answer goes. Chunks that the disk has not taken yet are held, up to a bound; then the
 * node is paused.
 */
import { Failure } from '../../failure.ts'
import type { Ears, Sink } from '../sink.ts'
import type { Kept, Writing } from './parts.ts'

/** Held in memory of one answer. */
const HELD_BYTES_MAX = 1024 * 1024

export class KeptAnswer implements Sink {
  readonly #open: (status: number, headers: readonly string[]) => Promise<Writing>
  readonly #ears = new Set<Ears>()
  #writing: Promise<Writing> | undefined
  #done: Promise<Kept> | undefined
  #held = 0
  #full = false
  #failure: Failure | undefined
  closed = false

  constructor(open: (status: number, headers: readonly string[]) => Promise<Writing>) {
    this.#open = open
  }

  /** What kept the spool from taking it. */
  get failure(): Failure | undefined {
    return this.#failure
  }

  hear(ears: Ears): () => void {
    this.#ears.add(ears)
    return () => this.#ears.delete(ears)
  }

  head(status: number, headers: readonly string[]): void {
    this.#then(this.#open(status, headers))
  }

  write(chunk: Buffer): boolean {
    this.#held += chunk.length
    this.#full ||= this.#held >= HELD_BYTES_MAX
    this.#then(
      this.#writing!.then(async writing => {
        await writing.write(chunk)
        this.#held -= chunk.length
        if (!this.#full || this.#held > HELD_BYTES_MAX / 2) return writing
        this.#full = false
        for (const { drained } of this.#ears) drained()
        return writing
      }),
    )
    return !this.#full
  }

  end(): void {
    this.#done = this.#writing!.then(writing => writing.end())
    this.#done.catch(() => {}) // whoever asks for what was kept hears of it
  }

  /** Half an answer is of no use to anybody: whoever began it drops the part. */
  breakOff(): void {
    this.closed = true
  }

  /** Calls the node off. */
  leave(): void {
    if (this.closed) return
    this.closed = true
    for (const { left } of this.#ears) left()
  }

  /** Resolves when all of it is on disk; rejects with the spool's Failure. Only after end(). */
  async kept(): Promise<Kept> {
    return this.#done!
  }

  #then(writing: Promise<Writing>): void {
    this.#writing = writing
    writing.catch(error => {
      if (!(error instanceof Failure)) throw error
      this.#failure ??= error
      this.leave()
    })
  }
}
