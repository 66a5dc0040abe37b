/** Subscriptions: facts for whoever reads with a mark that the house keeps. */
import Type from 'typebox'
import { Entry, filters } from './journal.ts'
import { at, maybe, text, whole, word, yes } from './words.ts'

const WebhookFormat = word(['json', 'ndjson'], 'one JSON object with all of a batch, or a line for each fact')

// ── what comes in ──────────────────────────────────────────────────────────────────────────────────────────────

export const SubscriptionName = Type.Object({ name: text('name of the subscription') })

const SubscriptionFilter = Type.Object(filters, {
  additionalProperties: false,
  description: 'which facts, as /quipu/events takes them; all where it is left out',
})

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

// ── what goes out ──────────────────────────────────────────────────────────────────────────────────────────────

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
