/** Which models were made here, so that Ollama's registry does not have them, or has others of that name? */
import { projection } from './projection.ts'

/** Canonical names. */
export type Made = ReturnType<typeof made>

export const made = () =>
  projection(new Set<string>(), {
    'model.created': (names, { id }) => void names.add(id),
    'model.copied': (names, { data: { to } }) => void names.add(to),
    'model.pulled': (names, { id }) => void names.delete(id),
    'model.gone': (names, { id }) => void names.delete(id),
  })
