/**
 * A replica is one model on one node. Its id is `model@node`.
 *
 *   absent ──found──▶ present ──loading──▶ loading ──loaded──▶ resident ──loading (otherwise)──▶ loading
 *                      ▲  ▲ └───────────────loaded (seen)────────▲ │
 *                      │  └──────failed───────┘                    │
 *                      └─────────────────unloaded──────────────────┘       removed, from anywhere ──▶ absent
 */
import { assign, type SnapshotFrom, setup } from 'xstate'
import { type Decide, entity, type Message, Refusal } from './entity.ts'

/** Sizes in bytes, as Ollama's /api/ps gives them. */
export type Residence = {
  readonly sizeBytes: number
  readonly vramBytes: number
  readonly contextLength: number
}

export type ReplicaFact =
  | Message<'replica.found', { readonly digest: string; readonly sizeBytes: number }>
  /** The house loads it, for `request`'s sake; expected to take `estimateMs`. */
  | Message<
      'replica.loading',
      {
        readonly request: string
        readonly estimateMs: number
        /** How it is loaded, where that is not left to the node; see variant.ts. */
        readonly variant?: string
        /** The model that is unloaded there first, to make room; and others, where that is not enough. */
        readonly evicts?: string
        readonly evictsAlso?: readonly string[]
      }
    >
  /**
   * In memory. `ms` is how long the house's own load took; absent when somebody else had loaded it, and then it is not
   * known how.
   */
  | Message<
      'replica.loaded',
      { readonly ms?: number; readonly residence?: Residence; readonly variant?: string }
    >
  | Message<'replica.failed', { readonly reason: string; readonly status: number }>
  | Message<'replica.unloaded', Record<string, never>>
  | Message<'replica.removed', Record<string, never>>

export type ReplicaCommand =
  | Message<'replica.find', { readonly digest: string; readonly sizeBytes: number }>
  | Message<
      'replica.load',
      {
        readonly request: string
        readonly estimateMs: number
        readonly variant?: string
        readonly evicts?: string
        readonly evictsAlso?: readonly string[]
      }
    >
  | Message<'replica.confirm', { readonly ms?: number; readonly residence?: Residence }>
  | Message<'replica.fail', { readonly reason: string; readonly status: number }>
  | Message<'replica.unload', Record<string, never>>
  | Message<'replica.remove', Record<string, never>>

export interface ReplicaContext {
  readonly digest: string
  readonly sizeBytes: number
  /** How it was loaded last, or is being loaded. */
  readonly variant: string
}

const charts = setup({ types: { context: {} as ReplicaContext, events: {} as ReplicaFact } })
const noted = charts.assign({
  variant: ({ event: { data } }) => ('variant' in data ? (data.variant ?? '') : ''),
})

const machine = charts.createMachine({
  id: 'replica',
  context: { digest: '', sizeBytes: 0, variant: '' },
  initial: 'absent',
  on: {
    'replica.found': { actions: assign(({ event }) => event.data) },
    'replica.removed': '.absent',
  },
  states: {
    absent: { on: { 'replica.found': { target: 'present', actions: assign(({ event }) => event.data) } } },
    present: {
      on: { 'replica.loading': { target: 'loading', actions: noted }, 'replica.loaded': 'resident' },
    },
    loading: { on: { 'replica.loaded': 'resident', 'replica.failed': 'present' } },
    resident: {
      description: 'loaded again only to be loaded otherwise',
      on: { 'replica.loading': { target: 'loading', actions: noted }, 'replica.unloaded': 'present' },
    },
  },
})

const decide: Decide<SnapshotFrom<typeof machine>, ReplicaCommand, ReplicaFact> = {
  'replica.find': (replica, { data }) =>
    !replica.matches('absent') && replica.context.digest === data.digest
      ? []
      : [{ type: 'replica.found', data }],
  'replica.load': (replica, { data }) => {
    if (replica.matches('absent')) throw new Refusal('replica.absent', 'that node does not have that model')
    const otherwise = replica.matches('resident') && replica.context.variant !== (data.variant ?? '')
    return replica.matches('present') || otherwise ? [{ type: 'replica.loading', data }] : []
  },
  'replica.confirm': (replica, { data }) => {
    const { variant } = replica.context
    if (replica.matches('present')) return [{ type: 'replica.loaded', data }]
    if (!replica.matches('loading')) return []
    return [{ type: 'replica.loaded', data: { ...data, ...(variant !== '' && { variant }) } }]
  },
  'replica.fail': (replica, { data }) =>
    replica.matches('loading') ? [{ type: 'replica.failed', data }] : [],
  'replica.unload': replica => (replica.matches('resident') ? [{ type: 'replica.unloaded', data: {} }] : []),
  'replica.remove': replica => (replica.matches('absent') ? [] : [{ type: 'replica.removed', data: {} }]),
}

export const replica = entity({ kind: 'replica', machine, decide })

/** `@` may stand in no model's name and in no node's. */
export function replicaId(model: string, node: string): string {
  return `${model}@${node}`
}

export function replicaParts(id: string): { readonly model: string; readonly node: string } {
  const cut = id.lastIndexOf('@')
  return { model: id.slice(0, cut), node: id.slice(cut + 1) }
}
