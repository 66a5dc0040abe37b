/** A projection is a private state plus one row per fact that changes it: the answer in RAM to one question. */
import type { On } from '../../machines/entity.ts'
import type { Fact } from '../../machines/index.ts'
import type { Entry } from '../journal/journal.ts'

export interface Projection<State> {
  readonly state: State
  readonly rows: Readonly<Record<string, ((entry: Entry) => void) | undefined>>
}

export function projection<State>(state: State, on: On<Fact, State>): Projection<State> {
  const rows: Record<string, (entry: Entry) => void> = {}
  for (const [type, fold] of Object.entries(on) as [string, (state: State, entry: Entry) => void][]) {
    rows[type] = entry => fold(state, entry)
  }
  return { state, rows }
}
