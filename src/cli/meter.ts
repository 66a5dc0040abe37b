/** How far a long verb has come, on one line that replaces itself: a bar, the rate, and how long it still takes. */
import { terminalOf } from '../config.ts'
import { barOf, barsOf, UNICODE } from './bars.ts'
import { countOf, durationOf } from './quantities.ts'
import { progress } from './terminal.ts'

const BAR = 24
/** Ten lines a second are more than anybody reads. */
const PAUSE_MS = 100

/** `██████░░░░░░  52 %  1,040,000 of 2,000,000 facts, 412,000 a second, 2.3 s left`. Pure. */
export function meterLine(done: number, total: number, ms: number, unit = 'fact', bars = UNICODE): string {
  const part = total === 0 ? 1 : Math.min(done / total, 1)
  const line = `${barOf(part, BAR, bars)} ${String(Math.floor(part * 100)).padStart(3)} %  ${countOf(done)} of ${countOf(total, unit)}`
  if (done === 0 || ms < 1) return line
  const perSecond = Math.round((done / ms) * 1_000)
  return `${line}, ${countOf(perSecond)} a second, ${durationOf((ms / done) * (total - done))} left`
}

export class Meter {
  readonly #now: () => number
  readonly #bars = barsOf(terminalOf())
  readonly #beganMs: number
  #toldMs = Number.NEGATIVE_INFINITY

  /** `now`: milliseconds on a clock that never jumps. */
  constructor(now: () => number) {
    this.#now = now
    this.#beganMs = now()
  }

  tell(done: number, total: number): void {
    const nowMs = this.#now()
    if (nowMs - this.#toldMs < PAUSE_MS && done < total) return
    this.#toldMs = nowMs
    progress(meterLine(done, total, nowMs - this.#beganMs, 'fact', this.#bars))
  }
}
