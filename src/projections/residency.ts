/** Which model is on which node, and is it in memory? */
import { type Residence, replicaParts } from '../../machines/replica.ts'
import { projection } from './projection.ts'

export interface Replica {
  /** `model@node`. */
  readonly id: string
  readonly model: string
  readonly node: string
  readonly state: 'present' | 'loading' | 'resident'
  readonly digest: string
  readonly sizeBytes: number
  /** Since when it is in this state, milliseconds since the epoch. */
  readonly since: number
  readonly residence?: Residence
  /** How it was loaded, or is being loaded; empty where that was left to the node, or is not known. */
  readonly variant: string
  /** While loading: how long that was expected to take. */
  readonly estimateMs?: number
  /** Loads in a row that failed, here. */
  readonly loadFailures: number
}

interface Places {
  readonly byNode: Map<string, Map<string, Replica>>
  readonly byModel: Map<string, Map<string, Replica>>
  /** By node: those loaded, or being loaded. */
  readonly inMemory: Map<string, Map<string, Replica>>
}

export type Residency = ReturnType<typeof residency>

export const residency = () =>
  projection({ byNode: new Map(), byModel: new Map(), inMemory: new Map() } as Places, {
    'replica.found': (places, { id, at, data }) => {
      const { model, node } = replicaParts(id)
      const known = places.byNode.get(node)?.get(model)
      put(places, {
        state: 'present',
        since: at,
        loadFailures: 0,
        variant: '',
        ...known,
        ...data,
        id,
        model,
        node,
      })
    },
    'replica.loading': (places, { id, at, data }) =>
      turn(places, id, {
        state: 'loading',
        since: at,
        estimateMs: data.estimateMs,
        variant: data.variant ?? '',
      }),
    'replica.loaded': (places, { id, at, data: { residence, variant = '' } }) =>
      turn(places, id, {
        state: 'resident',
        since: at,
        loadFailures: 0,
        variant,
        ...(residence === undefined ? {} : { residence }),
      }),
    'replica.failed': (places, { id, at }) => {
      const { model, node } = replicaParts(id)
      const loadFailures = (places.byNode.get(node)?.get(model)?.loadFailures ?? 0) + 1
      turn(places, id, { state: 'present', since: at, loadFailures })
    },
    'replica.unloaded': (places, { id, at }) => turn(places, id, { state: 'present', since: at }),
    'replica.removed': (places, { id }) => drop(places, id),
    'node.removed': (places, { id }) => {
      for (const replica of [...(places.byNode.get(id)?.values() ?? [])]) drop(places, replica.id)
      places.byNode.delete(id)
      places.inMemory.delete(id)
    },
  })

function turn(places: Places, id: string, change: Partial<Replica>): void {
  const { model, node } = replicaParts(id)
  const known = places.byNode.get(node)?.get(model)
  if (known !== undefined) put(places, { ...known, ...change })
}

function put({ byNode, byModel, inMemory }: Places, replica: Replica): void {
  const { model, node, state } = replica
  if (!inMemory.has(node)) inMemory.set(node, new Map())
  if (state === 'present') inMemory.get(node)!.delete(model)
  else inMemory.get(node)!.set(model, replica)
  if (!byNode.has(node)) byNode.set(node, new Map())
  if (!byModel.has(model)) byModel.set(model, new Map())
  byNode.get(node)!.set(model, replica)
  byModel.get(model)!.set(node, replica)
}

function drop({ byNode, byModel, inMemory }: Places, id: string): void {
  const { model, node } = replicaParts(id)
  inMemory.get(node)?.delete(model)
  byNode.get(node)?.delete(model)
  byModel.get(model)?.delete(node)
  if (byModel.get(model)?.size === 0) byModel.delete(model)
}
