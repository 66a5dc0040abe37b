/** Models: where they are, what may be asked of one with a policy, how it stands, and what is being done about it. */
import Type from 'typebox'
import { nodeNames, replicaShape } from './nodes.ts'
import { whatPoliciesSay } from './policies.ts'
import { at, filter, maybe, query, text, texts, whole, word, yes } from './words.ts'

// ── what comes in ──────────────────────────────────────────────────────────────────────────────────────────────

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

// ── what goes out ──────────────────────────────────────────────────────────────────────────────────────────────

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
