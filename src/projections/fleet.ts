/** Which nodes are there, and which of them may be given work? */
import type { LossReason, NodeData, NodeEquipment, ThrottleCause } from '../../machines/node.ts'
import { projection } from './projection.ts'

export interface FleetNode extends NodeData {
  readonly name: string
  readonly version: string
  readonly reach: 'joining' | 'up' | 'down'
  readonly duty: 'active' | 'draining' | 'empty'
  /** Since when it is in this state, milliseconds since the epoch. */
  readonly since: number
  readonly loss?: { readonly reason: LossReason; readonly model?: string }
  /** What the machine is; unknown where it has no agent. */
  readonly equipment?: NodeEquipment
  /** What slows it down, and since when, milliseconds since the epoch; none while nothing does. */
  readonly throttled?: { readonly cause: ThrottleCause; readonly since: number }
}

export type Fleet = ReturnType<typeof fleet>

export const fleet = () =>
  projection(new Map<string, FleetNode>(), {
    'node.registered': (nodes, { id, at, data }) => {
      nodes.set(id, { ...data, name: id, version: '', reach: 'joining', duty: 'active', since: at })
    },
    'node.joined': (nodes, { id, at, data }) =>
      turn(nodes, id, { reach: 'up', version: data.version, since: at }),
    'node.returned': (nodes, { id, at, data }) => {
      const { loss: _over, ...node } = nodes.get(id)!
      nodes.set(id, { ...node, reach: 'up', version: data.version, since: at })
    },
    'node.lost': (nodes, { id, at, data }) => {
      ease(nodes, id)
      turn(nodes, id, { reach: 'down', since: at, loss: data })
    },
    'node.upgraded': (nodes, { id, data }) => turn(nodes, id, { version: data.version }),
    'node.drained': (nodes, { id, at }) => turn(nodes, id, { duty: 'draining', since: at }),
    'node.emptied': (nodes, { id, at }) => turn(nodes, id, { duty: 'empty', since: at }),
    'node.resumed': (nodes, { id, at }) => turn(nodes, id, { duty: 'active', since: at }),
    'node.removed': (nodes, { id }) => {
      nodes.delete(id)
    },
    'node.equipped': (nodes, { id, data }) => turn(nodes, id, { equipment: data }),
    'node.throttled': (nodes, { id, data }) => turn(nodes, id, { throttled: data }),
    'node.cooled': (nodes, { id }) => ease(nodes, id),
  })

/** May it be given work, as far as the node itself is concerned? (Its breaker has a say too.) */
export function routable(node: FleetNode): boolean {
  return node.reach === 'up' && node.duty === 'active'
}

/** One word for reach and duty together. */
export function standing({ reach, duty }: FleetNode): FleetNode['reach'] | 'draining' | 'drained' {
  if (reach !== 'up' || duty === 'active') return reach
  return duty === 'empty' ? 'drained' : 'draining'
}

/** No real models: a simulation, which the house started itself or somebody labelled so. */
export function isSimulated({ origin, labels }: Pick<NodeData, 'origin' | 'labels'>): boolean {
  return origin === 'embedded' || /^(true|on|yes|1)$/i.test(labels.simulated ?? '')
}

/** Does it answer, and is its breaker not open? A node in drain may well be healthy. */
export function healthy({ reach }: FleetNode, breaker: 'closed' | 'open' | 'halfOpen' = 'closed'): boolean {
  return reach === 'up' && breaker !== 'open'
}

function turn(nodes: Map<string, FleetNode>, name: string, change: Partial<FleetNode>): void {
  nodes.set(name, { ...nodes.get(name)!, ...change })
}

function ease(nodes: Map<string, FleetNode>, name: string): void {
  const { throttled: _over, ...node } = nodes.get(name)!
  nodes.set(name, node)
}
