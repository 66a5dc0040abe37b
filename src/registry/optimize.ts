/**
 * Where would a copy more, or one less, serve better? Pure, and proposes only: somebody must say yes. What it reckons with is
 * the last day.
 *
 *  1. Requests that waited, waited for a load or for their turn. A load makes those wait that it is for; of the rest, it is
 *     taken that they waited for a slot.
 *  2. A copy more takes work off the slots. What is left of the wait for a slot follows from how it grows with the share of
 *     time that slots are busy (Sakasegawa 1977, for any number of slots): that share is read off the wait there was, and
 *     is less with more slots. So what is known is the wait, and nothing is taken from an average over quiet hours.
 *  3. A copy more, where it need not make room for others, is not thrown out: it saves the loads after which it had been.
 *  4. It goes only where rule (5) of plan.ts lets it, where what is used there leaves room in memory for it, and where the
 *     policy allows one more. The best by what it saves, then as plan.ts ranks them.
 *  5. A copy is worth proposing that saves so much waiting a day, in all and for each request; below that it is noise.
 *  6. A copy is idle that has not answered for as long as it has been there, a day at least, and is not in memory; where the
 *     others of the same are enough for the policy, and for safety: those that can be counted on, one at least; two where the
 *     model is asked for at all.
 *  7. So many proposals, and one for a model: what helps most first, then what frees most. After one is taken up things are
 *     different, and it is asked again.
 */
import type { Destination } from '../../machines/transfer.ts'
import type { Demand } from '../projections/demand.ts'
import { mostTaken, neededBytes } from '../projections/fit.ts'
import type { Replica } from '../projections/residency.ts'
import { CANDIDATES_MAX, choose } from './plan.ts'
import {
  admissionOf,
  CARE,
  type Care,
  destinationOf,
  type Need,
  needOf,
  type Scene,
  type Site,
  sitesOf,
  staysBeside,
} from './sites.ts'

export type Proposal =
  | {
      readonly do: 'add'
      readonly model: string
      readonly node: string
      readonly reason: string
      /** Waiting that it would have saved within the last day, all requests together. */
      readonly benefitMs: number
      /** What is to be brought. */
      readonly bytes?: number
      readonly candidates: readonly Destination[]
    }
  | {
      readonly do: 'remove'
      readonly model: string
      readonly node: string
      readonly reason: string
      /** What becomes free. */
      readonly bytes: number
    }

export const PROPOSALS_MAX = 10
const DAY_MS = 86_400_000
/** Below these nobody would notice. */
const SAVED_MIN_MS = 60_000
const SAVED_EACH_MIN_MS = 500
/** So many models are looked at for another copy, those that were waited for longest. */
const LOOKED_AT_MAX = 50

export function optimize(given: Scene, care: Care = CARE): readonly Proposal[] {
  const scene = { ...given, nodes: [...given.nodes] }
  const sites = sitesOf(scene, care)
  const ground = { scene, care, sites, used: usedIn(scene) }
  const waited = [...scene.demand]
    .filter(([model, demand]) => worthwhile(demand.waitMs, demand.requests) && !scene.made.has(model))
    .sort(([a, one], [b, other]) => other.waitMs - one.waitMs || (a < b ? -1 : 1))
    .slice(0, LOOKED_AT_MAX)
  const adds = waited.flatMap(([model, demand]) => addition(ground, model, demand) ?? [])
  const added = new Set(adds.map(({ model }) => model))
  const removals = [...scene.replicas.keys()].flatMap(model =>
    added.has(model) ? [] : (removal(scene, sites, model) ?? []),
  )
  adds.sort((a, b) => b.benefitMs - a.benefitMs || (a.model < b.model ? -1 : 1))
  removals.sort((a, b) => b.bytes - a.bytes || (a.model < b.model ? -1 : 1))
  return [...adds, ...removals].slice(0, PROPOSALS_MAX) // (7)
}

/** (5). Those whose wait is of the day may have come before it. */
function worthwhile(ms: number, requests: number): boolean {
  return requests > 0 && ms >= SAVED_MIN_MS && ms >= SAVED_EACH_MIN_MS * requests
}

type Addition = Extract<Proposal, { readonly do: 'add' }>
type Removal = Extract<Proposal, { readonly do: 'remove' }>

/** What is the same for all models. */
interface Ground {
  readonly scene: Scene
  readonly care: Care
  readonly sites: ReadonlyMap<string, Site>
  /** By node: the models that are used there, and what they need. */
  readonly used: ReadonlyMap<string, ReadonlyMap<string, Need>>
}

function addition({ scene, care, sites, used }: Ground, model: string, demand: Demand): Addition | undefined {
  const { requests, waitMs } = demand
  const copies = [...(scene.replicas.get(model)?.values() ?? [])]
  const policy = scene.policies.get(model) ?? {}
  const admits = admissionOf(policy)
  const serving = copies.flatMap(({ node }) => sites.get(node) ?? []).filter(({ node }) => admits(node))
  const coming = [...scene.transfers.open.values()].some(transfer => transfer.model === model)
  if (coming || serving.length === 0 || serving.length >= (policy.replicasMax ?? Number.POSITIVE_INFINITY))
    return undefined

  const need = needOf(scene, model)
  const { nodes, candidates, sizeBytes } = choose(scene, model, { all: true }, care) // (4)
  const able = nodes
    .filter(({ has }) => !has)
    .map(({ node }) => sites.get(node)!)
    .filter(site => staysBeside(site, need, [...(used.get(site.name)?.values() ?? [])]))
  let best: { readonly site: Site; readonly left: Left } | undefined
  for (const site of able) {
    const left = leftWith(demand, slotsOf(serving), site.node.slots)
    if (best === undefined || totalOf(left) < totalOf(best.left)) best = { site, left }
  }
  if (best === undefined) return undefined
  const { site, left } = best
  const benefitMs = Math.round(waitMs - totalOf(left))
  if (!worthwhile(benefitMs, requests)) return undefined
  const each = `${seconds(waitMs / requests)} on average within the last day (${requests} requests`
  const loads =
    waitForLoads(demand) >= waitMs / 20 ? `, ${demand.loads} loads, thrown out ${demand.evictions} times` : ''
  const then = `with a copy on ${site.name} it would have been ${seconds(totalOf(left) / requests)}`
  return {
    do: 'add',
    model,
    node: site.name,
    reason: `who asked for it waited ${each}${loads}); ${then}, ${seconds(benefitMs)} less in all`,
    benefitMs,
    ...(sizeBytes !== undefined && { bytes: sizeBytes }),
    candidates: [
      destinationOf(site, need, demand, policy.prefer?.includes(site.name) ?? false),
      ...candidates.filter(({ node }) => node !== site.name),
    ].slice(0, CANDIDATES_MAX),
  }
}

// ── (1) to (3) ───────────────────────────────────────────────────────────────────────────────────────────────────

/** What would be left of the waiting, milliseconds of all requests together. */
interface Left {
  readonly forLoadsMs: number
  readonly forSlotsMs: number
}

const totalOf = ({ forLoadsMs, forSlotsMs }: Left): number => forLoadsMs + forSlotsMs

function leftWith(demand: Demand, slots: number, more: number): Left {
  const { requests, waitMs, runMs, loads, evictions } = demand
  const loadsMs = waitForLoads(demand)
  const spared = loads === 0 ? 0 : Math.min(1, evictions / loads) // (3)
  const runEachMs = runMs / Math.max(1, requests)
  const slotEachMs = (waitMs - loadsMs) / requests
  const busy = busyFor(slotEachMs, slots, runEachMs)
  const then = waitEachMs((busy * slots) / (slots + more), slots + more, runEachMs)
  return { forLoadsMs: loadsMs * (1 - spared), forSlotsMs: Math.min(slotEachMs, then) * requests } // (2)
}

/** (1) */
function waitForLoads({ waitMs, loadMs }: Demand): number {
  return Math.min(waitMs, loadMs)
}

/** How long one waits for a slot, when all are busy for that share of the time. */
export function waitEachMs(busy: number, slots: number, runMs: number): number {
  return (runMs * busy ** (Math.sqrt(2 * (slots + 1)) - 1)) / (slots * (1 - busy))
}

/** The share for which one waits so long: the other way round, by halves. */
export function busyFor(waitMs: number, slots: number, runMs: number): number {
  if (waitMs <= 0 || runMs <= 0) return 0
  let low = 0
  let high = 1
  for (let i = 0; i < 40; i += 1) {
    const middle = (low + high) / 2
    if (waitEachMs(middle, slots, runMs) < waitMs) low = middle
    else high = middle
  }
  return low
}

function slotsOf(sites: readonly Site[]): number {
  return Math.max(
    1,
    sites.reduce((sum, { node }) => sum + (node.reach === 'up' ? node.slots : 0), 0),
  )
}

/** In memory now, or answered from there within the last day. */
function usedIn({ replicas, demand }: Scene): ReadonlyMap<string, ReadonlyMap<string, Need>> {
  const used = new Map<string, Map<string, Need>>()
  for (const [model, copies] of replicas) {
    const answered = demand.get(model)?.byNode
    const seen = mostTaken(copies.values())
    for (const copy of copies.values()) {
      const { node, state, sizeBytes } = copy
      if (state === 'present' && !answered?.has(node)) continue
      if (!used.has(node)) used.set(node, new Map())
      used.get(node)!.set(model, { sizeBytes, neededBytes: neededBytes(copy, seen) })
    }
  }
  return used
}

// ── (6) ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function removal(scene: Scene, sites: ReadonlyMap<string, Site>, model: string): Removal | undefined {
  const policy = scene.policies.get(model) ?? {}
  const admits = admissionOf(policy)
  const demand = scene.demand.get(model)
  const asked = demand !== undefined && demand.requests > 0
  if (scene.waiting(model) > 0) return undefined
  const firm = [...scene.replicas.get(model)!.values()].filter(({ node }) => {
    const site = sites.get(node)
    return site?.firm && admits(site.node)
  })
  const kept = Math.max(policy.replicasMin ?? 0, asked ? 2 : 1)
  const idle = firm.filter(copy => {
    const others = firm.filter(({ digest, id }) => id !== copy.id && digest === copy.digest).length
    const long = scene.now - copy.since >= DAY_MS && !demand?.byNode.has(copy.node)
    const preferred = policy.prefer?.includes(copy.node) ?? false
    return (
      copy.state === 'present' &&
      long &&
      !preferred &&
      others >= kept &&
      scene.running(copy.node, model) === 0
    )
  })
  // Where the disk is fullest it does most good.
  const [one] = idle.sort((a, b) => freeOf(sites, a) - freeOf(sites, b) || (a.node < b.node ? -1 : 1))
  if (one === undefined) return undefined
  const others = firm.length - 1
  const left = others === 1 ? 'one other has it' : `${others} others have it`
  return {
    do: 'remove',
    model,
    node: one.node,
    reason:
      `nobody was answered from there within the last day, and ${left}; ` +
      `that frees ${(one.sizeBytes / 1e9).toFixed(1)} GB on ${one.node}`,
    bytes: one.sizeBytes,
  }
}

function freeOf(sites: ReadonlyMap<string, Site>, { node }: Replica): number {
  return sites.get(node)!.freeBytes ?? Number.MAX_SAFE_INTEGER
}

function seconds(ms: number): string {
  if (ms < 10_000) return `${(ms / 1_000).toFixed(1)} s`
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`
  return ms < 7_200_000 ? `${Math.round(ms / 60_000)} min` : `${(ms / 3_600_000).toFixed(1)} h`
}
