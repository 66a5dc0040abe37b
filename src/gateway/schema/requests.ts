/** Requests: the open ones and the last ones, or a single one with its facts. */
import Type from 'typebox'
import { REQUEST_STATES } from '../states.ts'
import { Entry } from './journal.ts'
import { at, figure, filter, limit, maybe, oneOf, query, text, whole, word, yes } from './words.ts'

// ── what comes in ──────────────────────────────────────────────────────────────────────────────────────────────

export const REQUESTS_LIMIT = 100

export const RequestId = Type.Object({ id: text('id of the request, as the X-Quipu-Request header gave it') })

export const RequestsQuery = query({
  state: oneOf([...REQUEST_STATES, 'open']),
  model: filter('only this model'),
  node: filter('only what was sent to this node'),
  client: filter('only from this address'),
  limit: limit(REQUESTS_LIMIT, 10_000),
})

// ── what goes out ──────────────────────────────────────────────────────────────────────────────────────────────

export const RequestState = word(REQUEST_STATES, 'the first four are open')

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

export const RequestInFull = Type.Object({ ...requestShape, facts: Type.Array(Entry) })
