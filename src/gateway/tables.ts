/**
 * The tables under /quipu/stats: projections and samples as rows, for spreadsheets and databases, as JSON or as CSV.
 * A server is its address in all of them, so that they can be joined.
 */
import type { FastifyInstance } from 'fastify'
import { Refusal } from '../../machines/entity.ts'
import { canonicalName } from '../../machines/name.ts'
import type { Clock } from '../clock.ts'
import { momentIn } from '../moment.ts'
import type { BreakersProjection } from '../projections/breakers.ts'
import { type Fleet, type FleetNode, healthy } from '../projections/fleet.ts'
import { overSince, type Recent } from '../projections/recent.ts'
import { type RequestsProjection, runningOn } from '../projections/requests.ts'
import type { Residency } from '../projections/residency.ts'
import type { Servers } from '../projections/servers.ts'
import type { SettingsProjection } from '../projections/settings.ts'
import { quantileOf } from '../projections/spread.ts'
import { type Period, spansSince, type TrafficProjection } from '../projections/traffic.ts'
import type { Usage } from '../projections/usage.ts'
import type { Manners } from './control.ts'
import { csv } from './csv.ts'
import { type Asked, type Door, doors, hang } from './doors.ts'
import {
  type InferenceQueueTable,
  type ModelsTable,
  type RequestStatsTable,
  type ServerStatsTable,
  type ServersTable,
  TABLE_LIMIT,
} from './schema/tables.ts'
import type { Told } from './schema/words.ts'
import type { NodeVitals } from './views.ts'

/** What the sampler keeps; see stats/sampler.ts. */
export interface Samples {
  rows(wanted: {
    readonly servers: readonly string[] | undefined
    readonly types: readonly string[] | undefined
    readonly sinceAt: number
    readonly step: string | undefined
    readonly limit: number
  }): readonly {
    readonly server: string
    readonly at: number
    readonly type: Told<typeof ServerStatsTable>[number]['type']
    readonly value: number
  }[]
}

export interface TablesNeeds {
  readonly clock: Clock
  readonly fleet: Fleet
  readonly residency: Residency
  readonly requests: RequestsProjection
  readonly breakers: BreakersProjection
  readonly servers: Servers
  readonly usage: Usage
  readonly traffic: TrafficProjection
  readonly recent: Recent
  readonly settings: SettingsProjection
  readonly vitals: ReadonlyMap<string, NodeVitals>
  readonly samples: Samples
}

/** How far back the samples go where nothing is said. */
const SAMPLES_SINCE_MS = 3_600_000

export function tableDoors(app: FastifyInstance, needs: TablesNeeds, { told }: Manners): void {
  const { clock } = needs

  /** Rows as the table of doors has them, or as CSV where that is asked for. */
  function table<D extends Tabular>(door: D, rows: (query: Asked<D>['query']) => Rows<D>): void {
    const columns = columnsOf(door)
    hang(app, door as Door, async ({ query, request, reply }) => {
      const found = await told(reply, rows(query as Asked<D>['query']))
      if (!asksForCsv(request.headers.accept, query)) return found
      reply.type('text/csv; charset=utf-8')
      return csv(columns, found)
    })
  }

  table(doors.statsServers, ({ server, limit }) => theServers(needs, server).slice(0, limit ?? TABLE_LIMIT))
  table(doors.statsModels, ({ model, server, limit }) =>
    theModels(needs, model, server).slice(0, limit ?? TABLE_LIMIT),
  )
  table(doors.statsServerStats, ({ server, type, since, step, limit = TABLE_LIMIT }) => {
    const now = clock.now()
    const sinceAt = since === undefined ? now - SAMPLES_SINCE_MS : sinceTime(since, now)
    const servers = addressesOf(needs, server)
    return needs.samples
      .rows({ servers, types: wordsOf(type), sinceAt, step, limit })
      .map(({ at, ...row }) => ({ server: row.server, timestamp: iso(at), type: row.type, value: row.value }))
  })
  table(doors.statsRequestStats, ({ by = 'hour', since, limit = TABLE_LIMIT }) => {
    const sinceAt = sinceTime(since, clock.now())
    return theTraffic(needs, by, sinceAt).slice(0, limit)
  })
  table(doors.statsInferenceQueue, ({ status, model, server, since, limit = TABLE_LIMIT }) => {
    const now = clock.now()
    return theRecent(needs, { status, model, server, sinceAt: sinceTime(since, now), now, limit })
  })
  table(doors.statsConfig, ({ setting, since, limit = TABLE_LIMIT }) => {
    const sinceAt = sinceTime(since, clock.now())
    const settings = wordsOf(setting)
    return needs.settings.state.history
      .filter(({ name, at }) => at >= sinceAt && (settings?.includes(name) ?? true))
      .slice(-limit)
      .reverse()
      .map(({ name, by, at, before, after }) => ({ setting: name, who: by, when: iso(at), before, after }))
  })
}

// ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function theServers(needs: TablesNeeds, server: string | undefined): Told<typeof ServersTable> {
  const { breakers, fleet, requests, servers, vitals } = needs
  const wanted = addressesOf(needs, server)
  return [...fleet.state.values()]
    .filter(({ url }) => wanted?.includes(url) ?? true)
    .sort((a, b) => (a.url < b.url ? -1 : 1))
    .map(node => {
      const { lookedAt, seenAt = 0 } = vitals.get(node.name) ?? {}
      return {
        address: node.url,
        healthy: healthy(node, breakers.state.nodes.get(node.name)?.state),
        load: runningOn(requests.state, node.name),
        last_check: isoOrNull(lookedAt ?? seenAt),
        first_seen: iso(servers.state.get(node.name)!),
        hardware_info: node.equipment === undefined ? null : machineText(node.equipment),
      }
    })
}

/** `2 × RTX 4090 of 24 GB; 64 GB of memory; 32 cores; Debian GNU/Linux 12`: what matters most comes first. */
function machineText({ gpus, memoryBytes, cpu, os }: NonNullable<FleetNode['equipment']>): string {
  const kinds = new Map<string, number>()
  for (const { vendor, model, memoryBytes, unified } of gpus) {
    const own = memoryBytes === undefined || unified ? '' : ` of ${gigabytes(memoryBytes)}`
    const kind = `${model || vendor || 'a GPU'}${own}`
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  }
  return [
    ...[...kinds].map(([kind, count]) => (count === 1 ? kind : `${count} × ${kind}`)),
    memoryBytes === undefined ? '' : `${gigabytes(memoryBytes)} of memory`,
    cpu?.cores === undefined ? '' : `${cpu.cores} cores`,
    os?.name ?? '',
  ]
    .filter(Boolean)
    .join('; ')
}

function gigabytes(bytes: number): string {
  return `${Math.round(bytes / 1e9)} GB`
}

function theModels(
  needs: TablesNeeds,
  model: string | undefined,
  server: string | undefined,
): Told<typeof ModelsTable> {
  const { fleet, residency, usage } = needs
  const names = modelsOf(model)
  const wanted = addressesOf(needs, server)
  return [...usage.state.models]
    .filter(([name]) => names?.includes(name) ?? true)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { data, firstAt, count, lastAt }]) => ({
      name,
      servers: [...(residency.state.byModel.get(name)?.keys() ?? [])]
        .map(node => fleet.state.get(node)?.url ?? node)
        .sort(),
      size_gb: Math.round(data.sizeBytes / 1e6) / 1e3,
      parameter_count: parameterCount(data.parameterSize),
      quantization: data.quantization === '' ? null : data.quantization,
      first_seen: iso(firstAt),
      last_used: isoOrNull(lastAt),
      usage_count: count,
    }))
    .filter(({ servers }) => wanted === undefined || servers.some(address => wanted.includes(address)))
}

/** `7.6B`, `494.03M`, as Ollama writes it; null for anything else. */
function parameterCount(text: string): number | null {
  const [, figure, unit = ''] = /^(\d+(?:\.\d+)?)([KMBT]?)$/i.exec(text) ?? []
  if (figure === undefined) return null
  return Math.round(Number(figure) * 1_000 ** ['', 'K', 'M', 'B', 'T'].indexOf(unit.toUpperCase()))
}

function theTraffic(
  { traffic }: TablesNeeds,
  period: Period,
  sinceAt: number,
): Told<typeof RequestStatsTable> {
  return spansSince(traffic.state, period, sinceAt).map(
    ({ startAt, total, sorts, completed, latencies, latencyMs, promptTokens, outputTokens, simulated }) => ({
      period,
      start: iso(startAt),
      total,
      generate: sorts.generate,
      chat: sorts.chat,
      embedding: sorts.embedding,
      completed,
      average_latency: latencies.size === 0 ? null : rounded(latencyMs / latencies.size),
      p50: rounded(quantileOf(latencies, 0.5)),
      p95: rounded(quantileOf(latencies, 0.95)),
      p99: rounded(quantileOf(latencies, 0.99)),
      tokens: promptTokens + outputTokens,
      prompt_tokens: promptTokens,
      output_tokens: outputTokens,
      simulated,
    }),
  )
}

function theRecent(
  needs: TablesNeeds,
  wanted: {
    readonly status: string | undefined
    readonly model: string | undefined
    readonly server: string | undefined
    readonly sinceAt: number
    readonly now: number
    readonly limit: number
  },
): Told<typeof InferenceQueueTable> {
  const statuses = wordsOf(wanted.status)
  const models = modelsOf(wanted.model)
  const servers = addressesOf(needs, wanted.server)
  return [...needs.recent.state.open.values(), ...overSince(needs.recent.state, wanted.now)]
    .filter(
      ({ state, model, server, createdAt }) =>
        createdAt >= wanted.sinceAt &&
        (statuses?.includes(state) ?? true) &&
        (models?.includes(model) ?? true) &&
        (servers?.includes(server) ?? true),
    )
    .sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1))
    .slice(0, wanted.limit)
    .map(({ id, model, state, priority, createdAt, startedAt, endedAt, server, batch }) => ({
      id,
      model,
      status: state,
      priority,
      created_at: iso(createdAt),
      started_at: isoOrNull(startedAt),
      completed_at: isoOrNull(endedAt),
      server_assigned: server === '' ? null : server,
      batch_id: batch === '' ? null : batch,
    }))
}

// ── what is asked for ────────────────────────────────────────────────────────────────────────────────────────────

type Tabular = Door & {
  readonly answer: { readonly items: { readonly properties: object } }
  readonly csv: true
}
type Rows<D extends Tabular> = Told<D['answer']> & readonly object[]

function columnsOf({ answer }: Tabular): readonly string[] {
  return Object.keys(answer.items.properties)
}

function asksForCsv(accept = '', query: unknown): boolean {
  const { format } = query as { readonly format?: 'json' | 'csv' }
  if (format !== undefined) return format === 'csv'
  return /\btext\/csv\b/.test(accept) && !accept.includes('application/json')
}

/** `7d` is seven days ago; a time without a zone is UTC. Nothing said is for ever ago. */
function sinceTime(text: string | undefined, now: number): number {
  if (text === undefined) return 0
  const at = momentIn(text, { now, zone: 'UTC' })
  if (at !== undefined) return at
  throw new Refusal('request.invalid', `query: since: there is no such time as ${text}`)
}

/** Addresses as they are, names of nodes as their addresses. */
function addressesOf({ fleet }: TablesNeeds, text: string | undefined): readonly string[] | undefined {
  return wordsOf(text)?.map(word => fleet.state.get(word)?.url ?? word)
}

function modelsOf(text: string | undefined): readonly string[] | undefined {
  return wordsOf(text)?.map(word => canonicalName(word) ?? word)
}

function wordsOf(text: string | undefined): readonly string[] | undefined {
  return text?.split(',').map(word => word.trim())
}

function iso(at: number): string {
  return new Date(at).toISOString()
}

/** 0 and less is never. */
function isoOrNull(at: number): string | null {
  return at > 0 ? iso(at) : null
}

function rounded(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.round(ms * 1_000) / 1_000
}
