/** So many may do what is dear at once. Others wait in line; the line has an end, and the wait a limit. */
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'

export interface TurnsNeeds {
  readonly clock: Clock
  readonly atOnceMax: number
  readonly waitingMax: number
  readonly waitMs: number
  /** What it is that they wait for: `to read the journal from the disk`. */
  readonly what: string
}

export class Turns {
  readonly #needs: TurnsNeeds
  readonly #line: (() => void)[] = []
  #taken = 0

  constructor(needs: TurnsNeeds) {
    this.#needs = needs
  }

  /** Would the next one be sent away? */
  get full(): boolean {
    return this.#taken >= this.#needs.atOnceMax && this.#line.length >= this.#needs.waitingMax
  }

  /**
   * Resolves to how the turn is given back, which may be done twice. Rejects with a Failure `house.busy` when the line
   * is full or the wait was too long; resolves at once with a turn that is none when the signal says that nobody waits.
   */
  async take(signal: AbortSignal): Promise<() => void> {
    const { clock, atOnceMax, waitMs } = this.#needs
    if (this.full) throw this.#busy()
    if (this.#taken < atOnceMax) {
      this.#taken += 1
      return this.#once()
    }
    const came = await new Promise<'turn' | 'late' | 'gone'>(resolve => {
      const settle = (as: 'turn' | 'late' | 'gone'): void => {
        timer.cancel()
        signal.removeEventListener('abort', gone)
        const at = this.#line.indexOf(turn)
        if (at >= 0) this.#line.splice(at, 1)
        resolve(as)
      }
      const turn = (): void => settle('turn')
      const gone = (): void => settle('gone')
      const timer = clock.after(waitMs, () => settle('late'))
      this.#line.push(turn)
      signal.addEventListener('abort', gone)
      if (signal.aborted) gone()
    })
    if (came === 'late') throw this.#busy()
    return came === 'gone' ? () => {} : this.#once()
  }

  /** Who is next takes over at once, so that nobody slips in between. */
  #once(): () => void {
    let held = true
    return () => {
      if (!held) return
      held = false
      const next = this.#line.shift()
      if (next === undefined) this.#taken -= 1
      else next()
    }
  }

  #busy(): Failure {
    const { atOnceMax, what } = this.#needs
    return new Failure('house.busy', `too many wait ${what}, and ${atOnceMax} at once may; try again`, {
      retryable: true,
    })
  }
}
