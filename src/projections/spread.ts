/**
 * How are these numbers spread? Counts in buckets that grow by a tenth each, so a quantile is at most 5 % off, in a few
 * hundred bytes however many there were. Newer ones count more: after `memory` more an old one has a third of its weight.
 */
const GROWTH = 1.1
const LOG_GROWTH = Math.log(GROWTH)
/** Above it the weights are scaled down again, long before a double runs out. */
const WEIGHT_MAX = 1e12

/** Plain data, so that a snapshot holds it. */
export interface Spread {
  /** Weights by bucket. */
  readonly counts: Map<number, number>
  /** How much more than the last one the next one weighs. */
  readonly step: number
  weight: number
  /** Of all weights. */
  sum: number
  /** How many were added in all. */
  size: number
}

export function emptySpread(memory = 200): Spread {
  return { counts: new Map(), step: Math.exp(1 / memory), weight: 1, sum: 0, size: 0 }
}

/** `value` is 0 or above. */
export function addTo(spread: Spread, value: number): void {
  const { counts, step, weight } = spread
  const bucket = value < 1 ? -1 : Math.floor(Math.log(value) / LOG_GROWTH)
  counts.set(bucket, (counts.get(bucket) ?? 0) + weight)
  spread.sum += weight
  spread.size += 1
  spread.weight = weight * step
  if (spread.weight > WEIGHT_MAX) scale(spread, 1 / spread.weight)
}

/** `q` from 0 to 1; undefined before anything was added. */
export function quantileOf({ counts, sum, size }: Spread, q: number): number | undefined {
  if (size === 0) return undefined
  let left = q * sum
  const buckets = [...counts].sort(([a], [b]) => a - b)
  for (const [bucket, count] of buckets) {
    left -= count
    if (left <= 0) return middle(bucket)
  }
  return middle(buckets.at(-1)![0])
}

function scale(spread: Spread, by: number): void {
  const { counts } = spread
  for (const [bucket, count] of counts) {
    if (count * by < 1e-9) counts.delete(bucket)
    else counts.set(bucket, count * by)
  }
  spread.weight *= by
  spread.sum = [...counts.values()].reduce((a, b) => a + b, 0)
}

function middle(bucket: number): number {
  return bucket < 0 ? 0 : GROWTH ** (bucket + 0.5)
}
