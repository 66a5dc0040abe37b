/**
 * One call of Ollama's API for somebody else: what comes in goes to the one configured server, what it answers goes back,
 * both as it comes. Whoever is slow slows the other side down, and whoever leaves makes the other side stop at once.
 */
import { Readable } from 'node:stream'
import { Refusal } from '../../machines/entity.ts'
import type { Call, Outgoing, Upstream } from '../call.ts'
import type { Exchange } from '../rpc/exchange.ts'
import { PIECE_BYTES_MAX, pieces } from '../rpc/limits.ts'
import type { Header, RelayRequest, RelayResponse, RequestHead } from '../rpc/messages.ts'
import type { CallsRelayed } from './service.ts'

/** Of one connection only, or of the server that was meant; this agent's client makes its own. */
const NOT_PASSED: ReadonlySet<string> = new Set([
  'connection',
  'expect',
  'host',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Of a body that Ollama does not take as fast as it comes. */
const HELD_BYTES = 262_144

export class Relay implements CallsRelayed {
  readonly #ollama: Upstream
  readonly #calls = new Set<Call>()

  constructor({ ollama }: { readonly ollama: Upstream }) {
    this.#ollama = ollama
  }

  /** Calls under way. */
  get count(): number {
    return this.#calls.size
  }

  relay(caller: Exchange<RelayRequest, RelayResponse>): void {
    let call: Call | undefined
    let body: Readable | undefined
    /** All of the body has come. */
    let whole = false
    let over = false
    const finish = (): void => {
      over = true
      if (call !== undefined) this.#calls.delete(call)
      body?.destroy()
      // Held back, the rest of a question that is answered already would keep its stream open for as long as the line.
      caller.resume()
    }
    const breakOff = (): void => {
      if (over) return
      finish()
      call?.abort()
    }
    const refuse = (error: Refusal): void => {
      breakOff()
      caller.refuse(error)
    }
    const begin = (head: RequestHead): void => {
      const why = objection(head)
      if (why !== undefined) return refuse(why)
      if (head.body) body = new Readable({ highWaterMark: HELD_BYTES, read: () => caller.resume() })
      else whole = true
      const pieces = new Pieces(data => {
        if (!caller.put({ data })) call?.pause()
      })
      const last = (part: RelayResponse): void => {
        if (over) return
        pieces.flush()
        finish()
        caller.put(part)
        caller.end()
      }
      call = this.#ollama.send(outgoing(head, body ?? null), {
        start: (status, raw) => void caller.put({ head: { status, headers: headersOf(raw) } }),
        data: chunk => pieces.add(chunk),
        end: () => last({ end: true }),
        fail: ({ code, message }) =>
          last({ failure: { refused: code !== 'ollama.broken', reason: message } }),
      })
      if (over) call.abort()
      else this.#calls.add(call)
    }

    let begun = false
    caller.hear({
      message: part => {
        if (over) return
        if ('head' in part && !begun) {
          begun = true
          begin(part.head)
        } else if ('data' in part && begun && !whole) {
          if (!body!.push(part.data)) caller.pause()
        } else if ('end' in part && begun) {
          whole = true
          body?.push(null)
        } else refuse(new Refusal('agent.order', 'a call is a head, then data where it says so, then an end'))
      },
      room: () => call?.resume(),
      end: () => {
        if (!whole) breakOff()
      },
      gone: breakOff,
    })
  }

  /** Breaks off whatever is under way. */
  close(): void {
    for (const call of this.#calls) call.abort()
    this.#calls.clear()
  }
}

/** More is not copied together: then the bytes cost more than a message. */
const TOGETHER_BYTES_MAX = 16_384

/** Chunks that come in one turn go in one message: a message costs more than the bytes in it. */
class Pieces {
  readonly #put: (data: Buffer) => void
  #chunks: Buffer[] = []
  #bytes = 0

  constructor(put: (data: Buffer) => void) {
    this.#put = put
  }

  add(chunk: Buffer): void {
    if (this.#bytes + chunk.length > TOGETHER_BYTES_MAX) this.flush()
    if (chunk.length > TOGETHER_BYTES_MAX) return pieces(chunk, PIECE_BYTES_MAX, this.#put)
    if (this.#chunks.length === 0) queueMicrotask(() => this.flush())
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
  }

  flush(): void {
    if (this.#chunks.length === 0) return
    const data = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#bytes)
    this.#chunks = []
    this.#bytes = 0
    this.#put(data)
  }
}

/** Only Ollama's own API, and its greeting. */
function objection({ method, path }: RequestHead): Refusal | undefined {
  const [plain = ''] = path.split(/[?#]/)
  const within = plain === '/' || plain.startsWith('/api/') || plain.startsWith('/v1/')
  const climbs = plain.split(/[/\\]/).some(part => /^(\.|%2e){2}$/i.test(part))
  if (within && !climbs && /^[A-Z]{1,16}$/.test(method)) return undefined
  return new Refusal('agent.path', 'an agent passes on calls of Ollama’s API only: /, /api/… and /v1/…')
}

function outgoing({ method, path, headers }: RequestHead, body: Readable | null): Outgoing {
  // Names are a stranger's: one may be `constructor`.
  const passed: Record<string, string> = Object.create(null)
  for (const { name, value } of headers) {
    const lower = name.toLowerCase()
    if (NOT_PASSED.has(lower)) continue
    passed[lower] = passed[lower] === undefined ? value : `${passed[lower]}, ${value}`
  }
  return { method, path, headers: passed, body }
}

function headersOf(raw: readonly string[]): Header[] {
  const headers: Header[] = []
  for (let i = 0; i < raw.length; i += 2) headers.push({ name: raw[i]!, value: raw[i + 1]! })
  return headers
}
