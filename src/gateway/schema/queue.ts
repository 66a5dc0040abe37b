/** The queue: what waits in it, and what workers from outside take from it and bring back. */
import Type from 'typebox'
import { Candidate } from './why.ts'
import { at, filter, limit, maybe, query, text, texts, whole, word, yes } from './words.ts'

// ── what comes in ──────────────────────────────────────────────────────────────────────────────────────────────

export const QUEUE_LIMIT = 1_000

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

// ── what goes out ──────────────────────────────────────────────────────────────────────────────────────────────

const Tokens = Type.Object({
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
