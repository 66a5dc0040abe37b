/**
 * Bytes from a node to whoever takes them, chunk by chunk, with back-pressure both ways. Whoever leaves, the other side
 * hears of it at once. Knows nothing of queues and facts: it tells how it ended.
 */
import type { Call, Outgoing, Upstream } from '../call.ts'
import type { Timer } from '../clock.ts'
import { Failure } from '../failure.ts'
import type { Sink } from './sink.ts'

export interface Tally {
  readonly status: number
  readonly contentType: string
  readonly bytes: number
  readonly chunks: number
  /** The end of what was sent, for the figures in it. */
  readonly tail: Buffer
}

/**
 * `ended`: all of it arrived. `declined`: the answer was not wanted, the client has seen nothing. `unreached`: the node
 * went away before the first byte of an answer, and the client has seen nothing. `broken`: it went away in the middle.
 * `left`: the client did.
 */
export type Ending =
  | ({ readonly as: 'ended' | 'left' } & Tally)
  | { readonly as: 'declined'; readonly status: number }
  | { readonly as: 'unreached'; readonly failure: Failure }
  | ({ readonly as: 'broken'; readonly failure: Failure } & Tally)

/** The first of an answer, kept back until it is clear that this answer is the one. */
export interface Hold {
  /** Calls back once it has been held for long enough; asked when the first of it comes. */
  readonly wait: (run: () => void) => Timer
  /** More of it came. Is that enough? */
  readonly enough: (chunk: Buffer) => boolean
  /** The wait is over, and it was not. True calls the node off; false lets the answer out all the same. */
  readonly giveUp: () => boolean
}

export interface Relay {
  readonly upstream: Upstream
  readonly out: Outgoing
  readonly sink: Sink
  /** Added to the node's own headers. */
  readonly headers: Readonly<Record<string, string>>
  /** Looks at the status before anything is written; true calls the node off. */
  readonly decline?: (status: number) => boolean
  /** Asked once the head is there: is the client to see it only after a while? */
  readonly hold?: (status: number, contentType: string) => Hold | undefined
  /** The first byte is here, and goes to the client next. */
  readonly begun?: (status: number) => void
  /** Each time something arrives. */
  readonly heard?: () => void
  /** What to write when the node breaks off in the middle. */
  readonly lastWords?: (contentType: string, failure: Failure) => string
  /** Is handed a way to break the call from outside. */
  readonly cut?: (cut: (failure: Failure) => void) => void
}

/** So much of an answer is not slow, whatever its lines. */
const KEPT_BYTES_MAX = 256 * 1024
/** The figures stand at the very end of an answer; /api/generate puts the context before them, token by token. */
const TAIL_BYTES = 64 * 1024

/** Of one connection only; the house makes its own. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'date',
])

export function relay(self: Relay): Promise<Ending> {
  const { upstream, out, sink } = self
  return new Promise(resolve => {
    let head: { readonly status: number; readonly headers: readonly string[] } | undefined
    /** The client has seen the head. */
    let open = false
    let contentType = ''
    let encoded = false
    let bytes = 0
    let chunks = 0
    const last: Buffer[] = []
    let held = 0
    let over = false
    let call: Call | undefined
    let hold: Hold | undefined
    let window: Timer | undefined
    const kept: Buffer[] = []
    let keptBytes = 0

    const tally = (): Tally => ({
      status: head?.status ?? 0,
      contentType,
      bytes,
      chunks,
      tail: Buffer.concat(last).subarray(-TAIL_BYTES),
    })
    const finish = (ending: Ending): void => {
      if (over) return
      over = true
      window?.cancel()
      deaf()
      resolve(ending)
    }
    const left = (): void => {
      call?.abort()
      finish({ as: 'left', ...tally() })
    }
    const fail = (failure: Failure): void => {
      if (over) return
      call?.abort()
      if (!open) return finish({ as: 'unreached', failure })
      const ending = { as: 'broken', failure, ...tally() } as const
      finish(ending)
      sink.breakOff(encoded ? '' : (self.lastWords?.(contentType, failure) ?? ''), ending.tail)
    }
    /** The head goes out with the first byte: until then another node may answer instead. */
    const begin = (): boolean => {
      try {
        sink.head(head!.status, [...head!.headers, ...Object.entries(self.headers).flat()])
      } catch (cause) {
        const message = 'its headers cannot be passed on'
        fail(new Failure('ollama.answer', message, { retryable: true, cause }))
        return false
      }
      open = true
      self.begun?.(head!.status)
      return true
    }
    const pass = (chunk: Buffer): void => {
      if (over || (!open && !begin())) return
      bytes += chunk.length
      chunks += 1
      last.push(chunk)
      held += chunk.length
      while (held - last[0]!.length >= TAIL_BYTES) held -= last.shift()!.length
      if (!sink.write(chunk)) call?.pause()
    }
    const release = (): void => {
      hold = undefined
      window?.cancel()
      for (const chunk of kept.splice(0)) pass(chunk)
    }
    const keep = ({ wait, enough, giveUp }: Hold, chunk: Buffer): void => {
      kept.push(chunk)
      keptBytes += chunk.length
      window ??= wait(() => {
        if (!giveUp()) return release()
        call?.abort()
        finish({ as: 'declined', status: head!.status })
      })
      if (enough(chunk) || keptBytes > KEPT_BYTES_MAX) release()
    }

    if (sink.closed) return resolve({ as: 'left', ...tally() })
    const deaf = sink.hear({ left, drained: () => call?.resume() })
    self.cut?.(fail)

    call = upstream.send(out, {
      start(status, raw) {
        if (over) return
        self.heard?.()
        if (self.decline?.(status)) {
          call?.abort()
          return finish({ as: 'declined', status })
        }
        const headers = endToEnd(raw)
        // Ollama says so of two kinds of streams, and only where it is so.
        if (headerIn(raw, 'connection') === 'keep-alive') headers.push('Connection', 'keep-alive')
        contentType = headerIn(headers, 'content-type')
        encoded = headerIn(headers, 'content-encoding') !== ''
        head = { status, headers }
        hold = encoded ? undefined : self.hold?.(status, contentType)
      },
      data(chunk) {
        if (over) return
        self.heard?.()
        if (hold === undefined) pass(chunk)
        else keep(hold, chunk)
      },
      end() {
        release()
        if (over || (!open && !begin())) return
        const ending = { as: 'ended', ...tally() } as const
        finish(ending)
        sink.end()
      },
      fail,
    })
  })
}

/** Names in the case they came in, and without what concerns the one connection or is for the house to say. */
function endToEnd(raw: readonly string[]): string[] {
  const named = new Set<string>()
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i]!.toLowerCase() !== 'connection') continue
    for (const name of raw[i + 1]!.split(',')) named.add(name.trim().toLowerCase())
  }
  const kept: string[] = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase()
    if (HOP_BY_HOP.has(name) || named.has(name) || /^(access-control|x-quipu)-/.test(name)) continue
    kept.push(raw[i]!, raw[i + 1]!)
  }
  return kept
}

/** By its name in lower case; empty where there is none. */
export function headerIn(headers: readonly string[], name: string): string {
  for (let i = 0; i < headers.length; i += 2) if (headers[i]!.toLowerCase() === name) return headers[i + 1]!
  return ''
}

/** What of a client's headers a node may see: how to read the body, and who asks (Ollama looks at User-Agent). */
const FORWARDED = [
  'content-type',
  'content-encoding',
  'accept',
  'user-agent',
  'anthropic-version',
  'anthropic-beta',
  'openai-beta',
]

export function headersForNode(headers: {
  readonly [name: string]: string | readonly string[] | undefined
}): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const name of FORWARDED) {
    const value = headers[name]
    if (typeof value === 'string') kept[name] = value
  }
  return kept
}
