/** What the house's own doors show: projections, put together for people and programs. Changes nothing. */
import { canonicalName } from '../../machines/name.ts'
import { replicaId } from '../../machines/replica.ts'
import type { Candidate } from '../../machines/request.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engine/engine.ts'
import { AGENT } from '../fleet/agents.ts'
import type { BreakersProjection } from '../projections/breakers.ts'
import type { Catalog } from '../projections/catalog.ts'
import { type EstimatesProjection, seenOf } from '../projections/estimates.ts'
import { type Fleet, type FleetNode, isSimulated, routable, standing } from '../projections/fleet.ts'
import type { History } from '../projections/history.ts'
import { keyOf, lineup, oldestOf } from '../projections/queue.ts'
import { type Open, type RequestsProjection, runningOn, waitingFor } from '../projections/requests.ts'
import type { Replica, Residency } from '../projections/residency.ts'
import type { NodeStatus } from './schema/agents.ts'
import type { Model } from './schema/models.ts'
import type { Node, NodeGone, NodeInFull } from './schema/nodes.ts'
import type { Waiting } from './schema/queue.ts'
import type { Told } from './schema/words.ts'
import { isOpen, type RequestSummary, roughly, type Story, summary, touched, waiting } from './why.ts'

/** What a node said last; see fleet/vitals.ts. */
export interface NodeVitals {
  readonly seenAt: number
  readonly answerMs: number
  /** When it was last looked at, with or without an answer. */
  readonly lookedAt?: number
  readonly misses: number
  readonly error?: string
}

/** What the agents of nodes say; see fleet/watching.ts. */
export interface Agents {
  /** Undefined where nothing has been heard since the house began. */
  of(node: string):
    | {
        readonly status: NonNullable<Told<typeof NodeStatus>['status']>
        readonly heardAt: number
        readonly ageMs: number
        readonly fresh: boolean
      }
    | undefined
  /** In a few figures, while they hold. */
  gauges(node: string): Omit<NonNullable<Told<typeof Node>['hardware']>, 'ageMs'> | undefined
  /** Is a line to its agent up? */
  up(node: string): boolean
}

/** What would be decided for a request now; see scheduler/place.ts. */
export interface Outlook {
  readonly to: string
  readonly node?: string
  readonly candidates?: readonly Candidate[]
}

export interface ViewNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly fleet: Fleet
  readonly residency: Residency
  readonly requests: RequestsProjection
  readonly breakers: BreakersProjection
  readonly estimates: EstimatesProjection
  readonly catalog: Catalog
  readonly history: History
  readonly vitals: ReadonlyMap<string, NodeVitals>
  readonly agents: Agents
  readonly config: Pick<Config, 'starveMs'>
  readonly choose: (open: Open) => Outlook
  /** How long it will wait with so many ahead of it in its line; see scheduler/eta.ts. */
  readonly expect: (open: Open, ahead: number) => Expected
}

export interface Expected {
  /** Undefined where no node could take it. */
  readonly waitMs?: number | undefined
  /** Four predictions in five were wrong by no more. */
  readonly errorMs?: number | undefined
}

// ── nodes and models ─────────────────────────────────────────────────────────────────────────────────────────────

export function allNodes(needs: ViewNeeds): readonly Told<typeof Node>[] {
  return [...needs.fleet.state.values()].sort(byName).map(node => nodeView(needs, node))
}

export function oneNode(needs: ViewNeeds, name: string): Told<typeof NodeInFull> | undefined {
  const node = needs.fleet.state.get(name)
  if (node === undefined) return undefined
  const { equipment } = node
  return {
    ...nodeView(needs, node),
    ...(equipment !== undefined && { equipment }),
    replicas: replicasOn(needs, name),
  }
}

/** Once it is removed. */
export function goneNode(
  needs: ViewNeeds,
  { name, url }: { name: string; url: string },
): Told<typeof NodeGone> {
  const returns = url.startsWith(AGENT) && needs.agents.up(name)
  return { name, standing: 'removed', ...(returns && { returns }) }
}

/** Of a node that there is. */
export function nodeStatus(needs: ViewNeeds, name: string): Told<typeof NodeStatus> {
  const { equipment, throttled, version } = needs.fleet.state.get(name)!
  const said = needs.agents.of(name)
  const agent = said === undefined ? 'none' : said.fresh && needs.agents.up(name) ? 'up' : 'silent'
  return {
    node: name,
    agent,
    sentence: statusSentence(name, agent, needs.agents.up(name), said?.ageMs),
    version,
    ...(equipment !== undefined && { equipment }),
    ...(throttled !== undefined && { throttled }),
    ...(said !== undefined && { heardAt: said.heardAt, ageMs: said.ageMs, status: said.status }),
    replicas: replicasOn(needs, name),
  }
}

function statusSentence(
  name: string,
  agent: Told<typeof NodeStatus>['agent'],
  up: boolean,
  ageMs: number | undefined,
): string {
  if (agent === 'up') return `the agent of ${name} was heard ${roughly(ageMs!)} ago`
  if (agent === 'silent') {
    const line = up ? '' : ', and no line to it is up'
    return `the agent of ${name} was last heard ${roughly(ageMs!)} ago${line}; what it said may no longer hold`
  }
  return up
    ? `the agent of ${name} has not said anything yet`
    : `${name} has no agent that is heard; what the house knows, it knows from its Ollama`
}

function replicasOn(needs: ViewNeeds, name: string): Told<typeof NodeInFull>['replicas'] {
  return [...(needs.residency.state.byNode.get(name)?.values() ?? [])]
    .sort((a, b) => (a.model < b.model ? -1 : 1))
    .map(replica => ({ model: replica.model, ...replicaView(needs, replica) }))
}

export function allModels(needs: ViewNeeds): readonly Told<typeof Model>[] {
  const { catalog, residency, requests } = needs
  const names = new Set([...catalog.state.keys(), ...residency.state.byModel.keys()])
  return [...names].sort().flatMap(name => {
    const replicas = [...(residency.state.byModel.get(name)?.values() ?? [])]
    const known = catalog.state.get(name)
    if (known === undefined && replicas.length === 0) return []
    const inState = (state: Replica['state']): number =>
      replicas.filter(replica => replica.state === state).length
    const nodes = replicas
      .sort((a, b) => (a.node < b.node ? -1 : 1))
      .map(replica => ({ node: replica.node, ...replicaView(needs, replica) }))
    return {
      name,
      digest: known?.digest ?? replicas[0]!.digest,
      sizeBytes: known?.sizeBytes ?? replicas[0]!.sizeBytes,
      family: known?.family ?? '',
      parameterSize: known?.parameterSize ?? '',
      quantization: known?.quantization ?? '',
      capabilities: known?.capabilities ?? [],
      present: replicas.length,
      loading: inState('loading'),
      resident: inState('resident'),
      running: nodes.reduce((sum, { running }) => sum + running, 0),
      waiting: waitingFor(requests.state, name),
      nodes,
    }
  })
}

export function upCount({ fleet }: Pick<ViewNeeds, 'fleet'>): number {
  return [...fleet.state.values()].filter(routable).length
}

function nodeView(needs: ViewNeeds, node: FleetNode): Told<typeof Node> {
  const {
    name,
    url,
    origin,
    version,
    slots,
    residentMax,
    weight = 1,
    hours,
    labels,
    since,
    loss,
    throttled,
  } = node
  const replicas = [...(needs.residency.state.byNode.get(name)?.values() ?? [])]
  const resident = replicas.filter(({ state }) => state === 'resident').map(({ model }) => model)
  const vitals = needs.vitals.get(name)
  const answered = vitals !== undefined && vitals.seenAt > 0
  const gauges = needs.agents.gauges(name)
  return {
    name,
    url,
    standing: standing(node),
    simulated: isSimulated(node),
    origin,
    version,
    slots,
    residentMax,
    weight,
    ...(hours !== undefined && { hours }),
    labels,
    breaker: breakerView(needs, name),
    running: runningOn(needs.requests.state, name),
    models: {
      present: replicas.length,
      loading: replicas.filter(({ state }) => state === 'loading').length,
      resident: resident.length,
    },
    resident: resident.sort(),
    since,
    ...(answered && { seenAt: vitals.seenAt, answerMs: vitals.answerMs }),
    misses: vitals?.misses ?? 0,
    ...(vitals?.error !== undefined && vitals.misses > 0 && { error: vitals.error }),
    ...(loss !== undefined && node.reach === 'down' && { loss }),
    ...(throttled !== undefined && { throttled }),
    ...(gauges !== undefined && { hardware: { ...gauges, ageMs: needs.agents.of(name)?.ageMs ?? 0 } }),
  }
}

function breakerView({ breakers }: ViewNeeds, node: string): Told<typeof Node>['breaker'] {
  const { state, failures, round, until, reason } = breakers.state.nodes.get(node) ?? CLOSED
  return {
    state,
    failures,
    round,
    ...(state === 'open' && { until }),
    ...(state !== 'closed' && reason !== '' && { reason }),
  }
}

const CLOSED = { state: 'closed', failures: 0, round: 0, until: 0, reason: '' } as const

function replicaView(
  { requests, estimates }: ViewNeeds,
  { model, node, state, since, digest, sizeBytes, residence, loadFailures }: Replica,
) {
  const id = replicaId(model, node)
  const { loadMs, runMs } = seenOf(estimates.state, id)
  return {
    state,
    since,
    digest,
    sizeBytes,
    ...(state === 'resident' &&
      residence !== undefined && {
        memoryBytes: residence.sizeBytes,
        vramBytes: residence.vramBytes,
        contextLength: residence.contextLength,
      }),
    ...(loadMs !== undefined && { loadMs: Math.round(loadMs) }),
    ...(runMs !== undefined && { runMs: Math.round(runMs) }),
    loadFailures,
    running: runningOn(requests.state, node, model),
  }
}

// ── the queue ────────────────────────────────────────────────────────────────────────────────────────────────────

/** In the order of their turns; where lines meet, whoever is to be seated first. */
export function theQueue(
  needs: ViewNeeds,
  { model, limit }: { model?: string | undefined; limit: number },
): readonly Told<typeof Waiting>[] {
  const { clock, config, requests, expect } = needs
  const { queue } = requests.state
  const now = clock.now()
  const wanted = wordsOf(model)?.map(modelName)
  const look = { now, starveMs: config.starveMs }
  const rows: Told<typeof Waiting>[] = []
  for (const line of queue.lines.values()) {
    if (wanted !== undefined && !wanted.includes(line.model)) continue
    let position = 0
    for (const open of lineup(queue, line, look)) {
      position += 1
      if (position > limit) break
      rows.push({
        position,
        line: line.key,
        id: open.id,
        model: open.model,
        path: open.path,
        client: open.client,
        class: open.class,
        priority: open.priority,
        ...(open.job && { job: true }),
        admittedAt: open.admittedAt,
        waitedMs: now - open.admittedAt,
        expiresAt: open.expiresAt,
        ...(Number.isFinite(open.deadlineAt) && { deadlineAt: open.deadlineAt }),
        tokens: open.tokens,
        ...etaOf(expect(open, position - 1)),
        tried: [...open.tried],
        ...outlook(needs, open, position - 1),
      })
    }
  }
  const etaMs = (row: Told<typeof Waiting>): number => row.etaMs ?? Number.POSITIVE_INFINITY
  const order = (a: Told<typeof Waiting>, b: Told<typeof Waiting>): number =>
    etaMs(a) === etaMs(b) ? a.position - b.position || a.admittedAt - b.admittedAt : etaMs(a) - etaMs(b)
  return rows.sort(order).slice(0, limit)
}

/** Why a queued request waits now. Only the first of each line is weighed: the others stand behind it. */
export function outlook(
  needs: ViewNeeds,
  open: Open,
  ahead = aheadOf(needs, open),
): NonNullable<Story['waits']> {
  const { engine, residency, choose } = needs
  if (!engine.writable) return { why: 'the journal cannot be written, so nothing is started' }
  if (ahead > 0) return { why: `behind ${ahead} ${ahead === 1 ? 'other' : 'others'} for ${open.model}` }
  const choice = choose(open)
  const replicas = [...(residency.state.byModel.get(open.model)?.values() ?? [])]
  const loading = new Set(replicas.filter(({ state }) => state === 'loading').map(({ node }) => node))
  const why = waiting(open.model, choice, loading)
  return choice.candidates === undefined ? { why } : { why, candidates: choice.candidates }
}

export function oldestWaitMs({ requests, clock }: Pick<ViewNeeds, 'requests' | 'clock'>): number {
  const oldest = Math.min(...[...requests.state.queue.lines.values()].map(oldestOf))
  return oldest === Number.POSITIVE_INFINITY ? 0 : Math.max(0, clock.now() - oldest)
}

function aheadOf({ clock, config, requests }: ViewNeeds, open: Open): number {
  const { queue } = requests.state
  const line = queue.lines.get(keyOf(open))
  if (line === undefined) return 0
  let ahead = 0
  for (const other of lineup(queue, line, { now: clock.now(), starveMs: config.starveMs })) {
    if (other === open) break
    ahead += 1
  }
  return ahead
}

function etaOf(expected: Expected): { etaMs?: number; etaErrorMs?: number } {
  const { waitMs, errorMs } = expected
  if (waitMs === undefined) return {}
  return { etaMs: Math.round(waitMs), ...(errorMs !== undefined && { etaErrorMs: Math.round(errorMs) }) }
}

// ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

export interface Wanted {
  readonly state?: string | undefined
  readonly model?: string | undefined
  readonly node?: string | undefined
  readonly client?: string | undefined
  readonly limit: number
}

/** Newest first. */
export function someRequests(
  { clock, history, requests }: ViewNeeds,
  wanted: Wanted,
): readonly RequestSummary[] {
  const now = clock.now()
  const states = wordsOf(wanted.state)
  const models = wordsOf(wanted.model)?.map(modelName)
  const nodes = wordsOf(wanted.node)
  const clients = wordsOf(wanted.client)?.map(plainAddress)
  const fits = ({ state, model = '', client = '' }: RequestSummary): boolean =>
    (states?.some(word => word === state || (word === 'open' && isOpen(state))) ?? true) &&
    (models?.includes(model) ?? true) &&
    (clients?.includes(plainAddress(client)) ?? true)

  const found: RequestSummary[] = []
  for (const facts of [...history.state.values()].reverse()) {
    if (found.length >= wanted.limit) return found
    if (nodes !== undefined && !nodes.some(node => touched(facts, node))) continue
    const told = summary(facts, now)
    if (fits(told)) found.push(told)
  }
  // An open request may be older than all that the history keeps.
  const old = [...requests.state.open.values()].filter(({ id }) => !history.state.has(id))
  for (const open of old.sort((a, b) => b.seq - a.seq)) {
    if (found.length >= wanted.limit) return found
    if (nodes !== undefined && !nodes.includes(open.node) && !nodes.some(node => open.tried.has(node)))
      continue
    const told = openSummary(open, now)
    if (fits(told)) found.push(told)
  }
  return found
}

function openSummary(open: Open, now: number): RequestSummary {
  const { id, state, path, model, client, priority, admittedAt, expiresAt, node, assignedAt, tried } = open
  const queued = state === 'queued'
  return {
    id,
    state,
    path,
    model,
    client,
    priority,
    admittedAt,
    expiresAt,
    ...(node !== '' && { node }),
    attempts: tried.size + (queued ? 0 : 1),
    waitedMs: (queued ? now : assignedAt) - admittedAt,
    totalMs: now - admittedAt,
  }
}

function wordsOf(text: string | undefined): readonly string[] | undefined {
  return text?.split(',').map(word => word.trim())
}

function modelName(word: string): string {
  return canonicalName(word) ?? word
}

function plainAddress(address: string): string {
  return address.replace(/^::ffff:/i, '')
}

function byName(a: FleetNode, b: FleetNode): number {
  return a.name < b.name ? -1 : 1
}
