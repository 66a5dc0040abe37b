/**
 * One request and its reply as they crossed the wire: redirects are not followed, bodies not decoded, nothing is
 * tried twice. `ask` speaks through node:http, `bytes` through a bare socket where even that would hide too much.
 */
import { Agent, request } from 'node:http'
import { connect } from 'node:net'

export interface Question {
  readonly method: string
  readonly path: string
  readonly body?: string | Buffer | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Send the body without a Content-Length, as the CLI does with blobs. */
  readonly chunked?: boolean | undefined
  /** Called once, when the first bytes of the reply's body are here. */
  readonly onBody?: (() => void) | undefined
}

export interface Reply {
  readonly status: number
  /** Lower-case names; a repeated header is joined by `, `. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly chunked: boolean
  /** False when the connection broke before the message was whole. */
  readonly whole: boolean
  /** How long the body took, first byte to last. */
  readonly bodyMs: number
}

export interface Wire {
  ask(question: Question, signal: AbortSignal): Promise<Reply>
  /** Everything the server sends back for a request without a body, until it closes the connection. */
  bytes(method: string, path: string, signal: AbortSignal): Promise<string>
  close(): void
}

export function openWire(url: string, always: Readonly<Record<string, string>>): Wire {
  const { hostname, port, host, pathname } = new URL(url)
  const prefix = pathname.replace(/\/$/, '')
  const address = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 80) }
  // Kept-alive connections, as clients have them, and no limit: the queue checks open hundreds at once.
  const agent = new Agent({ keepAlive: true })

  return {
    close: () => agent.destroy(),

    ask({ method, path, body, headers, chunked = false, onBody }, signal) {
      const { promise, resolve, reject } = Promise.withResolvers<Reply>()
      const payload = body === undefined ? undefined : Buffer.from(body)
      const length: Record<string, string> = chunked
        ? { 'transfer-encoding': 'chunked' }
        : payload || method === 'POST'
          ? { 'content-length': String(payload?.length ?? 0) }
          : {}
      const sent = request({
        ...address,
        agent,
        signal,
        method,
        path: prefix + path,
        headers: { host, ...length, ...always, ...headers },
      })
      sent.on('error', reject)
      sent.on('response', reply => {
        const pieces: Buffer[] = []
        let began = 0
        const done = (): void =>
          resolve({
            status: reply.statusCode!,
            headers: Object.fromEntries(
              Object.entries(reply.headersDistinct).map(([name, values]) => [name, values!.join(', ')]),
            ),
            body: Buffer.concat(pieces).toString(),
            chunked: reply.headers['transfer-encoding'] === 'chunked',
            whole: reply.complete,
            bodyMs: began === 0 ? 0 : performance.now() - began,
          })
        reply.on('data', (piece: Buffer) => {
          if (pieces.push(piece) > 1) return
          began = performance.now()
          onBody?.()
        })
        reply.on('end', done)
        reply.on('error', done)
      })
      sent.end(payload)
      return promise
    },

    bytes(method, path, signal) {
      const { promise, resolve, reject } = Promise.withResolvers<string>()
      const lines = Object.entries({ host, ...always, connection: 'close' }).map(([k, v]) => `${k}: ${v}\r\n`)
      const socket = connect({ ...address, signal }, () =>
        socket.write(`${method} ${prefix}${path} HTTP/1.1\r\n${lines.join('')}\r\n`),
      )
      const pieces: Buffer[] = []
      socket.on('data', piece => pieces.push(piece))
      socket.on('error', reject)
      socket.on('close', () => resolve(Buffer.concat(pieces).toString('latin1')))
      return promise
    },
  }
}
