/**
 * Whenever demand appears or room opens, seat whoever fits. A fact concerns only the lines of the models it touches, so
 * only those are looked at; the rest of the queue costs nothing.
 */
import type { PolicyData } from '../../machines/policy.ts'
import { replicaId } from '../../machines/replica.ts'
import type { Candidate } from '../../machines/request.ts'
import type { Clock, Timer } from '../clock.ts'
import type { Engine } from '../engine/engine.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import type { BreakersProjection } from '../projections/breakers.ts'
import type { EstimatesProjection } from '../projections/estimates.ts'
import type { Fleet } from '../projections/fleet.ts'
import { before, keyOf, type Line, type Look, oldestOf, turnOf } from '../projections/queue.ts'
import { type Open, type RequestsProjection, runningOn } from '../projections/requests.ts'
import type { Residency } from '../projections/residency.ts'
import type { Affinity } from './affinity.ts'
import { type Choice, candidatesOf, type Demand, place } from './place.ts'
import { hasMemory, type NodeSpot, Survey, survey } from './survey.ts'
import { nextSlotMs } from './trial.ts'

/** What decisions are made from. */
export interface Bearings {
  readonly clock: Pick<Clock, 'now'>
  readonly fleet: Fleet
  readonly residency: Residency
  readonly requests: RequestsProjection
  readonly breakers: BreakersProjection
  readonly estimates: EstimatesProjection
  readonly policies?: { readonly state: ReadonlyMap<string, PolicyData> }
  readonly config?: {
    /** After this wait every fourth turn of a line is for those who have waited so long, milliseconds. */
    readonly starveMs: number
    /** Requests of one client that run at once. */
    readonly clientRunningMax: number
  }
  /** Which node suits a conversation; and the hash of its head, for those requests that have one. */
  readonly affinity?: Pick<Affinity, 'last' | 'claim' | 'went'>
  readonly headOf?: (id: string) => number | undefined
}

export interface Scheduler extends Bearings {
  readonly engine: Engine
  readonly clock: Clock
  /** Who of those that wait can share the call of this one; see gateway/embedding/batches.ts. */
  readonly riders?: (id: string) => readonly string[]
}

/** A node that has not answered this long after it came is not waited for. */
const SETTLING_MS = 5_000
/** At the latest then a line is looked at again, whatever happens or not. */
const LOOK_AGAIN_MS = 30_000

export const STARVE_MS = 120_000

export const scheduler = (self: Scheduler): Reactor => {
  const { clock, requests, residency } = self
  const dirty = new Set<string>()
  /** Nodes where something has ended: whoever waits for a model that is not loaded there may now get its chance. */
  const freed = new Set<string>()
  /** Nodes that take nothing until they are free for this line. */
  const claims = new Map<string, string>()
  let due = false
  let alarm: { readonly at: number; readonly timer: Timer } | undefined

  const wake = (): void => {
    if (due) return
    due = true
    queueMicrotask(() => {
      due = false
      let againMs = seat(self, dirty, claims)
      // Its own line comes first: where that takes the slot at once, nothing has changed for anybody else.
      for (const name of freed) if (hasIdle(self, name)) node(name)
      freed.clear()
      if (dirty.size > 0) againMs = sooner(againMs, seat(self, dirty, claims))
      if (againMs !== undefined) lookAgain(againMs)
    })
  }
  const lookAgain = (ms: number): void => {
    const at = clock.monotonic() + ms
    if (alarm !== undefined && alarm.at <= at) return
    alarm?.timer.cancel()
    const ring = (): void => {
      alarm = undefined
      all()
    }
    alarm = { at, timer: clock.after(ms, ring) }
  }
  const model = (name: string): void => {
    const keys = requests.state.queue.ofModel.get(name)
    if (keys === undefined) return
    for (const key of keys) dirty.add(key)
    wake()
  }
  /** All that wait for something this node has. */
  const node = (name: string): void => {
    const there = residency.state.byNode.get(name)
    for (const [wanted, keys] of requests.state.queue.ofModel) {
      const nowhere = !residency.state.byModel.has(wanted)
      if (nowhere || there?.has(wanted)) for (const key of keys) dirty.add(key)
    }
    if (dirty.size > 0) wake()
  }
  const all = (): void => {
    for (const key of requests.state.queue.lines.keys()) dirty.add(key)
    wake()
  }
  const over = ({ id }: { readonly id: string }): void => {
    const place = ran.get(id)
    if (place === undefined) return left()
    ran.delete(id)
    freed.add(place.node)
    wake()
    // Whoever had to stand aside for its own client's sake may be in any line.
    if (self.config !== undefined && self.config.clientRunningMax < UNLIMITED) all()
    else model(place.model)
  }
  /** Nobody is in a line any more for which a node was kept free. */
  const left = (): void => {
    for (const [name, key] of claims) {
      if (requests.state.queue.lines.has(key)) continue
      claims.delete(name)
      node(name)
    }
  }
  /** Who came back has its slots one by one, and nothing else tells of it. */
  const warm = (name: string): void => {
    const slots = self.fleet.state.get(name)?.slots ?? 1
    const ms = nextSlotMs(slots, self.breakers.state.nodes.get(name)?.backAt ?? 0, clock.now())
    if (ms === undefined) return
    clock.after(ms, () => {
      node(name)
      warm(name)
    })
  }
  /** Where each request runs: by the time it is over, the projection has forgotten. */
  const ran = new Map<string, Pick<Open, 'node' | 'model'>>()
  const enter = (id: string): void => {
    const open = requests.state.open.get(id)
    if (open === undefined) return
    dirty.add(keyOf(open))
    wake()
  }

  return reactor(self, {
    hears: 'decided',
    on: {
      'request.admitted': (_self, { id }) => enter(id),
      'request.assigned': (self, { id, data: { node } }) => {
        ran.set(id, { node, model: self.requests.state.open.get(id)!.model })
      },
      'request.retried': (_self, fact) => {
        over(fact)
        enter(fact.id)
      },
      'request.completed': (_self, fact) => over(fact),
      'request.failed': (_self, fact) => over(fact),
      'request.expired': left,
      'request.leased': left,
      'request.abandoned': (_self, fact) => over(fact),
      'request.cancelled': (_self, fact) => over(fact),
      'node.registered': all,
      'node.joined': all, // while nobody has a model, any node may say so
      'node.returned': (_self, { id }) => {
        all()
        warm(id)
      },
      'node.resumed': all,
      'node.lost': all,
      'node.removed': all,
      'node.equipped': (_self, { id }) => node(id), // what did not fit may fit now
      'node.cooled': (_self, { id }) => node(id),
      'breaker.tripped': (_self, { id }) => node(id),
      'breaker.probed': (_self, { id }) => node(id),
      'breaker.healed': (_self, { id }) => {
        node(id)
        warm(id)
      },
      'replica.found': (_self, { id }) => node(nodeOf(id)),
      'replica.loaded': (_self, { id }) => node(nodeOf(id)),
      'replica.failed': (_self, { id }) => node(nodeOf(id)),
      'replica.unloaded': (_self, { id }) => node(nodeOf(id)),
      'replica.removed': all,
      'policy.set': (_self, { id }) => model(id),
      'policy.cleared': (_self, { id }) => model(id),
      'setting.set': all, // who had to stand aside may not have to any more
      'setting.reset': all,
    },
    resume: self => {
      for (const { id, node, model, state } of self.requests.state.open.values())
        if (state === 'running' || state === 'answering') ran.set(id, { node, model })
      for (const name of self.fleet.state.keys()) warm(name)
      all()
    },
  })
}

const UNLIMITED = 100_000

function sooner(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b)
}

/** Is there a model in its memory that nobody uses, or room for one? */
function hasIdle(self: Scheduler, name: string): boolean {
  const { fleet, residency, requests } = self
  const there = residency.state.inMemory.get(name)
  for (const { model, state } of there?.values() ?? []) {
    if (state === 'loading') return false
    if (runningOn(requests.state, name, model) === 0) return true
  }
  const node = fleet.state.get(name)
  return node !== undefined && (there?.size ?? 0) < node.residentMax && hasMemory(self, node)
}

function nodeOf(replica: string): string {
  return replica.slice(replica.lastIndexOf('@') + 1)
}

/** Gives turns in the lines that something has happened to. Resolves to when one is worth another look by itself. */
function seat(self: Scheduler, dirty: Set<string>, claims: Map<string, string>): number | undefined {
  const { engine, requests } = self
  const { queue } = requests.state
  if (!engine.writable) return undefined // resume() comes when it is
  const look = lookOf(self)
  const heads: (readonly [Line<Open>, Open])[] = []
  for (const key of dirty) {
    const line = queue.lines.get(key)
    const first = line && turnOf(queue, line, look)
    if (line !== undefined && first !== undefined) heads.push([line, first])
  }
  dirty.clear()
  if (heads.length > 1) heads.sort(([, a], [, b]) => (before(queue, a, b, look) ? -1 : 1))
  let againMs: number | undefined
  for (const [line] of heads) {
    const ms = serve(self, line, look, claims)
    againMs = sooner(againMs, ms)
  }
  return againMs ?? (queue.count > 0 ? LOOK_AGAIN_MS : undefined)
}

/** One line, turn after turn, until somebody has to wait. */
function serve(
  self: Scheduler,
  line: Line<Open>,
  look: Look<Open>,
  claims: Map<string, string>,
): number | undefined {
  const { queue } = self.requests.state
  /** Those who wait for a node they have not failed on yet need not hold up who comes behind them. */
  const aside = new Set<string>()
  const skip = (one: Open): boolean => aside.has(one.id) || look.skip?.(one) === true
  let seen: Survey | undefined
  for (;;) {
    const open = line.count === 0 ? undefined : turnOf(queue, line, { ...look, skip })
    if (open === undefined) return undefined
    const demand = demandOf(self, open, line)
    if (seen === undefined) seen = new Survey(self, open, claims)
    else seen.turnTo(open)
    const { spots } = seen
    const choice = place(demand, spots)
    // A claim stands until its own line has decided anew: nobody slips in before.
    for (const [node, key] of claims) if (key === line.key) claims.delete(node)
    switch (choice.to) {
      case 'assign': {
        assign(self, open, choice.node, candidatesOf(demand, spots, choice.node))
        seen.gave(choice.node)
        continue
      }
      case 'load': {
        const spot = spots.find(({ node }) => node === choice.node)!
        load(self, open, spot, choice.estimateMs)
        return undefined
      }
      case 'claim':
        claims.set(choice.node, line.key)
        return undefined
      case 'wait':
        if (open.tried.size === 0) return choice.ripeInMs ?? (demand.unsettled ? SETTLING_MS : undefined)
        aside.add(open.id)
    }
  }
}

function assign(self: Scheduler, open: Open, node: string, candidates: readonly Candidate[]): void {
  const { engine, affinity, headOf, requests, riders } = self
  const { id } = open
  const mayGo = (rider: string): boolean => {
    const other = requests.state.open.get(rider)
    return other !== undefined && keyOf(other) === keyOf(open) && !other.tried.has(node)
  }
  const others = riders?.(id).filter(mayGo) ?? []
  const shared = others.length === 0 ? {} : { batch: id }
  engine.commit('request', id, { type: 'request.assign', data: { node, candidates, ...shared } })
  for (const rider of others)
    engine.attempt('request', rider, {
      type: 'request.assign',
      data: { node, candidates: [], batch: id },
    })
  const head = headOf?.(id)
  if (head !== undefined) affinity?.went(head, node)
}

/** Whoever has to go for it goes first, so that nobody is sent to a copy that is about to disappear. */
function load({ engine }: Scheduler, open: Open, { node, victims }: NodeSpot, estimateMs: number): void {
  const { model, variant } = open
  const [evicts, ...evictsAlso] = victims
  for (const victim of victims)
    engine.attempt('replica', replicaId(victim, node), { type: 'replica.unload', data: {} })
  engine.commit('replica', replicaId(model, node), {
    type: 'replica.load',
    data: {
      request: open.id,
      estimateMs,
      ...(variant !== '' && { variant }),
      ...(evicts !== undefined && { evicts }),
      ...(evictsAlso.length > 0 && { evictsAlso }),
    },
  })
}

/** What would be decided for this request now, if it were its turn. Changes nothing. */
export function choose(self: Bearings, open: Open): Choice & { readonly candidates: readonly Candidate[] } {
  const line = self.requests.state.queue.lines.get(keyOf(open))
  const demand = demandOf(self, open, line)
  const spots = survey(self, open)
  const choice = place(demand, spots)
  const chosen = 'node' in choice ? choice.node : undefined
  return { ...choice, candidates: candidatesOf(demand, spots, chosen) }
}

export function demandOf(
  { fleet, residency, clock }: Bearings,
  open: Open,
  line: Line<Open> | undefined,
): Demand {
  const now = clock.now()
  const nowhere = !residency.state.byModel.has(open.model)
  const unsettled =
    nowhere &&
    [...fleet.state.values()].some(({ reach, since }) => reach === 'joining' && now - since < SETTLING_MS)
  const oldest = line === undefined ? open.admittedAt : Math.min(open.admittedAt, oldestOf(line))
  return { tried: open.tried, unsettled, waiting: line?.count ?? 1, waitedMs: now - oldest }
}

export function lookOf({ clock, config, requests }: Bearings): Look<Open> {
  const { accounts } = requests.state.queue
  const max = config?.clientRunningMax ?? UNLIMITED
  return {
    now: clock.now(),
    starveMs: config?.starveMs ?? STARVE_MS,
    ...(max < UNLIMITED && { skip: ({ client }) => (accounts.get(client)?.running ?? 0) >= max }),
  }
}
