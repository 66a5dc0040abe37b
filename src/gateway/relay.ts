/**
 * Bytes from a node to a client, chunk by chunk, with back-pressure both ways. Whoever leaves, the other side hears
 * of it at once. Knows nothing of queues and facts: it tells how it ended.
 */
import type { ServerResponse } from 'node:http'
import type { Call, Outgoing, Upstream } from '../call.ts'
import type { Clock, Timer } from '../clock.ts'
import type { Failure } from '../failure.ts'

export interface Tally {
  readonly status: number
  readonly contentType: string
  readonly bytes: number
  readonly chunks: number
  /** The end of what was sent, for the figures in it. */
  readonly tail: Buffer
}

/**
 * `ended`: all of it arrived. `declined`: the answer was not wanted, the client has seen nothing. `unreached`: no
 * answer began. `broken`: the node went away in the middle. `left`: the client did.
 */
export type Ending =
  | ({ readonly as: 'ended' | 'left' } & Tally)
  | { readonly as: 'declined'; readonly status: number }
  | { readonly as: 'unreached'; readonly failure: Failure }
  | ({ readonly as: 'broken'; readonly failure: Failure } & Tally)

export interface Relay {
  readonly clock: Clock
  readonly upstream: Upstream
  readonly out: Outgoing
  readonly res: ServerResponse
  /** Added to the node's own headers. */
  readonly headers: Readonly<Record<string, string>>
  /** Looks at the status before anything is written; true calls the node off. */
  readonly decline?: (status: number) => boolean
  readonly begun?: (status: number) => void
  /** Each time something arrives. */
  readonly heard?: () => void
  /** What to write when the node breaks off in the middle. */
  readonly lastWords?: (contentType: string, failure: Failure) => string
  /** Is handed a way to break the call from outside. */
  readonly cut?: (cut: (failure: Failure) => void) => void
}

/** A client that reads nothing for this long holds a slot for nothing. */
const READER_STALL_MS = 60_000
/** The figures stand at the very end of an answer; Ollama's `context` array before them may be huge. */
const TAIL_BYTES = 2_048

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
  const { upstream, out, res, clock } = self
  return new Promise(resolve => {
    let status = 0
    let contentType = ''
    let bytes = 0
    let chunks = 0
    const lines: Buffer[] = []
    let held = 0
    let stall: Timer | undefined
    let over = false
    let call: Call | undefined

    const tally = (): Tally => ({
      status,
      contentType,
      bytes,
      chunks,
      tail: Buffer.concat(lines).subarray(-TAIL_BYTES),
    })
    const finish = (ending: Ending): void => {
      if (over) return
      over = true
      stall?.cancel()
      res.off('close', left)
      res.off('drain', drained)
      resolve(ending)
    }
    const left = (): void => {
      if (res.writableFinished) return
      call?.abort()
      finish({ as: 'left', ...tally() })
    }
    const drained = (): void => {
      stall?.cancel()
      call?.resume()
    }
    const fail = (failure: Failure): void => {
      if (over) return
      call?.abort()
      if (status === 0) return finish({ as: 'unreached', failure })
      const ending = { as: 'broken', failure, ...tally() } as const
      finish(ending)
      breakOff(res, lines.at(-1), self.lastWords?.(contentType, failure) ?? '')
    }

    if (res.destroyed) return finish({ as: 'left', ...tally() })
    res.on('close', left)
    res.on('drain', drained)
    self.cut?.(fail)

    call = upstream.send(out, {
      start(code, headers) {
        if (over) return
        self.heard?.()
        if (self.decline?.(code)) {
          call?.abort()
          return finish({ as: 'declined', status: code })
        }
        status = code
        const kept = endToEnd(headers)
        contentType = kept.find(([name]) => name.toLowerCase() === 'content-type')?.[1] ?? ''
        self.begun?.(code)
        res.writeHead(code, [...kept, ...Object.entries(self.headers)].flat())
        if (/ndjson|event-stream/.test(contentType)) res.flushHeaders()
      },
      data(chunk) {
        if (over) return
        self.heard?.()
        bytes += chunk.length
        chunks += 1
        lines.push(chunk)
        held += chunk.length
        while (held - lines[0]!.length >= TAIL_BYTES) held -= lines.shift()!.length
        if (res.write(chunk)) return
        call?.pause()
        stall?.cancel()
        stall = clock.after(READER_STALL_MS, () => res.destroy())
      },
      end() {
        if (over) return
        const ending = { as: 'ended', ...tally() } as const
        res.end()
        finish(ending)
      },
      fail,
    })
  })
}

/** A stream that broke is never ended as if it were whole: an error in its own framing, then the line goes dead. */
function breakOff(res: ServerResponse, last: Buffer | undefined, words: string): void {
  const { socket } = res
  if (words === '' || socket === null || res.destroyed) {
    res.destroy()
    return
  }
  const midLine = last !== undefined && last.at(-1) !== 0x0a
  // Without the last chunk's terminator; FIN rather than RST, so that what was written is still read.
  res.write(midLine ? `\n${words}` : words, () => socket.end())
}

function endToEnd(raw: readonly string[]): [string, string][] {
  const kept: [string, string][] = []
  const named = new Set<string>()
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i]!.toLowerCase() === 'connection')
      for (const name of raw[i + 1]!.split(',')) named.add(name.trim().toLowerCase())
  }
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase()
    if (HOP_BY_HOP.has(name) || named.has(name) || name.startsWith('access-control-')) continue
    kept.push([raw[i]!, raw[i + 1]!])
  }
  return kept
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
