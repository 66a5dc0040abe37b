/**
 * Which models were asked for within the last day, with which labels, and what did that cost: how long did requests wait
 * and run, and how often was the model loaded for them, and thrown out?
 */
import { replicaParts } from '../../machines/replica.ts'
import { projection } from './projection.ts'

/** Durations in milliseconds, sums. */
export interface Demand {
  requests: number
  /** From admission to the first node. */
  waitMs: number
  runMs: number
  /** Loads for a request's sake, and how long they were expected to take. */
  loads: number
  loadMs: number
  /** How often a load of another model threw it out. */
  evictions: number
  /** Requests by the labels they asked a node to have; JSON of sorted pairs. */
  readonly byLabels: Map<string, number>
  /** What nodes answered. */
  readonly byNode: Map<string, { requests: number; runMs: number; lastAt: number }>
}

interface Hours {
  /** By the hour of the epoch, oldest first; then by model. */
  readonly hours: Map<number, Map<string, Demand>>
  readonly open: Map<string, { readonly model: string; readonly at: number; waited: boolean }>
}

export type DemandProjection = ReturnType<typeof demand>

const HOUR_MS = 3_600_000
/** The day, and the hour that is under way. */
const HOURS_MAX = 25
/** Of one model in one hour; what comes beyond counts as asked for without labels. */
const LABELS_MAX = 32

export const demand = () =>
  projection({ hours: new Map(), open: new Map() } as Hours, {
    'request.admitted': (self, { id, at, data: { model, labels = {} } }) => {
      self.open.set(id, { model, at, waited: false })
      const there = during(self, at, model)
      there.requests += 1
      const key = keyOf(labels)
      const known = there.byLabels.has(key) || there.byLabels.size < LABELS_MAX ? key : ANY
      there.byLabels.set(known, (there.byLabels.get(known) ?? 0) + 1)
    },
    'request.assigned': wait,
    'request.leased': wait,
    'request.completed': (self, { id, at, data: { node, model, runMs, status } }) => {
      self.open.delete(id)
      if (status >= 400) return
      const there = during(self, at, model)
      there.runMs += runMs
      const here = there.byNode.get(node) ?? { requests: 0, runMs: 0, lastAt: 0 }
      there.byNode.set(node, { requests: here.requests + 1, runMs: here.runMs + runMs, lastAt: at })
    },
    'request.failed': end,
    'request.expired': end,
    'request.abandoned': end,
    'request.cancelled': end,
    'replica.loading': (self, { id, at, data: { estimateMs, evicts } }) => {
      const there = during(self, at, replicaParts(id).model)
      there.loads += 1
      there.loadMs += estimateMs
      if (evicts !== undefined) during(self, at, evicts).evictions += 1
    },
  })

/** Of so many full hours before `now`, and of the one that is under way. */
export function lately(
  { hours }: Pick<Hours, 'hours'>,
  now: number,
  lastHours = HOURS_MAX - 1,
): ReadonlyMap<string, Demand> {
  const sums = new Map<string, Demand>()
  const first = Math.floor(now / HOUR_MS) - lastHours
  for (const [hour, models] of hours) {
    if (hour < first) continue
    for (const [model, one] of models) add(ofModel(sums, model), one)
  }
  return sums
}

/** The labels, as they were asked for. */
export function labelsOf(key: string): readonly (readonly [string, string])[] {
  return key === ANY ? [] : JSON.parse(key)
}

const ANY = ''

function keyOf(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels)
  return pairs.length === 0 ? ANY : JSON.stringify(pairs.sort(([a], [b]) => (a < b ? -1 : 1)))
}

function wait(self: Hours, { id, at }: { readonly id: string; readonly at: number }): void {
  const open = self.open.get(id)
  if (open === undefined || open.waited) return
  open.waited = true
  during(self, at, open.model).waitMs += Math.max(0, at - open.at)
}

function end({ open }: Hours, { id }: { readonly id: string }): void {
  open.delete(id)
}

function during({ hours }: Hours, at: number, model: string): Demand {
  const hour = Math.floor(at / HOUR_MS)
  let models = hours.get(hour)
  if (models === undefined) {
    models = new Map()
    hours.set(hour, models)
    // Counted and not dated, so that one wrong clock does not wipe out what was before.
    if (hours.size > HOURS_MAX) hours.delete(hours.keys().next().value!)
  }
  return ofModel(models, model)
}

function ofModel(models: Map<string, Demand>, model: string): Demand {
  let there = models.get(model)
  if (there === undefined) {
    there = {
      requests: 0,
      waitMs: 0,
      runMs: 0,
      loads: 0,
      loadMs: 0,
      evictions: 0,
      byLabels: new Map(),
      byNode: new Map(),
    }
    models.set(model, there)
  }
  return there
}

function add(sum: Demand, one: Demand): void {
  for (const name of ['requests', 'waitMs', 'runMs', 'loads', 'loadMs', 'evictions'] as const)
    sum[name] += one[name]
  for (const [key, count] of one.byLabels) sum.byLabels.set(key, (sum.byLabels.get(key) ?? 0) + count)
  for (const [node, { requests, runMs, lastAt }] of one.byNode) {
    const here = sum.byNode.get(node) ?? { requests: 0, runMs: 0, lastAt: 0 }
    sum.byNode.set(node, {
      requests: here.requests + requests,
      runMs: here.runMs + runMs,
      lastAt: Math.max(here.lastAt, lastAt),
    })
  }
}
