/**
 * One figure of one server over time: the last hour in steps of 10 s, the last week in steps of 5 minutes, the last 90
 * days in steps of an hour. Each coarser value is the mean of the finer ones, so that nothing is counted twice. 18 KB.
 */

export interface Step {
  readonly name: '10s' | '5m' | '1h'
  readonly ms: number
  /** How many are kept. */
  readonly kept: number
}

/** Finest first; each one's length is a multiple of the one before. */
export const STEPS: readonly Step[] = [
  { name: '10s', ms: 10_000, kept: 360 },
  { name: '5m', ms: 300_000, kept: 2_016 },
  { name: '1h', ms: 3_600_000, kept: 2_160 },
]

/** Values by the number of their step since the epoch. NaN where there is none. */
export class Ring {
  readonly step: Step
  readonly values: Float32Array
  /** The newest step that has a value; -1 for none yet. */
  latest: number

  constructor(step: Step, values = new Float32Array(step.kept).fill(Number.NaN), latest = -1) {
    this.step = step
    this.values = values
    this.latest = latest
  }

  put(slot: number, value: number): void {
    const { kept } = this.step
    // Further back than it goes: the clock was wrong before, and what was noted then would hide all that comes.
    if (slot <= this.latest - kept) this.latest = -1
    if (slot - this.latest >= kept || this.latest === -1) this.values.fill(Number.NaN)
    else for (let gap = this.latest + 1; gap < slot; gap += 1) this.values[gap % kept] = Number.NaN
    this.values[slot % kept] = value
    this.latest = Math.max(this.latest, slot)
  }

  at(slot: number): number {
    const { kept } = this.step
    return slot > this.latest || slot <= this.latest - kept ? Number.NaN : this.values[slot % kept]!
  }

  /** Of those steps from `from` to before `to` that have a value; NaN where none has. */
  mean(from: number, to: number): number {
    let sum = 0
    let count = 0
    for (let slot = from; slot < to; slot += 1) {
      const value = this.at(slot)
      if (Number.isNaN(value)) continue
      sum += value
      count += 1
    }
    return sum / count
  }
}

export class Series {
  readonly rings: readonly Ring[]

  /** From rings that were kept, of which the coarser ones may lag behind. */
  constructor(kept: ReadonlyMap<Step, Ring> = new Map()) {
    this.rings = STEPS.map(step => kept.get(step) ?? new Ring(step))
    for (const [i, coarse] of this.rings.entries()) {
      const fine = this.rings[i - 1]
      if (fine === undefined || fine.latest === -1) continue
      const ratio = coarse.step.ms / fine.step.ms
      // Only what the finer ring covers whole: of the rest the coarser one knows more.
      const first = Math.ceil((fine.latest - fine.step.kept + 1) / ratio)
      for (let slot = first; slot <= Math.floor(fine.latest / ratio); slot += 1) this.#sumUp(i, slot)
    }
  }

  add(at: number, value: number): void {
    this.rings[0]!.put(Math.floor(at / STEPS[0]!.ms), value)
    for (let i = 1; i < STEPS.length; i += 1) this.#sumUp(i, Math.floor(at / STEPS[i]!.ms))
  }

  /** When its newest value is from, milliseconds since the epoch. */
  get latestAt(): number {
    return Math.max(...this.rings.map(({ latest, step }) => latest * step.ms))
  }

  #sumUp(i: number, slot: number): void {
    const fine = this.rings[i - 1]!
    const coarse = this.rings[i]!
    const ratio = coarse.step.ms / fine.step.ms
    const mean = fine.mean(slot * ratio, (slot + 1) * ratio)
    if (!Number.isNaN(mean)) coarse.put(slot, mean)
  }
}
