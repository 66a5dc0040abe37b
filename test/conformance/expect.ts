/**
 * What a check says when the server and Ollama differ: what was looked at, what Ollama 0.33 answers, what came.
 * Bodies are compared as text wherever Ollama's text is fixed, so key order, escapes and the final newline count.
 */
import type { Reply } from './wire.ts'

export class Mismatch extends Error {
  override readonly name = 'Mismatch'
  readonly what: string
  readonly expected: string
  readonly got: string

  constructor(what: string, expected: string, got: string) {
    super(`${what}: expected ${expected}, got ${got}`)
    this.what = what
    this.expected = expected
    this.got = got
  }
}

/** The check cannot be made here, and this is why. */
export class Skip extends Error {
  override readonly name = 'Skip'
}

/** How Ollama labels each kind of body: gin's own JSON, JSON from its streaming code, a stream, server-sent events. */
export const JSON_UTF8 = 'application/json; charset=utf-8'
export const JSON_BARE = 'application/json'
export const NDJSON = 'application/x-ndjson'
export const EVENTS = 'text/event-stream'
export const TEXT = 'text/plain'

export function same(what: string, got: unknown, expected: unknown): void {
  const [a, b] = [shown(got), shown(expected)]
  if (a !== b) throw new Mismatch(what, b, a)
}

export function holds(what: string, got: unknown, test: RegExp | boolean, expected = String(test)): void {
  if (typeof test === 'boolean' ? !test : !test.test(String(got)))
    throw new Mismatch(what, expected, shown(got))
}

/** Status and headers; `null` means the header must not be there. */
export function head(
  what: string,
  reply: Reply,
  status: number,
  headers: Record<string, string | null> = {},
): void {
  if (reply.status !== status)
    throw new Mismatch(`${what}: status`, String(status), `${reply.status} ${shown(reply.body)}`)
  for (const [name, value] of Object.entries(headers))
    same(`${what}: ${name}`, reply.headers[name.toLowerCase()] ?? null, value)
  if (!reply.whole) throw new Mismatch(what, 'a whole message', 'a broken connection')
}

/** A reply whose every byte is known. Short bodies carry a Content-Length: Go chunks them only from 2 KiB on. */
export function exactly(
  what: string,
  reply: Reply,
  status: number,
  type: string | null,
  body: string,
  headers: Record<string, string | null> = {},
): void {
  head(what, reply, status, {
    'content-type': type,
    'content-length': String(Buffer.byteLength(body)),
    ...headers,
  })
  same(`${what}: body`, reply.body, body)
}

/** The native error: `{"error":"…"}` and nothing else. */
export function refuses(what: string, reply: Reply, status: number, text: string, type = JSON_UTF8): void {
  exactly(what, reply, status, type, goJson({ error: text }))
}

/** The error of /v1: OpenAI's shape. After the compatibility layer it is bare JSON and ends in a newline. */
export function refusesOpenAi(
  what: string,
  reply: Reply,
  status: number,
  text: string,
  { late = false } = {},
): void {
  const type = status === 400 ? 'invalid_request_error' : status === 404 ? 'not_found_error' : 'api_error'
  const body = goJson({ error: { message: text, type, param: null, code: null } })
  exactly(what, reply, status, late ? JSON_BARE : JSON_UTF8, late ? `${body}\n` : body)
}

/** The error of /v1/messages: Anthropic's shape, with a request id of its own. */
export function refusesAnthropic(
  what: string,
  reply: Reply,
  status: number,
  type: string,
  text: string,
  { late = false } = {},
): void {
  head(what, reply, status, { 'content-type': late ? JSON_BARE : JSON_UTF8 })
  const error = goJson({ type: 'error', error: { type, message: text } }).slice(0, -1)
  const id = /,"request_id":"req_[0-9a-f]{24}"\}(\n?)$/.exec(reply.body)
  same(`${what}: body`, reply.body.slice(0, id?.index), error)
  holds(
    `${what}: end`,
    reply.body,
    id?.[1] === (late ? '\n' : ''),
    `"request_id":"req_<24 hex>"}${late ? '\\n' : ''}`,
  )
}

/** Parses one JSON object and says whose it was if it is none. */
export function object(what: string, text: string): Record<string, any> {
  try {
    const value = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch {}
  throw new Mismatch(what, 'a JSON object', shown(text))
}

/** The objects of an NDJSON body: one a line, every line ended, no blank ones (Ollama's own client chokes on those). */
export function lines(what: string, reply: Reply): Record<string, any>[] {
  holds(`${what}: end`, reply.body.slice(-80), reply.body.endsWith('\n'), 'a newline after the last line')
  return reply.body
    .slice(0, -1)
    .split('\n')
    .map((line, i) => object(`${what}: line ${i + 1}`, line))
}

export interface ServerSentEvent {
  readonly event?: string
  readonly data: string
}

/** The frames of an event stream: `[event: …\n]data: …\n\n`, nothing else. */
export function events(what: string, reply: Reply): ServerSentEvent[] {
  if (reply.body === '') return []
  holds(
    `${what}: end`,
    reply.body.slice(-80),
    reply.body.endsWith('\n\n'),
    'a blank line after the last frame',
  )
  return reply.body
    .trimEnd()
    .split('\n\n')
    .map(frame => {
      const parts = /^(?:event: (.+)\n)?data: (.*)$/.exec(frame)
      if (!parts) throw new Mismatch(`${what}: frame`, '[event: …] data: …', shown(frame))
      return parts[1] === undefined ? { data: parts[2]! } : { event: parts[1], data: parts[2]! }
    })
}

/** The keys of an object in their order; those in `maybe` may be absent. */
export function keys(
  what: string,
  value: Record<string, unknown>,
  expected: readonly string[],
  maybe: readonly string[] = [],
): void {
  const got = Object.keys(value)
  const wanted = expected.filter(key => !maybe.includes(key) || got.includes(key))
  same(`${what}: keys`, got.join(), wanted.join())
}

/** JSON as Go writes it: `<`, `>` and `&` escaped, no spaces. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&]/g, char => `\\u00${char.charCodeAt(0).toString(16)}`)
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : (JSON.stringify(value) ?? 'nothing')
  return text.length > 600 ? `${text.slice(0, 600)}… (${text.length} characters)` : text
}
