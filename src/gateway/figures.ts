/**
 * The figures a node gives at the end of an answer, read from its last bytes: token counts and durations (Ollama's
 * are in nanoseconds), and whether the stream reached its own end. Text inside JSON strings has its quotes escaped,
 * and what a model says comes before what the node says of it, so a model cannot talk figures into being.
 */
import type { Figures } from '../../machines/request.ts'
import type { Tally } from './relay.ts'

export interface Outcome {
  readonly figures: Figures
  /** What the stream itself says went wrong, if it does. */
  readonly trouble?: Trouble
}

type Trouble = 'error-line' | 'unterminated'

/** The names native, OpenAI and Anthropic answers have for them; the last one said counts. */
const COUNTS = {
  promptTokens: ['"prompt_eval_count":', '"prompt_tokens":', '"input_tokens":'],
  outputTokens: ['"eval_count":', '"completion_tokens":', '"output_tokens":'],
} as const
const SPANS = {
  loadMs: '"load_duration":',
  promptMs: '"prompt_eval_duration":',
  outputMs: '"eval_duration":',
} as const
const REASONS = ['"done_reason":"', '"finish_reason":"', '"stop_reason":"']

/** How a stream of events says that it is over. */
const LAST_EVENTS: readonly (readonly [path: string, end: RegExp])[] = [
  ['/v1/messages', /(?:^|\n)event: message_stop\n/],
  ['/v1/responses', /(?:^|\n)event: response\.(?:completed|incomplete|failed)\n/],
  ['/v1/', /(?:^|\n)data: \[DONE\]\n/],
]

export function readFigures(path: string, tally: Tally): Outcome {
  const all = tally.tail.toString('latin1')
  // In a native answer the arguments of a tool call are plain JSON, and come before this.
  const text = path.startsWith('/api/') ? all.slice(Math.max(0, all.lastIndexOf('"done":true'))) : all
  const figures: Record<string, number | string> = {}
  for (const [name, keys] of Object.entries(COUNTS)) {
    const value = numberAfter(text, lastOf(text, keys))
    if (value !== undefined) figures[name] = value
  }
  for (const [name, key] of Object.entries(SPANS)) {
    const nanos = numberAfter(text, lastOf(text, [key]))
    if (nanos !== undefined) figures[name] = Math.round(nanos / 1e4) / 100
  }
  const doneReason = /^[a-z_]{1,32}(?=")/.exec(text.slice(lastOf(text, REASONS)).slice(0, 33))?.[0]
  if (doneReason !== undefined) figures.doneReason = doneReason
  const trouble = troubleOf(path, tally)
  return trouble === undefined ? { figures } : { figures, trouble }
}

/** Ollama's SSE streams end silently when a runner dies; its NDJSON streams end with an error line. */
export function troubleOf(path: string, { status, contentType, tail }: Tally): Trouble | undefined {
  if (status >= 400) return undefined
  if (contentType.startsWith('application/x-ndjson')) {
    const line = tail.toString('latin1').trimEnd().split('\n').at(-1)!
    return line.startsWith('{"error":"') && line.endsWith('"}') ? 'error-line' : undefined
  }
  if (!contentType.startsWith('text/event-stream')) return undefined
  const end = LAST_EVENTS.find(([prefix]) => path.startsWith(prefix))?.[1]
  return end === undefined || end.test(tail.toString('latin1')) ? undefined : 'unterminated'
}

/** The place after the last of some keys; past the end where there is none. */
function lastOf(text: string, keys: readonly string[]): number {
  const places = keys.map(key => (text.includes(key) ? text.lastIndexOf(key) + key.length : -1))
  const last = Math.max(...places)
  return last < 0 ? text.length : last
}

/** Digits only, and no more than a double holds. */
function numberAfter(text: string, at: number): number | undefined {
  const digits = /^\d{1,18}(?!\d)/.exec(text.slice(at, at + 20))?.[0]
  return digits === undefined ? undefined : Number(digits)
}
