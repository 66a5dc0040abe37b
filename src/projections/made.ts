/**
 * Which models were made here, so that Ollama's registry does not have them, or has others of that name? One that is gone
 * still was: to have another brought in its place would be worse than to have none.
 */
import { replicaParts } from '../../machines/replica.ts'
import { projection } from './projection.ts'

/** Names are short; whoever makes and deletes all day does not fill the memory. */
const NAMES_MAX = 10_000

/** Canonical names, the last ones. */
export type Made = ReturnType<typeof made>

export const made = () =>
  projection(new Set<string>(), {
    'model.created': (names, { id }) => note(names, id),
    'model.copied': (names, { data: { to } }) => note(names, to),
    'model.pulled': (names, { id }) => void names.delete(id),
    'transfer.completed': (names, { id }) => void names.delete(replicaParts(id).model),
  })

function note(names: Set<string>, name: string): void {
  names.delete(name)
  names.add(name)
  if (names.size > NAMES_MAX) names.delete(names.values().next().value!)
}
