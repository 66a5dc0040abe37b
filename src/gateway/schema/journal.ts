/** The journal: its facts and who may be forgotten in them, checkpoints, archive files, the mirror. */

import Type from 'typebox'
import { entities } from '../../../machines/index.ts'
import { at, filter, limit, maybe, oneOf, query, text, texts, whole, word, yes } from './words.ts'

// ── what comes in ──────────────────────────────────────────────────────────────────────────────────────────────

export const JOURNAL_LIMIT = 1_000

const after = maybe(
  Type.Integer({
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    description: 'only facts after this seq',
  }),
)

export const JournalQuery = query({ after, limit: limit(JOURNAL_LIMIT, 10_000) })

const moment = (description: string) =>
  maybe(Type.String({ maxLength: 32, description: `${description}; ISO 8601, in UTC unless it has a zone` }))

/** Which facts; see journal/wanted.ts. */
export const filters = {
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

const count = (description: string) => Type.String({ pattern: '^[1-9]\\d{0,14}$', description })
export const FactSeq = Type.Object({ seq: count('the number of a fact') })
export const CheckpointSize = Type.Object({ size: count('the second line of the earlier checkpoint') })
export const Rotate = Type.Object(
  { lost: maybe(yes('the old key is gone, so that it cannot endorse the new one')) },
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

// ── what goes out ──────────────────────────────────────────────────────────────────────────────────────────────

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

export const Rotated = Type.Object({
  vkey: text('the key that signs now'),
  before: text('the one that signed until now'),
  seq: whole('the fact that says so'),
})

const ArchiveFile = Type.Object({
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

export const Forgotten = Type.Object({
  id: text('of the forgetting; empty where there was nothing to forget'),
  facts: whole('that do not have the name any more'),
  kept: whole('that have it still, in their header: who asked for them'),
})
