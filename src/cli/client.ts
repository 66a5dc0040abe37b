/** Talks to a running house over HTTP: asks, and says in plain words why there is no answer. */
import { readConfig } from '../config.ts'
import { Failure } from '../failure.ts'
import { remark } from './terminal.ts'
import type { Given } from './verb.ts'

/** The house answers from memory, or reads its journal once through. */
const ANSWER_MAX_MS = 60_000

const UNKNOWN: ReadonlySet<string> = new Set(['node.unknown', 'house.refused'])

export type Query = Readonly<Record<string, string | number | undefined>>

interface Ask {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly query?: Query
  readonly body?: object
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
  /** How long an answer may take. */
  readonly withinMs?: number
  /** Is this an answer, though its status is an error's? */
  readonly takes?: (response: Response) => boolean
}

export class Client {
  readonly url: string
  readonly #remark: (line: string) => void

  /** `warn` is told what is odd about an answer that is one all the same. */
  constructor(url: string, warn: (line: string) => void = remark) {
    this.url = url
    this.#remark = warn
  }

  async ask<T>(path: string, ask: Ask = {}): Promise<T> {
    const { withinMs = ANSWER_MAX_MS } = ask
    const response = await this.#send(path, { signal: AbortSignal.timeout(withinMs), ...ask })
    const unwritten = response.headers.get('x-quipu-unwritten')
    if (unwritten !== null) {
      this.#remark(
        `quipu: the house cannot write its journal; ${unwritten} facts behind this are in its memory only`,
      )
    }
    const text = await response.text().catch(error => {
      throw this.#silence(error, withinMs)
    })
    try {
      return JSON.parse(text) as T
    } catch {
      throw this.#stranger()
    }
  }

  /** Nothing where the house does not know what is asked for, or, being older, the door. */
  async find<T>(path: string, ask: Ask = {}): Promise<T | undefined> {
    try {
      return await this.ask<T>(path, ask)
    } catch (error) {
      if (error instanceof Failure && UNKNOWN.has(error.code)) return undefined
      throw error
    }
  }

  /** An answer that is text, as it is. */
  async text(path: string, ask: Ask = {}): Promise<string> {
    const response = await this.#send(path, { signal: AbortSignal.timeout(ANSWER_MAX_MS), ...ask })
    return response.text().catch(error => {
      throw this.#silence(error)
    })
  }

  /** The lines of an answer as they come, for as long as they come. */
  async *lines(path: string, ask: Ask): AsyncGenerator<string> {
    const { body } = await this.#send(path, ask)
    const decoder = new TextDecoder()
    let rest = ''
    try {
      for await (const chunk of body ?? []) {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
        rest = lines.pop()!
        yield* lines
      }
    } catch (error) {
      throw ask.signal?.aborted ? error : this.#brokenOff(error)
    }
    if (rest !== '') yield rest
  }

  /** What a node answered, as the house has kept it: bytes of any sort, errors too. */
  async answer(path: string): Promise<{ readonly status: number; readonly body: AsyncIterable<Uint8Array> }> {
    const takes = ({ headers }: Response): boolean => headers.has('x-quipu-node')
    const { status, body } = await this.#send(path, { takes })
    return { status, body: this.#whole(body) }
  }

  async *#whole(body: Response['body']): AsyncGenerator<Uint8Array> {
    try {
      yield* body ?? []
    } catch (error) {
      throw this.#brokenOff(error)
    }
  }

  async #send(
    path: string,
    { method = 'GET', query = {}, body, headers = {}, signal, withinMs, takes = () => false }: Ask,
  ): Promise<Response> {
    const content = body === undefined ? {} : { 'content-type': 'application/json' }
    let response: Response
    try {
      response = await fetch(this.url + path + queryText(query), {
        method,
        headers: { ...headers, ...content },
        ...(signal && { signal }),
        ...(body !== undefined && { body: JSON.stringify(body) }),
      })
    } catch (error) {
      throw signal?.aborted && (error as Error).name === 'AbortError' ? error : this.#silence(error, withinMs)
    }
    if (response.ok || takes(response)) return response
    throw await this.#refusal(response)
  }

  #silence(error: unknown, withinMs = ANSWER_MAX_MS): Failure {
    if (error instanceof Error && error.name === 'TimeoutError') {
      const said = `the house at ${this.url} has not answered within ${withinMs / 1_000} s; look at its stderr`
      return new Failure('house.silent', said, { cause: error, retryable: true })
    }
    const { code = '', message = '' } = ((error as Error).cause ?? {}) as { code?: string; message?: string }
    const why = code === 'ECONNREFUSED' || message === '' ? '' : ` (${message})`
    return new Failure(
      'house.absent',
      `no house answers at ${this.url}${why}; start one with: quipu serve (or say with --host where it is)`,
      { cause: error, retryable: true },
    )
  }

  #brokenOff(error: unknown): Failure {
    const said = `the house at ${this.url} broke off in the middle of its answer; look at its stderr`
    return new Failure('house.silent', said, { cause: error, retryable: true })
  }

  /** The house's own words; anything else means that somebody else lives there. */
  async #refusal(response: Response): Promise<Failure> {
    const text = await response.text().catch(() => '')
    let told: { readonly error?: unknown; readonly code?: unknown } | null = null
    try {
      told = JSON.parse(text)
    } catch {}
    if (typeof told?.error === 'string') {
      const code = typeof told.code === 'string' ? told.code : 'house.refused'
      return new Failure(code, told.error, { retryable: response.status >= 500 })
    }
    if (response.status === 404) return this.#stranger()
    const hint =
      response.status === 403
        ? 'perhaps it is not known by that name: use its IP address, or start it with --allow-host'
        : 'look at its stderr'
    return new Failure('house.refused', `${this.url} answered ${response.status}, and nothing more; ${hint}`)
  }

  #stranger(): Failure {
    return new Failure(
      'house.refused',
      `${this.url} answers, but not as a house does (an Ollama, perhaps?); say with --host and --port where the house is`,
    )
  }
}

/** The house that --host and --port, or their variables, name. */
export function clientOf({ flags }: Given, warn?: (line: string) => void): Client {
  const { host, port } = readConfig(flags)
  return new Client(`http://${reachable(host)}:${port}`, warn)
}

/** Who listens on every address is found at this machine's own. */
export function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}

function queryText(query: Query): string {
  const given = Object.entries(query).flatMap(([key, value]): [string, string][] =>
    value === undefined ? [] : [[key, String(value)]],
  )
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`
}
