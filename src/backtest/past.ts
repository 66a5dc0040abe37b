/** A recording, made into what a simulation is fed with: a fleet, requests, and what really came of them. */
import type { NodeData } from '../../machines/node.ts'
import { replicaId, replicaParts } from '../../machines/replica.ts'
import { Failure } from '../failure.ts'
import { type Figures, figuresOf, quantile } from './figures.ts'
import type { Fleet, FleetModel, FleetNode, Pace } from './fleet.ts'
import { KEEP_ALIVE_MS } from './presets.ts'
import type { Recorded, Recording, Seen, Tally } from './recording.ts'
import type { Outcome } from './site.ts'
import { Timeline } from './timeline.ts'
import type { Arrival } from './trace.ts'

/** A node that was away for less than this was not missed. */
const AWAY_MIN_MS = 1_000
/** Whoever was away at the end stays away for good, as far as a simulation is concerned. */
const FOR_GOOD_MS = 30 * 86_400_000
/** Where nothing was ever seen: as estimates.ts has it before it has learned anything. */
const LOAD_MS = 1_500
const DISK_BYTES_PER_MS = 500_000

export interface Window {
  readonly from: number
  readonly to: number
}

export interface Past {
  readonly arrivals: readonly Arrival[]
  readonly figures: Figures
  /** Requests without token counts, which get the median of their model. */
  readonly guessed: number
  /** Requests that are left out, and why. */
  readonly leftOut: { readonly refused: number; readonly leased: number; readonly absent: number }
}

/** Throws a Failure `backtest.nothing` where there is nothing to learn from. */
export function pastOf(recording: Recording, { from, to }: Window): Past {
  const all = [...recording.requests.values()].filter(({ admittedAt: at }) => at >= from && at < to)
  if (all.length === 0) {
    throw nothing(
      recording.requests.size === 0
        ? 'nobody has asked this house for anything yet: send it requests first, or name another journal with --data'
        : `no request came between these times; the journal has them from ${isoOf(recording.firstAt)} to ${isoOf(recording.lastAt)}`,
    )
  }
  const there = new Set([...recording.nodes.values()].flatMap(({ models }) => [...models]))
  const why = (request: Recorded): keyof Past['leftOut'] | undefined => {
    if (request.end === 'refused' || request.end === 'leased') return request.end
    return there.has(request.model) ? undefined : 'absent'
  }
  const kept = all.filter(request => why(request) === undefined)
  if (!kept.some(({ end }) => end === 'answered')) {
    throw nothing('not one of its requests was answered, so nothing is known of how long answers take')
  }
  const typical = typicalOf(kept)
  const arrivals = kept.map((request): Arrival => {
    const { id, model, client, priority, admittedAt: at, labels } = request
    const { promptTokens, outputTokens } = typical(request)
    return {
      id,
      at,
      model,
      client,
      priority,
      promptTokens,
      outputTokens,
      patienceMs: patienceOf(request),
      ...(request.class !== undefined && { class: request.class }),
      ...(labels !== undefined && { labels }),
    }
  })
  const count = (reason: keyof Past['leftOut']): number => all.filter(one => why(one) === reason).length
  return {
    arrivals,
    figures: recordedFigures(recording, kept, arrivals, { from, to }),
    guessed: kept.filter(({ promptTokens }) => promptTokens === undefined).length,
    leftOut: { refused: count('refused'), leased: count('leased'), absent: count('absent') },
  }
}

/** Who left while it waited would do so again; who left while it was answered had its slot. */
function patienceOf({ end, assignedAt, endedAt, admittedAt, expiresAt }: Recorded): number {
  return end === 'left' && assignedAt === undefined ? endedAt! - admittedAt : expiresAt - admittedAt
}

type Tokens = Pick<Arrival, 'promptTokens' | 'outputTokens'>

/** Its own token counts; else the medians of its model; else those of all. */
function typicalOf(requests: readonly Recorded[]): (request: Recorded) => Tokens {
  const counted = requests.filter(({ promptTokens }) => promptTokens !== undefined)
  if (counted.length === 0) {
    throw nothing('none of its answers has token counts, so that nothing is known of how much was asked')
  }
  const medians = new Map<string, Tokens>()
  const medianOf = (of: readonly Recorded[]): Tokens => ({
    promptTokens: quantile(
      of.map(({ promptTokens }) => promptTokens!),
      0.5,
    ),
    outputTokens: quantile(
      of.map(({ outputTokens }) => outputTokens!),
      0.5,
    ),
  })
  const overall = medianOf(counted)
  return ({ model, promptTokens, outputTokens }) => {
    if (promptTokens !== undefined) return { promptTokens, outputTokens: outputTokens! }
    let median = medians.get(model)
    if (median === undefined) {
      const own = counted.filter(one => one.model === model)
      median = own.length === 0 ? overall : medianOf(own)
      medians.set(model, median)
    }
    return median
  }
}

function recordedFigures(
  { loadedAt }: Recording,
  requests: readonly Recorded[],
  arrivals: readonly Arrival[],
  { from, to }: Window,
): Figures {
  const outcomes = requests.map((request, i): Outcome => {
    const { end, assignedAt, begunAt, endedAt } = request
    const arrival = arrivals[i]!
    if (end !== 'answered' || assignedAt === undefined) return { arrival }
    return { arrival, startedAt: assignedAt, begunAt: begunAt ?? endedAt!, endedAt: endedAt! }
  })
  const startedAt = arrivals[0]!.at
  const endedAt = outcomes.reduce((last, outcome) => Math.max(last, outcome.endedAt ?? 0), startedAt)
  const loads = loadedAt.filter(at => at >= from && at < Math.max(to, endedAt)).length
  return figuresOf({ outcomes, loads, startedAt, endedAt, timeline: new Timeline() })
}

/** The fleet as it was: what each model did on each node, and when each node was away. */
export function fleetOf(recording: Recording): Fleet {
  const { nodes, seen, sizeBytes, lastAt } = recording
  const asked = new Map<string, number>()
  for (const { model } of recording.requests.values()) asked.set(model, (asked.get(model) ?? 0) + 1)
  const names = [...new Set([...nodes.values()].flatMap(({ models }) => [...models]))].sort(
    (a, b) => (asked.get(b) ?? 0) - (asked.get(a) ?? 0) || (a < b ? -1 : 1),
  )
  if (nodes.size === 0 || names.length === 0) {
    throw nothing('it knows of no node with a model: let a house with nodes run on it first')
  }
  const overall = { ...FALLBACK, ...paceOf([...seen.values()]) }
  const models = names.map((name): FleetModel => {
    const own = [...seen].filter(([replica]) => replicaParts(replica).model === name).map(([, what]) => what)
    const size = sizeBytes.get(name) ?? 0
    const loadMs = loadOf(own) ?? Math.round(LOAD_MS + size / DISK_BYTES_PER_MS)
    return { name, sizeBytes: size, loadMs, ...overall, ...paceOf(own) }
  })
  return {
    keepAliveMs: KEEP_ALIVE_MS,
    models,
    nodes: [...nodes].map(([name, { data, away, awaySince, memoryBytes, models: disk }]): FleetNode => {
      const special = new Map<string, Partial<Pace>>()
      for (const model of disk) {
        const own = seen.get(replicaId(model, name))
        const loadMs = own && loadOf([own])
        special.set(model, { ...(loadMs !== undefined && { loadMs }), ...(own && paceOf([own])) })
      }
      const gone = awaySince === undefined ? [] : [{ from: awaySince, until: lastAt + FOR_GOOD_MS }]
      const { slots, residentMax } = data
      return {
        name,
        slots,
        resident: residentMax,
        speed: speedOf(special, models),
        ...(memoryBytes !== undefined && { memoryBytes }),
        models: special,
        off: [...away, ...gone]
          .filter(({ from, until }) => until - from >= AWAY_MIN_MS)
          .map(({ from, until }) => `${isoOf(from)}/${isoOf(until)}`),
        ...termsOf(data),
      }
    }),
  }
}

function termsOf({ weight, hours, labels }: NodeData): Pick<FleetNode, 'terms'> {
  const terms = {
    ...(weight !== undefined && { weight }),
    ...(hours !== undefined && { hours }),
    ...(Object.keys(labels).length > 0 && { labels }),
  }
  return Object.keys(terms).length === 0 ? {} : { terms }
}

const FALLBACK = { prefillTps: 1_500, decodeTps: 40 } as const

/**
 * Tokens a second, from all that was seen. Answers that only say how long all of it took count where there is nothing
 * better, every token alike.
 */
function paceOf(seen: readonly Seen[]): Partial<Pick<Pace, 'prefillTps' | 'decodeTps'>> {
  const whole = speed(seen.map(one => one.whole))
  const prefillTps = speed(seen.map(one => one.prompt)) ?? whole
  const decodeTps = speed(seen.map(one => one.output)) ?? whole
  return { ...(prefillTps !== undefined && { prefillTps }), ...(decodeTps !== undefined && { decodeTps }) }
}

function speed(tallies: readonly Tally[]): number | undefined {
  const tokens = tallies.reduce((sum, tally) => sum + tally.tokens, 0)
  const ms = tallies.reduce((sum, tally) => sum + tally.ms, 0)
  return tokens > 0 && ms > 0 ? (tokens / ms) * 1_000 : undefined
}

function loadOf(seen: readonly Seen[]): number | undefined {
  const all = seen.flatMap(({ loadsMs }) => loadsMs)
  return all.length === 0 ? undefined : quantile(all, 0.5)
}

/** For models that were never seen on a node: as fast as it was with others. */
function speedOf(special: ReadonlyMap<string, Partial<Pace>>, models: readonly FleetModel[]): number {
  const ratios = models.flatMap(({ name, decodeTps }) => {
    const own = special.get(name)?.decodeTps
    return own === undefined ? [] : [own / decodeTps]
  })
  return ratios.length === 0 ? 1 : Math.round(quantile(ratios, 0.5) * 100) / 100
}

function isoOf(at: number): string {
  return new Date(at).toISOString()
}

function nothing(why: string): Failure {
  return new Failure('backtest.nothing', `the journal gives nothing to test on: ${why}`)
}
