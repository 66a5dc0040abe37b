/**
 * The figures a node gives at the end of an answer, read from its last bytes: token counts and durations (Ollama's
 * are in nanoseconds), and whether the stream reached its own end. Text inside JSON strings has its quotes escaped,
 * so a model cannot talk figures into being.
 */
import type { Figures } from '../../machines/request.ts'
import type { Tally } from './relay.ts'

export interface Outcome {
  readonly figures: Figures
  /** What the stream itself says went wrong, if it does. */
  readonly trouble?: 'error-line' | 'unterminated'
}

export function readFigures(path: string, { tail, contentType, status }: Tally): Outcome {
  const text = tail.toString('latin1')
  const figures: Figures = {
    ...count('promptTokens', text, /"(?:prompt_eval_count|prompt_tokens|input_tokens)":(\d+)/g),
    ...count('outputTokens', text, /"(?:eval_count|completion_tokens|output_tokens)":(\d+)/g),
    ...span('loadMs', text, /"load_duration":(\d+)/),
    ...span('promptMs', text, /"prompt_eval_duration":(\d+)/),
    ...span('outputMs', text, /"eval_duration":(\d+)/),
    ...word(text),
  }
  const trouble = status < 400 ? troubleIn(path, contentType, text) : undefined
  return trouble === undefined ? { figures } : { figures, trouble }
}

/** Ollama's SSE streams end silently when a runner dies; its NDJSON streams end with an error line. */
function troubleIn(path: string, contentType: string, text: string): Outcome['trouble'] {
  if (contentType.startsWith('application/x-ndjson')) {
    return /(?:^|\n)\{"error":"(?:[^"\\]|\\.)*"\}\n?$/.test(text) ? 'error-line' : undefined
  }
  if (!contentType.startsWith('text/event-stream')) return undefined
  const end = path.startsWith('/v1/messages')
    ? '"type":"message_stop"'
    : path.startsWith('/v1/responses')
      ? '"type":"response.completed"'
      : 'data: [DONE]'
  return text.includes(end) ? undefined : 'unterminated'
}

function count<K extends string>(name: K, text: string, pattern: RegExp): { [key in K]?: number } {
  const last = [...text.matchAll(pattern)].at(-1)
  return (last === undefined ? {} : { [name]: Number(last[1]) }) as { [key in K]?: number }
}

function span<K extends string>(name: K, text: string, pattern: RegExp): { [key in K]?: number } {
  const found = pattern.exec(text)
  return (found === null ? {} : { [name]: Math.round(Number(found[1]) / 1e4) / 100 }) as {
    [key in K]?: number
  }
}

function word(text: string): { doneReason?: string } {
  const last = [...text.matchAll(/"(?:done_reason|finish_reason|stop_reason)":"([a-z_]{1,32})"/g)].at(-1)
  return last === undefined ? {} : { doneReason: last[1]! }
}
