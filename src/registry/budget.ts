/**
 * How many things may policies begin by themselves? So many in any stretch of time as long as the window, and no more, so
 * that a fleet that flaps is moved about slowly, whatever it does. Pure: what was begun before is in the journal
 * (projections/transfers.ts), so that a restart neither forgets nor forgives.
 *
 *  1. What was begun within the window before now counts, to the millisecond. (A bucket of tokens lets twice as many
 *     through in a window, and must know how full it was; this needs the last few times only.)
 *  2. Of a clock that was set back, what lies in the future counts as begun just as long ago: it must not block until then.
 *  3. Where nothing is left, the next may begin when the oldest that is too many leaves the window.
 */

export interface Budget {
  readonly actionsMax: number
  readonly windowMs: number
}

/** Models are large: this many in ten minutes keep any uplink busy. */
export const BUDGET: Budget = { actionsMax: 10, windowMs: 600_000 }

/** `begun`: when actions were begun, milliseconds since the epoch. `at`: when there may be another. */
export function allowance(
  begun: readonly number[],
  now: number,
  { actionsMax, windowMs }: Budget = BUDGET,
): { readonly count: number; readonly at?: number } {
  const counted = begun
    .map(at => now - Math.abs(now - at)) // (2)
    .filter(at => at > now - windowMs) // (1)
    .sort((a, b) => a - b)
  const count = Math.max(0, actionsMax - counted.length)
  return count > 0 ? { count } : { count, at: counted.at(-actionsMax)! + windowMs } // (3)
}
