/**
 * The shapes that pass the house's own doors, once: they validate what comes in, type what goes out, and are what
 * /quipu/openapi.json shows. The only importer of typebox.
 *
 * Times are milliseconds since the epoch, durations milliseconds, sizes bytes. What is not known is left out. (Tables
 * are otherwise; see there.)
 */
import type { FastifySchemaCompiler } from 'fastify'
import Type, { type Static, type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { Refusal } from '../../machines/entity.ts'
import { entities } from '../../machines/index.ts'

export type { TSchema }

/** What a schema describes, as an answer: nobody changes it any more. */
export type Told<S extends TSchema> = Fixed<Static<S>>
/** What a schema lets in. */
export type Given<S extends TSchema> = Static<S>

type Fixed<T> = T extends readonly (infer Item)[]
  ? readonly Fixed<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Fixed<T[Key]> }
    : T

const text = (description: string) => Type.String({ description })
const whole = (description: string) => Type.Integer({ description })
const figure = (description: string) => Type.Number({ description })
const yes = (description: string) => Type.Boolean({ description })
const texts = (description: string) => Type.Array(Type.String(), { description })
const word = <W extends string>(words: readonly W[], description: string) =>
  Type.Enum([...words], { description })
const maybe = Type.Optional

const at = (what: string) => whole(`${what}, milliseconds since the epoch`)

const REQUEST_STATES = [
  'queued',
  'running',
  'answering',
  'leased',
  'completed',
  'failed',
  'expired',
  'abandoned',
  'cancelled',
] as const

/** As tables have them: they do not tell who runs from who answers. */
const QUEUE_STATES = REQUEST_STATES.filter(state => state !== 'answering')
const SAMPLED = [
  'health',
  'load',
  'latency',
  'cpu',
  'memory_free',
  'disk_free',
  'gpu',
  'gpu_memory',
  'gpu_temperature',
  'gpu_power',
] as const

// ── what comes in ────────────────────────────────────────────────────────────────────────────────────────────────

/** Of a query string, nothing may be left over: a filter that is misspelt must not look like one that fits all. */
const query = <P extends Record<string, TSchema>>(properties: P) =>
  Type.Object(properties, { additionalProperties: false })

const limit = (fallback: number, max: number) =>
  maybe(Type.Integer({ minimum: 1, maximum: max, description: `how many at most; ${fallback} unless told` }))
const after = maybe(
  Type.Integer({
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    description: 'only facts after this seq',
  }),
)
const filter = (description: string) =>
  maybe(Type.String({ minLength: 1, maxLength: 1_024, description: `${description}; several with commas` }))

/** A filter whose words are few and known. */
const oneOf = (words: readonly string[]) =>
  maybe(
    Type.String({
      pattern: `^(${words.join('|')})(,(${words.join('|')}))*$`,
      maxLength: 256,
      description: 'only these; several with commas',
    }),
  )

export const JOURNAL_LIMIT = 1_000
export const REQUESTS_LIMIT = 100
export const QUEUE_LIMIT = 1_000
export const TABLE_LIMIT = 1_000
export const HISTORY_LIMIT = 100

export const NodeName = Type.Object({ name: text('name of the node') })
const count = (description: string) => Type.String({ pattern: '^[1-9]\\d{0,14}$', description })
export const FactSeq = Type.Object({ seq: count('the number of a fact') })
export const CheckpointSize = Type.Object({ size: count('the second line of the earlier checkpoint') })
export const Rotate = Type.Object(
  { lost: maybe(yes('the old key is gone, so that it cannot endorse the new one')) },
  { additionalProperties: false },
)
export const RequestId = Type.Object({ id: text('id of the request, as the X-Quipu-Request header gave it') })

const labelNames = { pattern: '^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$' }

export const NewNode = Type.Object(
  {
    url: Type.String({ minLength: 1, maxLength: 2_048, description: 'where its Ollama answers' }),
    name: maybe(Type.String({ minLength: 1, maxLength: 63, description: 'by default made from the URL' })),
    slots: maybe(Type.Integer({ minimum: 1, maximum: 1_024, description: 'requests at once per model; 1' })),
    residentMax: maybe(
      Type.Integer({ minimum: 1, maximum: 1_024, description: 'models in memory at once; 3' }),
    ),
    weight: maybe(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 100,
        description: 'how much of the work it should get beside a node of weight 1; 1',
      }),
    ),
    hours: maybe(
      Type.String({
        minLength: 1,
        maxLength: 256,
        description:
          'when it is wanted, in local time: 18:00-08:00, mon-fri@18:00-08:00, sat-sun, with + between several; ' +
          'at other times only if nobody else can. Always, without them',
      }),
    ),
    labels: maybe(
      Type.Record(Type.String(labelNames), Type.String({ maxLength: 256 }), {
        maxProperties: 64,
        additionalProperties: false,
        description: 'what people want to remember of it',
      }),
    ),
  },
  { additionalProperties: false },
)

export const ModelName = Type.Object({ model: text('name of the model, with %2F for each slash in it') })

const nodeNames = (description: string) =>
  maybe(
    Type.Array(Type.String({ minLength: 1, maxLength: 63 }), {
      minItems: 1,
      maxItems: 1_000,
      uniqueItems: true,
      description,
    }),
  )
const tokens = (description: string) =>
  maybe(Type.Integer({ minimum: 256, maximum: 16_777_216, description: `${description}, in tokens` }))
/** Go counts a duration in nanoseconds, and ends after 292 years. */
const seconds = (description: string) =>
  maybe(
    Type.Unsafe<number | string>({
      type: ['number', 'string'],
      maximum: 9_000_000_000,
      maxLength: 64,
      description,
    }),
  )

const whatPoliciesSay = {
  nodes: nodeNames('only these nodes'),
  avoid: nodeNames('not these nodes'),
  prefer: nodeNames('these nodes first, where they are as free as others'),
  labels: maybe(
    Type.Record(Type.String(labelNames), Type.String({ maxLength: 256 }), {
      minProperties: 1,
      maxProperties: 64,
      additionalProperties: false,
      description: 'only nodes with these labels',
    }),
  ),
  numCtx: tokens('the one context length it is loaded with, whatever a client asks for'),
  numCtxMax: tokens('the longest context a client may ask for'),
  replicasMin: maybe(
    Type.Integer({
      minimum: 0,
      maximum: 1_000,
      description: 'so many copies, at least; others are brought, in place of lost ones, too',
    }),
  ),
  replicasMax: maybe(
    Type.Integer({
      minimum: 1,
      maximum: 1_000,
      description: 'so many copies, at most; others are taken away, but never the last',
    }),
  ),
}

export const NewPolicy = Type.Object(
  {
    ...whatPoliciesSay,
    keepAliveS: seconds(
      'how long it stays in memory after its last answer, whatever a client asks for: seconds, or a duration such as ' +
        '5m or 1h30m; below zero for ever',
    ),
    keepAliveMaxS: seconds('the longest a client may ask for: seconds, or a duration'),
  },
  { additionalProperties: false },
)

export const NewPull = Type.Object(
  {
    model: Type.String({ minLength: 1, maxLength: 1_024, description: 'what to pull' }),
    nodes: nodeNames('to these nodes'),
    all: maybe(yes('to every node that may have it')),
    auto: maybe(
      Type.Integer({
        minimum: 1,
        maximum: 1_000,
        description: 'to so many nodes, which the house chooses; 1 where nothing is said of nodes',
      }),
    ),
  },
  { additionalProperties: false },
)

export const Removal = Type.Object(
  {
    model: Type.String({ minLength: 1, maxLength: 1_024, description: 'what to remove' }),
    nodes: nodeNames('from these nodes; from all that have it, where nothing is said'),
    force: maybe(yes('even what its policy needs')),
  },
  { additionalProperties: false },
)

export const Sync = Type.Object(
  {
    model: maybe(Type.String({ minLength: 1, maxLength: 1_024, description: 'only this one' })),
    dryRun: maybe(yes('only say what would be done')),
  },
  { additionalProperties: false },
)

export const Optimize = Type.Object(
  { apply: maybe(yes('do it; otherwise it is only said')) },
  { additionalProperties: false },
)

export const TransfersQuery = query({ model: filter('only of this model') })
export const ModelStatusQuery = query({ model: filter('only this model') })
export const TransferId = Type.Object({ id: text('id of the transfer: model@node, with %2F for each slash') })

export const QueueQuery = query({ model: filter('only this model'), limit: limit(QUEUE_LIMIT, 10_000) })

const Worker = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._:@-]{0,62}$',
  description: 'what the worker calls itself; not the name of a node',
})
const Attempt = Type.Integer({ minimum: 1, description: 'as it stood in what was taken' })
const LeaseMs = Type.Integer({ minimum: 1_000, maximum: 3_600_000, description: 'how long it may take' })

export const Take = Type.Object(
  {
    worker: Worker,
    model: maybe(Type.String({ minLength: 1, maxLength: 1_024, description: 'only for these; with commas' })),
    batchSize: maybe(Type.Integer({ minimum: 1, maximum: 100, description: 'how many at most; 1' })),
    leaseMs: maybe(LeaseMs),
  },
  { additionalProperties: false },
)

export const Completion = Type.Object(
  {
    worker: Worker,
    attempt: Attempt,
    status: maybe(Type.Integer({ minimum: 200, maximum: 599, description: 'of the answer; 200' })),
    contentType: maybe(
      Type.String({
        pattern: '^[\\x20-\\x7e]{1,256}$',
        description: 'of the answer; JSON, or plain text where the body is a text, or bytes',
      }),
    ),
    body: maybe(Type.Unknown({ description: 'the answer: JSON, or a text that is taken as it stands' })),
    bodyBase64: maybe(
      Type.String({ pattern: '^[A-Za-z0-9+/]*={0,2}$', description: 'the answer, as bytes' }),
    ),
  },
  { additionalProperties: false },
)

export const GivingUp = Type.Object(
  {
    worker: Worker,
    attempt: Attempt,
    reason: maybe(
      Type.String({ pattern: '^[a-z][a-z0-9-]{0,31}$', description: 'a word for the facts; failed' }),
    ),
    retryable: maybe(yes('may somebody else try? true unless told')),
  },
  { additionalProperties: false },
)

export const Extension = Type.Object({ attempt: Attempt, leaseMs: LeaseMs }, { additionalProperties: false })

export const FinishedQuery = query({
  olderThan: maybe(
    Type.String({
      pattern: '^\\d{1,9}(\\.\\d{1,3})?(ms|s|m|h)$',
      description: 'only what ended so long ago: 24h, 30m, 0s; as --keep-finished unless told',
    }),
  ),
})

export const RequestsQuery = query({
  state: oneOf([...REQUEST_STATES, 'open']),
  model: filter('only this model'),
  node: filter('only what was sent to this node'),
  client: filter('only from this address'),
  limit: limit(REQUESTS_LIMIT, 10_000),
})

const JOB_STATES = REQUEST_STATES.filter(state => state !== 'abandoned')

export const JOBS_LIMIT = 100

export const JobId = Type.Object({ id: text('id of the job, as its submission answered it') })

export const JobsQuery = query({
  state: oneOf([...JOB_STATES, 'open', 'finished']),
  model: filter('only this model'),
  client: filter('only from this client: a name or an address'),
  limit: limit(JOBS_LIMIT, 10_000),
})

export const JobStreamQuery = query({
  after: maybe(
    Type.String({
      pattern: '^\\d{1,9}\\.(\\d{1,15}|end)$',
      description: 'the id of an event; goes on there',
    }),
  ),
})

const wish = (description: string) => maybe(Type.String({ maxLength: 4_096, description }))

export const NewJob = Type.Object(
  {
    path: Type.String({ maxLength: 256, description: 'what is asked, as /api/chat or /v1/messages' }),
    body: Type.Object({}, { description: 'the question, as that path takes it; passed on as it is written' }),
    priority: maybe(Type.Integer({ minimum: 0, maximum: 9, description: '9 goes first; 5 unless told' })),
    class: maybe(word(['interactive', 'batch'], 'batch unless told')),
    deadline: maybe(
      Type.Union([Type.Integer({ minimum: 1 }), Type.String({ maxLength: 64 })], {
        description: 'milliseconds or a duration from now (2h), or a time (2031-01-30T08:00:00Z)',
      }),
    ),
    client: wish('who asks; the address unless told'),
    labels: maybe(
      Type.Record(Type.String(), Type.String(), { description: 'only nodes with these labels will do' }),
    ),
    idempotencyKey: wish('the same key of the same client brings the same job'),
    callback: maybe(
      Type.Object(
        {
          url: Type.String({ maxLength: 2_048, description: 'called when it is over' }),
          secret: maybe(Type.String({ minLength: 1, maxLength: 256, description: 'signs the call' })),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)

export const Erase = Type.Object(
  {
    client: maybe(Type.String({ minLength: 1, maxLength: 256, description: 'all jobs of this client' })),
    request: maybe(Type.String({ minLength: 1, maxLength: 64, description: 'this job' })),
  },
  { additionalProperties: false },
)

export const Forget = Type.Object(
  {
    client: Type.String({
      minLength: 1,
      maxLength: 256,
      description: 'its name, as `quipu requests` shows it',
    }),
  },
  { additionalProperties: false },
)

export const Forgotten = Type.Object({
  id: text('of the forgetting; empty where there was nothing to forget'),
  facts: whole('that do not have the name any more'),
  kept: whole('that have it still, in their header: who asked for them'),
})

export const JournalQuery = query({ after, limit: limit(JOURNAL_LIMIT, 10_000) })

/** Of a table: which rows, how many, and as what. */
const tableQuery = <P extends Record<string, TSchema>>(properties: P) =>
  query({
    ...properties,
    limit: limit(TABLE_LIMIT, 10_000),
    format: maybe(word(['json', 'csv'], 'json unless told; the Accept header text/csv says the same')),
  })
const since = maybe(
  Type.String({
    pattern: '^(\\d{1,6}[mhd]|\\d{4}-\\d\\d-\\d\\d(T[\\d:.]{4,12}Z?)?)$',
    description: 'only what is not older: 90m, 24h, 7d; or a day or time, ISO 8601, UTC',
  }),
)
const atServer = filter('only this server, by its address or the name of the node')

export const ServersQuery = tableQuery({ server: atServer })
export const ModelsQuery = tableQuery({ model: filter('only this model'), server: atServer })
export const ServerStatsQuery = tableQuery({
  server: atServer,
  type: oneOf(SAMPLED),
  since,
  step: maybe(word(['10s', '5m', '1h'], 'the finest that goes back to since, unless told')),
})
export const RequestStatsQuery = tableQuery({
  by: maybe(word(['hour', 'day', 'week'], 'hour unless told')),
  since,
})
export const InferenceQueueQuery = tableQuery({
  status: oneOf(QUEUE_STATES),
  model: filter('only of this model'),
  server: filter('only what was sent to this server, by its address or the name of the node'),
  since,
})
export const ConfigTableQuery = tableQuery({ setting: filter('only this setting'), since })

export const SettingName = Type.Object({ setting: text('name of the setting: its flag, without the dashes') })
export const NewValue = Type.Object(
  {
    value: Type.String({ minLength: 1, maxLength: 256, description: 'as it would be typed after the flag' }),
  },
  { additionalProperties: false },
)
export const Rollback = Type.Object(
  {
    to: Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'seq of the fact after which it was as it is to be again',
    }),
  },
  { additionalProperties: false },
)
export const Before = Type.Object(
  {
    seq: maybe(
      Type.Integer({
        minimum: 1,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'of the first fact that stays as it is',
      }),
    ),
    at: maybe(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'what was decided from this time on stays as it is; milliseconds since the epoch',
      }),
    ),
  },
  { additionalProperties: false },
)
export const HistoryQuery = query({ limit: limit(HISTORY_LIMIT, 1_000) })

const moment = (description: string) =>
  maybe(Type.String({ maxLength: 32, description: `${description}; ISO 8601, in UTC unless it has a zone` }))

/** Which facts; see journal/wanted.ts. */
const filters = {
  kind: oneOf(Object.keys(entities)),
  type: filter('only facts of this type; one that ends with a dot stands for all that begin so, as node.'),
  id: filter('only facts about the thing with this id: a node, a model, model@node, a request'),
  client: filter('only requests of this client, all their facts; and what else it asked of the house'),
  model: filter(
    'only requests for this model, all their facts; and the model, its replicas, transfers and policy',
  ),
  node: filter(
    'only requests from when they were given to this node; and the node, its breaker and replicas',
  ),
  since: moment('only facts of this time or later; begins there, unless told where'),
  until: moment('only facts before this time'),
}

export const EventsQuery = query({
  from: maybe(
    Type.String({
      maxLength: 32,
      description: 'where to begin: start, now, the seq of a fact, or a time; now unless told',
    }),
  ),
  after,
  ...filters,
  format: maybe(
    word(['sse', 'ndjson'], 'sse unless told; the Accept header application/x-ndjson says the same'),
  ),
  subscription: maybe(
    Type.String({
      maxLength: 63,
      description: 'go on at the mark of this named subscription, with its filter',
    }),
  ),
  journal: maybe(
    Type.String({ maxLength: 64, description: 'refuse where the journal is not the one with this id' }),
  ),
  seen: maybe(
    Type.String({
      pattern: '^\\d{1,15}:[\\w-]{43}$',
      description: 'seq:hash of a fact that was received; refuse where the journal has another one there',
    }),
  ),
})

// ── agents ────────────────────────────────────────────────────────────────────────────────────────────────────────

export const AgentName = Type.Object({ name: text('name of the node') })

export const NewAgent = Type.Object(
  {
    node: text('name of the node; it will stand in the certificate'),
    ttlMs: maybe(whole('how long the token lasts; an hour unless told')),
  },
  { additionalProperties: false },
)

export const Revocation = Type.Object(
  { reason: maybe(Type.String({ maxLength: 200, description: 'why; in the journal for ever' })) },
  { additionalProperties: false },
)

export const AgentRow = Type.Object({
  node: text('name of the node'),
  state: word(
    ['invited', 'trusted', 'expired', 'revoked'],
    'trusted: it has a certificate; expired: that has ended, and it must be invited again',
  ),
  since: at('since when it is invited, trusted or revoked'),
  reason: maybe(text('why it was revoked')),
  certificate: maybe(
    Type.Object({
      serial: text('hexadecimal'),
      fingerprint: text('SHA-256, base64url'),
      until: at('when it ends'),
    }),
  ),
  invitation: maybe(
    Type.Object({ until: at('when the token ends'), expired: yes('it has ended, and was not used') }),
  ),
})
export const AgentsTable = Type.Array(AgentRow)

export const InvitedAgent = Type.Object({
  node: text('name of the node'),
  token: text('what its agent joins with, once; nobody is told it again'),
  until: at('when it ends'),
  house: text('where agents attach, as the house was told to listen'),
})

// ── subscriptions ────────────────────────────────────────────────────────────────────────────────────────────────

export const SubscriptionName = Type.Object({ name: text('name of the subscription') })

const SubscriptionFilter = Type.Object(filters, {
  additionalProperties: false,
  description: 'which facts, as /quipu/events takes them; all where it is left out',
})

const WebhookFormat = word(['json', 'ndjson'], 'one JSON object with all of a batch, or a line for each fact')

export const NewSubscription = Type.Object(
  {
    name: Type.String({
      pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$',
      description: 'what it is called: letters, digits, - and _',
    }),
    filter: maybe(SubscriptionFilter),
    from: maybe(
      Type.Union([Type.Integer({ minimum: 0 }), Type.String({ minLength: 1, maxLength: 64 })], {
        description: 'start, now, the seq of its first fact, or a time, ISO 8601; since or now unless told',
      }),
    ),
    webhook: maybe(
      Type.Object(
        {
          url: Type.String({ minLength: 1, maxLength: 2_048, description: 'where batches are sent to' }),
          secret: maybe(
            Type.String({ minLength: 1, maxLength: 256, description: 'what they are signed with' }),
          ),
          format: maybe(WebhookFormat),
          batchMax: maybe(
            Type.Integer({ minimum: 1, maximum: 1_000, description: 'facts in one batch; 100' }),
          ),
          lingerMs: maybe(
            Type.Integer({
              minimum: 0,
              maximum: 3_600_000,
              description: 'how long the first fact of a batch may wait for others; 1000',
            }),
          ),
          failuresMax: maybe(
            Type.Integer({
              minimum: 1,
              maximum: 1_000,
              description: 'failures in a row after which it is parked; 20',
            }),
          ),
        },
        { additionalProperties: false, description: 'the house brings the facts itself' },
      ),
    ),
  },
  { additionalProperties: false },
)

export const TakeFacts = Type.Object(
  {
    max: maybe(Type.Integer({ minimum: 1, maximum: 1_000, description: 'facts at most; 100' })),
    leaseMs: maybe(
      Type.Integer({
        minimum: 1_000,
        maximum: 3_600_000,
        description: 'how long they are yours; 60000',
      }),
    ),
    waitMs: maybe(
      Type.Integer({ minimum: 0, maximum: 55_000, description: 'how long to wait where there is none; 0' }),
    ),
  },
  { additionalProperties: false },
)

const LeaseId = Type.String({ minLength: 1, maxLength: 64, description: 'as it stood in what was taken' })

export const AckFacts = Type.Object(
  {
    lease: maybe(LeaseId),
    seq: maybe(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'up to this fact: of the lease, or without one of all there is, whoever has it',
      }),
    ),
  },
  { additionalProperties: false, minProperties: 1 },
)
export const ReturnFacts = Type.Object({ lease: LeaseId }, { additionalProperties: false })
export const ExtendFacts = Type.Object(
  {
    lease: LeaseId,
    leaseMs: Type.Integer({
      minimum: 1_000,
      maximum: 3_600_000,
      description: 'how much longer, from now on',
    }),
  },
  { additionalProperties: false },
)

// ── what goes out ────────────────────────────────────────────────────────────────────────────────────────────────

export const Problem = Type.Object({
  error: text('what is wrong, for people'),
  code: maybe(text('what is wrong, for programs; docs/errors.md lists them')),
})

export const Health = Type.Object({
  status: word(['ok', 'no'], 'is it?'),
  reasons: maybe(texts('why not')),
})

export const Index = Type.Object({
  name: text('quipu'),
  version: text('of this house'),
  journal: Type.Object({
    id: text('made once, with the journal'),
    head: whole('seq of the last fact'),
    hash: text("the chain's hash there"),
    durable: whole('seq of the last fact known to be on disk'),
    writable: yes('may anything new be decided?'),
  }),
  disk: Type.Object({
    used: whole('bytes that the data folder takes'),
    budget: maybe(whole('bytes that it may take; left out where there is no budget')),
    standing: word(['fine', 'tight', 'full'], 'tight: 80 % are used; full: nothing new is taken'),
  }),
  nodes: Type.Object({ total: whole('registered'), up: whole('may be given work') }),
  requests: Type.Object({ waiting: whole('in the queue'), running: whole('on a node') }),
  links: Type.Record(Type.String(), Type.String(), { description: 'the other doors' }),
})

export const Mirror = Type.Object({
  state: word(
    ['off', 'connecting', 'live', 'waiting', 'stopped'],
    'off: no --kafka; waiting: tries again by itself; stopped: needs somebody',
  ),
  since: at('in this state since'),
  topic: maybe(text('of Kafka')),
  brokers: maybe(texts('as configured')),
  journal: text('id of the journal, and key of every message'),
  durable: whole('seq of the last fact known to be on disk'),
  partition: maybe(whole('the one that holds this journal')),
  mirrored: maybe(whole('seq of the last fact known to be in the topic; not there while nobody knows')),
  lagFacts: whole('facts on disk, and not known to be in the topic'),
  lagMs: whole('how long the oldest of these has waited'),
  sent: whole('facts that the topic has taken since the house began'),
  opened: whole('how often Kafka was connected to since then'),
  trouble: maybe(
    Type.Object({
      code: text('as in docs/errors.md'),
      message: text('for people'),
      at: at('of the last try'),
      tries: whole('in vain, since it last went well'),
    }),
  ),
  warnings: texts('what somebody should know of the topic'),
})

export const ArchiveFile = Type.Object({
  file: text('its name'),
  first: whole('seq of its first fact'),
  last: whole('seq of its last fact'),
  firstAt: at('when the first was decided'),
  lastAt: at('when the last was decided'),
  hash: text("the chain's hash at the last"),
  bytes: whole('of the file'),
  sha256: text('of what zcat prints after its first line, in hex'),
  sealedAt: at('when it was sealed'),
})

export const Archive = Type.Object({
  dir: text('the folder of the files'),
  sealed: whole('the last fact that is in a file'),
  trimmed: whole('the last fact that was let go of'),
  first: whole("the first fact in the house's own database; older ones are read from files"),
  bytes: whole('of all files'),
  files: Type.Array(ArchiveFile, { description: 'in order' }),
  work: maybe(
    Type.Object(
      {
        what: word(['seal', 'trim'], 'what is being done, or was done last'),
        state: word(['running', 'done', 'failed'], 'how it stands'),
        first: whole('its first fact'),
        last: whole('its last fact'),
        seq: whole('how far it has come'),
        files: whole('that were written, or read through'),
        code: maybe(text('where it failed')),
        error: maybe(text('where it failed: why, and what to do')),
      },
      { description: 'left out where nothing was done since the start' },
    ),
  ),
})

const Standing = word(['up', 'down', 'joining', 'draining', 'drained'], 'up: may be given work')
const BreakerState = word(['closed', 'open', 'halfOpen'], 'closed: work may pass')

const share = (description: string) => figure(`busy, 0 to 1: ${description}`)

const Throttled = Type.Object(
  {
    cause: word(['heat', 'power', 'gpu', 'cpu', 'memory'], 'what slows it down'),
    since: at('since when'),
  },
  { description: 'left out while nothing slows it down for longer than a moment' },
)

const nodeShape = {
  name: text('what it is called'),
  url: text('where its Ollama answers'),
  standing: Standing,
  simulated: yes('no real models: a simulation'),
  origin: word(['flag', 'api', 'found', 'embedded', 'agent'], 'where the house knows it from'),
  version: text("its Ollama's; empty until it has answered"),
  slots: whole('requests at once per model'),
  residentMax: whole('models in memory at once'),
  weight: figure('how much of the work it should get beside a node of weight 1'),
  hours: maybe(text('when it is wanted, in local time; left out where that is always')),
  labels: Type.Record(Type.String(), Type.String(), { description: 'as registered' }),
  breaker: Type.Object({
    state: BreakerState,
    failures: whole('in a row'),
    round: whole('how often it opened since it last healed'),
    until: maybe(at('while open: when it may be tried again')),
    reason: maybe(text('why it opened')),
  }),
  running: whole('requests on it now'),
  models: Type.Object({
    present: whole('on its disk'),
    loading: whole('on their way into its memory'),
    resident: whole('in its memory'),
  }),
  resident: texts('names of the models in its memory'),
  since: at('since when it stands so'),
  seenAt: maybe(at('when it last answered')),
  answerMs: maybe(whole('how long that took')),
  misses: whole('looks in a row without an answer'),
  error: maybe(text('what the last look met')),
  loss: maybe(
    Type.Object({
      reason: word(['silence', 'refused', 'error', 'wedged'], 'why it counts as down'),
      model: maybe(text('the model it did not answer for')),
    }),
  ),
  throttled: maybe(Throttled),
  hardware: maybe(
    Type.Object(
      {
        cpu: maybe(share('of all cores')),
        memoryBytes: maybe(whole('of the machine')),
        memoryFreeBytes: maybe(whole('of it that can be had')),
        diskFreeBytes: maybe(whole('on the volume of the models')),
        gpus: maybe(texts('of each GPU, its model')),
        vramBytes: maybe(whole('memory of the GPUs that tell both, together')),
        vramUsedBytes: maybe(whole('of that in use')),
        gpu: maybe(share('mean of its GPUs')),
        temperatureC: maybe(figure('of the hottest GPU, °C')),
        powerW: maybe(figure('what the GPUs draw, watts')),
        ageMs: whole('how long ago its agent was heard'),
      },
      { description: 'what its agent says; left out where none is heard' },
    ),
  ),
}

const replicaShape = {
  state: word(['present', 'loading', 'resident'], 'on disk, on its way into memory, in memory'),
  since: at('since when'),
  digest: text('of the manifest there'),
  sizeBytes: whole('on disk'),
  memoryBytes: maybe(whole('in memory, all of it')),
  vramBytes: maybe(whole('in memory, on GPUs')),
  contextLength: maybe(whole('as loaded')),
  loadMs: maybe(whole('what a load of it takes there, as learned')),
  runMs: maybe(whole('what a request of it takes there, as learned')),
  loadFailures: whole('loads in a row that failed'),
  running: whole('requests of it there now'),
}

export const Node = Type.Object(nodeShape)
export const Nodes = Type.Array(Node)
const replicasHere = Type.Array(Type.Object({ model: text('name of the model'), ...replicaShape }))

const Equipment = Type.Object(
  {
    os: maybe(
      Type.Object({
        platform: text('linux, darwin, win32'),
        name: text('as people call it'),
        arch: text('x64, arm64'),
      }),
    ),
    cpu: maybe(Type.Object({ model: text('as it says'), cores: maybe(whole('logical ones')) })),
    memoryBytes: maybe(whole('of the machine')),
    gpus: Type.Array(
      Type.Object({
        vendor: text('nvidia, amd, apple, intel'),
        model: text('as it says'),
        memoryBytes: maybe(whole('of its own, or what it may use of the memory it shares')),
        unified: maybe(yes("it shares the machine's memory")),
      }),
    ),
    gpusKnown: yes('all that there may be were looked for'),
    disk: maybe(
      Type.Object({
        fileSystem: text('of the volume that the models are on'),
        type: maybe(text('ssd, hdd, network')),
        sizeBytes: maybe(whole('of it')),
      }),
    ),
    container: yes('the agent runs in one, and sees what that may use'),
  },
  { description: 'what machine it is, as its agent said; left out where none did' },
)

export const NodeInFull = Type.Object({
  ...nodeShape,
  equipment: maybe(Equipment),
  replicas: replicasHere,
})

/** As messages of the agent's protocol have it; see proto/quipu/v1/agent.proto. */
const StatusHeard = Type.Object({
  at: whole("when it was read, milliseconds since the epoch by the node's clock"),
  identity: maybe(
    Type.Object({
      node: text('which node it says it is'),
      agentVersion: text('of the agent'),
      ollamaVersion: text('empty while its Ollama does not answer'),
      ollamaUrl: text('where the agent reaches it'),
      startedAt: whole("when the agent started, milliseconds since the epoch by the node's clock"),
    }),
  ),
  equipment: maybe(
    Type.Object({
      os: maybe(
        Type.Object({
          platform: text('linux, darwin, win32'),
          name: text('as people call it'),
          kernel: text('its version'),
          arch: text('x64, arm64'),
        }),
      ),
      cpu: maybe(Type.Object({ model: text('as it says'), cores: maybe(whole('logical ones')) })),
      memoryBytes: maybe(whole('of the machine')),
      gpus: Type.Array(
        Type.Object({
          id: text('stable while the machine runs'),
          vendor: text('nvidia, amd, apple, intel'),
          model: text('as it says'),
          memoryBytes: maybe(whole('of its own, or what it may use of the memory it shares')),
          unified: yes("it shares the machine's memory"),
          driver: text('its version'),
        }),
      ),
      gpusKnown: yes('all that there may be were looked for'),
      disk: maybe(
        Type.Object({
          mount: text('where the volume of the models is'),
          fileSystem: text('ext4, apfs, nfs'),
          type: maybe(text('ssd, hdd, network')),
          sizeBytes: maybe(whole('of it')),
        }),
      ),
      container: yes('the agent runs in one, and sees what that may use'),
    }),
  ),
  load: maybe(
    Type.Object({
      uptimeS: maybe(figure('seconds since the machine started')),
      cores: Type.Array(share('of each logical core')),
      cpu: maybe(share('of all cores')),
      memoryFreeBytes: maybe(whole('that can be had')),
      swapTotalBytes: maybe(whole('there is')),
      swapUsedBytes: maybe(whole('of that')),
      gpus: Type.Array(
        Type.Object({
          id: text('as in equipment'),
          utilisation: maybe(share('of it')),
          memoryUsedBytes: maybe(whole('of its memory')),
          temperatureC: maybe(figure('°C')),
          powerW: maybe(figure('what it draws, watts')),
          powerLimitW: maybe(figure('what it may draw, watts')),
          throttled: maybe(yes('the driver holds its clock back')),
        }),
      ),
      diskFreeBytes: maybe(whole('on the volume of the models')),
      receivedBytesPerS: maybe(figure('of all interfaces but loopback')),
      sentBytesPerS: maybe(figure('of all interfaces but loopback')),
      inFlight: whole('calls that the agent carries'),
    }),
  ),
  limits: maybe(
    Type.Object({
      numParallel: maybe(whole('OLLAMA_NUM_PARALLEL')),
      maxLoadedModels: maybe(whole('OLLAMA_MAX_LOADED_MODELS')),
      maxQueue: maybe(whole('OLLAMA_MAX_QUEUE')),
      keepAlive: maybe(text('OLLAMA_KEEP_ALIVE, as written')),
      contextLength: maybe(figure('OLLAMA_CONTEXT_LENGTH')),
    }),
  ),
  present: maybe(
    Type.Object({
      models: Type.Array(
        Type.Object({
          name: text('as its Ollama says'),
          digest: text('of the manifest'),
          sizeBytes: whole('on disk'),
          blobs: whole('files of it that the agent knows of; 0 where it may not look'),
          missing: whole('of these, the ones that are not there, or not whole'),
        }),
      ),
    }),
  ),
  resident: maybe(
    Type.Object({
      models: Type.Array(
        Type.Object({
          name: text('as its Ollama says'),
          sizeBytes: whole('in memory, all of it'),
          vramBytes: whole('in memory, on GPUs'),
          contextLength: figure('as loaded'),
          expiresAt: whole("when it may go, milliseconds since the epoch by the node's clock; 0 for never"),
        }),
      ),
    }),
  ),
})

export const NodeStatus = Type.Object({
  node: text('what it is called'),
  agent: word(
    ['none', 'silent', 'up'],
    'none: never heard since the house began; silent: there is no line to it, or nothing comes; up: it is heard',
  ),
  sentence: text('the same for people'),
  version: text("its Ollama's; empty until it has answered"),
  equipment: maybe(Equipment),
  throttled: maybe(Throttled),
  heardAt: maybe(at('when its agent was heard last')),
  ageMs: maybe(whole('how long ago that was')),
  status: maybe(StatusHeard),
  replicas: replicasHere,
})
export const NodeGone = Type.Object({ name: text('what it was called'), standing: word(['removed'], 'gone') })

export const Model = Type.Object({
  name: text('canonical name'),
  digest: text('of the manifest where the house saw it first'),
  sizeBytes: whole('on disk, there'),
  family: text('as Ollama says'),
  parameterSize: text('as Ollama says'),
  quantization: text('as Ollama says'),
  capabilities: texts('completion, embedding, tools, vision, …'),
  present: whole('nodes that have it'),
  loading: whole('nodes that are loading it'),
  resident: whole('nodes that have it in memory'),
  running: whole('requests of it on a node'),
  waiting: whole('requests of it in the queue'),
  nodes: Type.Array(Type.Object({ node: text('name of the node'), ...replicaShape })),
})
export const Models = Type.Array(Model)

export const Policy = Type.Object({
  model: text('canonical name'),
  ...whatPoliciesSay,
  keepAliveS: maybe(
    figure('how long it stays in memory after its last answer, seconds; below zero for ever'),
  ),
  keepAliveMaxS: maybe(figure('the longest a client may ask for, seconds')),
  setAt: at('since when it holds'),
  by: maybe(text('who set it')),
  warnings: texts('what in it does nothing now, or not what one might think'),
})
export const Policies = Type.Array(Policy)
export const PolicyGone = Type.Object({ model: text('canonical name'), cleared: yes('it holds no more') })

/** What may be asked of a model with a policy, how it stands, and what is being done about it. */
export const Transfer = Type.Object({
  id: text('model@node'),
  model: text('canonical name'),
  node: text('where it goes'),
  state: word(
    ['running', 'waiting', 'resting', 'completed', 'abandoned', 'cancelled'],
    'resting: after a try that went wrong; abandoned: after the last one',
  ),
  cause: word(
    ['asked', 'policy', 'sync', 'optimize'],
    'who wants it: people; its policy; its policy, at once; people who took up a proposal',
  ),
  by: maybe(text('who asked')),
  attempt: whole('which try is next, is under way, or was the last'),
  orderedAt: at('since when it is wanted'),
  since: at('since when it is in this state'),
  waits: maybe(text('for what, in words')),
  progress: maybe(
    Type.Object({
      step: text('as the node says it'),
      bytes: whole('that are there'),
      totalBytes: maybe(whole('as far as known')),
      bytesPerS: maybe(whole('over the last ten seconds')),
      leftMs: maybe(whole('at that rate')),
      at: at('when the node said so'),
    }),
  ),
  trouble: maybe(text('what went wrong last, as the journal has it')),
  reason: maybe(text("the same in the node's own words, where the house still knows them")),
  ms: maybe(whole('how long the try took that brought it')),
})
export const Transfers = Type.Array(Transfer)

const elsewhere = (what: string) =>
  Type.Array(Type.Object({ node: text('name of the node'), why: text('in words') }), { description: what })

export const Pulled = Type.Object({
  model: text('canonical name'),
  transfers: Type.Array(Transfer, { description: 'ordered now, and those that were under way' }),
  already: texts('nodes that have it'),
  excluded: elsewhere('nodes that may not have it'),
})

export const Removed = Type.Object({
  model: text('canonical name'),
  removed: texts('nodes it was removed from'),
  failed: elsewhere('nodes that said no, or nothing'),
})

const Action = Type.Object({
  do: word(['pull', 'remove', 'cancel'], 'what; cancel is said of a transfer'),
  model: text('canonical name'),
  node: text('where'),
  reason: text('why, in words'),
})

export const Synced = Type.Object({
  dryRun: yes('nothing was done'),
  actions: Type.Array(Action, { description: 'done or begun, in this order' }),
  unmet: Type.Array(Type.Object({ model: text('canonical name'), reason: text('in words') }), {
    description: 'what cannot be as it is wanted',
  }),
})

export const Optimized = Type.Object({
  applied: yes('it is being done'),
  proposals: Type.Array(
    Type.Object({
      do: word(['add', 'remove'], 'a copy more, or one less'),
      model: text('canonical name'),
      node: text('where'),
      reason: text('why, in words'),
      benefitMs: maybe(whole('waiting that it would have saved within the last day, all requests together')),
      bytes: maybe(whole('to be brought, or that become free')),
    }),
    { description: 'what helps most first, one for a model' },
  ),
})

export const ModelStanding = Type.Object({
  model: text('canonical name'),
  policy: maybe(Type.Object(whatPoliciesSay, { description: 'where it may be, and how often' })),
  wanted: maybe(
    Type.Object({
      min: maybe(whole('copies at least')),
      max: maybe(whole('copies at most')),
    }),
  ),
  copies: Type.Array(
    Type.Object({
      node: text('name of the node'),
      state: word(['present', 'loading', 'resident'], 'where it is there'),
      standing: text('how the node stands'),
      digest: text('of the manifest'),
      sizeBytes: whole('on disk'),
    }),
  ),
  missing: whole('copies that its policy wants, and that are neither there nor on their way'),
  surplus: whole('copies that its policy does not want'),
  transfers: Type.Array(Transfer, { description: 'open ones' }),
  findings: texts('what does not fit together, in words'),
  plan: texts('what the house will do about it, in words'),
})
export const ModelStandings = Type.Array(ModelStanding)

export const Candidate = Type.Object({
  node: text('name of the node'),
  resident: yes('had it the model in memory?'),
  idle: whole('slots free for the model'),
  estimateMs: Type.Union([Type.Integer(), Type.Null()], {
    description: 'until it would have started there; null where nothing is known',
  }),
  excluded: maybe(text('why it was out of the question')),
  against: maybe(text('what told against it, though it was not out of the question')),
})

export const Tokens = Type.Object({
  promptTokens: whole('of the question'),
  outputTokens: whole('of the answer'),
})

export const Waiting = Type.Object({
  position: whole('1 has the next turn in its line'),
  line: text('those who can use the same copies: a model, how it is loaded, and the labels asked for'),
  id: text('id of the request'),
  model: text('canonical name'),
  path: text('what was asked'),
  client: text('who asks'),
  class: word(['interactive', 'batch'], 'batch goes after all that is interactive'),
  priority: whole('9 goes first, 0 last'),
  job: maybe(Type.Boolean({ description: 'it outlives its client' })),
  admittedAt: at('when it came'),
  waitedMs: whole('since then'),
  expiresAt: at('when it stops waiting'),
  deadlineAt: maybe(at('when an answer is of no use any more')),
  tokens: Type.Object(Tokens.properties, { description: 'what it is expected to cost' }),
  etaMs: maybe(whole('how long it will still wait, as expected now; left out where no node could take it')),
  etaErrorMs: maybe(whole('by how much such predictions were wrong at most, four times in five')),
  tried: texts('nodes it failed on'),
  why: text('why it waits now'),
  candidates: maybe(
    Type.Array(Candidate, { description: 'for the first of each line: the nodes, as seen now' }),
  ),
})
export const Queue = Type.Array(Waiting)

export const Lease = Type.Object({
  id: text('id of the job'),
  attempt: whole('goes back with the answer'),
  until: at('when the lease runs out'),
  path: text('what was asked'),
  model: text('canonical name'),
  deadlineAt: maybe(at('when an answer is of no use any more')),
  headers: Type.Record(Type.String(), Type.String(), {
    description: 'of the question, as a node would see them',
  }),
  body: maybe(Type.Unknown({ description: 'the question, where it is JSON' })),
  bodyBase64: maybe(text('the question, where it is not')),
})
export const Leases = Type.Array(Lease)

export const Rotated = Type.Object({
  vkey: text('the key that signs now'),
  before: text('the one that signed until now'),
  seq: whole('the fact that says so'),
})
export const Settled = Type.Object({
  id: text('id of the job'),
  state: word(['completed', 'queued', 'failed'], 'queued: somebody else may take it'),
})
export const Extended = Type.Object({ id: text('id of the job'), until: at('when the lease runs out now') })

const queueFigures = {
  waiting: whole('in the queue'),
  waitingJobs: whole('of these, jobs: what a worker may take'),
  oldestWaitMs: whole('how long the one that came first has been waiting; 0 where none waits'),
  running: whole('on a node'),
  leased: whole('with a worker from outside'),
  lastHour: Type.Object(
    {
      completed: whole('answered, whatever the status'),
      failed: whole('not'),
      expired: whole('waited too long'),
      abandoned: whole('left by their clients'),
      cancelled: whole('called off'),
    },
    { description: 'what was over within the last 60 minutes' },
  ),
}
export const QueueStats = Type.Object({
  ...queueFigures,
  perMinute: whole('requests that were over within the last 60 s, as near as counts by the minute tell'),
  models: Type.Array(Type.Object({ model: text('canonical name'), ...queueFigures })),
})

export const CleanedUp = Type.Object({
  erased: whole('jobs whose question and answer are gone'),
  bytes: whole('given back to the disk'),
})

const RequestState = word(REQUEST_STATES, 'the first four are open')

const requestShape = {
  id: text('id of the request'),
  state: RequestState,
  path: maybe(text('what was asked')),
  model: maybe(text('canonical name')),
  client: maybe(text('address')),
  priority: maybe(whole('9 goes first, 0 last')),
  bodyBytes: maybe(whole('of the question')),
  admittedAt: at('when it came'),
  expiresAt: maybe(at('until when it may wait')),
  endedAt: maybe(at('when it was over')),
  node: maybe(text('where it runs, or ran last: a node, or a worker from outside')),
  batch: maybe(text('id of the request whose call to the node it shares, or shared last')),
  leased: maybe(yes('it was with a worker when it ended')),
  attempts: whole('how often somebody was given the work'),
  waitedMs: whole('in the queue, so far or in all'),
  ttftMs: maybe(whole('from admission to the first byte of the answer')),
  runMs: maybe(whole('on the node that answered')),
  totalMs: whole('since admission, so far or in all'),
  status: maybe(whole("the node's")),
  reason: maybe(text('why it failed')),
  unretried: maybe(word(['budget'], 'why no other attempt followed, though one was left')),
  bytes: maybe(whole('of the answer, as delivered')),
  chunks: maybe(whole('of the answer, as delivered')),
  promptTokens: maybe(whole('as the node counted')),
  outputTokens: maybe(whole('as the node counted')),
  loadMs: maybe(figure('as the node measured')),
  promptMs: maybe(figure('as the node measured')),
  outputMs: maybe(figure('as the node measured')),
  doneReason: maybe(text('as the node said')),
}

export const Request = Type.Object(requestShape)
export const Requests = Type.Array(Request)

export const Job = Type.Object({
  id: text('id of the job, and of its request'),
  state: word(JOB_STATES, 'where it is, or how it ended'),
  path: text('what was asked'),
  model: text('canonical name'),
  client: text('name or address'),
  priority: whole('9 goes first, 0 last'),
  class: word(['interactive', 'batch'], 'what may wait for what'),
  bodyBytes: whole('of the question'),
  labels: maybe(Type.Record(Type.String(), Type.String(), { description: 'only nodes with these will do' })),
  admittedAt: at('when it took its place'),
  expiresAt: at('when it stops waiting'),
  deadlineAt: maybe(at('when an answer is of no use any more')),
  attempts: whole('how often somebody was given the work'),
  node: maybe(text('where it runs, or ran last: a node, or a worker')),
  endedAt: maybe(at('when it was over')),
  status: maybe(whole("of the answer: the node's")),
  reason: maybe(text('why it failed')),
  bytes: maybe(whole('of the answer')),
  digest: maybe(text('of the answer: SHA-256, hexadecimal')),
  promptTokens: maybe(whole('as the node counted')),
  outputTokens: maybe(whole('as the node counted')),
  callback: maybe(
    Type.Object(
      {
        state: word(['awaited', 'due', 'waiting', 'delivered', 'abandoned'], 'awaited: it is not over'),
        attempts: whole('tries so far, with the one under way'),
        until: maybe(at('while it waits: when the next try is due')),
        status: maybe(whole("the receiver's, last")),
        reason: maybe(text('what went wrong, last')),
      },
      { description: 'how far the call is, where somebody wants one' },
    ),
  ),
  erased: maybe(yes('neither question nor answer is kept any more')),
})
export const Jobs = Type.Array(Job)

export const Erased = Type.Array(
  Type.Object({
    id: text('of the job'),
    parts: texts('what there was of it: body, answer-1, …'),
    bytes: whole('given back to the disk'),
    slot: word(
      ['zero', 'another', 'key'],
      'what is where its key was: zeros, the key of another, or still its own',
    ),
    files: texts('of it that are still there'),
    readable: texts('those of them that a key opens'),
    keyFoundIn: texts('files of the data folder in which the bytes of its key are found'),
    proved: yes('nothing of it can be read any more'),
  }),
)

export const Entry = Type.Object({
  seq: whole('1, 2, 3 … without a gap'),
  at: at('when it was decided'),
  kind: text('what it is about: node, breaker, model, replica, request, setting'),
  id: text('which one'),
  type: text('what happened'),
  v: whole("version of the data's shape"),
  by: maybe(text('who asked for it')),
  data: Type.Unknown({ description: 'docs/facts.md says what is in it; null where it has been forgotten' }),
  hash: text("the chain's hash at this fact: SHA-256, base64url"),
})

export const RequestInFull = Type.Object({ ...requestShape, facts: Type.Array(Entry) })

export const Why = Type.Object({
  id: text('id of the request'),
  model: maybe(text('canonical name')),
  state: RequestState,
  sentence: text('all of it, in words'),
  attempts: Type.Array(
    Type.Object({
      attempt: whole('1, 2, 3 …'),
      node: text('what was chosen, or the worker who took it'),
      at: at('when'),
      waitedMs: whole('in the queue before this attempt'),
      batch: maybe(text('id of the request whose call to the node it shared')),
      because: text('why there'),
      candidates: Type.Array(Candidate, { description: 'the nodes, as the house knew them at that moment' }),
      outcome: Type.Object({
        as: word(
          ['running', 'answering', 'leased', 'completed', 'failed', 'retried', 'abandoned', 'cancelled'],
          'what became of the attempt',
        ),
        at: maybe(at('when')),
        status: maybe(whole("the node's")),
        reason: maybe(text('what went wrong')),
        runMs: maybe(whole('how long it was there')),
      }),
    }),
  ),
  loads: Type.Array(
    Type.Object({
      node: text('where the model was loaded while the request waited'),
      at: at('when that was over'),
      ms: maybe(whole('how long the load took')),
      failed: maybe(text('why it did not work')),
    }),
  ),
  waits: maybe(
    Type.Object(
      { why: text('why it waits now'), candidates: maybe(Type.Array(Candidate)) },
      { description: 'while it is queued' },
    ),
  ),
  meanwhile: maybe(
    Type.Object(
      {
        items: Type.Array(
          Type.Object({
            seq: whole('of the fact'),
            at: at('when'),
            type: text('the fact'),
            words: text('what happened'),
            by: maybe(text('who asked for it')),
          }),
        ),
        left: whole('how many more there were'),
      },
      { description: 'what else was decided while it waited' },
    ),
  ),
})

export const HindsightQuery = query({
  compare: maybe(
    Type.String({
      minLength: 1,
      maxLength: 1_024,
      description:
        'what else to ask: a policy of `quipu backtest`, or own settings such as swap-cost=1,prefer=a+b; several with semicolons',
    }),
  ),
})

const Verdict = Type.Object({
  policy: text('who was asked'),
  to: word(['assign', 'load', 'claim', 'wait', 'unknown'], 'what it would have done'),
  nodes: texts('where; several where the journal cannot know which of them'),
  words: text('the same in words'),
})

export const Hindsight = Type.Object({
  id: text('id of the request'),
  moments: Type.Array(
    Type.Object({
      as: word(['admitted', 'assigned'], 'when it came, or when it was given a node'),
      at: at('when'),
      seq: whole('of the fact'),
      node: maybe(text('where it really went')),
      queue: maybe(
        Type.Object({
          line: text('where it stood'),
          waiting: whole('who waited in the whole house, it included'),
          inLine: whole('who stood in its line, it included'),
          ahead: whole('who would have gone before it'),
          clients: Type.Array(Type.Object({ client: text('whose'), count: whole('how many of these') })),
          oldestMs: maybe(whole('how long the oldest of these had waited')),
        }),
      ),
      decided: maybe(Verdict),
      edges: maybe(
        Type.Array(
          Type.Object({
            over: text('a node that could have answered at once, too'),
            by: text('what told against it'),
            words: text('the same in words'),
          }),
        ),
      ),
      others: Type.Array(Verdict, { description: 'what those would have done who were asked for' }),
    }),
  ),
})

// ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────

export const Setting = Type.Object({
  name: text('its flag, without the dashes'),
  value: text('what holds now, as it would be typed'),
  source: word(['set', 'flag', 'env', 'default'], 'who says so; the first of these that says anything'),
  live: yes('can it be set while the house runs?'),
  start: text('what holds where nothing is set: flag, variable or default'),
  sentence: text('what it is'),
  ignored: maybe(text('what is set, but not understood by this version')),
})
export const Settings = Type.Array(Setting)

export const SettingChange = Type.Object({
  seq: whole('of the fact; rollback takes it'),
  at: at('when'),
  by: text('who'),
  name: text('the setting'),
  as: word(['set', 'reset'], 'was it set, or taken back?'),
  before: text('what held before'),
  after: text('what held after'),
})
export const SettingChanges = Type.Array(SettingChange)

// ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────
// For spreadsheets and databases: names with underscores, times in ISO 8601, each column in each row. Their order here
// is that of the columns.

const time = (what: string) => Type.String({ description: `${what}; ISO 8601, UTC` })
const unless = <S extends TSchema>(shape: S, why: string) =>
  Type.Union([shape, Type.Null()], {
    description: `${(shape as { description?: string }).description}; null ${why}`,
  })

export const ServerRow = Type.Object({
  address: text("the node's URL; the other tables name servers by it"),
  healthy: yes('does it answer, and is its breaker not open?'),
  load: whole('requests on it now'),
  last_check: unless(time('when it was last looked at'), 'before the first look since the start'),
  first_seen: time('when it was first registered'),
  hardware_info: unless(text('what machine it is, as its agent says'), 'where it has no agent'),
})
export const ServersTable = Type.Array(ServerRow)

export const ModelRow = Type.Object({
  name: text('canonical name'),
  servers: texts('addresses of those that have it; none where it is gone'),
  size_gb: figure('on disk, decimal gigabytes'),
  parameter_count: unless(figure('parameters, rounded as Ollama rounds them'), 'where it does not say'),
  quantization: unless(text('as Ollama says'), 'where it does not say'),
  first_seen: time('when a node first had it'),
  last_used: unless(time('when it last began to answer'), 'where it never did'),
  usage_count: whole('requests that it answered, or began to, without an error'),
})
export const ModelsTable = Type.Array(ModelRow)

export const ServerStatsRow = Type.Object({
  server: text('its address'),
  timestamp: time('when the step began'),
  type: word(
    SAMPLED,
    '1 healthy or 0 not; requests on it; milliseconds that the last look took; and where it has an agent: shares of CPU ' +
      'and GPUs, bytes free of memory and disk, bytes used on GPUs, °C of the hottest, watts',
  ),
  value: figure('the mean, where the step holds several'),
})
export const ServerStatsTable = Type.Array(ServerStatsRow)

export const RequestStatsRow = Type.Object({
  period: word(['hour', 'day', 'week'], 'how long; a week begins on Monday'),
  start: time('when it began'),
  total: whole('requests that were over in it, however they ended'),
  generate: whole('of these: /api/generate, /v1/completions'),
  chat: whole('of these: /api/chat, /v1/chat/completions, /v1/responses, /v1/messages'),
  embedding: whole('of these: /api/embed, /api/embeddings, /v1/embeddings'),
  completed: whole('of all: answered whole, whatever the status'),
  average_latency: unless(figure('ms from admission to the end, of answers without an error'), 'where none'),
  p50: unless(figure('half of these took no more; ms, within 5 %'), 'where none'),
  p95: unless(figure('95 % of these took no more; ms, within 5 %'), 'where none'),
  p99: unless(figure('99 % of these took no more; ms, within 5 %'), 'where none'),
  tokens: whole('in and out, as the nodes counted'),
  prompt_tokens: whole('in'),
  output_tokens: whole('out'),
  simulated: whole('of all: by simulated nodes, whose figures mean nothing'),
})
export const RequestStatsTable = Type.Array(RequestStatsRow)

export const InferenceQueueRow = Type.Object({
  id: text('id of the request'),
  model: text('canonical name'),
  status: word(QUEUE_STATES, 'the first three are open'),
  priority: whole('9 goes first, 0 last'),
  created_at: time('when it came'),
  started_at: unless(time('when somebody was given it, the last time'), 'while it waits'),
  completed_at: unless(time('when it was over, however it ended'), 'while it is open'),
  server_assigned: unless(
    text('who: the address of a server, or the name of a worker from outside'),
    'while it waits',
  ),
  batch_id: unless(text('the request whose call to the server it shares'), 'where it ran alone'),
})
export const InferenceQueueTable = Type.Array(InferenceQueueRow)

export const ConfigRow = Type.Object({
  setting: text('its flag, without the dashes'),
  who: text('who changed it'),
  when: time('when'),
  before: text('what held before'),
  after: text('what held after'),
})
export const ConfigTable = Type.Array(ConfigRow)

const placeShape = {
  mark: whole('everything up to this fact is acknowledged, or was not wanted'),
  lag: whole('facts between the mark and the end of the journal, wanted or not'),
}

export const Subscription = Type.Object({
  name: text('what it is called'),
  state: word(['active', 'parked'], 'parked: nobody is given anything until it is resumed'),
  since: at('since when it stands so'),
  reason: maybe(text('why it is parked: asked, or what its webhook met')),
  failures: maybe(whole('in a row, before it was parked')),
  status: maybe(whole('what the last of them was answered with')),
  createdAt: at('when it was made'),
  by: maybe(text('who made it')),
  after: whole('it began with the fact after this one'),
  filter: Type.Record(Type.String(), Type.String(), { description: 'which facts; all where it is empty' }),
  ...placeShape,
  leases: whole('out now'),
  webhook: maybe(
    Type.Object({
      origin: text('scheme, host and port of where batches go; the rest is told to nobody'),
      signed: yes('do they carry a signature?'),
      format: WebhookFormat,
      batchMax: whole('facts in one batch'),
      lingerMs: whole('how long the first fact of a batch may wait for others'),
      failuresMax: whole('failures in a row after which it is parked'),
    }),
  ),
  failing: maybe(
    Type.Object({
      failures: whole('in a row, so far'),
      reason: text('what the last one met'),
      status: maybe(whole('what it was answered with')),
      until: at('when it is tried again'),
    }),
  ),
})
export const Subscriptions = Type.Array(Subscription)
export const SubscriptionGone = Type.Object({
  name: text('what it was called'),
  deleted: yes('the name is free'),
})

export const TakenFacts = Type.Object({
  lease: maybe(text('what to acknowledge; left out where there was nothing to take')),
  until: maybe(at('when the lease runs out')),
  attempt: maybe(whole('1; more where these facts came back')),
  facts: Type.Array(Entry),
  ...placeShape,
})
export const Place = Type.Object(placeShape)
export const ExtendedFacts = Type.Object({
  lease: text('which one'),
  until: at('when it runs out now'),
})

/** By their names in the OpenAPI document. */
export const shapes: Readonly<Record<string, TSchema>> = {
  AckFacts,
  Candidate,
  ConfigRow,
  CleanedUp,
  Completion,
  Entry,
  ExtendFacts,
  Extended,
  Extension,
  GivingUp,
  Health,
  Index,
  InferenceQueueRow,
  Job,
  Lease,
  Mirror,
  Model,
  ModelRow,
  ModelStanding,
  NewJob,
  NewNode,
  NewValue,
  NewPolicy,
  NewPull,
  NewSubscription,
  Node,
  NodeGone,
  NodeInFull,
  NodeStatus,
  Place,
  Policy,
  PolicyGone,
  Optimize,
  Optimized,
  Problem,
  Pulled,
  QueueStats,
  Removal,
  Removed,
  Request,
  RequestInFull,
  RequestStatsRow,
  Rollback,
  ServerRow,
  ServerStatsRow,
  Setting,
  SettingChange,
  Rotated,
  Settled,
  Subscription,
  SubscriptionGone,
  Sync,
  Synced,
  Take,
  TakeFacts,
  TakenFacts,
  Transfer,
  Waiting,
  Why,
  Hindsight,
  Forgotten,
}

// ── how what comes in is checked ─────────────────────────────────────────────────────────────────────────────────

/**
 * Instead of Fastify's own compiler, whose defaults drop unknown properties without a word and turn "1" into 1
 * anywhere. Here nothing is dropped, and only digits in a query string become numbers.
 */
export const checked: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(schema)
  const where = httpPart === 'body' ? 'body' : httpPart === 'params' ? 'path' : 'query'
  return (given: unknown) => {
    const value = httpPart === 'querystring' ? counted(schema, given) : given
    if (validator.Check(value)) return { value }
    return {
      error: new Refusal('request.invalid', `${where}: ${complaints(schema, validator.Errors(value))}`),
    }
  }
}

/** Does a value fit a schema? For tests: every answer must. */
export function misfits(schema: TSchema, value: unknown): readonly string[] {
  return Compile(schema)
    .Errors(value)
    .map(({ instancePath, message }) => `${instancePath} ${message}`)
}

type Properties = Readonly<Record<string, TSchema & { readonly type?: string }>>

function propertiesOf(schema: TSchema): Properties {
  return (schema as { readonly properties?: Properties }).properties ?? {}
}

function counted(schema: TSchema, given: unknown): unknown {
  const properties = propertiesOf(schema)
  const convert = ([key, value]: [string, unknown]): [string, unknown] => {
    const digits =
      properties[key]?.type === 'integer' && typeof value === 'string' && /^\d{1,15}$/.test(value)
    return [key, digits ? Number(value) : value]
  }
  return Object.fromEntries(Object.entries(given ?? {}).map(convert))
}

function complaints(schema: TSchema, errors: ReturnType<ReturnType<typeof Compile>['Errors']>): string {
  const said: string[] = []
  for (const { keyword, instancePath, params, message } of errors) {
    const place = instancePath.slice(1).replaceAll('/', '.')
    if (keyword === 'additionalProperties') {
      const unknown = (params as { additionalProperties: readonly string[] }).additionalProperties
      const names = unknown.map(name => JSON.stringify(name)).join(', ')
      if (place !== '') said.push(`${place} may not have ${names}`)
      else said.push(`unknown property ${names}; known are ${Object.keys(propertiesOf(schema)).join(', ')}`)
    } else if (keyword === 'required') {
      said.push(
        `${(params as { requiredProperties: readonly string[] }).requiredProperties.join(', ')} is missing`,
      )
    } else if (keyword === 'type' && place === '') said.push('must be a JSON object')
    else if (keyword !== 'boolean') said.push(`${place} ${message}`) // the same, from inside additionalProperties
  }
  return said.join('; ')
}

// ── the past ─────────────────────────────────────────────────────────────────────────────────────────────────────

const place = (description: string) => Type.String({ minLength: 1, maxLength: 64, description })
const MOMENTS = 'a time (UTC, without a zone), 14:03, the number of a fact, -10m, "2 hours ago", or now'

export const StateQuery = query({ at: maybe(place(`${MOMENTS}; now, unless told`)) })
export const DiffQuery = query({
  from: maybe(place(`${MOMENTS}; a day ago, unless told`)),
  to: maybe(place(`${MOMENTS}; now, unless told`)),
})

const Moment = Type.Object({
  at: maybe(at('what was asked for, where that was a time')),
  seq: whole('the last fact that had happened; 0 before the first'),
  factAt: at('when that was'),
  from: whole('the fact after which a snapshot was taken up; 0 where all was read'),
})

const policyThen = Type.Object({
  ...whatPoliciesSay,
  keepAliveS: maybe(
    figure('how long it stayed in memory after its last answer, seconds; below zero for ever'),
  ),
  keepAliveMaxS: maybe(figure('the longest a client might ask for, seconds')),
})

export const State = Type.Object({
  moment: Moment,
  nodes: Type.Array(
    Type.Object({
      name: text('of the node'),
      url: text('where its Ollama answered'),
      standing: word(['joining', 'up', 'down', 'draining', 'drained'], 'how it stood'),
      simulated: yes('no real models'),
      version: text("Ollama's"),
      slots: whole('requests at once per model'),
      residentMax: whole('models in memory at once'),
      weight: figure('how much of the work it should get'),
      hours: maybe(text('when it was wanted')),
      labels: Type.Record(Type.String(), Type.String()),
      breaker: word(['closed', 'open', 'halfOpen'], 'of its breaker'),
      running: whole('requests there'),
      resident: texts('models in memory'),
      loading: texts('models on their way there'),
      since: at('since when it stood so'),
      loss: maybe(Type.Object({ reason: text('why it was lost'), model: maybe(text('that hung')) })),
      throttled: maybe(word(['heat', 'power', 'gpu', 'cpu', 'memory'], 'what slowed it down')),
      memoryBytes: maybe(whole('of the machine, as its agent had said')),
      gpus: maybe(texts('of each GPU, its model and how much memory it has')),
    }),
  ),
  models: Type.Array(
    Type.Object({
      name: text('canonical name'),
      digest: text('of the manifest'),
      sizeBytes: whole('on disk'),
      waiting: whole('requests for it that waited'),
      running: whole('requests for it that ran'),
      nodes: Type.Array(
        Type.Object({
          node: text('who had it'),
          state: word(['present', 'loading', 'resident'], 'on disk only, loading, in memory'),
          since: at('since when'),
          variant: maybe(text('how it was loaded')),
          running: whole('requests for it there'),
        }),
      ),
    }),
  ),
  queue: Type.Object({
    waiting: whole('how many waited'),
    running: whole('how many ran'),
    requests: Type.Array(
      Type.Object({
        id: text('of the request'),
        state: word(['queued', 'running', 'answering', 'leased'], 'how far it was'),
        model: text('asked for'),
        client: text('who asked'),
        class: word(['interactive', 'batch'], 'of the request'),
        priority: whole('0 to 9'),
        job: yes('nobody waited on a line'),
        admittedAt: at('when it came'),
        position: maybe(whole('its turn in its line, while it waited')),
        node: maybe(text('where it ran: a node, or a worker')),
        assignedAt: maybe(at('since when it ran')),
      }),
      { description: 'those that ran, then those that waited, a thousand at most' },
    ),
  }),
  policies: Type.Array(
    Type.Object({
      model: text('canonical name'),
      policy: policyThen,
      setAt: at('since when it held'),
      by: maybe(text('who set it')),
    }),
  ),
  settings: Type.Array(
    Type.Object({
      name: text('flag of the setting'),
      value: text('what had been set while the house ran'),
      setAt: maybe(at('when')),
      by: maybe(text('who set it')),
    }),
  ),
})

const touch = (description: string) =>
  Type.Object(
    { seq: whole('of the fact'), at: at('when'), type: text('of the fact'), by: maybe(text('who')) },
    { description },
  )
const beforeAfter = Type.Object({ before: whole('then'), after: whole('later') })

export const Diff = Type.Object({
  from: Moment,
  to: Moment,
  facts: whole('how many lie between'),
  changes: Type.Array(
    Type.Object({
      kind: word(['node', 'model', 'replica', 'policy', 'setting'], 'what is different'),
      id: text('which one'),
      as: word(['new', 'gone', 'different'], 'how'),
      properties: Type.Array(
        Type.Object({
          name: text('of the property'),
          before: text('what it was'),
          after: text('what it is'),
        }),
      ),
      last: maybe(touch('the last fact that touched it')),
      asked: maybe(touch('where that followed by itself: the last one that somebody stood behind')),
    }),
    { description: 'what changed and changed back is not among them' },
  ),
  requests: Type.Object({
    admitted: whole('that came'),
    completed: whole('that were answered'),
    failed: whole('that failed'),
    expired: whole('that waited too long'),
    abandoned: whole('whose clients left'),
    cancelled: whole('that were called off'),
  }),
  queue: Type.Object({ waiting: beforeAfter, running: beforeAfter }),
})
