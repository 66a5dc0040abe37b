/** The nodes as one request sees them. What is costly to know of a node is found out when the policy asks for it. */
import type { PolicyData } from '../../machines/policy.ts'
import { replicaId } from '../../machines/replica.ts'
import { type Known, loadEstimateMs, loadMsOf, runMsOf, seenOf } from '../projections/estimates.ts'
import {
  fitsBeside,
  heldBytes,
  memoryOf as memoryFor,
  mostTaken,
  neededBytes,
  slowerBy,
} from '../projections/fit.ts'
import { type FleetNode, routable } from '../projections/fleet.ts'
import { keyOf } from '../projections/queue.ts'
import { type Open, runningOn } from '../projections/requests.ts'
import type { Replica } from '../projections/residency.ts'
import { within } from './hours.ts'
import { CANDIDATES_MAX, type Spot } from './place.ts'
import type { Bearings } from './scheduler.ts'
import { warmSlots } from './trial.ts'

/** What of a request matters to where it can run. */
export type Seen = Pick<Open, 'id' | 'model' | 'variant' | 'labels' | 'tokens'>

/** The nodes that have the model; where none has it, all there are. */
export function survey(self: Bearings, open: Seen): readonly NodeSpot[] {
  return new Survey(self, open).spots
}

/** What one line sees. Whoever is next in it sees the same nodes, but for the one that was given work meanwhile. */
export class Survey {
  readonly spots: readonly NodeSpot[]
  readonly #sight: Sight

  constructor(self: Bearings, open: Seen, claims: ReadonlyMap<string, string> = new Map()) {
    this.#sight = new Sight(self, open, claims)
    const replicas = self.residency.state.byModel.get(open.model)
    const nodes = self.fleet.state
    const spots: NodeSpot[] = []
    if (replicas === undefined || replicas.size === 0) {
      for (const node of nodes.values()) spots.push(new NodeSpot(this.#sight, node, undefined))
    } else {
      for (const [name, replica] of replicas) {
        const node = nodes.get(name)
        if (node !== undefined) spots.push(new NodeSpot(this.#sight, node, replica))
      }
      // People want to read that a node does not have it, where there is room to say so.
      if (nodes.size <= CANDIDATES_MAX)
        for (const node of nodes.values())
          if (!replicas.has(node.name)) spots.push(new NodeSpot(this.#sight, node, undefined))
    }
    this.spots = spots
    this.#sight.meanLoad = spots.reduce((sum, { load }) => sum + load, 0) / Math.max(1, spots.length)
  }

  /** The next of the same line looks. */
  turnTo(open: Seen): void {
    this.#sight.turnTo(open)
  }

  /** A node was given the work of the last who looked. */
  gave(node: string): void {
    this.spots.find(spot => spot.node === node)!.take()
    this.#sight.meanLoad += 1 / this.spots.length
  }
}

/** What is the same for all spots of one request. */
class Sight {
  readonly self: Bearings
  readonly claims: ReadonlyMap<string, string>
  readonly key: string
  readonly now: number
  readonly policy: PolicyData | undefined
  /** Of this model, by node. */
  readonly running: ReadonlyMap<string, number> | undefined
  open: Seen
  head: number | undefined
  last: string | undefined
  /** How many have looked. */
  turn = 0
  meanLoad = 0
  /** The most that the model took anywhere; NaN where it never was in memory. */
  #taken: number | undefined

  constructor(self: Bearings, open: Seen, claims: ReadonlyMap<string, string>) {
    this.self = self
    this.claims = claims
    this.key = keyOf(open)
    this.now = self.clock.now()
    this.policy = self.policies?.state.get(open.model)
    this.running = self.requests.state.running.get(open.model)
    this.open = open
    this.turnTo(open)
  }

  /** What the model takes in memory on a node, as far as it can be told. */
  neededBytes(replica: Replica | undefined): number {
    if (replica === undefined) return 0
    if (replica.residence !== undefined) return neededBytes(replica, undefined)
    const copies = this.self.residency.state.byModel.get(this.open.model)
    this.#taken ??= mostTaken(copies?.values() ?? []) ?? Number.NaN
    return neededBytes(replica, Number.isNaN(this.#taken) ? undefined : this.#taken)
  }

  turnTo(open: Seen): void {
    this.open = open
    this.turn += 1
    this.head = this.self.headOf?.(open.id)
    this.last = this.head === undefined ? undefined : this.self.affinity?.last(this.head)
  }
}

/** A conversation is not kept on a node that has so much more to do than the others. (Mirrokni et al. 2018: 1.25.) */
const LOAD_BOUND = 1.25

export class NodeSpot implements Spot {
  readonly node: string
  readonly slots: number
  readonly weight: number
  readonly memory: Spot['memory']
  readonly loadFailures: number
  running: number
  load: number
  barred: string | undefined
  readonly #sight: Sight
  readonly #node: FleetNode
  readonly #replica: Replica | undefined
  #known: Known | undefined
  #room: Room | undefined
  #loadMs: number | undefined
  #runMs = 0
  /** Whose #runMs that is. */
  #turn = 0

  constructor(sight: Sight, node: FleetNode, replica: Replica | undefined) {
    const { requests, breakers } = sight.self
    this.#sight = sight
    this.#node = node
    this.#replica = replica
    this.node = node.name
    this.slots = warmSlots(node.slots, breakers.state.nodes.get(node.name)?.backAt ?? 0, sight.now)
    this.weight = node.weight ?? 1
    this.memory = memoryOf(replica, sight.open.variant)
    this.load = runningOn(requests.state, node.name)
    this.running = sight.running?.get(node.name) ?? 0
    this.loadFailures = replica?.loadFailures ?? 0
    this.barred = bar(sight, node, this.load)
  }

  /** It was given work. */
  take(): void {
    this.running += 1
    this.load += 1
    this.barred = bar(this.#sight, this.#node, this.load)
    this.#room = undefined
  }

  get preferred(): boolean {
    return this.#sight.policy?.prefer?.includes(this.node) ?? false
  }

  get offHours(): boolean {
    return !within(this.#node.hours ?? '', this.#sight.now)
  }

  get affine(): boolean {
    return this.#sight.last === this.node && this.#light
  }

  get affinity(): number {
    const { head, self } = this.#sight
    return head === undefined || !this.#light ? 0 : (self.affinity?.claim(head, this.node) ?? 0)
  }

  get loadMs(): number {
    this.#loadMs ??= loadMsOf(this.#seen)
    return this.#loadMs
  }

  get runMs(): number {
    const { self, open, turn } = this.#sight
    if (this.#turn !== turn) {
      this.#turn = turn
      this.#runMs = runMsOf(self.estimates.state, this.#seen, open.tokens, this.running + 1)
    }
    return this.#runMs
  }

  get loadLeftMs(): number {
    if (this.memory !== 'loading') return 0
    return Math.max(0, this.#replica!.since + this.loadMs - this.#sight.now)
  }

  get room(): Spot['room'] {
    this.#room ??= roomOn(this.#sight, this.#node, this.#replica)
    return this.#room.room
  }

  get evictMs(): number {
    this.#room ??= roomOn(this.#sight, this.#node, this.#replica)
    return this.#room.evictMs
  }

  get heldMs(): number {
    this.#room ??= roomOn(this.#sight, this.#node, this.#replica)
    return Math.max(0, this.#sight.now - (this.#room.since ?? this.#sight.now))
  }

  /** The models that would have to go. */
  get victims(): readonly string[] {
    this.#room ??= roomOn(this.#sight, this.#node, this.#replica)
    return this.#room.room === 'evict' ? (this.#room.victims ?? []) : []
  }

  get crowdedBy(): readonly string[] {
    this.#room ??= roomOn(this.#sight, this.#node, this.#replica)
    return this.#room.crowdedBy ?? []
  }

  get throttled(): string | undefined {
    return this.#node.throttled?.cause
  }

  get spillMs(): number {
    const memory = memoryFor(this.#node.equipment)
    if (memory === undefined || this.#replica === undefined) return 0
    return (slowerBy(this.#sight.neededBytes(this.#replica), memory) - 1) * this.runMs
  }

  get #seen(): Known {
    this.#known ??= seenOf(
      this.#sight.self.estimates.state,
      this.#replica?.id ?? replicaId(this.#sight.open.model, this.node),
    )
    return this.#known
  }

  get #light(): boolean {
    return this.load <= LOAD_BOUND * this.#sight.meanLoad + 1
  }
}

/** Loaded otherwise than this request needs it, it is as good as not loaded. */
function memoryOf(replica: Replica | undefined, variant: string): Spot['memory'] {
  if (replica === undefined) return 'absent'
  return replica.state === 'present' || replica.variant === variant ? replica.state : 'present'
}

function bar({ self, open, claims, key, policy }: Sight, node: FleetNode, load: number): string | undefined {
  if (node.reach !== 'up') return node.reach === 'joining' ? 'has not answered yet' : 'down'
  if (!routable(node)) return 'draining'
  const breaker = self.breakers.state.nodes.get(node.name)?.state
  if (breaker === 'open') return 'breaker open'
  if (breaker === 'halfOpen' && load > 0) return 'on trial'
  if (policy?.avoid?.includes(node.name)) return `kept off by the policy of ${open.model}`
  if (policy?.nodes !== undefined && !policy.nodes.includes(node.name))
    return `not among the nodes of the policy of ${open.model}`
  const lacks = lacking(node, open.labels) ?? lacking(node, policy?.labels ?? {})
  if (lacks !== undefined) return `is not ${lacks}`
  const claimedFor = claims.get(node.name)
  return claimedFor === undefined || claimedFor === key ? undefined : `claimed for ${claimedFor}`
}

function lacking({ labels }: FleetNode, asked: Readonly<Record<string, string>>): string | undefined {
  for (const name in asked) if (labels[name] !== asked[name]) return `${name}=${asked[name]}`
  return undefined
}

interface Room {
  readonly room: Spot['room']
  readonly evictMs: number
  /** Since when what would have to go is in memory; undefined while it is still being loaded. */
  readonly since?: number
  readonly victims?: readonly string[]
  /** Of these, or of those that are busy, the ones that have to go for want of memory. */
  readonly crowdedBy?: readonly string[]
}

/**
 * Loads are one at a time per node: Ollama's own are, and a second would only wait in front of its door. Of the idle
 * models those go that would be missed least, and of these the ones that came first; as few as it takes until neither their
 * number nor the memory, where that is known, is in the way.
 */
function roomOn(sight: Sight, { name, residentMax, equipment }: FleetNode, own: Replica | undefined): Room {
  const { self, open } = sight
  const { residency, requests, estimates } = self
  const there = residency.state.inMemory.get(name)
  if (there === undefined || there.size === 0) return FREE
  const memory = memoryFor(equipment)
  const others: Victim[] | undefined = memory === undefined ? undefined : []
  let left = memory?.bytes ?? Number.POSITIVE_INFINITY
  let least: Victim | undefined
  for (const replica of there.values()) {
    const { id, model, since, state } = replica
    if (state === 'loading') return { room: 'full', evictMs: 0 }
    // Loaded otherwise, it has to go itself.
    if (model === open.model) return leavingMs(self, replica)
    const busy = runningOn(requests.state, name, model) > 0
    const missed = busy || requests.state.queue.ofModel.has(model)
    const bytes = memory === undefined ? 0 : heldBytes(replica, memory)
    left -= bytes
    const one = { model, since, bytes, busy, evictMs: missed ? loadEstimateMs(estimates.state, id) : 0 }
    others?.push(one)
    if (least === undefined || byLoss(one, least) < 0) least = one
  }
  const full = there.size >= residentMax
  // What does not fit at all takes what there is.
  const wants = memory === undefined ? 0 : Math.min(memory.bytes, sight.neededBytes(own))
  const fits = memory === undefined || fitsBeside(wants, left, memory)
  if (!full && fits) return FREE
  const going =
    fits || others === undefined
      ? [least!]
      : leastOf(others, (freed, stay) => !stay || fitsBeside(wants, left + freed, memory))
  let [room, evictMs, since]: [Spot['room'], number, number] = ['evict', 0, 0]
  for (const one of going) {
    if (one.busy) room = 'full'
    evictMs += one.evictMs
    since = Math.max(since, one.since)
  }
  const victims = going.map(({ model }) => model)
  return { room, evictMs, since, victims, ...(!fits && { crowdedBy: victims }) }
}

/** Is there memory for one more of the models that somebody waits for, as far as that can be told? */
export function hasMemory({ residency, requests }: Bearings, { name, equipment }: FleetNode): boolean {
  const memory = memoryFor(equipment)
  if (memory === undefined) return true
  let left = memory.bytes
  for (const replica of residency.state.inMemory.get(name)?.values() ?? []) left -= heldBytes(replica, memory)
  for (const replica of residency.state.byNode.get(name)?.values() ?? []) {
    if (replica.state !== 'present' || !requests.state.queue.ofModel.has(replica.model)) continue
    if (fitsBeside(Math.min(memory.bytes, neededBytes(replica, undefined)), left, memory)) return true
  }
  return false
}

/** Those that are missed least, until the rest may stay; without the ones that are too small to matter then. */
function leastOf(others: Victim[], enough: (freed: number, stay: boolean) => boolean): readonly Victim[] {
  const going = new Set<Victim>()
  let freed = 0
  for (const one of others.sort(byLoss)) {
    if (enough(freed, true)) break
    going.add(one)
    freed += one.bytes
  }
  for (const one of going) {
    if (!enough(freed - one.bytes, true)) continue
    going.delete(one)
    freed -= one.bytes
  }
  return [...going]
}

const FREE: Room = { room: 'free', evictMs: 0 }

interface Victim {
  readonly model: string
  readonly since: number
  readonly bytes: number
  readonly busy: boolean
  readonly evictMs: number
}

/** Idle before busy, then what is missed least, then what came first. */
function byLoss(a: Victim, b: Victim): number {
  return Number(a.busy) - Number(b.busy) || a.evictMs - b.evictMs || a.since - b.since
}

/** The same model, loaded otherwise: nobody else has to go for it. */
function leavingMs({ requests, estimates }: Bearings, { id, model, node, variant, since }: Replica): Room {
  const runs = runningOn(requests.state, node, model) > 0
  const { lines, ofModel } = requests.state.queue
  const missed = runs || [...(ofModel.get(model) ?? [])].some(key => lines.get(key)?.variant === variant)
  return { room: runs ? 'full' : 'evict', evictMs: missed ? loadEstimateMs(estimates.state, id) : 0, since }
}
