/**
 * The house's own doors as a table: method, path, what goes in, what comes out, in a sentence. Handlers are hung into
 * it by name, and /quipu/openapi.json is the same table written out, so that neither can forget the other.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import {
  AgentName,
  AgentRow,
  AgentsTable,
  InvitedAgent,
  NewAgent,
  NodeStatus,
  Revocation,
} from './schema/agents.ts'
import { checked } from './schema/check.ts'
import { Health, Index } from './schema/house.ts'
import { Erase, Erased, Job, JobId, JobStreamQuery, Jobs, JobsQuery, NewJob } from './schema/jobs.ts'
import {
  Archive,
  Before,
  CheckpointSize,
  Entry,
  EventsQuery,
  FactSeq,
  Forget,
  Forgotten,
  JournalQuery,
  Mirror,
  Rotate,
  Rotated,
} from './schema/journal.ts'
import {
  ModelStandings,
  ModelStatusQuery,
  Models,
  NewPull,
  Optimize,
  Optimized,
  Pulled,
  Removal,
  Removed,
  Sync,
  Synced,
  Transfer,
  TransferId,
  Transfers,
  TransfersQuery,
} from './schema/models.ts'
import { NewNode, NodeGone, NodeInFull, NodeName, Nodes } from './schema/nodes.ts'
import { Diff, DiffQuery, State, StateQuery } from './schema/past.ts'
import { ModelName, NewPolicy, Policies, Policy, PolicyGone } from './schema/policies.ts'
import {
  CleanedUp,
  Completion,
  Extended,
  Extension,
  FinishedQuery,
  GivingUp,
  Leases,
  Queue,
  QueueQuery,
  QueueStats,
  Settled,
  Take,
} from './schema/queue.ts'
import { RequestId, RequestInFull, Requests, RequestsQuery } from './schema/requests.ts'
import {
  HistoryQuery,
  NewValue,
  Rollback,
  Setting,
  SettingChanges,
  SettingName,
  Settings,
} from './schema/settings.ts'
import {
  AckFacts,
  ExtendedFacts,
  ExtendFacts,
  NewSubscription,
  Place,
  ReturnFacts,
  Subscription,
  SubscriptionGone,
  SubscriptionName,
  Subscriptions,
  TakeFacts,
  TakenFacts,
} from './schema/subscriptions.ts'
import {
  ConfigTable,
  ConfigTableQuery,
  InferenceQueueQuery,
  InferenceQueueTable,
  ModelsQuery,
  ModelsTable,
  RequestStatsQuery,
  RequestStatsTable,
  ServerStatsQuery,
  ServerStatsTable,
  ServersQuery,
  ServersTable,
} from './schema/tables.ts'
import { Hindsight, HindsightQuery, Why } from './schema/why.ts'
import type { Given, Told, TSchema } from './schema/words.ts'

export interface Door {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  readonly sentence: string
  readonly params?: TSchema
  readonly query?: TSchema
  readonly body?: TSchema
  /** The handler reads the body itself; `body` only says what is in it. */
  readonly raw?: true
  /** What it answers when all is well; JSON unless `media` says otherwise. */
  readonly status?: number
  readonly answer?: TSchema
  readonly media?: string
  /** May be asked for as CSV, too: a line for each of the array's objects, under the names of their properties. */
  readonly csv?: true
  /** Statuses it may answer instead, beyond those any door may. */
  readonly refusals?: readonly number[]
}

export const doors = {
  index: {
    method: 'GET',
    path: '/quipu',
    sentence: 'What this house is, and its other doors',
    answer: Index,
  },
  openapi: { method: 'GET', path: '/quipu/openapi.json', sentence: 'This document' },
  nodes: { method: 'GET', path: '/quipu/nodes', sentence: 'Every node, and how it stands', answer: Nodes },
  addNode: {
    method: 'POST',
    path: '/quipu/nodes',
    sentence: 'Registers a node, or changes the one of that name',
    body: NewNode,
    status: 201,
    answer: NodeInFull,
    refusals: [400, 409, 503],
  },
  node: {
    method: 'GET',
    path: '/quipu/nodes/:name',
    sentence: 'One node and the models on it',
    params: NodeName,
    answer: NodeInFull,
    refusals: [404],
  },
  nodeStatus: {
    method: 'GET',
    path: '/quipu/nodes/:name/status',
    sentence: 'What the agent of a node said last; without one, what the house knows all the same',
    params: NodeName,
    answer: NodeStatus,
    refusals: [404],
  },
  removeNode: {
    method: 'DELETE',
    path: '/quipu/nodes/:name',
    sentence: 'Forgets a node',
    params: NodeName,
    answer: NodeGone,
    refusals: [404, 503],
  },
  drainNode: {
    method: 'POST',
    path: '/quipu/nodes/:name/drain',
    sentence: 'Gives a node nothing new; what runs there ends in peace',
    params: NodeName,
    answer: NodeInFull,
    refusals: [404, 503],
  },
  resumeNode: {
    method: 'POST',
    path: '/quipu/nodes/:name/resume',
    sentence: 'Gives a drained node work again',
    params: NodeName,
    answer: NodeInFull,
    refusals: [404, 503],
  },
  models: {
    method: 'GET',
    path: '/quipu/models',
    sentence: 'Every model, where it is, and what loading and running it takes',
    answer: Models,
  },
  pullModel: {
    method: 'POST',
    path: '/quipu/models/pull',
    sentence: 'Brings a model to nodes: named, all, or chosen; answered at once, and in line from then on',
    body: NewPull,
    status: 202,
    answer: Pulled,
    refusals: [400, 404, 409, 503],
  },
  removeModel: {
    method: 'POST',
    path: '/quipu/models/rm',
    sentence: 'Removes a model from nodes; what its policy needs only if forced',
    body: Removal,
    answer: Removed,
    refusals: [400, 404, 409, 503],
  },
  modelStatus: {
    method: 'GET',
    path: '/quipu/models/status',
    sentence:
      'How each model stands to what its policy wants, what does not fit, and what will be done about it',
    query: ModelStatusQuery,
    answer: ModelStandings,
    refusals: [400],
  },
  syncModels: {
    method: 'POST',
    path: '/quipu/models/sync',
    sentence: 'Makes what policies want of copies true, now',
    body: Sync,
    answer: Synced,
    refusals: [400, 503],
  },
  optimizeModels: {
    method: 'POST',
    path: '/quipu/models/optimize',
    sentence:
      'Where a copy more, or one less, would serve better, after what was asked for lately; or does it',
    body: Optimize,
    answer: Optimized,
    refusals: [400, 503],
  },
  transfers: {
    method: 'GET',
    path: '/quipu/transfers',
    sentence: 'Models on their way to nodes, and how far; then the last that ended',
    query: TransfersQuery,
    answer: Transfers,
    refusals: [400],
  },
  cancelTransfer: {
    method: 'DELETE',
    path: '/quipu/transfers/:id',
    sentence: 'Calls a transfer off; what has come so far stays on the disk of the node',
    params: TransferId,
    answer: Transfer,
    refusals: [404, 503],
  },
  policies: {
    method: 'GET',
    path: '/quipu/policies',
    sentence: 'What people want of each model: where it may run, and how it is loaded',
    answer: Policies,
  },
  policy: {
    method: 'GET',
    path: '/quipu/policies/:model',
    sentence: 'The policy of one model',
    params: ModelName,
    answer: Policy,
    refusals: [400, 404],
  },
  setPolicy: {
    method: 'PUT',
    path: '/quipu/policies/:model',
    sentence: 'Sets the policy of a model, in place of the one it had',
    params: ModelName,
    body: NewPolicy,
    answer: Policy,
    refusals: [400, 503],
  },
  clearPolicy: {
    method: 'DELETE',
    path: '/quipu/policies/:model',
    sentence: 'Takes the policy of a model back',
    params: ModelName,
    answer: PolicyGone,
    refusals: [400, 404, 503],
  },
  queue: {
    method: 'GET',
    path: '/quipu/queue',
    sentence: 'What waits, in the order it will be seated, and why',
    query: QueueQuery,
    answer: Queue,
    refusals: [400],
  },
  queueStats: {
    method: 'GET',
    path: '/quipu/queue/stats',
    sentence: 'How much waits, runs and is leased, and how the last hour ended, in all and by model',
    answer: QueueStats,
  },
  take: {
    method: 'POST',
    path: '/quipu/queue/take',
    sentence: 'Gives the first jobs of the queue to a worker, on a lease',
    body: Take,
    answer: Leases,
    refusals: [400, 409, 503],
  },
  complete: {
    method: 'POST',
    path: '/quipu/queue/:id/complete',
    sentence: 'Brings the answer of a leased job',
    params: JobId,
    body: Completion,
    answer: Settled,
    refusals: [400, 404, 409, 413, 503],
  },
  fail: {
    method: 'POST',
    path: '/quipu/queue/:id/fail',
    sentence: 'Gives a leased job up',
    params: JobId,
    body: GivingUp,
    answer: Settled,
    refusals: [400, 404, 409, 503],
  },
  extend: {
    method: 'POST',
    path: '/quipu/queue/:id/extend',
    sentence: 'Asks for more time with a leased job',
    params: JobId,
    body: Extension,
    answer: Extended,
    refusals: [400, 404, 409, 503],
  },
  cleanUp: {
    method: 'DELETE',
    path: '/quipu/queue/finished',
    sentence: 'Erases questions and answers of jobs that are over, now',
    query: FinishedQuery,
    answer: CleanedUp,
    refusals: [400, 503],
  },
  requests: {
    method: 'GET',
    path: '/quipu/requests',
    sentence: 'Open requests and the last ones, newest first',
    query: RequestsQuery,
    answer: Requests,
    refusals: [400],
  },
  request: {
    method: 'GET',
    path: '/quipu/requests/:id',
    sentence: 'One request and its facts, however old',
    params: RequestId,
    answer: RequestInFull,
    refusals: [404, 503],
  },
  why: {
    method: 'GET',
    path: '/quipu/requests/:id/why',
    sentence: 'Why a request went where it went, and what came of it',
    params: RequestId,
    answer: Why,
    refusals: [404, 503],
  },
  hindsight: {
    method: 'GET',
    path: '/quipu/requests/:id/hindsight',
    sentence:
      'The decisions on a request once more, as things stood then: who was ahead, and what others would have done',
    params: RequestId,
    query: HindsightQuery,
    answer: Hindsight,
    refusals: [400, 404, 503],
  },
  state: {
    method: 'GET',
    path: '/quipu/state',
    sentence: 'Nodes, models, queue, policies and settings as they were at some moment',
    query: StateQuery,
    answer: State,
    refusals: [400, 503],
  },
  diff: {
    method: 'GET',
    path: '/quipu/diff',
    sentence: 'What is different between two moments, and who changed it last',
    query: DiffQuery,
    answer: Diff,
    refusals: [400, 503],
  },
  submitJob: {
    method: 'POST',
    path: '/quipu/jobs',
    sentence: 'Takes a question that somebody will fetch the answer of; answered once that is on disk',
    body: NewJob,
    raw: true,
    status: 202,
    answer: Job,
    refusals: [400, 413, 422, 503],
  },
  jobs: {
    method: 'GET',
    path: '/quipu/jobs',
    sentence: 'Open jobs and those that are kept, newest first',
    query: JobsQuery,
    answer: Jobs,
    refusals: [400],
  },
  job: {
    method: 'GET',
    path: '/quipu/jobs/:id',
    sentence: 'One job, however old',
    params: JobId,
    answer: Job,
    refusals: [404, 503],
  },
  jobResult: {
    method: 'GET',
    path: '/quipu/jobs/:id/result',
    sentence: "The answer: the node's status, content type and bytes",
    params: JobId,
    media: '*/*',
    refusals: [404, 409, 410, 502, 503, 504],
  },
  jobStream: {
    method: 'GET',
    path: '/quipu/jobs/:id/stream',
    sentence: 'The output so far and on, as events or as lines of JSON; Last-Event-ID (or after) resumes',
    params: JobId,
    query: JobStreamQuery,
    media: 'text/event-stream',
    refusals: [400, 404, 410, 503],
  },
  cancelJob: {
    method: 'DELETE',
    path: '/quipu/jobs/:id',
    sentence: 'Calls a job off, wherever it is',
    params: JobId,
    answer: Job,
    refusals: [404, 409, 503],
  },
  forget: {
    method: 'POST',
    path: '/quipu/forget',
    sentence:
      'Takes the name of a client out of every fact; answered once no file of the house has it any more',
    body: Forget,
    answer: Forgotten,
    refusals: [400, 409, 503],
  },
  erase: {
    method: 'POST',
    path: '/quipu/erase',
    sentence:
      'Erases what the spool holds of a job, or of all jobs of a client, and proves it; open ones are called off',
    body: Erase,
    raw: true,
    answer: Erased,
    refusals: [400, 503],
  },
  journal: {
    method: 'GET',
    path: '/quipu/journal',
    sentence: 'Facts in order, one a line; the X-Quipu-Durable header says how far there are any',
    query: JournalQuery,
    answer: Entry,
    media: 'application/x-ndjson',
    refusals: [400, 503],
  },
  events: {
    method: 'GET',
    path: '/quipu/events',
    sentence:
      'Facts as they become durable, as events or as lines of JSON; Last-Event-ID (or after) resumes without a loss ' +
      'or a double',
    query: EventsQuery,
    media: 'text/event-stream',
    refusals: [400, 409, 503],
  },
  checkpoint: {
    method: 'GET',
    path: '/quipu/checkpoint',
    sentence:
      'What the journal is, signed: keep it elsewhere, and an audit shows later whether the past was changed',
    media: 'text/plain',
    refusals: [503],
  },
  checkpointKey: {
    method: 'GET',
    path: '/quipu/checkpoint/key',
    sentence: 'The public key that signs now, as name+id+base64',
    media: 'text/plain',
    refusals: [503],
  },
  rotateKey: {
    method: 'POST',
    path: '/quipu/checkpoint/rotate',
    sentence: 'Another key signs from now on; the journal says which',
    body: Rotate,
    answer: Rotated,
    refusals: [409, 503],
  },
  inclusion: {
    method: 'GET',
    path: '/quipu/checkpoint/inclusion/:seq',
    sentence: 'A fact and the proof that it is in the journal, for whoever has the key and nothing else',
    params: FactSeq,
    media: 'text/plain',
    refusals: [400, 404, 503],
  },
  consistency: {
    method: 'GET',
    path: '/quipu/checkpoint/consistency/:size',
    sentence: 'The proof that the journal begins with what it was at so many facts',
    params: CheckpointSize,
    media: 'text/plain',
    refusals: [400, 404, 503],
  },
  mirror: {
    method: 'GET',
    path: '/quipu/mirror',
    sentence: 'How far the copy in Kafka has come, and what is in its way',
    answer: Mirror,
  },
  archive: {
    method: 'GET',
    path: '/quipu/archive',
    sentence: 'Which facts are in archive files, which were trimmed, and what is being done about it',
    answer: Archive,
  },
  seal: {
    method: 'POST',
    path: '/quipu/archive',
    sentence: 'Begins to put older facts into archive files; GET tells how far it has come',
    body: Before,
    status: 202,
    answer: Archive,
    refusals: [400, 409, 503],
  },
  trim: {
    method: 'POST',
    path: '/quipu/archive/trim',
    sentence: 'Begins to let go of facts that are in archive files; GET tells how far it has come',
    body: Before,
    status: 202,
    answer: Archive,
    refusals: [400, 409, 503],
  },
  config: {
    method: 'GET',
    path: '/quipu/config',
    sentence: 'Every setting, what holds, and who says so',
    answer: Settings,
  },
  configHistory: {
    method: 'GET',
    path: '/quipu/config/history',
    sentence: 'What was set while the house ran, newest first',
    query: HistoryQuery,
    answer: SettingChanges,
    refusals: [400],
  },
  setConfig: {
    method: 'PUT',
    path: '/quipu/config/:setting',
    sentence: 'Sets a setting, for as long as nobody sets or resets it again',
    params: SettingName,
    body: NewValue,
    answer: Setting,
    refusals: [400, 404, 409, 503],
  },
  resetConfig: {
    method: 'DELETE',
    path: '/quipu/config/:setting',
    sentence: 'Takes back what was set: flag, variable or default hold again',
    params: SettingName,
    answer: Setting,
    refusals: [404, 409, 503],
  },
  rollbackConfig: {
    method: 'POST',
    path: '/quipu/config/rollback',
    sentence: 'Sets every setting to what it was right after a fact; answers with what that changed',
    body: Rollback,
    answer: SettingChanges,
    refusals: [400, 404, 503],
  },
  statsServers: {
    method: 'GET',
    path: '/quipu/stats/servers',
    sentence: 'The servers, and how they stand',
    query: ServersQuery,
    answer: ServersTable,
    csv: true,
    refusals: [400],
  },
  statsModels: {
    method: 'GET',
    path: '/quipu/stats/models',
    sentence: 'The models, where they are, and how much they are used',
    query: ModelsQuery,
    answer: ModelsTable,
    csv: true,
    refusals: [400],
  },
  statsServerStats: {
    method: 'GET',
    path: '/quipu/stats/server_stats',
    sentence: 'How healthy, loaded and quick each server was over time, newest first',
    query: ServerStatsQuery,
    answer: ServerStatsTable,
    csv: true,
    refusals: [400],
  },
  statsRequestStats: {
    method: 'GET',
    path: '/quipu/stats/request_stats',
    sentence: 'Requests by hour, day or week, newest first',
    query: RequestStatsQuery,
    answer: RequestStatsTable,
    csv: true,
    refusals: [400],
  },
  statsInferenceQueue: {
    method: 'GET',
    path: '/quipu/stats/inference_queue',
    sentence: 'Open requests and those of the last day, newest first',
    query: InferenceQueueQuery,
    answer: InferenceQueueTable,
    csv: true,
    refusals: [400],
  },
  statsConfig: {
    method: 'GET',
    path: '/quipu/stats/config',
    sentence: 'What was set while the house ran, newest first',
    query: ConfigTableQuery,
    answer: ConfigTable,
    csv: true,
    refusals: [400],
  },
  agents: {
    method: 'GET',
    path: '/quipu/agents',
    sentence: 'Who may come as the agent of a node, with which certificate, and until when',
    answer: AgentsTable,
  },
  inviteAgent: {
    method: 'POST',
    path: '/quipu/agents',
    sentence: 'Makes a token with which the agent of a node may join, once',
    body: NewAgent,
    status: 201,
    answer: InvitedAgent,
    refusals: [400, 409, 503],
  },
  revokeAgent: {
    method: 'POST',
    path: '/quipu/agents/:name/revoke',
    sentence: 'Sends the agent of a node away: its lines end, its certificate and its token count no more',
    params: AgentName,
    body: Revocation,
    answer: AgentRow,
    refusals: [404, 503],
  },
  subscriptions: {
    method: 'GET',
    path: '/quipu/subscriptions',
    sentence: 'Who reads the journal with a mark that the house keeps, and how far each is',
    answer: Subscriptions,
  },
  createSubscription: {
    method: 'POST',
    path: '/quipu/subscriptions',
    sentence: 'Makes a named subscription; the same one again is no mistake',
    body: NewSubscription,
    status: 201,
    answer: Subscription,
    refusals: [400, 409, 503],
  },
  subscription: {
    method: 'GET',
    path: '/quipu/subscriptions/:name',
    sentence: 'One subscription: what it wants, where it is, how it goes',
    params: SubscriptionName,
    answer: Subscription,
    refusals: [404],
  },
  deleteSubscription: {
    method: 'DELETE',
    path: '/quipu/subscriptions/:name',
    sentence: 'Forgets a subscription and its mark',
    params: SubscriptionName,
    answer: SubscriptionGone,
    refusals: [404, 503],
  },
  takeFacts: {
    method: 'POST',
    path: '/quipu/subscriptions/:name/take',
    sentence: 'Gives the next facts of a subscription to one of its readers, on a lease',
    params: SubscriptionName,
    body: TakeFacts,
    answer: TakenFacts,
    refusals: [400, 404, 409, 503],
  },
  ackFacts: {
    method: 'POST',
    path: '/quipu/subscriptions/:name/ack',
    sentence: 'Acknowledges a lease, a part of it, or everything up to a fact',
    params: SubscriptionName,
    body: AckFacts,
    answer: Place,
    refusals: [400, 404, 409, 503],
  },
  returnFacts: {
    method: 'POST',
    path: '/quipu/subscriptions/:name/return',
    sentence: 'Gives the facts of a lease to whoever takes next',
    params: SubscriptionName,
    body: ReturnFacts,
    answer: Place,
    refusals: [400, 404, 409],
  },
  extendFacts: {
    method: 'POST',
    path: '/quipu/subscriptions/:name/extend',
    sentence: 'Asks for more time with a lease',
    params: SubscriptionName,
    body: ExtendFacts,
    answer: ExtendedFacts,
    refusals: [400, 404, 409],
  },
  parkSubscription: {
    method: 'POST',
    path: '/quipu/subscriptions/:name/park',
    sentence: 'Gives nobody anything of a subscription, and calls nobody, until it is resumed',
    params: SubscriptionName,
    answer: Subscription,
    refusals: [404, 503],
  },
  resumeSubscription: {
    method: 'POST',
    path: '/quipu/subscriptions/:name/resume',
    sentence: 'Goes on with a parked subscription, from its mark',
    params: SubscriptionName,
    answer: Subscription,
    refusals: [404, 503],
  },
  healthz: { method: 'GET', path: '/healthz', sentence: 'Is this process alive?', answer: Health },
  readyz: {
    method: 'GET',
    path: '/readyz',
    sentence: 'Would a request be served?',
    answer: Health,
    refusals: [503],
  },
  metrics: {
    method: 'GET',
    path: '/metrics',
    sentence: 'Gauges, counters and histograms for Prometheus',
    media: 'text/plain',
  },
} as const satisfies Record<string, Door>

type Part<D, Name extends string> = D extends { readonly [Key in Name]: infer S extends TSchema }
  ? Given<S>
  : undefined

/** What a handler may read of a request: only what the table says, already checked. */
export interface Asked<D extends Door> {
  readonly params: Part<D, 'params'>
  readonly query: Part<D, 'query'>
  readonly body: Part<D, 'body'>
  /** The caller's address, or its pseudonym. */
  readonly by: string
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

/** What the table says it answers. */
type Answer<D extends Door> = D extends { readonly answer: infer S extends TSchema; readonly media?: never }
  ? Told<S> | (D extends { readonly csv: true } ? string : never)
  : unknown

/** More than a body of these doors needs, unless it holds a question or an answer. */
const BODY_BYTES_MAX = 65_536

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks, as it is written down. */
    by: string
  }
}

export function hang<D extends Door>(
  app: FastifyInstance,
  door: D,
  answer: (asked: Asked<D>) => Answer<D> | Promise<Answer<D>>,
  options: Pick<RouteOptions, 'onRequest' | 'exposeHeadRoute' | 'bodyLimit'> = {},
): void {
  const { method, path, params, query, raw, status = 200 } = door as Door
  const body = raw === true ? undefined : (door as Door).body
  app.route({
    bodyLimit: BODY_BYTES_MAX,
    ...options,
    method,
    url: path,
    schema: { ...(params && { params }), ...(query && { querystring: query }), ...(body && { body }) },
    validatorCompiler: checked,
    handler: async (request, reply) => {
      reply.code(status)
      const asked = { params: request.params, query: request.query, body: request.body, by: request.by }
      return answer({ ...asked, request, reply } as Asked<D>)
    },
  })
}
