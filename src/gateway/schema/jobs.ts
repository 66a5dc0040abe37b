/** Jobs: requests that outlive their clients, and what it takes to erase one. */
import Type from 'typebox'
import { JOB_STATES } from '../states.ts'
import { at, filter, limit, maybe, oneOf, query, text, texts, whole, word, yes } from './words.ts'

// ── what comes in ──────────────────────────────────────────────────────────────────────────────────────────────

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

// ── what goes out ──────────────────────────────────────────────────────────────────────────────────────────────

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
