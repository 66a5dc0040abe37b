/** What has been set while the house ran, and who changed what, when? */
import { projection } from './projection.ts'

export interface Change {
  readonly seq: number
  readonly at: number
  /** Empty where nobody said. */
  readonly by: string
  /** The knob's flag. */
  readonly name: string
  readonly as: 'set' | 'reset'
  readonly before: string
  readonly after: string
  /** What was set before; undefined where the start's value held. */
  readonly held: string | undefined
}

interface Settings {
  /** What is set now, as text, by the knob's flag. */
  readonly values: Map<string, string>
  /** The last changes, oldest first. */
  readonly history: Change[]
  /** The last change that is no longer in the history; 0 where all are. */
  forgottenSeq: number
}

export type SettingsProjection = ReturnType<typeof settings>

/** People turn knobs a few times a week. */
const KEPT_MAX = 1_000

export const settings = () =>
  projection({ values: new Map(), history: [], forgottenSeq: 0 } as Settings, {
    'setting.set': (self, { seq, at, id, by = '', data: { before, after } }) => {
      note(self, { seq, at, by, name: id, as: 'set', before, after, held: self.values.get(id) })
      self.values.set(id, after)
    },
    'setting.reset': (self, { seq, at, id, by = '', data: { before, after } }) => {
      note(self, { seq, at, by, name: id, as: 'reset', before, after, held: self.values.get(id) })
      self.values.delete(id)
    },
  })

/** What was set right after a fact; undefined where that is further back than the history goes. */
export function valuesAfter(
  { values, history, forgottenSeq }: Settings,
  seq: number,
): ReadonlyMap<string, string> | undefined {
  if (seq < forgottenSeq) return undefined
  const then = new Map(values)
  for (const { seq: changedAt, name, held } of history.toReversed()) {
    if (changedAt <= seq) break
    if (held === undefined) then.delete(name)
    else then.set(name, held)
  }
  return then
}

function note(self: Settings, change: Change): void {
  self.history.push(change)
  if (self.history.length > KEPT_MAX) self.forgottenSeq = self.history.shift()!.seq
}
