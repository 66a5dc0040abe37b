/** The past: how everything stood at some moment, and what is different between two. */
import Type from 'typebox'
import { whatPoliciesSay } from './policies.ts'
import { at, figure, maybe, query, text, texts, whole, word, yes } from './words.ts'

// ── what comes in ──────────────────────────────────────────────────────────────────────────────────────────────

const MOMENTS = 'a time (UTC, without a zone), 14:03, the number of a fact, -10m, "2 hours ago", or now'
const place = (description: string) => Type.String({ minLength: 1, maxLength: 64, description })

export const StateQuery = query({ at: maybe(place(`${MOMENTS}; now, unless told`)) })
export const DiffQuery = query({
  from: maybe(place(`${MOMENTS}; a day ago, unless told`)),
  to: maybe(place(`${MOMENTS}; now, unless told`)),
})

// ── what goes out ──────────────────────────────────────────────────────────────────────────────────────────────

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
