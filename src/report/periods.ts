/**
 * How many requests ended when, in at most so many periods of one length. The length grows whenever there would be more,
 * so that an hour is told by minutes, and ten years by months, in the same room.
 */

const MINUTE_MS = 60_000
/** Each a multiple of the one before it; beyond the last it doubles. */
const LENGTHS_MIN = [1, 5, 15, 60, 180, 360, 720, 1_440, 10_080, 40_320]
const PERIODS_MAX = 240

export interface Period {
  /** Milliseconds since the epoch. */
  readonly startAt: number
  readonly counts: ReadonlyMap<string, number>
}

export class Periods {
  lengthMs = MINUTE_MS
  #counts = new Map<number, Map<string, number>>()
  #first = Number.POSITIVE_INFINITY
  #last = Number.NEGATIVE_INFINITY

  count(at: number, what: string): void {
    let index = Math.floor(at / this.lengthMs)
    while (Math.max(this.#last, index) - Math.min(this.#first, index) >= PERIODS_MAX) {
      this.#grow()
      index = Math.floor(at / this.lengthMs)
    }
    this.#first = Math.min(this.#first, index)
    this.#last = Math.max(this.#last, index)
    const counts = this.#counts.get(index) ?? new Map<string, number>()
    counts.set(what, (counts.get(what) ?? 0) + 1)
    this.#counts.set(index, counts)
  }

  /** From the first to the last, the empty ones among them. */
  get all(): readonly Period[] {
    if (this.#counts.size === 0) return []
    return Array.from({ length: this.#last - this.#first + 1 }, (_, i) => ({
      startAt: (this.#first + i) * this.lengthMs,
      counts: this.#counts.get(this.#first + i) ?? new Map(),
    }))
  }

  #grow(): void {
    const longer = LENGTHS_MIN.find(minutes => minutes * MINUTE_MS > this.lengthMs)
    const factor = longer === undefined ? 2 : (longer * MINUTE_MS) / this.lengthMs
    const at = (index: number): number => Math.floor(index / factor)
    const merged = new Map<number, Map<string, number>>()
    for (const [index, counts] of this.#counts) {
      const into = merged.get(at(index)) ?? new Map<string, number>()
      for (const [what, count] of counts) into.set(what, (into.get(what) ?? 0) + count)
      merged.set(at(index), into)
    }
    this.lengthMs *= factor
    this.#counts = merged
    this.#first = at(this.#first)
    this.#last = at(this.#last)
  }
}
