/**
 * When is a node taken out, for how long, and how does it come back? Pure: what it is told is all it knows.
 * (docs/adr/0017 argues the rules and their numbers.)
 *
 *  1. On trial, one failure takes it out again.
 *  2. Three failures in a row take it out, whoever it is: what is sent there does no good.
 *  3. So does a failure that makes half of its last outcomes failures, of ten at least; but only where at least half of
 *     the nodes of each model that somebody wants are left then. (Of two or three, one may be out; of one, none.)
 *  4. It is out briefly where it only says that it is busy, and where nobody is left for a model that somebody wants.
 *  5. One that is out for its share alone comes on trial at once when it is needed after all: the fleet has become
 *     smaller, or somebody wants a model that nobody wanted.
 *  6. Back again, it may use one slot, and more as time passes: all of them after half a minute.
 */
import type { Trigger } from '../../machines/breaker.ts'
import type { Candidate } from '../../machines/request.ts'
import type { Breakers, BreakerView } from '../projections/breakers.ts'
import { type FleetNode, routable } from '../projections/fleet.ts'
import { type Open, type Requests, runningOn } from '../projections/requests.ts'
import type { Residency } from '../projections/residency.ts'
import type { Choice } from './place.ts'

/** What is known of the fleet, and of who wants what. */
export interface Ground {
  readonly fleet: ReadonlyMap<string, FleetNode>
  readonly residency: Residency['state']
  readonly requests: Requests
  readonly breakers: Breakers
}

/** Without that node, of the nodes of each model that somebody wants: half are left, fewer are, or for one model none. */
export type Cover = 'enough' | 'thin' | 'none'

export interface Verdict {
  readonly by: Trigger
  readonly share?: number
  readonly brief: boolean
}

const FAILURES_MAX = 3
const OUTCOMES_MIN = 10
const SHARE_MAX = 0.5
const RAMP_MS = 30_000

/**
 * Who is on trial counts as out: it takes one request at a time, and may be gone with the next. While nobody wants any of
 * a node's models, all of them count.
 */
export function cover(node: string, { fleet, residency, requests, breakers }: Ground): Cover {
  const covers: Cover[] = []
  const asked: Cover[] = []
  for (const model of residency.byNode.get(node)?.keys() ?? []) {
    let wanted = requests.queue.ofModel.has(model)
    let all = 0
    let left = 0
    for (const name of residency.byModel.get(model)?.keys() ?? []) {
      wanted ||= runningOn(requests, name, model) > 0
      const member = fleet.get(name)
      if (member === undefined || !routable(member)) continue
      all += 1
      if (name !== node && (breakers.nodes.get(name)?.state ?? 'closed') === 'closed') left += 1
    }
    const found = left === 0 ? 'none' : 2 * left < all ? 'thin' : 'enough'
    covers.push(found)
    if (wanted) asked.push(found)
  }
  const told = asked.length > 0 ? asked : covers
  return told.includes('none') ? 'none' : told.includes('thin') ? 'thin' : 'enough'
}

/** Is its breaker due, and how? */
export function verdict(node: string, view: BreakerView, ground: Ground): Verdict | undefined {
  const { state, failures, outcomes, reason } = view
  if (state === 'open') return undefined
  const brief = (): boolean => reason === 'busy' || cover(node, ground) === 'none' // (4)
  if (state === 'halfOpen') return failures > 0 ? { by: 'trial', brief: brief() } : undefined // (1)
  if (failures >= FAILURES_MAX) return { by: 'row', brief: brief() } // (2)
  if (outcomes.length < OUTCOMES_MIN || outcomes.at(-1)!.ok) return undefined
  const share = outcomes.filter(({ ok }) => !ok).length / outcomes.length
  if (share < SHARE_MAX || cover(node, ground) !== 'enough') return undefined // (3)
  return { by: 'ratio', share: Math.round(share * 100) / 100, brief: false }
}

/** (5) */
export function needed(node: string, ground: Ground): boolean {
  return cover(node, ground) !== 'enough'
}

/** (6) In equal steps. A wall clock that was set back ends it: else it might take for ever. */
export function warmSlots(slots: number, backAt: number, now: number): number {
  const sinceMs = now - backAt
  if (sinceMs < 0 || sinceMs >= RAMP_MS) return slots
  return 1 + Math.floor(((slots - 1) * sinceMs) / RAMP_MS)
}

/** How long until it may use one more; undefined where it may use all. */
export function nextSlotMs(slots: number, backAt: number, now: number): number | undefined {
  const warm = warmSlots(slots, backAt, now)
  return warm < slots ? Math.ceil((warm * RAMP_MS) / (slots - 1)) - (now - backAt) : undefined
}

/** Could another node answer a running request at once: from memory, in a slot that is idle? */
export function elsewhere(
  open: Open,
  choose: (open: Open) => Choice & { readonly candidates: readonly Candidate[] },
): boolean {
  const tried = new Set([...open.tried, open.node])
  const choice = choose({ ...open, tried })
  if (choice.to !== 'assign' || tried.has(choice.node)) return false
  return choice.candidates.some(({ node, resident }) => node === choice.node && resident)
}
