/**
 * How many copies of each model should there be, and where? Pure: what it is told is all it knows. Carried out, and asked
 * again, it soon has nothing more to say.
 *
 *  1. Only models whose policy says how many copies there are, are looked at. Others nobody touches.
 *  2. A copy counts where the policy lets the model be, also on a node in drain, and on a lost one until the grace is over.
 *     One on its way to such a node counts as well.
 *  3. What is on its way and not begun is called off where nobody needs it any more: its node is gone for good, or is lost
 *     beyond the grace, or in drain, or its disk is full; the policy does not let it be there, or there are copies enough
 *     without it. What people asked for is called off only with its node. What is under way is stopped only where its node
 *     is gone or lost, or the policy says no.
 *  4. Where there are fewer copies than wanted, others are brought: first of models that have the smallest part of what
 *     they want, then of those most asked for, then by name.
 *  5. A node is out of the question where the policy does not let the model be, or it is there or on its way; where the node
 *     is not up and at work, and has been for a moment; its breaker is open; it is slowed down; its disk has no room beside
 *     what stays free and what is on its way; its memory could not hold the model; or where it was given up of late. What is
 *     not known excludes nothing.
 *  6. Of the others, first those that people prefer; then by the memory the model fits (a GPU's, the machine's, unknown); by
 *     how much of its requests could be answered there, in quarters; by whether the disk stays roomy; by load, in quarters;
 *     and what is still equal by lot: weighted rendezvous, so that a new node changes little.
 *  7. Where there are more copies than allowed, or copies where the policy does not let them be, they are taken away: first
 *     what is not in memory, then from nodes that came within the last day (who comes and goes is not moved about for), then
 *     the least fitting by (6). Only where the policy says how many there are at most; and never while that leaves fewer
 *     that can be counted on than it wants at least, or none; nor one that loads or works, or is in memory while somebody
 *     waits for the model; nor one that is not what the others are; nor from a node that has not been up and at work for as
 *     long as the grace.
 */
import type { Destination } from '../../machines/transfer.ts'
import type { Demand } from '../projections/demand.ts'
import type { Replica } from '../projections/residency.ts'
import type { EndedTransfer, OpenTransfer } from '../projections/transfers.ts'
import {
  type Admission,
  admissionOf,
  agoMs,
  CARE,
  type Care,
  demandAt,
  destinationOf,
  fitOf,
  hashOf,
  hasRoom,
  lotOf,
  type Need,
  needOf,
  type PlannedPolicy,
  promise,
  release,
  type Scene,
  type Site,
  sitesOf,
} from './sites.ts'

export type Action =
  | {
      readonly do: 'pull'
      readonly model: string
      readonly node: string
      readonly reason: string
      readonly candidates: readonly Destination[]
      readonly sizeBytes?: number
      /** Of the copies there are. */
      readonly digest?: string
      /** Nodes that have it and do not count any more. */
      readonly lost?: readonly string[]
    }
  | { readonly do: 'remove'; readonly model: string; readonly node: string; readonly reason: string }
  | {
      readonly do: 'cancel'
      readonly model: string
      readonly node: string
      readonly reason: string
      readonly why: 'policy' | 'gone'
    }

/** What there is of a model, beside what is wanted. */
export interface Stock {
  readonly model: string
  readonly min: number
  readonly max?: number
  /** Nodes whose copies count; those of them that can be counted on; where it is on its way. */
  readonly copies: readonly string[]
  readonly firm: readonly string[]
  readonly coming: readonly string[]
  /** Lost nodes that have it and do not count any more; nodes that have it against the policy. */
  readonly lost: readonly string[]
  readonly strays: readonly string[]
}

export interface Plan {
  readonly actions: readonly Action[]
  /** Of each model that was looked at, by name. */
  readonly stocks: readonly Stock[]
  /** What cannot be as it is wanted, and why; sentences. */
  readonly unmet: readonly { readonly model: string; readonly reason: string }[]
  /** When time alone will have changed something, milliseconds since the epoch. */
  readonly againAt?: number
}

/** A table in a fact is for people to read. */
export const CANDIDATES_MAX = 8

const LATE_MS = 86_400_000

/** `only`: these models, where what others need has been ordered already. */
export function plan(scene: Scene, care: Care = CARE, only?: Iterable<string>): Plan {
  const self = new Planning(scene, care, only === undefined ? undefined : new Set(only))
  self.callOff() // (3)
  self.bring() // (4)
  self.takeAway() // (7)
  return self.plan
}

/** Why a copy may not be taken away now; undefined where it may. To be asked again right before the deed. */
export function mayRemove(scene: Scene, model: string, node: string, care: Care = CARE): string | undefined {
  const { actions, unmet } = plan(scene, care, [model])
  if (actions.some(action => action.do === 'remove' && action.model === model && action.node === node))
    return undefined
  return unmet.find(one => one.model === model)?.reason ?? 'there is not one too many any more'
}

interface Held {
  readonly site: Site
  readonly replica: Replica
}

interface Wanted {
  readonly model: string
  readonly policy: PlannedPolicy
  readonly min: number
  readonly max: number
  readonly hash: number
  readonly need: Need
  readonly demand: Demand | undefined
  readonly admits: Admission
  /** By node: all copies; and of what was given up, the last ones. */
  readonly copies: ReadonlyMap<string, Replica>
  readonly given: readonly EndedTransfer[]
  readonly counted: Held[]
  readonly strays: Held[]
  readonly lost: string[]
  coming: OpenTransfer[]
}

class Planning {
  readonly #scene: Scene
  readonly #care: Care
  readonly #sites: Map<string, Site>
  readonly #open: readonly OpenTransfer[]
  readonly #abandoned = new Map<string, EndedTransfer[]>()
  readonly #wanted: readonly Wanted[]
  readonly #only: ReadonlySet<string> | undefined
  readonly #actions: Action[] = []
  readonly #unmet: { model: string; reason: string }[] = []

  constructor(scene: Scene, care: Care, only: ReadonlySet<string> | undefined) {
    this.#scene = scene
    this.#care = care
    this.#only = only
    this.#sites = sitesOf(scene, care)
    this.#open = [...scene.transfers.open.values()].sort((a, b) => a.seq - b.seq || (a.id < b.id ? -1 : 1))
    for (const one of scene.transfers.abandoned.values()) push(this.#abandoned, one.model, one)
    this.#wanted = this.#look()
  }

  get plan(): Plan {
    const againAt = this.#againAt()
    return {
      actions: this.#actions,
      stocks: this.#wanted.map(stockOf),
      unmet: this.#unmet,
      ...(againAt !== undefined && { againAt }),
    }
  }

  callOff(): void {
    const wanted = new Map(this.#wanted.map(one => [one.model, one]))
    // The last to come is the first to go.
    for (const transfer of [...this.#open].reverse()) {
      const { model, node } = transfer
      if (this.#only !== undefined && !this.#only.has(model)) continue
      const site = this.#sites.get(node)
      const reason = this.#pointless(transfer, site, wanted.get(model))
      if (reason === undefined) continue
      const why = site === undefined ? 'gone' : 'policy'
      this.#actions.push({ do: 'cancel', model, node, reason, why })
      if (site !== undefined) release(site, this.#scene, transfer)
      const one = wanted.get(model)
      if (one !== undefined) one.coming = one.coming.filter(other => other !== transfer)
    }
  }

  bring(): void {
    const short = this.#wanted.filter(one => have(one) < one.min)
    const part = (one: Wanted): number => have(one) / one.min
    const asked = (one: Wanted): number => one.demand?.requests ?? 0
    short.sort((a, b) => part(a) - part(b) || asked(b) - asked(a) || (a.model < b.model ? -1 : 1))
    for (const one of short) this.#bring(one)
  }

  takeAway(): void {
    for (const one of this.#wanted) if (Number.isFinite(one.max)) this.#takeAway(one)
  }

  // ── what there is ────────────────────────────────────────────────────────────────────────────────────────────

  /** (1) */
  #look(): readonly Wanted[] {
    const { policies } = this.#scene
    const coming = new Map<string, OpenTransfer[]>()
    for (const transfer of this.#open) push(coming, transfer.model, transfer)
    return [...(this.#only ?? policies.keys())].sort().flatMap(model => {
      const policy = policies.get(model)
      const numbered = policy?.replicasMin !== undefined || policy?.replicasMax !== undefined
      return numbered ? [this.#stock(model, policy!, coming.get(model) ?? [])] : []
    })
  }

  /** (2) */
  #stock(model: string, policy: PlannedPolicy, coming: readonly OpenTransfer[]): Wanted {
    const one: Wanted = {
      model,
      policy,
      min: policy.replicasMin ?? 0,
      max: policy.replicasMax ?? Number.POSITIVE_INFINITY,
      hash: hashOf(model),
      need: needOf(this.#scene, model),
      demand: this.#scene.demand.get(model),
      admits: admissionOf(policy),
      copies: this.#scene.replicas.get(model) ?? new Map<string, Replica>(),
      given: this.#abandoned.get(model) ?? [],
      counted: [],
      strays: [],
      lost: [],
      coming: [],
    }
    for (const [name, replica] of one.copies) {
      const site = this.#sites.get(name)
      if (site === undefined) continue
      if (!one.admits(site.node)) one.strays.push({ site, replica })
      else if (site.gone) one.lost.push(name)
      else one.counted.push({ site, replica })
    }
    one.counted.sort(byName)
    one.strays.sort(byName)
    one.lost.sort()
    one.coming = coming.filter(({ node }) => {
      const site = this.#sites.get(node)
      return site !== undefined && !site.gone && !one.copies.has(node) && one.admits(site.node)
    })
    return one
  }

  // ── (3) ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #pointless(
    { node, cause, state, model }: OpenTransfer,
    site: Site | undefined,
    one: Wanted | undefined,
  ): string | undefined {
    if (site === undefined) return `there is no node called ${node} any more`
    if (cause === 'asked') return undefined
    if (site.gone) return `${node} is lost`
    const policy = this.#scene.policies.get(model)
    if (policy !== undefined && !admissionOf(policy)(site.node))
      return `its policy does not let it be on ${node}`
    if (state === 'running') return undefined
    if (site.node.duty !== 'active') return `${node} is drained`
    if (site.freeBytes !== undefined && site.freeBytes < -this.#care.reserveBytes)
      return `the disk of ${node} has no room for it`
    if (cause === 'optimize') return undefined
    if (one === undefined || one.min === 0) return 'its policy does not ask for it any more'
    const others = one.counted.filter(({ site }) => site.firm).length + one.coming.length - 1
    return others >= one.min ? `there are ${one.min} copies without it` : undefined
  }

  // ── (4) to (6) ───────────────────────────────────────────────────────────────────────────────────────────────

  #bring(one: Wanted): void {
    const { model, policy, min, need, demand } = one
    const { sizeBytes } = need
    const has = have(one)
    const hold = this.#hold(one)
    if (hold !== undefined) return this.#miss(one, hold)
    const exclude = (site: Site): string | undefined => this.#exclude(one, site)
    const { ranked, excluded } = rank(one, this.#sites.values(), exclude, min - has)
    const chosen = ranked.slice(0, min - has)
    const row = ({ site }: { readonly site: Site }, why?: string): Destination =>
      destinationOf(site, need, demand, prefers(policy, site), why)
    const rows = tableOf(ranked, excluded, chosen.length, row)
    const digest = sameDigest(one)
    chosen.forEach(({ site }, i) => {
      this.#actions.push({
        do: 'pull',
        model,
        node: site.name,
        reason: `${shortOf(one, has + i)}; ${site.name} ${merits(one, site)}`,
        candidates: i < rows.length ? rows : [...rows.slice(1), row(chosen[i]!)],
        ...(sizeBytes !== undefined && { sizeBytes }),
        ...(digest !== undefined && { digest }),
        ...(one.lost.length > 0 && { lost: one.lost }),
      })
      promise(site, this.#scene, model)
    })
    if (chosen.length < min - has)
      this.#miss(one, whyNot(this.#sites.values(), exclude, chosen), has + chosen.length)
  }

  /** Why no node could get it. */
  #hold({ model, policy, given }: Wanted): string | undefined {
    if (this.#scene.made.has(model)) return 'it was made here, so that no other node can pull it'
    const unknown = given.some(last => last.reason === 'unknown' && this.#rests(last, policy))
    return unknown ? "Ollama's registry has no such model" : undefined
  }

  /** (5) */
  #exclude(one: Wanted, site: Site): string | undefined {
    const { policy, need, copies, coming, given } = one
    if (!one.admits(site.node)) return AGAINST
    if (copies.has(site.name)) return site.gone ? 'has it, and is lost' : 'has it'
    if (coming.length > 0 && coming.some(({ node }) => node === site.name)) return 'is getting it'
    if (site.barred !== undefined) return site.barred
    if (!hasRoom(site, need)) return 'has no room on its disk'
    if (fitOf(site, need) === 'none') return 'has too little memory'
    if (given.length > 0 && given.some(last => last.node === site.name && this.#rests(last, policy)))
      return 'did not get it a while ago'
    return undefined
  }

  /** Given up of late, and nobody has set the policy since. */
  #rests({ since }: EndedTransfer, { setAt = 0 }: PlannedPolicy): boolean {
    return agoMs(this.#scene, since) < this.#care.restMs && setAt <= since
  }

  #miss(one: Wanted, why: string, has = have(one)): void {
    this.#unmet.push({ model: one.model, reason: `${shortOf(one, has)}, and gets no other: ${why}` })
  }

  // ── (7) ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #takeAway(one: Wanted): void {
    const { model, counted, strays, max } = one
    const { ranked } = rank(
      one,
      counted.map(({ site }) => site),
      () => undefined,
      counted.length,
    )
    const worst = ranked.reverse().map(({ site }) => counted.find(held => held.site === site)!)
    const late = ({ site }: Held): boolean => this.#scene.now - site.node.since < LATE_MS
    const resident = ({ replica }: Held): boolean => replica.state === 'resident'
    worst.sort((a, b) => Number(resident(a)) - Number(resident(b)) || Number(late(b)) - Number(late(a)))
    const order = [...strays, ...worst]
    let surplus = strays.length + Math.max(0, counted.length - max)
    let left = counted.length
    let firm = counted.filter(({ site }) => site.firm)
    const kept = new Set<string>()
    for (const held of order) {
      if (surplus === 0) break
      const stray = strays.includes(held)
      if (!stray && left <= max) break
      const others = firm.filter(other => other !== held && other.replica.digest === held.replica.digest)
      const why = this.#keep(one, held, others.length)
      if (why !== undefined) {
        kept.add(`${held.site.name} ${why}`)
        continue
      }
      const many = stray
        ? `its policy does not let it be on ${held.site.name}`
        : `it has ${left} copies, and its policy allows ${max}`
      this.#actions.push({ do: 'remove', model, node: held.site.name, reason: many })
      firm = firm.filter(other => other !== held)
      surplus -= 1
      if (!stray) left -= 1
    }
    if (surplus > 0) {
      const many = surplus === 1 ? 'one copy' : `${surplus} copies`
      this.#unmet.push({ model, reason: `it has ${many} too many; ${[...kept].join('; ')}` })
    }
  }

  /** `others`: copies like it that can be counted on. */
  #keep({ model, min }: Wanted, { site, replica }: Held, others: number): string | undefined {
    if (!site.firm) return 'has not been up and at work for long enough'
    if (replica.state === 'loading' || this.#scene.running(site.name, model) > 0) return 'works with it'
    if (replica.state === 'resident' && this.#scene.waiting(model) > 0)
      return 'has it in memory, and it is wanted'
    if (others < Math.max(1, min))
      return 'is needed: too few others of the same have been up and at work for long enough'
    return undefined
  }

  // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #againAt(): number | undefined {
    const { now } = this.#scene
    const { graceMs, settleMs, restMs } = this.#care
    let next = Number.POSITIVE_INFINITY
    const at = (time: number): void => {
      if (time > now && time < next) next = time
    }
    for (const { node } of this.#sites.values()) {
      at(node.since + graceMs)
      if (node.reach === 'up') at(node.since + settleMs)
    }
    for (const some of this.#abandoned.values()) for (const { since } of some) at(since + restMs)
    return Number.isFinite(next) ? next : undefined
  }
}

// ── choosing by hand ─────────────────────────────────────────────────────────────────────────────────────────────

export type How = { readonly count: number } | { readonly all: true } | { readonly nodes: readonly string[] }

export interface Chosen {
  /** Best first; `has`: a pull there brings it up to date. */
  readonly nodes: readonly { readonly node: string; readonly has: boolean }[]
  readonly excluded: readonly { readonly node: string; readonly why: string }[]
  readonly candidates: readonly Destination[]
  readonly sizeBytes?: number
}

/**
 * Where somebody's pull goes. By number: to those that have it, those it is on its way to, and then to the best others,
 * until there are so many; to all: wherever (5) lets it. Whoever names nodes gets these, also later, where they are down;
 * but not where there is no such node, or no room on its disk.
 */
export function choose(scene: Scene, model: string, how: How, care: Care = CARE): Chosen {
  const sites = sitesOf(scene, { ...care, settleMs: 0 })
  const policy = scene.policies.get(model) ?? {}
  const one: Wanted = {
    model,
    policy,
    min: 0,
    max: Number.POSITIVE_INFINITY,
    hash: hashOf(model),
    need: needOf(scene, model),
    demand: scene.demand.get(model),
    admits: admissionOf(policy),
    copies: scene.replicas.get(model) ?? new Map(),
    given: [],
    counted: [],
    strays: [],
    lost: [],
    coming: [],
  }
  const named = 'nodes' in how
  const coming = new Set(
    [...scene.transfers.open.values()].filter(open => open.model === model).map(({ node }) => node),
  )
  const exclude = (site: Site): string | undefined => {
    const has = one.copies.has(site.name)
    // What is on its way there has its room already.
    if (!has && !coming.has(site.name) && !hasRoom(site, one.need)) return 'has no room on its disk'
    if (named) return undefined
    if (site.node.reach !== 'up') return site.barred
    if (!one.admits(site.node)) return AGAINST
    if (site.barred !== undefined) return site.barred
    return !has && fitOf(site, one.need) === 'none' ? 'has too little memory' : undefined
  }
  const some = named ? how.nodes.flatMap(name => sites.get(name) ?? []) : [...sites.values()]
  const { ranked, excluded } = rank(one, new Set(some), exclude, some.length, some.length)
  const has = (site: Site): boolean => one.copies.has(site.name)
  const nearness = ({ site }: Ranked): number => (has(site) ? 2 : coming.has(site.name) ? 1 : 0)
  ranked.sort((a, b) => nearness(b) - nearness(a))
  const chosen = 'count' in how ? ranked.slice(0, how.count) : ranked
  const strangers = named ? how.nodes.filter(name => !sites.has(name)) : []
  return {
    nodes: chosen.map(({ site }) => ({ node: site.name, has: has(site) })),
    excluded: [
      ...excluded.map(({ site, why }) => ({ node: site.name, why })),
      ...[...new Set(strangers)].map(node => ({ node, why: 'there is no such node' })),
    ],
    candidates: tableOf(ranked, excluded, chosen.length, ({ site }, why) =>
      destinationOf(site, one.need, one.demand, prefers(policy, site), why),
    ),
    ...(one.need.sizeBytes !== undefined && { sizeBytes: one.need.sizeBytes }),
  }
}

// ── (6) ──────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Ranked {
  readonly site: Site
  /** Higher is better; the lot decides among equals, and lower wins. */
  readonly merit: number
  lot: number | undefined
}
interface Excluded {
  readonly site: Site
  readonly why: string
}

const AGAINST = 'not by its policy'

/** So many of the best, and a few more for the table, best first. Where there are few, those that are excluded. */
function rank(
  one: Wanted,
  sites: Iterable<Site>,
  exclude: (site: Site) => string | undefined,
  count: number,
  excludedMax = CANDIDATES_MAX,
): { readonly ranked: Ranked[]; readonly excluded: Excluded[] } {
  const most = count + CANDIDATES_MAX / 2
  const ranked: Ranked[] = []
  const excluded: Excluded[] = []
  for (const site of sites) {
    const why = exclude(site)
    if (why !== undefined) {
      if (excluded.length < excludedMax) excluded.push({ site, why })
      continue
    }
    const merit = meritOf(one, site)
    const last = ranked.length < most ? undefined : ranked[most - 1]!
    if (last !== undefined && last.merit > merit) continue
    const next: Ranked = { site, merit, lot: undefined }
    if (last !== undefined && before(one.hash, last, next)) continue
    let at = ranked.length
    while (at > 0 && before(one.hash, next, ranked[at - 1]!)) at -= 1
    ranked.splice(at, 0, next)
    if (ranked.length > most) ranked.pop()
  }
  return { ranked, excluded }
}

function before(model: number, a: Ranked, b: Ranked): boolean {
  if (a.merit !== b.merit) return a.merit > b.merit
  a.lot ??= lotOf(model, a.site)
  b.lot ??= lotOf(model, b.site)
  return a.lot === b.lot ? a.site.name < b.site.name : a.lot < b.lot
}

const FITS: Readonly<Record<string, number>> = { gpu: 3, memory: 2, none: 0 }
/** A disk is roomy where so many more of its size would have room. */
const ROOMY = 4

function meritOf({ policy, need, demand }: Wanted, site: Site): number {
  const fit = FITS[fitOf(site, need) ?? ''] ?? 1
  const share = Math.floor(demandAt(site, demand) * 4)
  const { freeBytes } = site
  const room = freeBytes === undefined ? 0 : freeBytes >= ROOMY * (need.sizeBytes ?? 0) ? 2 : 1
  const idle = 3 - Math.min(3, Math.floor(site.load * 4))
  return (((Number(prefers(policy, site)) * 4 + fit) * 5 + share) * 3 + room) * 4 + idle
}

function prefers({ prefer }: PlannedPolicy, { name }: Site): boolean {
  return prefer?.includes(name) ?? false
}

function tableOf(
  ranked: readonly Ranked[],
  excluded: readonly Excluded[],
  chosen: number,
  row: (one: { readonly site: Site }, why?: string) => Destination,
): readonly Destination[] {
  const able = Math.max(
    Math.min(chosen, CANDIDATES_MAX),
    CANDIDATES_MAX - excluded.length,
    CANDIDATES_MAX / 2,
  )
  const best = ranked.slice(0, able).map(one => row(one))
  return [...best, ...excluded.slice(0, CANDIDATES_MAX - best.length).map(one => row(one, one.why))]
}

// ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────

function shortOf({ min, lost }: Wanted, has: number): string {
  const gone =
    lost.length === 0 ? '' : `, not counting ${lost.join(', ')}, which ${lost.length > 1 ? 'are' : 'is'} lost`
  return `it has ${has} of the ${min} ${min === 1 ? 'copy' : 'copies'} that its policy wants${gone}`
}

function merits({ policy, need }: Wanted, site: Site): string {
  const fit = fitOf(site, need)
  const words = [
    ...(prefers(policy, site) ? ['is preferred'] : []),
    ...(fit === 'gpu'
      ? ['has room for it in GPU memory']
      : fit === 'memory'
        ? ['has room for it in memory']
        : []),
    ...(site.freeBytes === undefined ? [] : [`has ${gigabytes(site.freeBytes)} of disk to give`]),
  ]
  return words.length === 0 ? 'is up, and nothing speaks against it' : words.join(', ')
}

/** How many nodes are out of the question for what. */
function whyNot(
  sites: Iterable<Site>,
  exclude: (site: Site) => string | undefined,
  chosen: readonly Ranked[],
): string {
  const names = new Map<string, string[]>()
  for (const site of sites) {
    const why = chosen.some(one => one.site === site) ? undefined : exclude(site)
    push(names, why ?? 'is getting it', site.name)
  }
  if (names.size === 0) return 'there is no node'
  return [...names]
    .sort(([a, some], [b, others]) => others.length - some.length || (a < b ? -1 : 1))
    .map(([why, some]) => (some.length === 1 ? `${some[0]} ${why}` : `${some.length} nodes: ${why}`))
    .join('; ')
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(bytes < 1e10 ? 1 : 0)} GB`
}

function have({ counted, coming }: Wanted): number {
  return counted.length + coming.length
}

/** The digest that all copies have, where they agree. */
function sameDigest({ counted }: Wanted): string | undefined {
  const digests = new Set(counted.map(({ replica }) => replica.digest))
  return digests.size === 1 ? counted[0]!.replica.digest : undefined
}

function stockOf({ model, min, max, counted, coming, lost, strays }: Wanted): Stock {
  const names = (held: readonly Held[]): readonly string[] => held.map(({ site }) => site.name)
  return {
    model,
    min,
    ...(Number.isFinite(max) && { max }),
    copies: names(counted),
    firm: names(counted.filter(({ site }) => site.firm)),
    coming: coming.map(({ node }) => node),
    lost,
    strays: names(strays),
  }
}

function byName(a: Held, b: Held): number {
  return a.site.name < b.site.name ? -1 : 1
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const known = map.get(key)
  if (known === undefined) map.set(key, [value])
  else known.push(value)
}
