/** A stream of a job's events, as it is written: server-sent events for browsers, lines of JSON for programs. */
import { Refusal } from '../../../machines/entity.ts'
import { Failure } from '../../failure.ts'
import { STALL_MS, type Writer } from '../writer.ts'
import { type Mark, markIn, type StreamEvent } from './stream.ts'

export interface Style {
  readonly type: string
  readonly opening: string
  readonly beat: string
  readonly print: (event: StreamEvent) => string
  /** The last words of a stream that is cut. */
  readonly cut: (failure: Failure) => string
}

/** How soon a browser tries again. */
const RETRY_MS = 1_000
/** Proxies drop what is silent for 30 or 60 s. */
const BEAT_MS = 15_000

const EVENTS: Style = {
  type: 'text/event-stream; charset=utf-8',
  opening: `retry: ${RETRY_MS}\n\n`,
  beat: ': still here\n\n',
  print: told => {
    const id = 'id' in told ? `id: ${told.id}\n` : ''
    return `${id}event: ${told.event}\ndata: ${JSON.stringify(told.data)}\n\n`
  },
  cut: ({ code, message }) => `event: cut\ndata: ${JSON.stringify({ error: message, code })}\n\n`,
}

const LINES: Style = {
  type: 'application/x-ndjson',
  opening: '',
  beat: '{"event":"beat"}\n',
  print: ({ event, data, ...told }) => `${JSON.stringify({ event, ...told, ...data })}\n`,
  cut: ({ code, message }) => `${JSON.stringify({ event: 'cut', error: message, code })}\n`,
}

export function styleFor(accept = ''): Style {
  return /\bapplication\/(x-)?ndjson\b/.test(accept) ? LINES : EVENTS
}

/** A browser that comes back asks for the same URL again, so the header is the newer of the two. */
export function markOf(
  header: string | readonly string[] | undefined,
  after: string | undefined,
): Mark | undefined {
  const text = header === undefined || header === '' ? after : String(header)
  if (text === undefined) return undefined
  const mark = markIn(text)
  if (mark !== undefined) return mark
  throw new Refusal('request.invalid', 'Last-Event-ID must be the id of an event of this stream, as 1.2048')
}

/** To a reader until it leaves, is cut, or there is no more. */
export async function tell(
  writer: Writer,
  style: Style,
  events: AsyncIterable<StreamEvent>,
  signal: AbortSignal,
): Promise<void> {
  let lastWords = ''
  writer.put(style.opening)
  const rest = writer.beat(BEAT_MS, () => style.beat)
  try {
    for await (const event of events) {
      const room = await writer.room(signal)
      if (room === 'stalled') throw SLOW
      if (room === 'gone') return
      writer.put(style.print(event))
    }
  } catch (error) {
    if (error instanceof Failure) lastWords = style.cut(error)
    else if (!signal.aborted) throw error
  } finally {
    rest()
    writer.end(lastWords)
  }
}

const SLOW = new Failure(
  'events.slow',
  `nothing was taken for ${STALL_MS / 1_000} s; come back with Last-Event-ID`,
  { retryable: true },
)
