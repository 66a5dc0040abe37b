/** Which forgettings have been ordered and are not done? */
import { projection } from './projection.ts'

export interface Ordered {
  readonly facts: number
  readonly until: number
  readonly digest: string
  readonly kept: number
}

export type Forgettings = ReturnType<typeof forgettings>

/** By id. */
export const forgettings = () =>
  projection(new Map<string, Ordered>(), {
    'forgetting.ordered': (open, { id, data }) => void open.set(id, data),
    'forgetting.done': (open, { id }) => void open.delete(id),
  })
