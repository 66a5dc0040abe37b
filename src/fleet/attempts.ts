/** How often strangers may be wrong: so many a minute from one address, and so many from all of them together. */
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'

const WINDOW_MS = 60_000
const EACH_MAX = 10
/** Also how many addresses are remembered. */
const ALL_MAX = 100

export class Attempts {
  readonly #clock: Clock
  readonly #wrong = new Map<string, number>()
  #all = 0
  #since = Number.NEGATIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Throws a Failure `agent.attempts`. */
  check(address: string): void {
    if (this.#clock.monotonic() - this.#since >= WINDOW_MS) return
    if (this.#all < ALL_MAX && (this.#wrong.get(address) ?? 0) < EACH_MAX) return
    throw new Failure('agent.attempts', 'too many attempts to join with wrong tokens; wait a minute', {
      retryable: true,
    })
  }

  /** It was wrong. */
  count(address: string): void {
    const now = this.#clock.monotonic()
    if (now - this.#since >= WINDOW_MS) {
      this.#wrong.clear()
      this.#all = 0
      this.#since = now
    }
    this.#all += 1
    this.#wrong.set(address, (this.#wrong.get(address) ?? 0) + 1)
  }
}
