/**
 * Ollama's account of a long deed: NDJSON, a line a step, `success` the last one. It comes with a 200 before anything is
 * known, so a line with `error` is the answer proper; and a stream that ends without either has failed, too.
 *
 * A line every 60 ms while bytes come, the same one again while none do. Nothing in them is believed.
 */
import { StringDecoder } from 'node:string_decoder'
import type { Upstream } from '../call.ts'
import { Failure } from '../failure.ts'
import { NodeAnswer } from './ollama.ts'

/** A line has a status, a digest and two numbers; an error quotes what a registry answered. */
const LINE_LENGTH_MAX = 65_536
const TEXT_LENGTH_MAX = 1_024
/** An answer that is no stream is an error of a line. */
const ANSWER_BYTES_MAX = 65_536
/** Tensor models have a pretended one for all their blobs. */
const DIGEST = /^sha256:(?:[0-9a-f]{64}|model)$/
/** What Ollama would have answered, had it not begun a stream before it knew. */
const ERROR_LINE_STATUS = 500
/** Something answered, but not as Ollama does. */
const NOT_OLLAMA_STATUS = 502

/** A line: the step it has reached, or why there are no more. */
export interface Line {
  readonly status?: string
  readonly digest?: string
  /** Bytes of that blob: all, and those that are there. */
  readonly total?: number
  readonly completed?: number
  readonly error?: string
}

export interface Step {
  readonly status: string
  readonly digest?: string
  readonly totalBytes?: number
  readonly completedBytes?: number
}

/**
 * Resolves once Ollama has said `success`. Throws a NodeAnswer where it said no, `ollama.broken` where it said no more, and
 * whatever Failure the wire has.
 */
export function follow(
  ollama: Pick<Upstream, 'send'>,
  path: string,
  body: Readonly<Record<string, unknown>>,
  told: (step: Step) => void,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const decoder = new StringDecoder('utf8')
    const answer: Buffer[] = []
    let [status, bytes, rest, done, over] = [0, 0, '', false, false]
    const end = (why?: Failure): void => {
      if (over) return
      over = true
      signal.removeEventListener('abort', leave)
      if (why === undefined) resolve()
      else reject(why)
    }
    const stop = (why: Failure): void => {
      end(why)
      call.abort()
    }
    const leave = (): void => stop(new NodeAnswer(NOT_OLLAMA_STATUS, 'broken off'))
    const line = (text: string): void => {
      if (over || done || text.trim() === '') return
      const { status, digest, total, completed, error } = lineOf(text) ?? {}
      if (error !== undefined) return stop(new NodeAnswer(ERROR_LINE_STATUS, error))
      if (status === undefined) {
        return stop(
          new NodeAnswer(NOT_OLLAMA_STATUS, 'Ollama answered with something that is not its progress'),
        )
      }
      done = status === 'success'
      told({
        status,
        ...(digest !== undefined && { digest }),
        ...(total !== undefined && { totalBytes: total }),
        ...(completed !== undefined && { completedBytes: completed }),
      })
    }
    const call = ollama.send(
      {
        method: 'POST',
        path,
        headers: { 'content-type': 'application/json' },
        body: Buffer.from(JSON.stringify(body)),
      },
      {
        start: code => {
          status = code
        },
        data(chunk) {
          if (over) return
          if (status !== 200) {
            bytes += chunk.length
            if (bytes <= ANSWER_BYTES_MAX) answer.push(chunk)
            return
          }
          const lines = (rest + decoder.write(chunk)).split('\n')
          rest = lines.pop()!
          for (const text of lines) line(text)
          if (rest.length <= LINE_LENGTH_MAX) return
          stop(new NodeAnswer(NOT_OLLAMA_STATUS, 'Ollama answered with a line without end'))
        },
        end() {
          if (status !== 200)
            return end(new NodeAnswer(status, saidIn(answer) ?? `${path} answered ${status}`))
          line(rest + decoder.end())
          if (done) end()
          else end(new Failure('ollama.broken', 'Ollama ended its answer early', { retryable: true }))
        },
        fail: end,
      },
    )
    if (signal.aborted) leave()
    else signal.addEventListener('abort', leave, { once: true })
  })
}

/** Only what is known, and only in its own type: nodes are not believed. Undefined where it is not JSON. */
export function lineOf(text: string): Line | undefined {
  const held = objectIn(text)
  if (held === undefined) return undefined
  const { status, digest, total, completed, error } = held
  return {
    ...(typeof status === 'string' && { status: status.slice(0, TEXT_LENGTH_MAX) }),
    ...(typeof digest === 'string' && DIGEST.test(digest) && { digest }),
    ...(isCount(total) && { total }),
    ...(isCount(completed) && { completed }),
    ...(typeof error === 'string' && { error: error.slice(0, TEXT_LENGTH_MAX) }),
  }
}

function saidIn(answer: readonly Buffer[]): string | undefined {
  const error = objectIn(Buffer.concat(answer).toString())?.['error']
  return typeof error === 'string' ? error.slice(0, TEXT_LENGTH_MAX) : undefined
}

function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    const held: unknown = JSON.parse(text)
    return typeof held === 'object' && held !== null ? (held as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
