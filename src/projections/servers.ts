/** Since when has the house had each of its nodes? */
import { projection } from './projection.ts'

export type Servers = ReturnType<typeof servers>

/** By name, milliseconds since the epoch. A node that is registered anew is an old one; one that was removed is not. */
export const servers = () =>
  projection(new Map<string, number>(), {
    'node.registered': (nodes, { id, at }) => {
      if (!nodes.has(id)) nodes.set(id, at)
    },
    'node.removed': (nodes, { id }) => void nodes.delete(id),
  })
