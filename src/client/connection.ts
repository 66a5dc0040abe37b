/** One connection to the events of a house: asked for, read as it comes, given up when nothing comes. */
import { type Frame, Frames } from './frames.ts'
import { SubscriptionError } from './trouble.ts'

export interface Call {
  /** Where the house is, without a path. */
  readonly url: string
  readonly query: Readonly<Record<string, string | undefined>>
  readonly headers: Readonly<Record<string, string>>
  readonly fetch: typeof fetch
  readonly silenceMaxMs: number
  readonly signal: AbortSignal | undefined
}

export interface Connection {
  /** The journal's id, and where the stream begins. */
  readonly journal: string
  readonly mark: number
  /** As they come; the end is the house's. Throws a SubscriptionError; leaving hangs up. */
  readonly frames: AsyncGenerator<readonly Frame[]>
}

/** Throws a SubscriptionError, or the signal's reason. */
export async function connect(call: Call): Promise<Connection> {
  const { url, query, headers, silenceMaxMs, signal } = call
  const lost = new AbortController()
  const silence = (): never => {
    const said = `the house at ${url} has given no sign of life for ${silenceMaxMs / 1_000} s`
    throw new SubscriptionError('house.silent', said, { retryable: true })
  }
  /** Waits for what the house says next, and hangs up when that takes too long. */
  const within = async <T>(what: Promise<T>, otherwise: (error: unknown) => never): Promise<T> => {
    const timer = setTimeout(() => lost.abort(), silenceMaxMs)
    try {
      return await what
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      return lost.signal.aborted ? silence() : otherwise(error)
    } finally {
      clearTimeout(timer)
    }
  }
  const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined)
  const text = given.length === 0 ? '' : `?${new URLSearchParams(given)}`
  const response = await within(
    call.fetch(`${url}/quipu/events${text}`, {
      headers: { ...headers, accept: 'text/event-stream' },
      signal: signal === undefined ? lost.signal : AbortSignal.any([signal, lost.signal]),
    }),
    error => {
      throw absent(url, error)
    },
  )
  const journal = response.headers.get('x-quipu-journal')
  if (!response.ok) throw await within(refusal(url, response), broken(url))
  if (journal === null || response.body === null) {
    lost.abort()
    throw stranger(url)
  }
  const reader = response.body.getReader()
  async function* read(): AsyncGenerator<readonly Frame[]> {
    const decoder = new TextDecoder()
    const frames = new Frames()
    try {
      for (;;) {
        const { done, value } = await within(reader.read(), broken(url))
        if (done) return
        yield frames.take(decoder.decode(value, { stream: true }))
      }
    } finally {
      lost.abort()
    }
  }
  return { journal, mark: Number(response.headers.get('x-quipu-mark')), frames: read() }
}

export function absent(url: string, error: unknown): SubscriptionError {
  const { code = '', message = '' } = ((error as Error).cause ?? {}) as { code?: string; message?: string }
  const why = code === 'ECONNREFUSED' || message === '' ? '' : ` (${message})`
  return new SubscriptionError('house.absent', `no house answers at ${url}${why}`, {
    cause: error,
    retryable: true,
  })
}

export function broken(url: string): (error: unknown) => never {
  return cause => {
    const said = `the house at ${url} broke off in the middle of its answer`
    throw new SubscriptionError('house.silent', said, { cause, retryable: true })
  }
}

/** The house's own words; anything else means that somebody else lives there, or stands before it. */
export async function refusal(url: string, response: Response): Promise<SubscriptionError> {
  const { status } = response
  const text = await response.text()
  let told: { readonly error?: unknown; readonly code?: unknown } | null = null
  try {
    told = JSON.parse(text)
  } catch {}
  const retryable = status === 408 || status === 429 || status > 500
  if (typeof told?.error === 'string') {
    const code = typeof told.code === 'string' ? told.code : 'house.refused'
    return new SubscriptionError(code, told.error, { retryable })
  }
  if (status === 404) return stranger(url)
  return new SubscriptionError('house.refused', `${url} answered ${status}, and nothing more`, { retryable })
}

function stranger(url: string): SubscriptionError {
  const said = `${url} answers, but not as a house does (an Ollama, or a house before 0.3.0?)`
  return new SubscriptionError('house.refused', said)
}
