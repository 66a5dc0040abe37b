/**
 * Where should the first of a model's waiting requests run? Pure: what it is told is all it knows.
 *
 *  1. A node is out of the question when it may not be given work, or when it does not have the model. (Where no node
 *     at all has it, any node may say so itself: its own 404 is the answer. Not while a new node has yet to say what it
 *     has.)
 *  2. A node this request already failed on is tried again only when nobody else is left.
 *  3. Resident with an idle slot: there. Least load, then name. (Who fails fast looks idle; its breaker sees to that.)
 *  4. Present, its last load failed: there too, unloaded, so that the client hears the node's own words.
 *  5. Present: load it, when that is expected to cost less than waiting for the warm copies. A load costs its own
 *     time, and that of bringing back what it displaces if somebody waits for that or uses it.
 *  6. But where it displaces something, only after the request has waited as long as that costs. (Rent until the rent
 *     has reached the price, then buy: never worse than twice the best. Karlin et al. 1988.) Where everything that
 *     would have to go is busy, the node is claimed: it takes nothing else until it is free.
 *  7. Wait.
 */
import type { Candidate } from '../../machines/request.ts'

/** One node, as the house knows it now, seen with one model in mind. Durations in milliseconds. */
export interface Spot {
  readonly node: string
  /** Why no work may go there, whatever the model. */
  readonly barred?: string
  readonly memory: 'absent' | 'present' | 'loading' | 'resident'
  readonly slots: number
  /** Requests of this model that run there, and all of them. */
  readonly running: number
  readonly load: number
  readonly loadFailures: number
  /** Could a load start now: in a free place, by evicting an idle model, or not at all? */
  readonly room: 'free' | 'evict' | 'full'
  readonly loadMs: number
  readonly runMs: number
  /** While loading: what is left of it. */
  readonly loadLeftMs: number
  /** What bringing back the evicted model would cost those who wait for it; 0 when nobody does. */
  readonly evictMs: number
}

export interface Demand {
  readonly tried: ReadonlySet<string>
  /** A node that came a moment ago has not said yet what it has. */
  readonly unsettled: boolean
  /** How many wait for this model, this one included. */
  readonly waiting: number
  readonly waitedMs: number
}

export type Choice =
  | { readonly to: 'assign'; readonly node: string; readonly candidates: readonly Candidate[] }
  | { readonly to: 'load'; readonly node: string; readonly estimateMs: number }
  | { readonly to: 'claim'; readonly node: string }
  | { readonly to: 'wait'; readonly candidates: readonly Candidate[] }

/** A table in a fact is for people to read. */
const CANDIDATES_MAX = 16

export function place(demand: Demand, spots: readonly Spot[]): Choice {
  const known = spots.some(({ memory }) => memory !== 'absent')
  const verdicts = spots.map(spot => exclude(spot, known)) // (1)
  const fresh = spots.some((spot, i) => verdicts[i] === undefined && !demand.tried.has(spot.node))
  const able: Spot[] = []
  const candidates: Candidate[] = []
  for (const [i, spot] of spots.entries()) {
    const excluded = verdicts[i] ?? (fresh && demand.tried.has(spot.node) ? 'failed already' : undefined) // (2)
    if (excluded === undefined) able.push(spot)
    candidates.push(candidate(spot, demand, known, excluded))
  }

  if (!known && demand.unsettled) return { to: 'wait', candidates: short(candidates) }
  const ready = able.filter(spot => idle(spot) > 0 && (!known || answers(spot))) // (3) (4)
  if (ready.length > 0) {
    const { node } = best(ready, byLoad)
    return { to: 'assign', node, candidates: short(candidates, node) }
  }

  const cold = able.filter(({ memory }) => memory === 'present')
  const warmMs = Math.min(...able.map(spot => warmWaitMs(spot, demand)))
  if (cold.length > 0) {
    const target = best(cold, byPrice)
    const ripe = gentle(target) || demand.waitedMs >= priceMs(target) // (6)
    if (ripe && priceMs(target) < warmMs) {
      const { node, room, loadMs } = target
      return room === 'full' ? { to: 'claim', node } : { to: 'load', node, estimateMs: loadMs } // (5)
    }
  }
  return { to: 'wait', candidates: short(candidates) } // (7)
}

/** A long table is cut; the node that was chosen stays. */
function short(candidates: readonly Candidate[], chosen?: string): readonly Candidate[] {
  if (candidates.length <= CANDIDATES_MAX) return candidates
  const first = candidates.filter(({ node }) => node === chosen)
  return [...first, ...candidates.filter(({ node }) => node !== chosen)].slice(0, CANDIDATES_MAX)
}

function exclude({ barred, memory }: Spot, known: boolean): string | undefined {
  if (barred !== undefined) return barred
  return known && memory === 'absent' ? 'does not have the model' : undefined
}

function answers({ memory, loadFailures }: Spot): boolean {
  return memory === 'resident' || (memory === 'present' && loadFailures > 0)
}

function idle({ slots, running }: Spot): number {
  return Math.max(0, slots - running)
}

/** What is busy comes back too: its way back is thought to cost as much as this load. */
function priceMs({ room, loadMs, evictMs }: Spot): number {
  return loadMs + (room === 'full' ? loadMs : evictMs)
}

/** Nobody would miss what this load displaces. */
function gentle({ room, evictMs }: Spot): boolean {
  return room === 'free' || (room === 'evict' && evictMs === 0)
}

/** How long the last of those waiting would wait for this copy, if it is warm or about to be. */
function warmWaitMs(spot: Spot, { waiting }: Demand): number {
  if (spot.memory !== 'resident' && spot.memory !== 'loading') return Number.POSITIVE_INFINITY
  const left = spot.memory === 'loading' ? spot.loadLeftMs : 0
  return left + (spot.runMs * (waiting - 0.5)) / spot.slots
}

function candidate(spot: Spot, demand: Demand, known: boolean, excluded: string | undefined): Candidate {
  const { node, memory } = spot
  const warm = memory === 'resident' && idle(spot) > 0
  const waitMs = warm || !known ? 0 : memory === 'present' ? priceMs(spot) : warmWaitMs(spot, demand)
  const estimateMs = excluded === undefined && Number.isFinite(waitMs) ? Math.round(waitMs) : null
  const row = { node, resident: memory === 'resident', idle: idle(spot), estimateMs }
  return excluded === undefined ? row : { ...row, excluded }
}

function best(spots: readonly Spot[], order: (a: Spot, b: Spot) => number): Spot {
  return spots.reduce((a, b) => (order(a, b) <= 0 ? a : b))
}

function byLoad(a: Spot, b: Spot): number {
  return a.load - b.load || byName(a, b)
}

function byPrice(a: Spot, b: Spot): number {
  return Number(gentle(b)) - Number(gentle(a)) || priceMs(a) - priceMs(b) || a.load - b.load || byName(a, b)
}

function byName(a: Spot, b: Spot): number {
  return a.node < b.node ? -1 : 1
}
