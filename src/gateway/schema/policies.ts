/** Policies: what people want of a model. */
import Type from 'typebox'
import { labelNames, nodeNames } from './nodes.ts'
import { at, figure, maybe, text, texts, yes } from './words.ts'

// ── what comes in ──────────────────────────────────────────────────────────────────────────────────────────────

export const ModelName = Type.Object({ model: text('name of the model, with %2F for each slash in it') })

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

export const whatPoliciesSay = {
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

// ── what goes out ──────────────────────────────────────────────────────────────────────────────────────────────

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
