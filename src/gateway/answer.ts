/** Whole answers that the house gives by itself, written as Go writes them. */
import type { ServerResponse } from 'node:http'
import { discard, hasBody } from './body.ts'

type Headers = Readonly<Record<string, string | number>>

/** With a Content-Length always; HEAD gets the length only. */
export function answer(res: ServerResponse, status: number, headers: Headers = {}, body = ''): void {
  if (res.headersSent || res.destroyed) return
  const { req } = res
  const closes = !res.shouldKeepAlive || 'Connection' in headers
  res.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) })
  if (req.complete || !hasBody(req)) return void res.end(body)
  // To close with something unread would take the answer from the client.
  discard(req)
  if (!closes) return void res.end(body)
  res.flushHeaders()
  if (body !== '') res.write(body)
  req.once('close', () => res.end())
}

/** Of what handlers answer, Go counts the bytes only up to 2 KiB, and sends more in chunks, whatever the method. */
export function tell(res: ServerResponse, type: string, body: string, status = 200): void {
  if (Buffer.byteLength(body) <= 2_048) return answer(res, status, { 'Content-Type': type }, body)
  if (res.headersSent || res.destroyed) return
  res.writeHead(status, { 'Content-Type': type })
  res.end(body)
}

/** JSON as Go writes it: `<`, `>` and `&` escaped. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
