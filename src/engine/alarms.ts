/** Deadlines, armed from a state's meta, disarmed when the state is left, armed again on boot. */
import type { Clock, Timer } from '../clock.ts'

export class Alarms {
  readonly #clock: Clock
  readonly #timers = new Map<string, { readonly at: number; readonly timer: Timer }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Makes `ring` due at `at`; undefined disarms. The same deadline stays as it is. */
  set(key: string, at: number | undefined, ring: () => void): void {
    const armed = this.#timers.get(key)
    if (armed?.at === at) return
    armed?.timer.cancel()
    this.#timers.delete(key)
    if (at === undefined) return
    const timer = this.#clock.after(Math.max(0, at - this.#clock.now()), () => {
      this.#timers.delete(key)
      ring()
    })
    this.#timers.set(key, { at, timer })
  }

  close(): void {
    for (const { timer } of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }
}
