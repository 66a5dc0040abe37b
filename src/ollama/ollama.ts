/**
 * The client of one node: what it asks of Ollama, over whatever wire leads there. The only importer of undici, which is the
 * wire to http addresses: one pool per node, kept; no time limit on headers or body, because loading a model and reading a
 * long prompt are silent for minutes.
 */
import { buildConnector, type Dispatcher, Pool } from 'undici'
import { canonicalName } from '../../machines/name.ts'
import type { Residence } from '../../machines/replica.ts'
import { hostOf } from '../address.ts'
import type { Call, Outgoing, Receiver } from '../call.ts'
import { Failure } from '../failure.ts'
import { guardedLookup, objection } from './address.ts'

const CONNECT_TIMEOUT_MS = 3_000
/** TCP probes find a peer that vanished without a word. */
const KEEP_ALIVE_PROBE_MS = 15_000
const IDLE_SOCKET_MS = 30_000
/** An answer to a probe is a list of models; more than this is not Ollama. */
const PROBE_BYTES_MAX = 32 * 1024 * 1024

/** What /api/tags and /api/ps answer, row by row; passed on as it came. */
export interface TagRow {
  readonly name: string
  readonly model?: string
  readonly modified_at?: string
  readonly size?: number
  readonly digest?: string
  readonly remote_host?: string
  readonly details?: Readonly<Record<string, unknown>>
  readonly capabilities?: readonly string[]
}

export interface PsRow {
  readonly name: string
  readonly size?: number
  readonly size_vram?: number
  readonly context_length?: number
  readonly expires_at?: string
}

export function residenceOf({ size = 0, size_vram = 0, context_length = 0 }: PsRow): Residence {
  return { sizeBytes: size, vramBytes: size_vram, contextLength: context_length }
}

/** 0, `0`, `0s`: how long a model is to stay that is to leave at once. */
function isNone(keepAlive: unknown): boolean {
  return Number.parseFloat(String(keepAlive)) === 0
}

/** A node answered, but not with what was hoped for. */
export class NodeAnswer extends Failure {
  readonly status: number

  constructor(status: number, text: string) {
    super('ollama.answer', text, { retryable: status >= 500 })
    this.status = status
  }
}

/** How bytes get to a node and back. */
export interface Wire {
  send(out: Outgoing, receiver: Receiver): Call
  close?(): Promise<void>
}

/** The wire of nodes that are not reached over HTTP; undefined for any other. */
export type Lines = (url: string) => Wire | undefined

export interface OllamaOptions {
  readonly linkLocal: boolean
  readonly lines?: Lines
}

export class Ollama {
  readonly url: string
  readonly #wire: Wire

  constructor(url: string, { linkLocal, lines }: OllamaOptions) {
    this.url = url
    this.#wire = lines?.(url) ?? new Http(url, linkLocal)
  }

  /** Sends a request on its way; bytes come to the receiver as they are. */
  send(out: Outgoing, receiver: Receiver): Call {
    return this.#wire.send(out, receiver)
  }

  async version(signal: AbortSignal): Promise<string> {
    const { version } = await this.#get<{ version?: unknown }>('/api/version', signal)
    if (typeof version !== 'string') throw new NodeAnswer(200, `${this.url} does not answer like Ollama`)
    return version.slice(0, 64)
  }

  async tags(signal: AbortSignal): Promise<readonly TagRow[]> {
    return rows(await this.#get<{ models?: unknown }>('/api/tags', signal))
  }

  async ps(signal: AbortSignal): Promise<readonly PsRow[]> {
    return rows(await this.#get<{ models?: unknown }>('/api/ps', signal))
  }

  /**
   * Loads a model, or finds it loaded: an empty prompt, or for an embedding model an empty input. Then says what it
   * takes in memory, unless it is gone again.
   */
  async load(
    model: string,
    order: {
      readonly embedding: boolean
      readonly options?: Readonly<Record<string, unknown>>
      readonly keepAlive?: unknown
      readonly signal: AbortSignal
    },
  ): Promise<Residence | undefined> {
    const { embedding, options, keepAlive, signal } = order
    const body = {
      model,
      stream: false,
      ...(options && { options }),
      // With none at all this would be the wish to unload. Whoever it is loaded for says so, and is the last to.
      ...(keepAlive !== undefined && !isNone(keepAlive) && { keep_alive: keepAlive }),
    }
    if (embedding) await this.ask('POST', '/api/embed', { ...body, input: [] }, signal)
    else await this.ask('POST', '/api/generate', body, signal)
    const rows = await this.ps(signal).catch(() => [])
    const row = rows.find(({ name }) => canonicalName(name) === canonicalName(model))
    return row && residenceOf(row)
  }

  /** Resolves when the node has understood; it unloads when nothing of that model runs any more. */
  async unload(
    model: string,
    { embedding, signal }: { readonly embedding: boolean; readonly signal: AbortSignal },
  ): Promise<void> {
    const body = { model, stream: false, keep_alive: 0 }
    if (embedding) await this.ask('POST', '/api/embed', { ...body, input: [] }, signal)
    else await this.ask('POST', '/api/generate', body, signal)
  }

  async hasBlob(digest: string, signal: AbortSignal): Promise<boolean> {
    const { status } = await this.#whole(
      { method: 'HEAD', path: `/api/blobs/${digest}`, headers: {}, body: null },
      signal,
    )
    return status === 200
  }

  /** One small question, one small answer; anything but 2xx is a NodeAnswer with the node's own text. */
  async ask(method: string, path: string, body: unknown, signal: AbortSignal): Promise<Buffer> {
    const headers = { 'content-type': 'application/json' }
    const { status, bytes } = await this.#whole(
      { method, path, headers, body: Buffer.from(JSON.stringify(body)) },
      signal,
    )
    if (status >= 200 && status < 300) return bytes
    throw new NodeAnswer(status, errorText(bytes) ?? `${path} answered ${status}`)
  }

  async close(): Promise<void> {
    await this.#wire.close?.()
  }

  async #get<T>(path: string, signal: AbortSignal): Promise<T> {
    const { status, bytes } = await this.#whole({ method: 'GET', path, headers: {}, body: null }, signal)
    if (status !== 200) throw new NodeAnswer(status, errorText(bytes) ?? `${path} answered ${status}`)
    try {
      return JSON.parse(bytes.toString()) as T
    } catch {
      throw new NodeAnswer(status, `${this.url}${path} did not answer with JSON`)
    }
  }

  #whole(out: Outgoing, signal: AbortSignal): Promise<{ status: number; bytes: Buffer }> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let size = 0
      let status = 0
      const stop = (): void => {
        call.abort()
        reject(new Failure('ollama.timeout', `${this.url} did not answer in time`, { retryable: true }))
      }
      const call = this.send(out, {
        start: code => {
          status = code
        },
        data: chunk => {
          size += chunk.length
          if (size <= PROBE_BYTES_MAX) return void chunks.push(chunk)
          call.abort()
          signal.removeEventListener('abort', stop)
          reject(new NodeAnswer(status, `${this.url}${out.path} answers without end`))
        },
        end: () => {
          signal.removeEventListener('abort', stop)
          resolve({ status, bytes: Buffer.concat(chunks) })
        },
        fail: failure => {
          signal.removeEventListener('abort', stop)
          reject(failure)
        },
      })
      if (signal.aborted) stop()
      else signal.addEventListener('abort', stop, { once: true })
    })
  }
}

class Http implements Wire {
  readonly #pool: Pool
  readonly #prefix: string

  constructor(url: string, linkLocal: boolean) {
    const { origin, pathname } = new URL(url)
    this.#prefix = pathname.replace(/\/+$/, '')
    const connect = buildConnector({
      timeout: CONNECT_TIMEOUT_MS,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS,
      lookup: guardedLookup(linkLocal),
    })
    // An address needs no lookup, so it is looked at here.
    const why = objection(hostOf(new URL(url)), linkLocal)
    const refuse: buildConnector.connector = (_options, done) => done(new Failure('node.url', why!), null)
    this.#pool = new Pool(origin, {
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: IDLE_SOCKET_MS,
      connect: why === undefined ? connect : refuse,
    })
  }

  send({ method, path, headers, body }: Outgoing, receiver: Receiver): Call {
    let over = false
    let control: Dispatcher.DispatchController | undefined
    const fail = (error: unknown): void => {
      if (over) return
      over = true
      receiver.fail(failureOf(error))
    }
    /** undici takes what a handler throws for trouble on the wire; a bug must not pass for that. */
    const tell = (words: () => void): void => {
      if (over) return
      try {
        words()
      } catch (error) {
        fail(error)
        control?.abort(new Error('called off'))
        if (error instanceof Failure) return
        queueMicrotask(() => {
          throw error
        })
      }
    }
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart(controller) {
        control = controller
        if (over) controller.abort(new Error('called off'))
      },
      onResponseStart(controller, status) {
        if (status < 200) return
        // As bytes: whatever the node wrote can be written again.
        const { rawHeaders = [] } = controller as { rawHeaders?: Buffer[] }
        const raw = rawHeaders.map(bytes => bytes.toString('latin1'))
        tell(() => receiver.start(status, raw))
      },
      onResponseData: (_controller, chunk) => tell(() => receiver.data(chunk)),
      onResponseEnd() {
        tell(() => {
          receiver.end()
          over = true
        })
      },
      onResponseError: (_controller, error) => fail(error),
    }
    try {
      this.#pool.dispatch(
        { method: method as Dispatcher.HttpMethod, path: this.#prefix + path, headers, body },
        handler,
      )
    } catch (error) {
      queueMicrotask(() => fail(error))
    }
    return {
      pause: () => control?.pause(),
      resume: () => control?.resume(),
      abort() {
        if (over) return
        over = true
        control?.abort(new Error('called off'))
      },
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy()
  }
}

/** One client per node address, made when first needed. */
export class Ollamas {
  readonly #options: OllamaOptions
  readonly #clients = new Map<string, Ollama>()

  constructor(options: OllamaOptions) {
    this.#options = options
  }

  at(url: string): Ollama {
    let client = this.#clients.get(url)
    if (client === undefined) {
      client = new Ollama(url, this.#options)
      this.#clients.set(url, client)
    }
    return client
  }

  async forget(url: string): Promise<void> {
    const client = this.#clients.get(url)
    this.#clients.delete(url)
    await client?.close()
  }

  async close(): Promise<void> {
    await Promise.all([...this.#clients.keys()].map(url => this.forget(url)))
  }
}

/** `refused`: nobody took the request. `broken`: somebody did, then went away. */
function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error
  const { code = '', message = '', syscall } = error as { code?: string; message?: string; syscall?: string }
  const refused = REFUSED.has(code) && syscall !== 'read' && syscall !== 'write'
  return new Failure(refused ? 'ollama.refused' : 'ollama.broken', message || code, {
    retryable: true,
    cause: error,
  })
}

const REFUSED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
])

function rows<T>({ models }: { models?: unknown }): readonly T[] {
  const list = Array.isArray(models) ? models : []
  return list.filter(row => typeof row === 'object' && row !== null && typeof row.name === 'string') as T[]
}

function errorText(bytes: Buffer): string | undefined {
  try {
    const { error } = JSON.parse(bytes.toString()) as { error?: unknown }
    return typeof error === 'string' ? error : undefined
  } catch {
    return undefined
  }
}
