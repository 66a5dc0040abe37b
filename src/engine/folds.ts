/** Who folds which fact: the rows of all projections, by the fact's type. */
import type { Entry } from '../journal/journal.ts'

export interface Folds {
  /** One row per fact it cares about. */
  readonly rows: Readonly<Record<string, ((entry: Entry) => void) | undefined>>
}

/** In the order of the projections. */
export function foldsOf(
  projections: readonly Folds[],
): ReadonlyMap<string, readonly ((entry: Entry) => void)[]> {
  const folds = new Map<string, ((entry: Entry) => void)[]>()
  for (const { rows } of projections) {
    for (const [type, fold] of Object.entries(rows)) {
      if (fold === undefined) continue
      const others = folds.get(type)
      if (others === undefined) folds.set(type, [fold])
      else others.push(fold)
    }
  }
  return folds
}
