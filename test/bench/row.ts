/** One line of a benchmark's result. */
export interface Row {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly note?: string
}

/** The middle one; of an even number the lower middle. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)]!
}

export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!
}
