/**
 * Where should this request run, whose turn it is in its line? Pure: what it is told is all it knows.
 *
 *  1. A node is out of the question when it may not be given work, or when it does not have the model. (Where no node
 *     at all has it, any node may say so itself: its own 404 is the answer. Not while a new node has yet to say what it
 *     has.)
 *  2. A node this request already failed on is tried again only when nobody else is left; the same goes for a node
 *     outside its hours.
 *  3. Resident with an idle slot: there, where the answer is expected to end first. Nodes that take up to a quarter
 *     longer are as good as the fastest; of these one that nothing slows down, then the one that people prefer, then the
 *     one that has answered the head of this conversation, then the least load for its weight, then by name. (Who fails
 *     fast looks idle; its breaker sees to that.)
 *  4. But not on a slow node while faster copies, though busy, would have answered all who wait before it has answered
 *     one by half; and nobody waits longer for that than half of what the slow one takes. (The slow server is worth
 *     starting from a certain length of the line on: Lin and Kumar 1984. Why by half: test/bench/README.md.)
 *  5. Present, its last load failed: there too, unloaded, so that the client hears the node's own words.
 *  6. Present: load it, when that is expected to cost less than waiting for the warm copies. A load costs its own
 *     time, and that of bringing back what it displaces if somebody waits for that or uses it; and where it displaces
 *     something, twice that: it will have to be undone. (What that is worth: test/bench/README.md.) The same goes for a
 *     node that is slowed down: the copy would be of less use. Where the model does not fit into the memory for models,
 *     the load costs what the answer takes longer there, too; and where that is more than a quarter, it comes after all
 *     others.
 *  7. But where it displaces something, only after the line has waited as long as that costs, beside what would have to
 *     go. (Rent until the rent has reached the price, then buy: never worse than twice the best. Karlin et al. 1988.)
 *     So a copy that was loaded serves at least as long as its load took, and two models that share a node take turns
 *     of that length. Where everything that would have to go is busy, the node is claimed: it takes nothing else until
 *     it is free.
 *  8. Wait.
 */
import type { Candidate } from '../../machines/request.ts'

/** One node, as the house knows it now, seen with one request in mind. Durations in milliseconds. */
export interface Spot {
  readonly node: string
  /** Why no work may go there, whatever the model. */
  readonly barred?: string | undefined
  /** Of the model, loaded as this request needs it. Loaded otherwise, it is present. */
  readonly memory: 'absent' | 'present' | 'loading' | 'resident'
  readonly slots: number
  /** Requests of this model that run there, and all of them. */
  readonly running: number
  readonly load: number
  /** How much of the work it should get, beside a node of weight 1. */
  readonly weight: number
  /** People would rather have it here. */
  readonly preferred: boolean
  /** It is outside the hours in which the node is wanted. */
  readonly offHours: boolean
  /** The head of this conversation was answered here last; and how well the two suit each other otherwise. */
  readonly affine: boolean
  readonly affinity: number
  readonly loadFailures: number
  /** Could a load start now: in a free place, by evicting an idle model, or not at all? */
  readonly room: 'free' | 'evict' | 'full'
  readonly loadMs: number
  /** How long this request would run there. */
  readonly runMs: number
  /** While loading: what is left of it. */
  readonly loadLeftMs: number
  /** How long that model has been in memory. */
  readonly heldMs: number
  /** What bringing back the evicted model would cost those who use it or wait for it; 0 when nobody does. */
  readonly evictMs: number
  /** What slows the node down for longer than a moment. */
  readonly throttled?: string | undefined
  /** How much longer this request would run there because the model does not fit into memory; 0 where it does. */
  readonly spillMs?: number
  /** Models beside which it does not fit, so that they would have to go. */
  readonly crowdedBy?: readonly string[]
}

export interface Demand {
  readonly tried: ReadonlySet<string>
  /** A node that came a moment ago has not said yet what it has. */
  readonly unsettled: boolean
  /** How many wait in the line, this one included. */
  readonly waiting: number
  /** How long the first of the line has waited. */
  readonly waitedMs: number
}

export type Choice =
  | { readonly to: 'assign'; readonly node: string }
  | { readonly to: 'load'; readonly node: string; readonly estimateMs: number }
  | { readonly to: 'claim'; readonly node: string }
  /** `ripeInMs`: by waiting alone, something else becomes right by then. */
  | { readonly to: 'wait'; readonly ripeInMs?: number }

/** What could be weighed otherwise; hindsight asks what would have come of that. */
export interface Weights {
  /** What is as good as the fastest may take so much longer. (3) */
  readonly asGood: number
  /** How often a load counts that displaces something: there and back. (6) */
  readonly swapCost: number
  /** Of shorter answers nobody notices the difference, and their times are mostly chance. (4) */
  readonly slowMinMs: number
}

export const WEIGHTS: Weights = { asGood: 1.25, swapCost: 2, slowMinMs: 1_000 }

/** A table in a fact is for people to read. */
export const CANDIDATES_MAX = 16

export function place(demand: Demand, spots: readonly Spot[], weights: Weights = WEIGHTS): Choice {
  const known = isKnown(spots)
  if (!known && demand.unsettled) return { to: 'wait' } // (1)
  const able = ableOf(demand, spots, known)
  let ripeInMs = Number.POSITIVE_INFINITY
  const ready = able.filter(spot => idle(spot) > 0 && (!known || answers(spot))) // (5)
  if (ready.length > 0) {
    const spot = best(ready, weights) // (3)
    const patienceMs = known && spot.memory === 'resident' ? patience(spot, demand, able, weights) : 0 // (4)
    if (patienceMs <= 0) return { to: 'assign', node: spot.node }
    ripeInMs = patienceMs
  }

  const cold = able.filter(({ memory }) => memory === 'present')
  if (cold.length === 0) return wait(ripeInMs) // (8)
  const { spot, priceMs, rentMs } = cold.map(spot => offerOf(spot, demand, weights)).reduce(better)
  const { node, room, loadMs, throttled } = spot
  const worthMs = priceMs * (room === 'free' && throttled === undefined ? 1 : weights.swapCost)
  if (worthMs >= drainMs(able, demand)) return wait(ripeInMs)
  if (rentMs > 0) return wait(Math.min(ripeInMs, rentMs)) // (7)
  return room === 'full' ? { to: 'claim', node } : { to: 'load', node, estimateMs: loadMs } // (6)
}

/** What was known of the nodes, for people to read; the chosen one is always among them. */
export function candidatesOf(demand: Demand, spots: readonly Spot[], chosen?: string): readonly Candidate[] {
  const known = isKnown(spots)
  const able = ableOf(demand, spots, known)
  const drained = drainMs(able, demand)
  return shownOf(spots, able, chosen).map(spot =>
    candidate(spot, known, drained, able.includes(spot) ? undefined : why(spot, demand, known)),
  )
}

/** All where they are few; else the chosen one, some that could have been, and some that could not. */
function shownOf(spots: readonly Spot[], able: readonly Spot[], chosen: string | undefined): readonly Spot[] {
  if (spots.length <= CANDIDATES_MAX) return spots
  const shown = new Set(spots.filter(({ node }) => node === chosen))
  for (const some of [able, spots]) for (const spot of some) if (shown.size < CANDIDATES_MAX) shown.add(spot)
  return [...shown]
}

function isKnown(spots: readonly Spot[]): boolean {
  return spots.some(({ memory }) => memory !== 'absent')
}

function ableOf({ tried }: Demand, spots: readonly Spot[], known: boolean): readonly Spot[] {
  const may = spots.filter(({ barred, memory }) => barred === undefined && !(known && memory === 'absent')) // (1)
  const fresh = tried.size === 0 ? may : may.filter(({ node }) => !tried.has(node)) // (2)
  const able = fresh.length > 0 ? fresh : may
  if (!able.some(({ offHours }) => offHours)) return able
  const wanted = able.filter(({ offHours }) => !offHours)
  return wanted.length > 0 ? wanted : able
}

function why({ barred, memory, node }: Spot, { tried }: Demand, known: boolean): string {
  if (barred !== undefined) return barred
  if (known && memory === 'absent') return 'does not have the model'
  return tried.has(node) ? 'failed already' : 'outside its hours'
}

function answers({ memory, loadFailures }: Spot): boolean {
  return memory === 'resident' || (memory === 'present' && loadFailures > 0)
}

function idle({ slots, running }: Spot): number {
  return Math.max(0, slots - running)
}

function best(ready: readonly Spot[], { asGood }: Weights): Spot {
  const good = fastestMs(ready) * asGood
  return ready.reduce((a, b) => (byMerit(a, b, good) <= 0 ? a : b))
}

function fastestMs(ready: readonly Spot[]): number {
  let fastest = Number.POSITIVE_INFINITY
  for (const { runMs } of ready) fastest = Math.min(fastest, runMs)
  return fastest
}

/** Up to `good` milliseconds, all are as fast as the fastest. */
function byMerit(a: Spot, b: Spot, good: number): number {
  return (
    Number(b.memory === 'resident') - Number(a.memory === 'resident') ||
    Number(b.runMs <= good) - Number(a.runMs <= good) ||
    (a.runMs <= good ? 0 : a.runMs - b.runMs) ||
    bySlack(a, b) ||
    Number(b.preferred) - Number(a.preferred) ||
    Number(b.affine) - Number(a.affine) ||
    b.affinity - a.affinity ||
    a.load / a.weight - b.load / b.weight ||
    byName(a, b)
  )
}

/** Slowed down comes after not slowed down. */
function bySlack(a: Spot, b: Spot): number {
  return Number(a.throttled !== undefined) - Number(b.throttled !== undefined)
}

function wait(ripeInMs: number): Choice {
  return Number.isFinite(ripeInMs) ? { to: 'wait', ripeInMs } : { to: 'wait' }
}

/** What put a node before another that could have answered as well: the first of (3) in which they differ. */
export type Edge = 'speed' | 'throttled' | 'preference' | 'conversation' | 'load' | 'name'

/** `undefined` where the two were not compared: one of them could not have answered at once. */
export function edgeOf(
  { demand, spots, weights = WEIGHTS }: Weighed,
  node: string,
  other: string,
): Edge | undefined {
  const ready = ableOf(demand, spots, isKnown(spots)).filter(
    spot => idle(spot) > 0 && spot.memory === 'resident',
  )
  const [a, b] = [node, other].map(name => ready.find(spot => spot.node === name))
  if (a === undefined || b === undefined) return undefined
  const good = fastestMs(ready) * weights.asGood
  if (a.runMs > good || b.runMs > good) return a.runMs === b.runMs ? 'name' : 'speed'
  if (bySlack(a, b) !== 0) return 'throttled'
  if (a.preferred !== b.preferred) return 'preference'
  if (a.affine !== b.affine || a.affinity !== b.affinity) return 'conversation'
  return a.load / a.weight === b.load / b.weight ? 'name' : 'load'
}

export interface Weighed {
  readonly demand: Demand
  readonly spots: readonly Spot[]
  readonly weights?: Weights
}

/** How much longer faster copies, now busy, are worth waiting for rather than this one. */
function patience(
  { runMs }: Spot,
  { waiting, waitedMs }: Demand,
  able: readonly Spot[],
  { slowMinMs }: Weights,
): number {
  if (runMs < slowMinMs) return 0
  let pace = 0
  let fastest = Number.POSITIVE_INFINITY
  for (const spot of able) {
    if (spot.memory !== 'resident' || spot.runMs >= runMs) continue
    pace += spot.slots / spot.runMs
    fastest = Math.min(fastest, spot.runMs)
  }
  const soonMs = pace === 0 ? Number.POSITIVE_INFINITY : (waiting - 0.5) / pace + fastest
  return soonMs < runMs / 2 ? runMs / 2 - waitedMs : 0
}

function priceMs({ loadMs, evictMs }: Spot): number {
  return loadMs + evictMs
}

function spills({ spillMs = 0 }: Spot): boolean {
  return spillMs > 0
}

/** Nobody would miss what this load displaces. */
function gentle({ room, evictMs }: Spot): boolean {
  return room === 'free' || (room === 'evict' && evictMs === 0)
}

/** What a load would cost there. */
interface Offer {
  readonly spot: Spot
  readonly gentle: boolean
  /** Answers would take so much longer there that it is not as good. */
  readonly spills: boolean
  readonly priceMs: number
  /** How much longer the line has to wait until it may displace what is there. */
  readonly rentMs: number
}

function offerOf(spot: Spot, { waitedMs }: Demand, { asGood }: Weights): Offer {
  const soft = gentle(spot)
  const price = priceMs(spot)
  const { spillMs = 0 } = spot
  return {
    spot,
    gentle: soft,
    spills: spillMs > (asGood - 1) * spot.runMs,
    priceMs: price + spillMs,
    rentMs: soft ? 0 : Math.max(0, price - Math.min(waitedMs, spot.heldMs)),
  }
}

function better(a: Offer, b: Offer): Offer {
  const order =
    Number(a.spills) - Number(b.spills) ||
    Number(b.gentle) - Number(a.gentle) ||
    bySlack(a.spot, b.spot) ||
    Number(b.spot.preferred) - Number(a.spot.preferred) ||
    a.rentMs + a.priceMs - b.rentMs - b.priceMs ||
    a.spot.load / a.spot.weight - b.spot.load / b.spot.weight ||
    byName(a.spot, b.spot)
  return order <= 0 ? a : b
}

/** How long until the warm copies, and those about to be, have taken all who wait. */
function drainMs(able: readonly Spot[], { waiting }: Demand): number {
  let pace = 0
  let left = Number.POSITIVE_INFINITY
  for (const { memory, slots, runMs, loadLeftMs } of able) {
    if (memory !== 'resident' && memory !== 'loading') continue
    pace += slots / Math.max(1, runMs)
    left = Math.min(left, memory === 'loading' ? loadLeftMs : 0)
  }
  return pace === 0 ? Number.POSITIVE_INFINITY : left + (waiting - 0.5) / pace
}

function candidate(spot: Spot, known: boolean, drained: number, excluded: string | undefined): Candidate {
  const { node, memory, affine } = spot
  const warm = memory === 'resident' && idle(spot) > 0
  const waitMs = warm || !known ? 0 : memory === 'present' ? priceMs(spot) : drained
  const estimateMs = excluded === undefined && Number.isFinite(waitMs) ? Math.round(waitMs) : null
  const row = { node, resident: memory === 'resident', idle: idle(spot), estimateMs }
  const but = excluded === undefined ? against(spot) : ''
  return {
    ...row,
    ...(affine && { affine }),
    ...(excluded !== undefined && { excluded }),
    ...(but !== '' && { against: but }),
  }
}

/** What told against a node that was not out of the question, in words. */
function against(spot: Spot): string {
  const { memory, throttled, crowdedBy = [] } = spot
  const cold = memory === 'present'
  return [
    throttled === undefined ? '' : `throttled: ${throttled}`,
    cold && spills(spot) ? 'larger than its memory' : '',
    cold && crowdedBy.length > 0 ? `does not fit beside ${crowdedBy.join(', ')}` : '',
  ]
    .filter(Boolean)
    .join('; ')
}

function byName(a: Spot, b: Spot): number {
  return a.node < b.node ? -1 : 1
}
