/**
 * A projection is a private state plus one row per fact that changes it: the answer in RAM to one question.
 *
 * The state is Maps, Sets, arrays, plain objects and what goes into them, so that a snapshot can hold it. It never shares
 * an object that changes with the state of another projection.
 */
import type { On } from '../../machines/entity.ts'
import type { Fact } from '../../machines/index.ts'
import type { Entry } from '../journal/journal.ts'

export interface Projection<State> {
  readonly state: State
  readonly rows: Readonly<Record<string, ((entry: Entry) => void) | undefined>>
}

export function projection<State>(state: State, on: On<Fact, State>): Projection<State> {
  const rows: Record<string, (entry: Entry) => void> = {}
  const self = { state, rows }
  for (const [type, fold] of Object.entries(on) as [string, (state: State, entry: Entry) => void][]) {
    rows[type] = entry => fold(self.state, entry)
  }
  return self
}

/** Puts a state that was kept in the place of the one it begins with. Only before anybody else has seen that. */
export function restore(projection: Projection<unknown>, state: unknown): void {
  ;(projection as { state: unknown }).state = state
}
