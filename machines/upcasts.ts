/**
 * How old facts are read today: one row per step, `'node.registered@1'` → the data of version 2. Bytes on disk
 * are never rewritten. A new optional field needs no row; a renamed one does; a changed meaning is a new fact.
 */
import type { Json } from './entity.ts'

export type Upcast = (data: Json) => Json

export const upcasts: Readonly<Record<string, Upcast>> = {}

const current = new Map<string, number>()
for (const row of Object.keys(upcasts)) {
  const [type, from] = row.split('@') as [string, string]
  current.set(type, Math.max(current.get(type) ?? 1, Number(from) + 1))
}

/** The version facts of this type are written in today. */
export function versionOf(type: string): number {
  return current.get(type) ?? 1
}

/** Today's shape of data that was written as version `v`. */
export function upcast(type: string, v: number, data: Json): Json {
  let shape = data
  for (let from = v; from < versionOf(type); from += 1) shape = upcasts[`${type}@${from}`]!(shape)
  return shape
}
