/** Fleets to plan for: a scene from a few words, and what becomes of it when a plan is carried out. */
import type { Replica } from '../../src/projections/residency.ts'
import type { EndedTransfer, OpenTransfer } from '../../src/projections/transfers.ts'
import type { Action } from '../../src/registry/plan.ts'
import type { PlannedNode, PlannedPolicy, Scene } from '../../src/registry/sites.ts'

export const NOW = 1_000_000_000
const DAY_MS = 86_400_000

export function node(name: string, more: Partial<PlannedNode> = {}): PlannedNode {
  return {
    name,
    reach: 'up',
    duty: 'active',
    since: NOW - DAY_MS,
    labels: {},
    slots: 2,
    residentMax: 3,
    ...more,
  }
}

/** A machine with so much memory, and a card with so much. */
export function machine(memoryBytes?: number, gpuBytes = 0): Pick<PlannedNode, 'equipment'> {
  const gpus = gpuBytes > 0 ? [{ vendor: 'nvidia', model: 'card', memoryBytes: gpuBytes }] : []
  return {
    equipment: {
      gpus,
      gpusKnown: true,
      container: false,
      ...(memoryBytes !== undefined && { memoryBytes }),
    },
  }
}

export function copy(model: string, at: string, more: Partial<Replica> = {}): Replica {
  return {
    id: `${model}@${at}`,
    model,
    node: at,
    state: 'present',
    digest: `d-${model}`,
    sizeBytes: 4e9,
    since: 0,
    variant: '',
    loadFailures: 0,
    ...more,
  }
}

export function open(model: string, at: string, more: Partial<OpenTransfer> = {}): OpenTransfer {
  return {
    id: `${model}@${at}`,
    model,
    node: at,
    cause: 'policy',
    state: 'waiting',
    orderedAt: NOW,
    seq: 1,
    attempt: 1,
    since: NOW,
    until: NOW + DAY_MS,
    ...more,
  }
}

export function abandoned(model: string, at: string, more: Partial<EndedTransfer> = {}): EndedTransfer {
  const { until: _until, ...rest } = open(model, at)
  return { ...rest, reason: 'upstream', ...more, state: 'abandoned' }
}

export interface Words extends Partial<Omit<Scene, 'nodes' | 'replicas' | 'transfers' | 'policies'>> {
  readonly nodes: readonly PlannedNode[]
  readonly policies?: Readonly<Record<string, PlannedPolicy>>
  readonly copies?: readonly Replica[]
  readonly open?: readonly OpenTransfer[]
  readonly abandoned?: readonly EndedTransfer[]
}

export function scene({ nodes, policies = {}, copies = [], ...words }: Words): Scene {
  const replicas = new Map<string, Map<string, Replica>>()
  for (const one of copies) replicas.set(one.model, (replicas.get(one.model) ?? new Map()).set(one.node, one))
  return {
    now: NOW,
    demand: new Map(),
    made: new Set(),
    sizeOf: () => 4e9,
    freeBytes: () => undefined,
    arrivedBytes: () => 0,
    running: () => 0,
    waiting: () => 0,
    barred: () => false,
    ...words,
    nodes,
    policies: new Map(Object.entries(policies)),
    replicas,
    transfers: {
      open: new Map((words.open ?? []).map(one => [one.id, one])),
      abandoned: new Map((words.abandoned ?? []).map(one => [one.id, one])),
    },
  }
}

/** Puts it into the scene: what is ordered is on its way; what is taken away or called off, gone. */
export function carryOut(scene: Scene, actions: readonly Action[], arrive: boolean): void {
  const replicas = scene.replicas as Map<string, Map<string, Replica>>
  const transfers = scene.transfers.open as Map<string, OpenTransfer>
  for (const { do: deed, model, node: at } of actions) {
    const id = `${model}@${at}`
    if (deed === 'pull')
      transfers.set(id, open(model, at, { seq: transfers.size + 1, orderedAt: scene.now, since: scene.now }))
    if (deed === 'cancel') transfers.delete(id)
    if (deed === 'remove') replicas.get(model)!.delete(at)
  }
  if (arrive) for (const transfer of [...transfers.values()]) land(scene, transfer)
}

export function land(scene: Scene, { id, model, node: at }: OpenTransfer): void {
  const replicas = scene.replicas as Map<string, Map<string, Replica>>
  ;(scene.transfers.open as Map<string, OpenTransfer>).delete(id)
  replicas.set(model, (replicas.get(model) ?? new Map()).set(at, copy(model, at)))
}
