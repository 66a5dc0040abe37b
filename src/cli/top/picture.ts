/** What `quipu top` shows: what a house said of itself at one moment, and what somebody wants to see of it. Plain data. */
import type { Index } from '../../gateway/schema/house.ts'
import type { Model, Transfer } from '../../gateway/schema/models.ts'
import type { Node } from '../../gateway/schema/nodes.ts'
import type { QueueStats, Waiting } from '../../gateway/schema/queue.ts'
import type { Told } from '../../gateway/schema/words.ts'
import type { Heard } from '../hardware.ts'

export type HouseRow = Told<typeof Index>
export type NodeRow = Told<typeof Node>
export type ModelRow = Told<typeof Model>
export type WaitingRow = Told<typeof Waiting>
export type Counts = Told<typeof QueueStats>

export type TransferRow = Told<typeof Transfer>

/** They are on their way no more. */
const OVER: ReadonlySet<string> = new Set(['completed', 'abandoned', 'cancelled'])

export function underWay({ transfers = [] }: Picture): readonly TransferRow[] {
  return transfers.filter(({ state }) => !OVER.has(state))
}

export interface Picture {
  readonly at: number
  readonly url: string
  readonly house: HouseRow
  readonly nodes: readonly NodeRow[]
  /** What is known of the node whose details are looked at. */
  readonly heard?: Heard & { readonly node: string }
  readonly models: readonly ModelRow[]
  readonly counts: Counts
  /** The first of those that wait. */
  readonly queue: readonly WaitingRow[]
  /** Left out where the house knows of no such thing. */
  readonly transfers?: readonly TransferRow[]
}

export const PANELS = ['nodes', 'queue', 'models'] as const
export type Panel = (typeof PANELS)[number]

export interface View {
  readonly panel: Panel
  /** The chosen node, by name: rows may come and go around it. */
  readonly chosen?: string
  /** All about the chosen node, instead of the panel. */
  readonly details: boolean
  readonly help: boolean
  /** How far the panel is scrolled, where nothing is chosen in it. */
  readonly scroll: number
  /** What came of the last key. */
  readonly message?: { readonly text: string; readonly bad: boolean }
  /** Since when the house does not answer, and why. */
  readonly silent?: { readonly since: number; readonly why: string }
}

export const FIRST_VIEW: View = { panel: 'nodes', details: false, help: false, scroll: 0 }

/** Which node is chosen now: the one that was, or else the first. */
export function chosenOf({ nodes }: Picture, { chosen }: View): NodeRow | undefined {
  return nodes.find(({ name }) => name === chosen) ?? nodes[0]
}

/** What is in the memory of each node, or on its way there. */
export function residents({ models }: Picture): ReadonlyMap<string, readonly ResidentRow[]> {
  const byNode = new Map<string, ResidentRow[]>()
  for (const { name, nodes } of models) {
    for (const { node, state, running, memoryBytes, vramBytes } of nodes) {
      if (state === 'present') continue
      const rows = byNode.get(node) ?? []
      byNode.set(node, rows)
      rows.push({
        model: name,
        loading: state === 'loading',
        running,
        ...(memoryBytes !== undefined && { memoryBytes }),
        ...(vramBytes !== undefined && { vramBytes }),
      })
    }
  }
  return byNode
}

export interface ResidentRow {
  readonly model: string
  readonly loading: boolean
  readonly running: number
  readonly memoryBytes?: number
  readonly vramBytes?: number
}
