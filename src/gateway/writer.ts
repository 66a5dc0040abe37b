/** Streams of the house's own, written to people and programs who read at their own pace. */
import type { ServerResponse } from 'node:http'
import type { Clock, Timer } from '../clock.ts'

/** How long a reader may take nothing while something waits for it, and then how long it is given to hear why. */
export const STALL_MS = 30_000
const FAREWELL_MS = 1_000

/** A socket that is written to only when it has room: what waits in memory is one piece. */
export class Writer {
  readonly #res: ServerResponse
  readonly #clock: Clock
  #full = false

  constructor(res: ServerResponse, clock: Clock) {
    this.#res = res
    this.#clock = clock
    res.on('drain', () => {
      this.#full = false
    })
  }

  put(text: string | Buffer): void {
    this.#full = !this.#res.write(text)
  }

  /** For what is not worth waiting for: a socket that has no room needs no sign of life. */
  nudge(text: string): void {
    if (!this.#full) this.put(text)
  }

  /** Says something every so often, until the function that it returns is called. */
  beat(everyMs: number, text: () => string): () => void {
    let timer: Timer
    const next = (): void => {
      timer = this.#clock.after(everyMs, () => {
        this.nudge(text())
        next()
      })
    }
    next()
    return () => timer.cancel()
  }

  /** Resolves when there is room, when the reader is gone, or when it has taken nothing for too long. */
  room(signal: AbortSignal): Promise<'room' | 'gone' | 'stalled'> {
    if (signal.aborted) return Promise.resolve('gone')
    if (!this.#full) return Promise.resolve('room')
    return new Promise(resolve => {
      const settle = (as: 'room' | 'gone' | 'stalled'): void => {
        timer.cancel()
        this.#res.off('drain', drained)
        signal.removeEventListener('abort', gone)
        resolve(as)
      }
      const drained = (): void => settle('room')
      const gone = (): void => settle('gone')
      const timer = this.#clock.after(STALL_MS, () => settle('stalled'))
      this.#res.once('drain', drained)
      signal.addEventListener('abort', gone)
    })
  }

  /** Hangs up: in peace, or without it when the last words are not taken either. */
  end(lastWords = ''): void {
    if (this.#res.destroyed) return
    const timer = this.#clock.after(FAREWELL_MS, () => this.#res.destroy())
    this.#res.once('close', () => timer.cancel())
    this.#res.end(lastWords)
  }

  /** The reader sees that something is missing. */
  destroy(): void {
    this.#res.destroy()
  }
}
