/**
 * Tables, for spreadsheets and databases: names with underscores, times in ISO 8601, each column in each row. Their order
 * here is that of the columns.
 */
import Type, { type TSchema } from 'typebox'
import { SAMPLED } from '../../stats/sampled.ts'
import { QUEUE_STATES } from '../states.ts'
import { figure, filter, limit, maybe, oneOf, query, text, texts, whole, word, yes } from './words.ts'

// ── what comes in ──────────────────────────────────────────────────────────────────────────────────────────────

export const TABLE_LIMIT = 1_000

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

// ── what goes out ──────────────────────────────────────────────────────────────────────────────────────────────

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
