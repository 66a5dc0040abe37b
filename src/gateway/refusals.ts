/** What a client is told when the house itself says no: a code's status, in the words of the client's dialect. */
import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'

/** Who the client thinks it is talking to; decides the shape of an error. */
export type Dialect = 'ollama' | 'openai' | 'anthropic' | 'control'

export function dialectOf(path: string): Dialect {
  if (path.startsWith('/v1/messages')) return 'anthropic'
  if (path.startsWith('/v1/')) return 'openai'
  return path.startsWith('/api/') ? 'ollama' : 'control'
}

/** Ollama's own words, which clients look for. */
export const BUSY = 'server busy, please try again.  maximum pending requests exceeded'

/** Status of every refusal and failure that can reach a client. */
export const statuses: Readonly<Record<string, number>> = {
  'engine.out-of-turn': 409,
  'node.unknown': 404,
  'node.slots': 400,
  'node.url': 400,
  'node.name': 400,
  'node.taken': 409,
  'replica.absent': 404,
  'request.unknown': 404,
  'request.priority': 400,
  'request.invalid': 400,
  'request.too-large': 413,
  'queue.full': 503,
  'queue.expired': 503,
  'fleet.empty': 503,
  'house.untrusted': 403,
  'house.busy': 503,
  'events.full': 503,
  'journal.unwritable': 503,
  'journal.full': 503,
  'journal.closed': 503,
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

/** Answers with an error in the dialect's shape. Returns what was written. */
export function refuse(res: ServerResponse, dialect: Dialect, refused: Refused): void {
  if (res.headersSent || res.destroyed) return
  const body = errorBody(dialect, refused)
  res.writeHead(refused.status, {
    'Content-Type':
      dialect === 'openai' || dialect === 'anthropic'
        ? 'application/json'
        : 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    ...refused.headers,
  })
  res.end(body)
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

/** JSON as Go writes it: `<`, `>` and `&` escaped. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
