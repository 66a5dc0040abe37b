/** Whenever demand appears or room opens, seat whoever fits: highest priority first, then oldest first. */
import { replicaId } from '../../machines/replica.ts'
import type { Clock } from '../clock.ts'
import type { Engine } from '../engine/engine.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import type { BreakersProjection } from '../projections/breakers.ts'
import { type EstimatesProjection, loadEstimateMs, runEstimateMs } from '../projections/estimates.ts'
import { type Fleet, type FleetNode, routable } from '../projections/fleet.ts'
import { before, type Open, type RequestsProjection, runningOn } from '../projections/requests.ts'
import type { Replica, Residency } from '../projections/residency.ts'
import { type Choice, type Demand, place, type Spot } from './place.ts'

export interface Scheduler {
  readonly engine: Engine
  readonly clock: Clock
  readonly fleet: Fleet
  readonly residency: Residency
  readonly requests: RequestsProjection
  readonly breakers: BreakersProjection
  readonly estimates: EstimatesProjection
}

/** A swap ripens while nothing else happens, so the queue is looked at again after this long. */
const LOOK_AGAIN_MS = 1_000
/** A node that has not answered this long after it came is not waited for. */
const SETTLING_MS = 5_000

export const scheduler = (self: Scheduler): Reactor => {
  let due = false
  let looking = false
  /** Once a turn, however many facts it brought. */
  const wake = (): void => {
    if (due) return
    due = true
    queueMicrotask(() => {
      due = false
      seat(self)
      if (looking || self.requests.state.waitingCount === 0) return
      looking = true
      self.clock.after(LOOK_AGAIN_MS, () => {
        looking = false
        wake()
      })
    })
  }
  return reactor(self, {
    hears: 'decided',
    on: {
      'request.admitted': wake,
      'request.retried': wake,
      'request.completed': wake,
      'request.failed': wake,
      'request.expired': wake,
      'request.abandoned': wake,
      'request.cancelled': wake,
      'node.joined': wake,
      'node.returned': wake,
      'node.resumed': wake,
      'node.lost': wake,
      'node.removed': wake,
      'breaker.tripped': wake,
      'breaker.probed': wake,
      'breaker.healed': wake,
      'replica.found': wake,
      'replica.loaded': wake,
      'replica.failed': wake,
      'replica.unloaded': wake,
      'replica.removed': wake,
    },
    resume: wake,
  })
}

function seat(self: Scheduler): void {
  const { engine, requests } = self
  if (!engine.writable) return // resume() comes when it is
  const claimed = new Map<string, string>()
  const lines = [...requests.state.waiting.values()].sort((a, b) => (before(a[0]!, b[0]!) ? -1 : 1))
  for (const [first] of lines) {
    const model = first!.model
    let turn = 0
    for (;;) {
      const open = requests.state.waiting.get(model)?.[turn]
      if (open === undefined) break
      const choice = choose(self, open, claimed)
      if (choice.to === 'assign') {
        const { node, candidates } = choice
        engine.commit('request', open.id, { type: 'request.assign', data: { node, candidates } })
        continue
      }
      if (choice.to === 'load') {
        const { node, estimateMs } = choice
        const data = { request: open.id, estimateMs }
        engine.commit('replica', replicaId(model, node), { type: 'replica.load', data })
      }
      if (choice.to === 'claim') claimed.set(choice.node, model)
      // One that waits for a node it has not failed on yet need not hold up those behind it.
      if (choice.to !== 'wait' || open.tried.size === 0) break
      turn += 1
    }
  }
}

/** What would be decided for this request now. Changes nothing. */
export function choose(
  self: Scheduler,
  open: Open,
  claimed: ReadonlyMap<string, string> = new Map(),
): Choice {
  const { fleet, requests, clock } = self
  const now = clock.now()
  const demand: Demand = {
    tried: open.tried,
    unsettled: [...fleet.state.values()].some(
      node => node.reach === 'joining' && now - node.since < SETTLING_MS,
    ),
    waiting: requests.state.waiting.get(open.model)?.length ?? 1,
    waitedMs: now - open.admittedAt,
  }
  const spots = [...fleet.state.values()].map(node => survey(self, node, open.model, claimed.get(node.name)))
  return place(demand, spots)
}

function survey(self: Scheduler, node: FleetNode, model: string, claimedFor: string | undefined): Spot {
  const { residency, requests, breakers, estimates, clock } = self
  const { name, slots } = node
  const replica = residency.state.byNode.get(name)?.get(model)
  const breaker = breakers.state.nodes.get(name)
  const id = replicaId(model, name)
  const load = runningOn(requests.state, name)
  const barred = bar(node, breaker?.state, load, claimedFor === model ? undefined : claimedFor)
  const loadMs = loadEstimateMs(estimates.state, id)
  return {
    node: name,
    ...(barred === undefined ? {} : { barred }),
    memory: replica?.state ?? 'absent',
    slots,
    running: runningOn(requests.state, name, model),
    load,
    loadFailures: replica?.loadFailures ?? 0,
    loadMs,
    runMs: runEstimateMs(estimates.state, id),
    loadLeftMs: replica?.state === 'loading' ? Math.max(0, replica.since + loadMs - clock.now()) : 0,
    ...room(self, node),
  }
}

function bar(
  node: FleetNode,
  breaker: 'closed' | 'open' | 'halfOpen' | undefined,
  load: number,
  claimedFor: string | undefined,
): string | undefined {
  if (node.reach !== 'up') return node.reach === 'joining' ? 'has not answered yet' : 'down'
  if (!routable(node)) return 'draining'
  if (breaker === 'open') return 'breaker open'
  if (breaker === 'halfOpen' && load > 0) return 'on trial'
  if (claimedFor !== undefined) return `claimed for ${claimedFor}`
  return undefined
}

/** Loads are one at a time per node: Ollama's own are, and a second would only wait in front of its door. */
function room(
  { residency, requests, estimates }: Scheduler,
  { name, residentMax }: FleetNode,
): Pick<Spot, 'room' | 'evictMs'> {
  const inMemory: Replica[] = []
  for (const replica of residency.state.byNode.get(name)?.values() ?? []) {
    if (replica.state === 'loading') return { room: 'full', evictMs: 0 }
    if (replica.state === 'resident') inMemory.push(replica)
  }
  if (inMemory.length < residentMax) return { room: 'free', evictMs: 0 }
  const evictable = inMemory
    .filter(({ model }) => runningOn(requests.state, name, model) === 0)
    .map(({ model }) =>
      requests.state.waiting.has(model) ? loadEstimateMs(estimates.state, replicaId(model, name)) : 0,
    )
  return evictable.length === 0
    ? { room: 'full', evictMs: 0 }
    : { room: 'evict', evictMs: Math.min(...evictable) }
}
