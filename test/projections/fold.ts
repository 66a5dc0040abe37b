/** Facts, each at its time, folded into one projection. */
import type { Entry } from '../../src/journal/journal.ts'
import type { Projection } from '../../src/projections/projection.ts'

export type Told = readonly [at: number, type: string, id: string, data?: object]

export function fold<State>(view: Projection<State>, ...facts: readonly Told[]): State {
  for (const [at, type, id, data = {}] of facts) {
    const kind = type.slice(0, type.indexOf('.'))
    view.rows[type]?.({ seq: 1, at, kind, id, type, v: 1, data, hash: '' } as unknown as Entry)
  }
  return view.state
}
