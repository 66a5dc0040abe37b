/**
 * Counts who was turned away, and writes it down: at most once a minute, and only where there was somebody. The codes
 * are the house's own, so that there are few, and a stranger cannot make them more.
 */
import type { Clock, Timer } from '../clock.ts'
import type { Engine } from '../engine/engine.ts'

export interface TurnedAwayNeeds {
  readonly engine: Pick<Engine, 'attempt' | 'writable'>
  readonly clock: Clock
}

const PAUSE_MS = 60_000

export class TurnedAway {
  readonly #needs: TurnedAwayNeeds
  #counts = new Map<string, number>()
  #since = 0
  #timer: Timer | undefined

  constructor(needs: TurnedAwayNeeds) {
    this.#needs = needs
  }

  count(code: string): void {
    const { clock } = this.#needs
    if (this.#counts.size === 0) this.#since = clock.now()
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1)
    this.#timer ??= clock.after(PAUSE_MS, () => this.#write())
  }

  /** The last minute is written down, too. */
  close(): void {
    this.#timer?.cancel()
    if (this.#counts.size > 0 && this.#needs.engine.writable) this.#tell()
  }

  #write(): void {
    const { clock, engine } = this.#needs
    if (engine.writable) {
      this.#timer = undefined
      this.#tell()
    } else this.#timer = clock.after(PAUSE_MS, () => this.#write())
  }

  #tell(): void {
    const codes = Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)))
    const data = { since: this.#since, codes }
    this.#counts = new Map()
    this.#needs.engine.attempt('refusals', 'house', { type: 'refusals.count', data })
  }
}
