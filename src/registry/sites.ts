/** The nodes as those see them who plan where models go: what each has, can hold, and is about to get. Pure. */
import type { PolicyData } from '../../machines/policy.ts'
import type { Destination } from '../../machines/transfer.ts'
import { type Demand, labelsOf } from '../projections/demand.ts'
import {
  fitsBeside,
  type Memory,
  memoryOf,
  mostOf,
  mostTaken,
  neededBytes as neededFor,
} from '../projections/fit.ts'
import { type FleetNode, routable } from '../projections/fleet.ts'
import type { Replica } from '../projections/residency.ts'
import type { EndedTransfer, OpenTransfer } from '../projections/transfers.ts'

export type PlannedNode = Pick<
  FleetNode,
  | 'name'
  | 'reach'
  | 'duty'
  | 'since'
  | 'labels'
  | 'slots'
  | 'residentMax'
  | 'weight'
  | 'equipment'
  | 'throttled'
>

export type PlannedPolicy = Pick<
  PolicyData,
  'nodes' | 'avoid' | 'prefer' | 'labels' | 'replicasMin' | 'replicasMax'
> & { readonly setAt?: number }

/** All there is to know. Times are milliseconds since the epoch. */
export interface Scene {
  readonly now: number
  readonly nodes: Iterable<PlannedNode>
  readonly policies: ReadonlyMap<string, PlannedPolicy>
  /** By model, then by node. */
  readonly replicas: ReadonlyMap<string, ReadonlyMap<string, Replica>>
  readonly transfers: {
    readonly open: ReadonlyMap<string, OpenTransfer>
    readonly abandoned: ReadonlyMap<string, EndedTransfer>
  }
  /** Of the last day, by model. */
  readonly demand: ReadonlyMap<string, Demand>
  /** Models that Ollama's registry does not have. */
  readonly made: ReadonlySet<string>
  readonly sizeOf: (model: string) => number | undefined
  /** On the volume that the node's models are on. */
  readonly freeBytes: (node: string) => number | undefined
  /** Of a transfer that runs: what is on its node's disk by now, and so not free any more. */
  readonly arrivedBytes: (transfer: string) => number
  /** Requests that run there: of one model, or all. */
  readonly running: (node: string, model?: string) => number
  /** Requests that wait for the model. */
  readonly waiting: (model: string) => number
  /** Its breaker is open. */
  readonly barred: (node: string) => boolean
}

/** How careful to be. */
export interface Care {
  /** For so long what is on a lost node still counts; and so long a node must be up before others are given up for it. */
  readonly graceMs: number
  /** So long a node must be up before anything is brought to it. */
  readonly settleMs: number
  /** What was given up is not tried again for so long. */
  readonly restMs: number
  /** So much of each disk stays free. */
  readonly reserveBytes: number
}

export const CARE: Care = {
  graceMs: 60_000,
  settleMs: 30_000,
  restMs: 3_600_000,
  reserveBytes: 5_000_000_000,
}

/** One node. What is on its way there is taken off its disk already. */
export interface Site {
  readonly node: PlannedNode
  readonly name: string
  readonly hash: number
  readonly weight: number
  /** Why nothing is brought there, whatever the model. */
  readonly barred: string | undefined
  /** Lost, or registered anew without an answer, for longer than the grace: what it has does not count. */
  readonly gone: boolean
  /** Up for longer than the grace, and at work: what it has can be counted on. */
  readonly firm: boolean
  readonly load: number
  /** For models; and what one may be spread over at most. */
  readonly memory: Memory | undefined
  readonly mostBytes: number | undefined
  freeBytes: number | undefined
}

export type Fit = 'gpu' | 'memory' | 'none' | undefined

/** What a model of unknown size is taken for. */
const SIZE_PRIOR_BYTES = 5_000_000_000
/** What a model takes: of the disk, and in memory (see projections/fit.ts). */
export interface Need {
  readonly sizeBytes: number | undefined
  readonly neededBytes: number | undefined
}

export function needOf({ sizeOf, replicas }: Scene, model: string): Need {
  const sizeBytes = sizeOf(model)
  const seen = mostTaken(replicas.get(model)?.values() ?? [])
  const neededBytes = sizeBytes === undefined ? seen : neededFor({ sizeBytes }, seen)
  return { sizeBytes, neededBytes }
}

/** By name, in the order of names. */
export function sitesOf(scene: Scene, care: Care): Map<string, Site> {
  const nodes = [...scene.nodes].sort((a, b) => (a.name < b.name ? -1 : 1))
  const sites = new Map(nodes.map(node => [node.name, siteOf(scene, care, node)]))
  for (const transfer of scene.transfers.open.values()) {
    const site = sites.get(transfer.node)
    if (site !== undefined) promise(site, scene, transfer.model, scene.arrivedBytes(transfer.id))
  }
  return sites
}

/** Takes what a model still needs off the disk. */
export function promise(site: Site, scene: Scene, model: string, arrivedBytes = 0): void {
  if (site.freeBytes !== undefined) site.freeBytes -= toCome(scene, model, arrivedBytes)
}

/** What came already stays there. */
export function release(site: Site, scene: Scene, { id, model }: OpenTransfer): void {
  if (site.freeBytes !== undefined) site.freeBytes += toCome(scene, model, scene.arrivedBytes(id))
}

function toCome({ sizeOf }: Scene, model: string, arrivedBytes: number): number {
  return Math.max(0, (sizeOf(model) ?? SIZE_PRIOR_BYTES) - arrivedBytes)
}

export type Admission = (node: PlannedNode) => boolean

/** Where the policy lets the model be; asked of every node for every model, so what it says is looked at once. */
export function admissionOf({ nodes, avoid, labels = {} }: PlannedPolicy): Admission {
  const only = nodes && new Set(nodes)
  const not = new Set(avoid)
  const pairs = Object.entries(labels)
  if (only === undefined && not.size === 0 && pairs.length === 0) return () => true
  return ({ name, labels: own }) => {
    if (only !== undefined && !only.has(name)) return false
    if (not.has(name)) return false
    for (const [key, value] of pairs) if (own[key] !== value) return false
    return true
  }
}

/** In which memory the model fits; `none` where its weights alone are too large for all there is; undefined: not known. */
export function fitOf({ memory, mostBytes }: Site, { sizeBytes, neededBytes }: Need): Fit {
  if (neededBytes === undefined) return undefined
  if (memory !== undefined && neededBytes <= memory.bytes) return memory.gpu ? 'gpu' : 'memory'
  if (mostBytes === undefined) return undefined
  return (sizeBytes ?? neededBytes) <= mostBytes ? 'memory' : 'none'
}

/** Does it fit into memory beside what is used there, so that neither throws the other out? Yes where nobody knows. */
export function staysBeside({ memory, node }: Site, need: Need, used: readonly Need[]): boolean {
  if (used.length >= node.residentMax) return false
  const needed = need.neededBytes
  if (memory === undefined || needed === undefined) return true
  if (used.length === 0) return needed <= memory.bytes
  const taken = used.reduce((sum, { neededBytes = 0 }) => sum + neededBytes, 0)
  return fitsBeside(needed, memory.bytes - taken, memory)
}

/** Is there room on the disk, beside what stays free? Yes where nobody knows. */
export function hasRoom({ freeBytes }: Site, { sizeBytes }: Need): boolean {
  return freeBytes === undefined || freeBytes >= (sizeBytes ?? 0)
}

/** Of the requests for a model, how many this node could answer by its labels; all where none has any. */
export function demandAt({ node }: Site, demand: Demand | undefined): number {
  if (demand === undefined || demand.requests === 0) return 1
  if (demand.byLabels.size === 1 && demand.byLabels.has('')) return 1
  let able = 0
  for (const [key, count] of demand.byLabels)
    if (labelsOf(key).every(([name, value]) => node.labels[name] === value)) able += count
  return able / demand.requests
}

export function destinationOf(
  site: Site,
  need: Need,
  demand: Demand | undefined,
  preferred: boolean,
  excluded?: string,
): Destination {
  const fit = fitOf(site, need)
  return {
    node: site.name,
    freeBytes: site.freeBytes === undefined ? null : Math.round(site.freeBytes),
    fit: fit === undefined || fit === 'none' ? null : fit,
    load: Math.round(site.load * 100) / 100,
    demand: Math.round(demandAt(site, demand) * 100) / 100,
    ...(preferred && { preferred }),
    ...(excluded !== undefined && { excluded }),
  }
}

function siteOf(scene: Scene, care: Care, node: PlannedNode): Site {
  const { name, reach, since, slots, weight = 1, equipment } = node
  const forMs = agoMs(scene, since)
  const free = scene.freeBytes(name)
  return {
    node,
    name,
    hash: hashOf(name),
    weight,
    barred: barOf(scene, care, node),
    gone: reach !== 'up' && forMs >= care.graceMs,
    firm: routable(node as FleetNode) && forMs >= care.graceMs && !scene.barred(name),
    load: scene.running(name) / Math.max(1, slots),
    memory: memoryOf(equipment),
    mostBytes: mostOf(equipment),
    freeBytes: free === undefined ? undefined : free - care.reserveBytes,
  }
}

function barOf(scene: Scene, care: Care, node: PlannedNode): string | undefined {
  if (node.reach === 'joining') return 'has not answered yet'
  if (node.reach === 'down') return 'is down'
  if (node.duty !== 'active') return 'is drained'
  if (agoMs(scene, node.since) < care.settleMs) return 'came a moment ago'
  if (scene.barred(node.name)) return 'its breaker is open'
  return node.throttled === undefined ? undefined : 'is slowed down'
}

/** What lies ahead, after a clock was set back, counts as just as long ago: otherwise nothing would happen until then. */
export function agoMs({ now }: Pick<Scene, 'now'>, at: number): number {
  return Math.abs(now - at)
}

/** FNV-1a, 32 bits: short names, spread well enough by what mixes two of them. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/**
 * Weighted rendezvous: each node draws a lot for each model, the same one always, and the lowest wins. A node of weight 2
 * wins twice as often as one of weight 1, and a new node takes from each of the others only what it wins.
 * (Thaler and Ravishankar 1998; with weights: Schindelhauer and Schomaker 2005.)
 */
export function lotOf(model: number, { hash, weight }: Site): number {
  let mixed = Math.imul(model ^ hash, 0x85ebca6b) ^ Math.imul(hash, 0xc2b2ae35)
  mixed ^= mixed >>> 16
  mixed = Math.imul(mixed, 0x7feb352d)
  mixed ^= mixed >>> 15
  mixed = Math.imul(mixed, 0x846ca68b)
  mixed ^= mixed >>> 16
  return -Math.log(((mixed >>> 0) + 0.5) / 2 ** 32) / weight
}
