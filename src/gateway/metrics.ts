/**
 * /metrics for Prometheus. The only importer of prom-client. Counters and histograms hear facts when they are durable and
 * begin anew with the process; gauges read the projections when they are asked. Neither waits for the disk.
 *
 * Labels are few: a model's name counts only while some node has (or had) that model, whatever clients ask for, and
 * after a hundred models, or nodes, the rest are `other`.
 */
import type { FastifyPluginAsync } from 'fastify'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { replicaParts } from '../../machines/replica.ts'
import type { Figures } from '../../machines/request.ts'
import type { Clock } from '../clock.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import type { Journal } from '../journal/journal.ts'
import type { BreakersProjection } from '../projections/breakers.ts'
import type { Catalog } from '../projections/catalog.ts'
import { type Fleet, routable } from '../projections/fleet.ts'
import { type JobsProjection, openCount } from '../projections/jobs.ts'
import { type RequestsProjection, runningOn } from '../projections/requests.ts'
import type { Residency } from '../projections/residency.ts'
import { type RetriesProjection, retriesLeft } from '../projections/retries.ts'
import type { TransfersProjection } from '../projections/transfers.ts'
import { doors, hang } from './doors.ts'
import { type Agents, type NodeVitals, oldestWaitMs } from './views.ts'

export interface MetricsNeeds {
  readonly clock: Clock
  readonly journal: Journal
  readonly fleet: Fleet
  readonly residency: Residency
  readonly requests: RequestsProjection
  readonly breakers: BreakersProjection
  readonly retries: RetriesProjection
  readonly catalog: Catalog
  readonly jobs: JobsProjection
  readonly transfers: TransfersProjection
  /** Bytes of models that have come since the process began, as the nodes told; and what of models does not fit together. */
  readonly pulling: { readonly bytes: number; readonly found: ReadonlyMap<string, number> }
  /** How the data folder stands to its budget; see archive/budget.ts. */
  readonly budget: {
    readonly budgetBytes: number
    readonly usedBytes: number
    readonly standing: string
  }
  readonly spool: { readonly usage: { readonly bytes: number } }
  /** What the house keeps for a fast start; see snapshots/snapshots.ts. */
  readonly snapshots: { readonly figures: SnapshotFigures }
  readonly vitals: ReadonlyMap<string, NodeVitals>
  readonly agents: Agents
  readonly named: { all(): readonly SubscriptionFigures[] }
  /** How often the head of a conversation came back, and where to; see scheduler/affinity.ts. */
  readonly affinity: { readonly seen: number; readonly hits: number }
  /** What has been signed; see proofs/checkpoints.ts. */
  readonly checkpoints: {
    readonly latest: { readonly size: number } | undefined
    readonly trouble: unknown
  }
  /** How the journal fared when it was read again; see proofs/scrub.ts. */
  readonly scrub: {
    readonly state: {
      readonly after: number | undefined
      readonly bad: number
      readonly last:
        | { readonly finishedAt: number; readonly facts: number; readonly ms: number; readonly bad: number }
        | undefined
    }
  }
  /** How far the copy in Kafka has come; undefined without --kafka. */
  readonly mirror:
    | {
        readonly status: {
          readonly state: string
          readonly lagFacts: number
          readonly lagMs: number
          readonly sent: number
        }
      }
    | undefined
  /** Of the package. */
  readonly version: string
}

interface SnapshotFigures {
  readonly written: number
  readonly failed: number
  readonly seq: number
  readonly bytes: number
  readonly pauseMs: number
}

/** How far a subscription is; see subscriptions/subscriptions.ts. */
interface SubscriptionFigures {
  readonly name: string
  readonly state: 'active' | 'parked'
  readonly lag: number
  readonly leases: number
  readonly failing?: { readonly failures: number }
}

const OTHER = 'other'
const MODELS_MAX = 100
const NODES_MAX = 100
const GPUS_MAX = 16

/** Seconds. From a warm token to the ten minutes a request may wait. */
const WAITS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]
const TOKENS = [0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1]
const LOADS = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600]
const FLUSHES = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5]

/** A request that is not over, as far as it has been heard of. */
interface Heard {
  readonly model: string
  readonly admittedAt: number
  queuedAt: number
}

export interface Metrics {
  readonly plugin: FastifyPluginAsync
  readonly reactor: Reactor
}

export function metrics(needs: MetricsNeeds): Metrics {
  const { catalog, clock, fleet, requests, residency } = needs
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  gauges(needs, registers)

  const modelLabel = bounded(
    MODELS_MAX,
    model => catalog.state.has(model) || (residency.state.byModel.get(model)?.size ?? 0) > 0,
  )
  const nodeLabel = bounded(NODES_MAX, node => fleet.state.has(node))

  const place = ['model', 'node'] as const
  const facts = new Counter({
    name: 'quipu_journal_facts_total',
    help: 'Facts on disk since this process began, by type',
    labelNames: ['type'],
    registers,
  })
  const flushes = new Histogram({
    name: 'quipu_journal_flush_seconds',
    help: 'From a decision to the disk',
    buckets: FLUSHES,
    registers,
  })
  const waits = new Histogram({
    name: 'quipu_request_wait_seconds',
    help: 'In the queue before an attempt',
    labelNames: ['model'],
    buckets: WAITS,
    registers,
  })
  const firstBytes = new Histogram({
    name: 'quipu_request_ttft_seconds',
    help: 'From admission to the first byte of the answer',
    labelNames: place,
    buckets: WAITS,
    registers,
  })
  const totals = new Histogram({
    name: 'quipu_request_duration_seconds',
    help: 'From admission to the end, by how it ended',
    labelNames: ['model', 'outcome'],
    buckets: WAITS,
    registers,
  })
  const perToken = new Histogram({
    name: 'quipu_output_token_seconds',
    help: 'Per token of output, as the node measured: one observation a request',
    labelNames: place,
    buckets: TOKENS,
    registers,
  })
  const promptTokens = new Counter({
    name: 'quipu_prompt_tokens_total',
    help: 'Tokens in, as the nodes counted',
    labelNames: place,
    registers,
  })
  const outputTokens = new Counter({
    name: 'quipu_output_tokens_total',
    help: 'Tokens out, as the nodes counted',
    labelNames: place,
    registers,
  })
  const outcomes = new Counter({
    name: 'quipu_requests_total',
    help: 'Requests that are over: completed, failed, expired, abandoned, cancelled; status is the class of the answer',
    labelNames: ['model', 'outcome', 'status'],
    registers,
  })
  const retries = new Counter({
    name: 'quipu_request_retries_total',
    help: 'Attempts that failed before the client had seen a byte, by reason and node',
    labelNames: ['reason', 'node'],
    registers,
  })
  const riders = new Counter({
    name: 'quipu_request_rides_total',
    help: "Requests that shared another's call to a node",
    labelNames: ['model'],
    registers,
  })
  const loads = new Counter({
    name: 'quipu_loads_total',
    help: 'Loads the house ordered: loaded or failed',
    labelNames: [...place, 'outcome'],
    registers,
  })
  const loadTimes = new Histogram({
    name: 'quipu_load_seconds',
    help: 'What a load took',
    labelNames: place,
    buckets: LOADS,
    registers,
  })

  const transfers = new Counter({
    name: 'quipu_transfers_total',
    help: 'Tries to bring a model to a node, by how they ended: completed, failed, abandoned, cancelled',
    labelNames: ['outcome'],
    registers,
  })

  const heard = new Map<string, Heard>()

  /** The one end of a request. */
  function over(id: string, at: number, outcome: string, status?: number): void {
    const request = heard.get(id)
    heard.delete(id)
    const model = request?.model ?? OTHER
    outcomes.inc({ model, outcome, status: status === undefined ? '' : `${Math.floor(status / 100)}xx` })
    if (request !== undefined) totals.observe({ model, outcome }, seconds(at - request.admittedAt))
  }

  function tokens(labels: Record<(typeof place)[number], string>, figures: Figures): void {
    const { promptTokens: read = 0, outputTokens: written = 0, outputMs } = figures
    promptTokens.inc(labels, read)
    outputTokens.inc(labels, written)
    if (outputMs !== undefined && written > 0) perToken.observe(labels, seconds(outputMs / written))
  }

  const rows = reactor(needs, {
    on: {
      'request.admitted': (_needs, { id, at, data: { model } }) => {
        heard.set(id, { model: modelLabel(model), admittedAt: at, queuedAt: at })
      },
      'request.assigned': (_needs, { id, at, data: { batch = id } }) => {
        const request = heard.get(id)
        if (batch !== id) riders.inc({ model: request?.model ?? OTHER })
        if (request !== undefined) waits.observe({ model: request.model }, seconds(at - request.queuedAt))
      },
      'request.begun': (_needs, { id, data: { node, ttftMs } }) => {
        const model = heard.get(id)?.model ?? OTHER
        firstBytes.observe({ model, node: nodeLabel(node) }, seconds(ttftMs))
      },
      'request.retried': (_needs, { id, at, data: { node, reason } }) => {
        retries.inc({ reason: reason.startsWith('worker.') ? 'worker' : reason, node: nodeLabel(node) })
        const request = heard.get(id)
        if (request !== undefined) request.queuedAt = at
      },
      'request.completed': (_needs, { id, at, data }) => {
        tokens({ model: heard.get(id)?.model ?? OTHER, node: nodeLabel(data.node) }, data)
        over(id, at, 'completed', data.status)
      },
      'request.failed': (_needs, { id, at, data: { status } }) => over(id, at, 'failed', status),
      'request.expired': (_needs, { id, at }) => over(id, at, 'expired'),
      'request.abandoned': (_needs, { id, at }) => over(id, at, 'abandoned'),
      'request.cancelled': (_needs, { id, at }) => over(id, at, 'cancelled'),
      'replica.loaded': (_needs, { id, data: { ms } }) => {
        if (ms === undefined) return // somebody else loaded it
        const replica = replicaParts(id)
        const labels = { model: modelLabel(replica.model), node: nodeLabel(replica.node) }
        loads.inc({ ...labels, outcome: 'loaded' })
        loadTimes.observe(labels, seconds(ms))
      },
      'replica.failed': (_needs, { id }) => {
        const { model, node } = replicaParts(id)
        loads.inc({ model: modelLabel(model), node: nodeLabel(node), outcome: 'failed' })
      },
      'transfer.completed': () => transfers.inc({ outcome: 'completed' }),
      'transfer.failed': () => transfers.inc({ outcome: 'failed' }),
      'transfer.abandoned': () => transfers.inc({ outcome: 'abandoned' }),
      'transfer.cancelled': () => transfers.inc({ outcome: 'cancelled' }),
    },
    // Those an earlier process left open end in this one.
    resume: () => {
      for (const { id, model, admittedAt } of requests.state.open.values()) {
        if (!heard.has(id)) heard.set(id, { model: modelLabel(model), admittedAt, queuedAt: admittedAt })
      }
    },
  })

  return {
    plugin: async app => {
      hang(app, doors.metrics, async ({ reply }) => {
        reply.type(registry.contentType)
        return registry.metrics()
      })
    },
    reactor: {
      ...rows,
      react(entry) {
        facts.inc({ type: entry.type })
        flushes.observe(seconds(clock.now() - entry.at))
        rows.react(entry)
      },
    },
  }
}

/** What is read when it is asked for. */
function gauges(needs: MetricsNeeds, registers: Registry[]): void {
  const { affinity, breakers, budget, clock, fleet, jobs, journal, requests, residency, retries, spool } =
    needs
  const { agents, checkpoints, mirror, named, pulling, scrub, snapshots, transfers, vitals, version } = needs

  function gauge<L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    read: () => Iterable<readonly [labels: Record<L, string | number>, value: number]>,
  ): void {
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset()
        for (const [labels, value] of read()) this.set(labels, value)
      },
    })
  }
  const single = (name: string, help: string, read: () => number): void =>
    gauge(name, help, [], () => [[{}, read()]])
  /** A fleet beyond what labels are for is cut off, in its order. */
  const nodes = () => [...fleet.state.values()].slice(0, NODES_MAX)

  new Counter({
    name: 'quipu_transfer_bytes_total',
    help: 'Bytes of models that nodes pulled for this process, as they told',
    registers,
    collect() {
      this.reset()
      this.inc(pulling.bytes)
    },
  })
  gauge('quipu_model_findings', 'What of models does not fit together', ['about'], () =>
    [...pulling.found].map(([about, count]) => [{ about }, count] as const),
  )
  gauge('quipu_transfers_open', 'Models on their way to nodes', ['state'], () => {
    const open = [...transfers.state.open.values()]
    const count = (state: string): number => open.filter(each => each.state === state).length
    return ['waiting', 'running', 'resting'].map(state => [{ state }, count(state)] as const)
  })

  gauge('quipu_info', 'Which Quipu this is', ['version'], () => [[{ version }, 1]])

  single('quipu_queue_depth', 'Requests in the queue', () => requests.state.queue.count)
  single('quipu_jobs_open', 'Jobs that have not ended', () => openCount(jobs.state))
  single('quipu_jobs_kept', 'Jobs that have ended and are kept', () => jobs.state.finished.size)
  single('quipu_spool_bytes', 'On disk of questions and answers of jobs', () => spool.usage.bytes)
  single('quipu_queue_oldest_wait_seconds', 'How long the oldest in the queue has waited', () =>
    seconds(oldestWaitMs(needs)),
  )
  single('quipu_affinity_heads', 'Conversations that came back since this process began', () => affinity.seen)
  single(
    'quipu_affinity_hits',
    'Of these, the ones that went where they had gone before',
    () => affinity.hits,
  )
  gauge('quipu_requests_in_flight', 'Requests on a node', ['node'], () =>
    nodes().map(({ name }) => [{ node: name }, runningOn(requests.state, name)]),
  )

  single('quipu_retry_budget_remaining', 'Attempts that may fail and be tried again now', () =>
    retriesLeft(retries.state, fleet.state, clock.now()),
  )

  gauge('quipu_node_up', 'May the node be given work?', ['node'], () =>
    nodes().map(node => [{ node: node.name }, routable(node) ? 1 : 0]),
  )
  gauge('quipu_node_slots', 'Requests at once per model', ['node'], () =>
    nodes().map(({ name, slots }) => [{ node: name }, slots]),
  )
  gauge('quipu_node_breaker', '1 for the state the breaker is in', ['node', 'state'], () =>
    nodes().flatMap(({ name }) => {
      const now = breakers.state.nodes.get(name)?.state ?? 'closed'
      return BREAKER_STATES.map(state => [{ node: name, state }, state === now ? 1 : 0] as const)
    }),
  )
  gauge('quipu_node_models', 'Models on the node: on disk only, loading, in memory', ['node', 'state'], () =>
    nodes().flatMap(({ name }) => {
      const replicas = [...(residency.state.byNode.get(name)?.values() ?? [])]
      return REPLICA_STATES.map(
        state => [{ node: name, state }, replicas.filter(replica => replica.state === state).length] as const,
      )
    }),
  )
  gauge('quipu_node_answer_seconds', 'How long the node took to answer the last look', ['node'], () =>
    nodes().flatMap(({ name }) => {
      const { seenAt = 0, answerMs = 0 } = vitals.get(name) ?? {}
      return seenAt > 0 ? [[{ node: name }, seconds(answerMs)] as const] : []
    }),
  )

  gauge('quipu_node_agent_up', 'Is a line to its agent up, and is it heard?', ['node'], () =>
    nodes().flatMap(({ name }) => {
      const said = agents.of(name)
      if (said === undefined && !agents.up(name)) return []
      return [[{ node: name }, said?.fresh && agents.up(name) ? 1 : 0] as const]
    }),
  )
  gauge(
    'quipu_node_throttled',
    '1 while it is slowed down by this for longer than a moment',
    ['node', 'cause'],
    () =>
      nodes().flatMap(({ name, throttled }) =>
        throttled === undefined ? [] : [[{ node: name, cause: throttled.cause }, 1] as const],
      ),
  )
  type Status = NonNullable<ReturnType<Agents['of']>>['status']
  /** What agents say, while it holds. What is not known has no sample. */
  const heard = (name: string, help: string, read: (status: Status) => number | undefined): void =>
    gauge(name, help, ['node'], () =>
      nodes().flatMap(({ name }) => {
        const said = agents.of(name)
        const value = said?.fresh ? read(said.status) : undefined
        return value === undefined ? [] : [[{ node: name }, value] as const]
      }),
    )
  heard('quipu_node_cpu_ratio', 'Busy, of all its cores', ({ load }) => load?.cpu)
  heard('quipu_node_memory_bytes', 'Memory of the machine', ({ equipment }) => equipment?.memoryBytes)
  heard('quipu_node_memory_free_bytes', 'Of it that can be had', ({ load }) => load?.memoryFreeBytes)
  heard('quipu_node_swap_used_bytes', 'Swapped out', ({ load }) => load?.swapUsedBytes)
  heard(
    'quipu_node_disk_bytes',
    'Size of the volume of the models',
    ({ equipment }) => equipment?.disk?.sizeBytes,
  )
  heard('quipu_node_disk_free_bytes', 'Free on the volume of the models', ({ load }) => load?.diskFreeBytes)
  heard('quipu_node_received_bytes_per_second', 'From the network', ({ load }) => load?.receivedBytesPerS)
  heard('quipu_node_sent_bytes_per_second', 'To the network', ({ load }) => load?.sentBytesPerS)

  type Gpu = NonNullable<Status['load']>['gpus'][number]
  /** By its place among the GPUs of the node, so that labels stay few where cards come and go. */
  const perGpu = (
    name: string,
    help: string,
    read: (gpu: Partial<Gpu>, equipment: { readonly memoryBytes?: number }) => number | undefined,
  ): void =>
    gauge(name, help, ['node', 'gpu'], () =>
      nodes().flatMap(({ name }) => {
        const said = agents.of(name)
        if (!said?.fresh) return []
        const { equipment, load } = said.status
        const ids = [...new Set([...(equipment?.gpus ?? []), ...(load?.gpus ?? [])].map(({ id }) => id))]
        return ids
          .sort()
          .slice(0, GPUS_MAX)
          .flatMap((id, gpu) => {
            const built = equipment?.gpus.find(gpu => gpu.id === id) ?? {}
            const value = read(load?.gpus.find(gpu => gpu.id === id) ?? {}, built)
            return value === undefined ? [] : [[{ node: name, gpu }, value] as const]
          })
      }),
    )
  perGpu('quipu_node_gpu_memory_bytes', 'Memory of a GPU', (_gpu, { memoryBytes }) => memoryBytes)
  perGpu('quipu_node_gpu_memory_used_bytes', 'Of it in use', ({ memoryUsedBytes }) => memoryUsedBytes)
  perGpu('quipu_node_gpu_utilisation_ratio', 'Busy', ({ utilisation }) => utilisation)
  perGpu('quipu_node_gpu_temperature_celsius', 'Its temperature', ({ temperatureC }) => temperatureC)
  perGpu('quipu_node_gpu_power_watts', 'What it draws', ({ powerW }) => powerW)

  const subscriptions = (read: (figures: SubscriptionFigures) => number) => () =>
    named.all().map(figures => [{ subscription: figures.name }, read(figures)] as const)
  const label = ['subscription'] as const
  gauge(
    'quipu_subscription_lag_facts',
    'Facts between its mark and the end of the journal, wanted or not',
    label,
    subscriptions(({ lag }) => lag),
  )
  gauge(
    'quipu_subscription_parked',
    '1 while nothing of it is given out',
    label,
    subscriptions(({ state }) => (state === 'parked' ? 1 : 0)),
  )
  gauge(
    'quipu_subscription_leases',
    'Leases that are out',
    label,
    subscriptions(({ leases }) => leases),
  )
  gauge(
    'quipu_subscription_failures',
    'Of a webhook: failures in a row, up to now',
    label,
    subscriptions(({ failing }) => failing?.failures ?? 0),
  )

  single('quipu_disk_used_bytes', 'What the data folder takes', () => budget.usedBytes)
  single('quipu_disk_budget_bytes', 'What it may take; 0 where nobody said', () => budget.budgetBytes)
  single('quipu_disk_intake_paused', 'Is nothing new taken, because that is used up?', () =>
    budget.standing === 'full' ? 1 : 0,
  )

  single('quipu_journal_head_seq', 'The last fact decided', () => journal.head.seq)
  single('quipu_journal_durable_seq', 'The last fact on disk', () => journal.durable)
  single(
    'quipu_journal_unwritten_facts',
    'Facts decided and not on disk',
    () => journal.head.seq - journal.durable,
  )
  single('quipu_journal_writable', 'Does the disk write?', () => (journal.writable ? 1 : 0))

  single('quipu_snapshots_written', 'Snapshots since this process began', () => snapshots.figures.written)
  single('quipu_snapshots_failed', 'Those that could not be written', () => snapshots.figures.failed)
  single('quipu_snapshot_seq', 'The fact after which the last one was taken', () => snapshots.figures.seq)
  single('quipu_snapshot_bytes', 'How large it is', () => snapshots.figures.bytes)
  single('quipu_snapshot_pause_seconds', 'For how long nothing else ran while it was taken', () =>
    seconds(snapshots.figures.pauseMs),
  )
  single('quipu_checkpoint_signing', 'Are checkpoints signed?', () =>
    checkpoints.trouble === undefined ? 1 : 0,
  )
  single(
    'quipu_checkpoint_size',
    'Facts that the newest checkpoint covers',
    () => checkpoints.latest?.size ?? 0,
  )
  single(
    'quipu_scrub_seq',
    'How far the journal has been read again; 0 between two scrubs',
    () => scrub.state.after ?? 0,
  )
  single('quipu_scrub_bad_places', 'Damaged places that this scrub, or else the last one, has found', () =>
    scrub.state.after === undefined ? (scrub.state.last?.bad ?? 0) : scrub.state.bad,
  )
  single('quipu_scrub_finished_timestamp_seconds', 'When the last scrub ended; 0 where none has', () =>
    seconds(scrub.state.last?.finishedAt ?? 0),
  )
  single('quipu_scrub_facts', 'Facts that the last scrub read', () => scrub.state.last?.facts ?? 0)
  single('quipu_scrub_busy_seconds', 'What the last scrub spent reading', () =>
    seconds(scrub.state.last?.ms ?? 0),
  )

  if (mirror !== undefined) {
    gauge('quipu_mirror_state', '1 for the state the copy in Kafka is in', ['state'], () =>
      MIRROR_STATES.map(state => [{ state }, state === mirror.status.state ? 1 : 0]),
    )
    single(
      'quipu_mirror_lag_facts',
      'Facts on disk, and not known to be in Kafka',
      () => mirror.status.lagFacts,
    )
    single('quipu_mirror_lag_seconds', 'How long the oldest of these has waited', () =>
      seconds(mirror.status.lagMs),
    )
    single(
      'quipu_mirror_sent_facts',
      'Facts that Kafka has taken since this process began',
      () => mirror.status.sent,
    )
  }
}

const BREAKER_STATES = ['closed', 'open', 'halfOpen'] as const
const MIRROR_STATES = ['connecting', 'live', 'waiting', 'stopped'] as const
const REPLICA_STATES = ['present', 'loading', 'resident'] as const

/** A label's value: the name itself while it is known and there is room, and from then on. */
function bounded(max: number, known: (name: string) => boolean): (name: string) => string {
  const names = new Set<string>()
  return name => {
    if (names.has(name)) return name
    if (names.size >= max || !known(name)) return OTHER
    names.add(name)
    return name
  }
}

/** The wall clock may step back. */
function seconds(ms: number): number {
  return Math.max(0, ms) / 1_000
}
