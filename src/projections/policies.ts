/** What do people want of each model? */
import type { PolicyData } from '../../machines/policy.ts'
import { projection } from './projection.ts'

export interface PolicyInForce extends PolicyData {
  /** Since when, milliseconds since the epoch; and who said so. */
  readonly setAt: number
  readonly by?: string
}

export type Policies = ReturnType<typeof policies>

/** By the model's canonical name. */
export const policies = () =>
  projection(new Map<string, PolicyInForce>(), {
    'policy.set': (inForce, { id, at, by, data }) => {
      inForce.set(id, { ...data, setAt: at, ...(by !== undefined && { by }) })
    },
    'policy.cleared': (inForce, { id }) => void inForce.delete(id),
  })
