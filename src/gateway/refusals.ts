/** What a client is told when the house itself says no: a code's status, in the words of the client's dialect. */
import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Failure } from '../failure.ts'
import { answer, goJson } from './answer.ts'

/** Who the client thinks it is talking to; decides the shape of an error. */
export type Dialect = 'ollama' | 'openai' | 'anthropic' | 'control'

export function dialectOf(path: string): Dialect {
  if (path.startsWith('/v1/messages')) return 'anthropic'
  if (path.startsWith('/v1/')) return 'openai'
  return path.startsWith('/api/') ? 'ollama' : 'control'
}

/** Ollama's own words, which clients look for. */
export const BUSY = 'server busy, please try again.  maximum pending requests exceeded'

/** While nothing can be written down, nothing is begun. */
export const UNWRITABLE: Refused = {
  status: 503,
  message: 'the house cannot write its journal (is the disk full?), so it takes nothing new; see /readyz',
  headers: { 'Retry-After': '10' },
}

/** The operator said how much the data folder may take. */
export const OVER_BUDGET: Refused = {
  status: 503,
  message: 'the house has used up its disk budget, so it takes nothing new; see /quipu',
  headers: { 'Retry-After': '60' },
}

export const STOPPING: Refused = {
  status: 503,
  message: 'the house is stopping; ask again when it is back',
  headers: { 'Retry-After': '5' },
}

/** Status of every refusal and failure that can reach a client. */
export const statuses: Readonly<Record<string, number>> = {
  'agent.answer': 502,
  'agent.attempts': 429,
  'agent.away': 503,
  'agent.broken': 502,
  'agent.busy': 503,
  'agent.closing': 503,
  'agent.expired': 401,
  'agent.known': 409,
  'agent.none': 404,
  'agent.off': 409,
  'agent.order': 400,
  'agent.outdated': 401,
  'agent.path': 403,
  'agent.request': 400,
  'agent.revoked': 403,
  'agent.superseded': 409,
  'agent.timeout': 504,
  'agent.token-expired': 403,
  'agent.token-used': 403,
  'agent.token-wrong': 403,
  'agent.ttl': 400,
  'agent.unknown': 401,
  'archive.busy': 409,
  'archive.damaged': 500,
  'archive.missing': 503,
  'archive.order': 409,
  'archive.unproven': 409,
  'archive.unreadable': 503,
  'archive.unsealed': 409,
  'callback.address': 400,
  'callback.url': 400,
  'engine.out-of-turn': 409,
  'node.unknown': 404,
  'node.hours': 400,
  'node.slots': 400,
  'node.url': 400,
  'node.name': 400,
  'node.taken': 409,
  'node.weight': 400,
  'past.future': 400,
  'past.slow': 503,
  'pki.damaged': 503,
  'pki.disk': 503,
  'pki.expired': 503,
  'pki.missing': 503,
  'policy.contradicts': 400,
  'policy.copies': 400,
  'policy.empty': 400,
  'policy.needs': 409,
  'policy.unknown': 404,
  'replica.absent': 404,
  'request.unknown': 404,
  'request.invalid': 400,
  'request.too-large': 413,
  'request.lease-lost': 409,
  'request.worker': 409,
  'request.slow': 408,
  'job.unknown': 404,
  'job.open': 409,
  'job.over': 409,
  'job.erased': 410,
  'job.cancelled': 410,
  'job.failed': 502,
  'job.expired': 504,
  'job.full': 503,
  'key.reused': 422,
  'request.gone': 499,
  'setting.unknown': 404,
  'setting.fixed': 409,
  'setting.invalid': 400,
  'setting.past': 404,
  'subscription.busy': 503,
  'subscription.full': 409,
  'subscription.lease-lost': 409,
  'subscription.parked': 409,
  'subscription.taken': 409,
  'subscription.unknown': 404,
  'subscription.webhook': 409,
  'transfer.nowhere': 409,
  'transfer.unknown': 404,
  'house.untrusted': 403,
  'house.busy': 503,
  'house.memory': 503,
  'events.full': 503,
  'forgetting.archived': 409,
  'forgetting.open': 409,
  'forgetting.unreadable': 500,
  'events.foreign': 409,
  'marks.disk': 503,
  'journal.unwritable': 503,
  'journal.full': 503,
  'journal.closed': 503,
  'checkpoint.none': 503,
  'checkpoint.behind': 503,
  'checkpoint.disk': 503,
  'proof.unknown': 404,
  'proof.tiles': 500,
  'signer.there': 409,
  'signer.busy': 409,
  'signer.missing': 503,
  'signer.other': 503,
  'signer.unreadable': 503,
  'spool.full': 503,
  'spool.disk': 503,
  'spool.closed': 503,
  'spool.damaged': 500,
  'spool.gone': 410,
  'ollama.refused': 502,
  'ollama.broken': 502,
  'ollama.timeout': 504,
  'ollama.answer': 502,
}

export interface Refused {
  readonly status: number
  readonly message: string
  /** Left out of Ollama's, OpenAI's and Anthropic's shapes. */
  readonly code?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** What the house puts on an answer: the request, and who answered it. */
export function marks(id: string, node: string): Record<string, string> {
  return { 'X-Quipu-Request': id, 'X-Quipu-Node': node }
}

const listeners = new WeakMap<ServerResponse, (code: string) => void>()

/** Who wants to hear it when this is answered with a refusal of the house. */
export function hearRefusal(res: ServerResponse, heard: (code: string) => void): void {
  listeners.set(res, heard)
}

/** Answers with an error in the dialect's shape, unless something has been answered already. */
export function refuse(res: ServerResponse, dialect: Dialect, refused: Refused): void {
  // What was let in has a fact that says how it ended.
  const recorded = refused.headers !== undefined && 'X-Quipu-Request' in refused.headers
  if (!recorded && !res.headersSent) listeners.get(res)?.(refused.code ?? `http.${refused.status}`)
  const bare = dialect === 'openai' || dialect === 'anthropic'
  const type = bare ? 'application/json' : 'application/json; charset=utf-8'
  answer(res, refused.status, { 'Content-Type': type, ...refused.headers }, errorBody(dialect, refused))
}

function errorBody(dialect: Dialect, { status, message, code }: Refused): string {
  switch (dialect) {
    case 'openai':
      return `${goJson({ error: openaiError(status, message) })}\n`
    case 'anthropic':
      return `${goJson({ ...anthropicError(status, message), request_id: `req_${randomBytes(12).toString('hex')}` })}\n`
    case 'ollama':
      return goJson({ error: message })
    case 'control':
      return goJson({ error: message, ...(code !== undefined && { code }) })
  }
}

export function openaiError(status: number, message: string): object {
  const type = { 400: 'invalid_request_error', 404: 'not_found_error' }[status] ?? 'api_error'
  return { message, type, param: null, code: null }
}

export function anthropicError(status: number, message: string): { type: 'error'; error: object } {
  const types: Record<number, string> = {
    400: 'invalid_request_error',
    401: 'authentication_error',
    403: 'permission_error',
    404: 'not_found_error',
    429: 'rate_limit_error',
    503: 'overloaded_error',
    529: 'overloaded_error',
  }
  return { type: 'error', error: { type: types[status] ?? 'api_error', message } }
}

/** The last thing a client reads of a stream whose node died: an error in the stream's own framing. */
export function lastWords(dialect: Dialect, path: string, contentType: string, message: string): string {
  if (contentType.startsWith('application/x-ndjson')) return `${goJson({ error: message })}\n`
  if (!contentType.startsWith('text/event-stream')) return ''
  if (dialect === 'anthropic') return `event: error\ndata: ${goJson(anthropicError(502, message))}\n\n`
  if (path.startsWith('/v1/responses')) {
    return `event: error\ndata: ${goJson({ type: 'error', code: 'server_error', message, param: null })}\n\n`
  }
  return `data: ${goJson({ error: openaiError(502, message) })}\n\n`
}

const TROUBLES: Readonly<Record<string, string>> = {
  'ollama.refused': 'it takes no connections',
  'ollama.broken': 'the connection broke',
  'ollama.timeout': 'it did not answer in time',
  'ollama.lost': 'it does not answer any more',
  'ollama.wedged': 'it stopped working',
  'ollama.answer': 'it answered with something that cannot be passed on',
  'node.url': 'its address is not allowed',
  'house.stopped': 'the house is stopping',
}

/** What a client may know of it: a Failure's own message may hold addresses of the fleet. */
export function plainly({ code }: Failure): string {
  return TROUBLES[code] ?? 'something went wrong on the way'
}
