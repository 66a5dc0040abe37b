/**
 * A handler thinks in Ollama's own terms; a dialect puts its answers, pieces of answers and refusals into the
 * words of one API. Ollama does the same: its /v1 routes wrap the native handlers in writers.
 */
import { Gone } from './client.ts'
import { type Exchange, JSON_UTF8 } from './exchange.ts'
import { goJson } from './gojson.ts'
import type { Logprob } from './words.ts'

/** A refusal with a status. `late` ones come from the runner, after the handler would have begun to stream. */
export class Fault extends Error {
  override readonly name = 'Fault'
  readonly status: number
  readonly late: boolean
  /** Said in Ollama's own shape whatever the API. */
  readonly native: boolean
  readonly also: Record<string, unknown>

  constructor(status: number, text: string, { late = false, native = false, also = {} } = {}) {
    super(text)
    this.status = status
    this.late = late
    this.native = native
    this.also = also
  }
}

export interface ToolCall {
  readonly id: string
  readonly function: {
    readonly index: number
    readonly name: string
    readonly arguments: Record<string, unknown>
  }
}

/** The measures of a finished answer; durations in nanoseconds, left out when zero. */
export interface Metrics {
  readonly total_duration?: number | undefined
  readonly load_duration?: number | undefined
  readonly prompt_eval_count?: number | undefined
  readonly prompt_eval_duration?: number | undefined
  readonly eval_count?: number | undefined
  readonly eval_duration?: number | undefined
}

/** A whole answer or a piece of one. */
export interface Answer {
  /** As the client wrote it. */
  readonly model: string
  /** Milliseconds with a fraction. */
  readonly createdAt: number
  readonly content: string
  readonly thinking?: string | undefined
  readonly toolCalls?: readonly ToolCall[] | undefined
  readonly logprobs?: readonly Logprob[] | undefined
  readonly done: boolean
  readonly doneReason?: 'stop' | 'length' | 'load' | 'unload'
  readonly context?: readonly number[] | undefined
  readonly metrics?: Metrics
  readonly rendered?: { readonly rendered_template: string; readonly image_count?: number | undefined }
}

export interface Body {
  readonly type: string
  readonly text: string
}

export interface Refusing {
  refusal(fault: Fault): Body
}

export const native: Refusing = {
  refusal: fault => ({ type: JSON_UTF8, text: goJson({ error: fault.message, ...fault.also }) }),
}

export interface Dialect extends Refusing {
  /** Did the client ask for a stream? */
  readonly streams: boolean
  readonly streamType: string
  whole(answer: Answer): Body
  /** What one piece becomes on the wire: a line, some events, or nothing. */
  piece(answer: Answer): string
  /** What is written when the runner dies after the first piece. */
  broken(text: string): string
}

/** Runs a handler and says its faults in the dialect. A client that left hears nothing. */
export async function answering(x: Exchange, dialect: Refusing & Partial<Dialect>, run: () => Promise<void>) {
  try {
    await run()
  } catch (error) {
    if (error instanceof Gone || x.gone) return
    if (!(error instanceof Fault)) throw error
    if (x.opened) {
      const last = dialect.broken?.(error.message) ?? ''
      if (last !== '') x.send(last)
      x.end()
      return
    }
    const { type, text } = (error.native ? native : dialect).refusal(error)
    if (error.late && dialect.streams === true) x.replyChunked(error.status, bare(type), text)
    else x.reply(error.status, type, text)
  }
}

function bare(type: string): string {
  return type.split(';')[0]!
}
