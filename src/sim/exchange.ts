/**
 * One request and its reply, on the wire as Go's net/http would put it: no header but Date that was not asked
 * for, Content-Length for a body of up to 2 KiB written at once and chunks above, chunks for every stream.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Client, Gone } from './client.ts'

export const JSON_UTF8 = 'application/json; charset=utf-8'
export const JSON_PLAIN = 'application/json'
export const NDJSON = 'application/x-ndjson'
export const SSE = 'text/event-stream'

/** The size of net/http's write buffer: what fits has its length counted before the header leaves. */
const COUNTED_BYTES = 2048

export class Exchange implements Client {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Headers set before the handler runs, such as those of CORS. */
  readonly headers: string[] = []
  /** The changing part of the path: a digest, a model. */
  param = ''
  gone = false
  readonly #farewells = new Set<() => void>()

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.request = request
    this.response = response
    response.removeHeader('connection')
    response.once('close', () => {
      if (!response.writableFinished) this.leave()
    })
  }

  whenGone(run: () => void): () => void {
    if (this.gone) {
      run()
      return () => {}
    }
    this.#farewells.add(run)
    return () => this.#farewells.delete(run)
  }

  leave(): void {
    if (this.gone) return
    this.gone = true
    for (const run of this.#farewells) run()
    this.#farewells.clear()
  }

  /** Cuts the connection as a killed process does: what was said before has left already. */
  async cut(): Promise<void> {
    const { socket } = this.response
    if (socket !== null && this.opened) await new Promise<void>(resolve => socket.write('', () => resolve()))
    this.response.destroy()
    this.leave()
  }

  body(): Promise<Buffer> {
    const { request } = this
    return new Promise((resolve, reject) => {
      const parts: Buffer[] = []
      request.on('data', part => parts.push(part))
      request.once('end', () => resolve(parts.length === 1 ? parts[0]! : Buffer.concat(parts)))
      request.once('error', () => reject(new Gone()))
    })
  }

  /** A whole reply. Without a type there is no body either. */
  reply(status: number, type?: string, text = ''): void {
    if (this.gone) return
    const headers = [...this.headers]
    if (type !== undefined) headers.push('Content-Type', type)
    const bytes = Buffer.byteLength(text)
    if (bytes > COUNTED_BYTES) {
      if (this.request.method !== 'HEAD') headers.push('Transfer-Encoding', 'chunked')
    } else if (status !== 204 && (bytes > 0 || this.request.method !== 'HEAD'))
      headers.push('Content-Length', String(bytes))
    this.response.writeHead(status, headers)
    this.response.end(text)
  }

  /** A whole reply of a handler that had begun to stream: always chunked. */
  replyChunked(status: number, type: string, text: string): void {
    this.open(status, type)
    this.response.end(text)
  }

  get opened(): boolean {
    return this.response.headersSent
  }

  open(status: number, type: string): void {
    this.response.writeHead(status, [...this.headers, 'Content-Type', type, 'Transfer-Encoding', 'chunked'])
  }

  /** Answers a promise only when the client is slower than we are. */
  send(text: string): Promise<void> | undefined {
    if (this.gone || this.response.write(text)) return undefined
    return new Promise(resolve => {
      const done = (): void => {
        this.response.off('drain', done)
        forget()
        resolve()
      }
      this.response.once('drain', done)
      const forget = this.whenGone(done)
    })
  }

  end(): void {
    this.response.end()
  }
}
