/**
 * Something that is read again and again, and may hang: a server, a disk. Whoever looks waits no longer than they like; one
 * read is under way at a time, and what it brings counts when it comes.
 *
 *   due ──look()──▶ reading ──▶ known, until so much later, or expire()
 *                      └─ deadline ─▶ told to give up; nothing is begun beside it until it has
 */
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'

export interface PartNeeds<T> {
  readonly clock: Clock
  /** How long what was read is as good as new. */
  readonly everyMs: number
  /** When a read is told to give up. */
  readonly deadlineMs: number
  /** What holds until something was read. */
  readonly first?: T
  /** Undefined is unknown. Where the world says no, what was known stays. */
  read(order: { readonly fresh: boolean; readonly signal: AbortSignal }): Promise<T | undefined>
  /** Whether what was known is wrong by now. */
  differs(known: T, now: T): boolean
}

export class Part<T> {
  readonly #needs: PartNeeds<T>
  #value: T | undefined
  #version = 0
  #readAt = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined
  /** The one after that under way, for those who must not be told what is read now. */
  #next: Promise<void> | undefined
  #wish: 'none' | 'anew' | 'fresh' = 'anew'
  #deadline: AbortController | undefined

  constructor(needs: PartNeeds<T>) {
    this.#needs = needs
    this.#value = needs.first
    if (needs.first !== undefined) this.#version = 1
  }

  get value(): T | undefined {
    return this.#value
  }

  /** Another with every value that differs from the one before. */
  get version(): number {
    return this.#version
  }

  /** What was read, and is being read, is no longer good. */
  expire(how: 'anew' | 'fresh' = 'anew'): void {
    if (this.#wish !== 'fresh') this.#wish = how
  }

  /** Reads what is due. Resolves when that is done; not at all where it hangs. */
  look(): Promise<void> {
    if (this.#reading !== undefined) {
      if (this.#wish === 'none') return this.#reading
      this.#next ??= this.#reading.then(() => {
        this.#next = undefined
        return this.look()
      })
      return this.#next
    }
    const { clock, everyMs } = this.#needs
    if (this.#wish === 'none' && clock.monotonic() - this.#readAt < everyMs) return Promise.resolve()
    this.#reading = this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  /** Has what is under way give up. */
  close(): void {
    this.#deadline?.abort()
  }

  async #read(): Promise<void> {
    const { clock, deadlineMs, differs, read } = this.#needs
    const fresh = this.#wish === 'fresh'
    this.#wish = 'none'
    const deadline = new AbortController()
    this.#deadline = deadline
    const timer = clock.after(deadlineMs, () => deadline.abort())
    try {
      const now = await read({ fresh, signal: deadline.signal })
      if (now === undefined || this.#value === undefined || differs(this.#value, now)) {
        this.#version += 1
        this.#value = now
      }
    } catch (error) {
      if (!(error instanceof Failure) && !isOfSystem(error)) throw error
    } finally {
      timer.cancel()
      this.#readAt = clock.monotonic()
    }
  }
}

/** A call of the operating system that failed, as Node throws it. */
function isOfSystem(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}
