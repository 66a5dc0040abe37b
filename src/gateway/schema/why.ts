/** Why a request went where it went; and in hindsight, where else it might have gone. */
import Type from 'typebox'
import { RequestState } from './requests.ts'
import { at, maybe, query, text, texts, whole, word, yes } from './words.ts'

// ── what comes in ──────────────────────────────────────────────────────────────────────────────────────────────

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

// ── what goes out ──────────────────────────────────────────────────────────────────────────────────────────────

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
