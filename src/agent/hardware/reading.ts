/**
 * One thing that is read again and again, and may be slow, refuse, or never come back.
 *
 *   none ─read─▶ known ─too old─▶ unknown        a read is begun by who wants it, and nobody waits for it;
 *                  ▲                 │           there is never a second one beside it, however long it takes
 *                  └──────read───────┘
 */
import type { Clock, Timer } from '../../clock.ts'

export interface ReadingNeeds<T> {
  readonly clock: Clock
  /** For people: `GPUs by nvidia-smi`. */
  readonly name: string
  readonly everyMs: number
  /** After it a read counts as failed. The signal tells the read; where that does not help, it is waited out. */
  readonly deadlineMs: number
  readonly read: (signal: AbortSignal) => Promise<T>
  /** Told once when reads begin to fail, and once when they are well again. */
  readonly warn: (message: string) => void
}

/** What is older than so many of its intervals is not known any more. */
const INTERVALS_KEPT = 3
/** Who asks seldom is told what was read when they asked last, if that is no longer ago than so many times their gap. */
const GAPS_KEPT = 1.5
const GAP_MAX_MS = 300_000
/** Several who ask at once are one who asks. */
const AT_ONCE_MS = 1_000
/** A read that takes long is made less often: it may take this part of the time, but is made once a minute. */
const SHARE = 0.01
const SPREAD_MAX_MS = 60_000
/** Whoever asks at every other of its intervals, more or less, should not miss each by a hair. */
const EARLY = 0.05
/** After failures the next read comes later and later, up to this. */
const BACKOFF_MAX_MS = 300_000

export class Reading<T> {
  readonly #needs: ReadingNeeds<T>
  #last: { readonly value: T; readonly at: number } | undefined
  /** Until it has come back, whatever its deadline said. */
  #underWay = false
  /** Resolves when the read has come back or is late. Never rejects. */
  #settled: Promise<void> = Promise.resolve()
  #dueAt = Number.NEGATIVE_INFINITY
  #everyMs: number
  #failures = 0
  #wantedAt = Number.NEGATIVE_INFINITY
  /** Between the last two who wanted it. */
  #gapMs = 0
  #closed = new AbortController()

  constructor(needs: ReadingNeeds<T>) {
    this.#needs = needs
    this.#everyMs = needs.everyMs
  }

  /** What was read last, unless that is too long ago. */
  get value(): T | undefined {
    if (this.#last === undefined) return undefined
    const ageMs = this.#needs.clock.monotonic() - this.#last.at
    const keptMs = Math.max(INTERVALS_KEPT * this.#everyMs, GAPS_KEPT * Math.min(this.#gapMs, GAP_MAX_MS))
    return ageMs <= keptMs ? this.#last.value : undefined
  }

  /** However long ago. */
  get latest(): T | undefined {
    return this.#last?.value
  }

  /** Whether a read has come back or failed yet. */
  get tried(): boolean {
    return this.#last !== undefined || this.#failures > 0
  }

  /** How long ago the last one came back; infinite where none has. */
  get ageMs(): number {
    return this.#last === undefined ? Number.POSITIVE_INFINITY : this.#needs.clock.monotonic() - this.#last.at
  }

  /** Begins a read where one is due. */
  want(): void {
    const now = this.#needs.clock.monotonic()
    if (now - this.#wantedAt >= AT_ONCE_MS) {
      if (this.#wantedAt !== Number.NEGATIVE_INFINITY) this.#gapMs = now - this.#wantedAt
      this.#wantedAt = now
    }
    if (now + EARLY * this.#everyMs >= this.#dueAt) this.#begin()
  }

  /** Reads now, or joins the read that is under way. Resolves when it is over, at its deadline at the latest. */
  async fresh(): Promise<void> {
    this.#begin()
    await this.#settled
  }

  close(): void {
    this.#closed.abort()
  }

  #begin(): void {
    if (this.#underWay || this.#closed.signal.aborted) return
    this.#underWay = true
    this.#settled = this.#read()
  }

  async #read(): Promise<void> {
    const { clock, deadlineMs, read } = this.#needs
    const began = clock.monotonic()
    const late = new AbortController()
    let timer: Timer | undefined
    const deadline = new Promise<'late'>(resolve => {
      timer = clock.after(deadlineMs, () => {
        late.abort()
        resolve('late')
      })
    })
    const reading = read(AbortSignal.any([late.signal, this.#closed.signal])).then(
      value => ({ value }),
      (error: unknown) => ({ error }),
    )
    // What comes back after its deadline is as old as its beginning, so it is left.
    const over = reading.finally(() => {
      this.#underWay = false
    })
    const outcome = await Promise.race([over, deadline])
    timer?.cancel()
    const now = clock.monotonic()
    if (outcome !== 'late' && 'value' in outcome) {
      this.#last = { value: outcome.value, at: now }
      this.#everyMs = Math.max(this.#needs.everyMs, Math.min((now - began) / SHARE, SPREAD_MAX_MS))
      this.#dueAt = began + this.#everyMs
      if (this.#failures > 0) this.#tell('can be read again')
      this.#failures = 0
      return
    }
    this.#failures += 1
    this.#dueAt = now + Math.min(this.#needs.everyMs * 2 ** Math.min(this.#failures - 1, 16), BACKOFF_MAX_MS)
    const why = outcome === 'late' ? `no answer within ${deadlineMs / 1_000} s` : said(outcome.error)
    if (this.#failures === 1) this.#tell(`cannot be read: ${why}`)
  }

  #tell(what: string): void {
    if (!this.#closed.signal.aborted) this.#needs.warn(`${this.#needs.name} ${what}`)
  }
}

/** One line of what an error says. */
function said(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).trim().split('\n')[0]!.slice(0, 300)
}
