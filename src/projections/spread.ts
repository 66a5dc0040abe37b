/**
 * How are these numbers spread? Counts in buckets that grow by a tenth each, so a quantile is at most 5 % off, in a few
 * hundred bytes however many there were. Newer ones count more: after `memory` more an old one has a third of its weight.
 */
const GROWTH = 1.1
const LOG_GROWTH = Math.log(GROWTH)
/** Above it the weights are scaled down again, long before a double runs out. */
const WEIGHT_MAX = 1e12

export class Spread {
  readonly #counts = new Map<number, number>()
  readonly #step: number
  #weight = 1
  #sum = 0
  /** How many were added in all. */
  size = 0

  constructor(memory = 200) {
    this.#step = Math.exp(1 / memory)
  }

  /** 0 and above. */
  add(value: number): void {
    const bucket = value < 1 ? -1 : Math.floor(Math.log(value) / LOG_GROWTH)
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + this.#weight)
    this.#sum += this.#weight
    this.size += 1
    this.#weight *= this.#step
    if (this.#weight > WEIGHT_MAX) this.#scale(1 / this.#weight)
  }

  /** `q` from 0 to 1; undefined before anything was added. */
  quantile(q: number): number | undefined {
    if (this.size === 0) return undefined
    let left = q * this.#sum
    const buckets = [...this.#counts].sort(([a], [b]) => a - b)
    for (const [bucket, count] of buckets) {
      left -= count
      if (left <= 0) return middle(bucket)
    }
    return middle(buckets.at(-1)![0])
  }

  #scale(by: number): void {
    for (const [bucket, count] of this.#counts) {
      if (count * by < 1e-9) this.#counts.delete(bucket)
      else this.#counts.set(bucket, count * by)
    }
    this.#weight *= by
    this.#sum = [...this.#counts.values()].reduce((a, b) => a + b, 0)
  }
}

function middle(bucket: number): number {
  return bucket < 0 ? 0 : GROWTH ** (bucket + 0.5)
}
