/**
 * Is an answer coming far too slowly, told by its first lines alone? Pure. (docs/adr/0017 argues the numbers; an eager
 * watchdog does more harm than a slow node.)
 *
 *  1. Whose class is not watched is not held.
 *  2. Nor is what is no stream of lines or of events, or not 200: it comes whole, or is short.
 *  3. Nor where too little is usual to tell slow from unlucky: an eighth of it would be less than two lines in a window.
 *  4. An eighth of what is usual in a window is due. Once that much is there the answer goes out; at the usual pace,
 *     after an eighth of the window.
 *  5. It goes out at the end of the window in any case, unless it is moved then.
 */

export const WINDOW_MS = 2_000
const SHARE = 1 / 8
const LINES_MIN = 2

export interface Answer {
  readonly status: number
  readonly contentType: string
  readonly class: 'interactive' | 'batch'
}

/**
 * How many lines must have come within the window; undefined where it is not held at all. `watched` is whose slow answers
 * are moved (see config.ts), `usual` in lines a second.
 */
export function linesDue(
  watched: string,
  { status, contentType, class: kind }: Answer,
  usual: number | undefined,
): number | undefined {
  if (watched !== 'all' && watched !== kind) return undefined // (1)
  if (status !== 200 || formOf(contentType) === undefined) return undefined // (2)
  const due = Math.floor(((usual ?? 0) * SHARE * WINDOW_MS) / 1_000)
  return due < LINES_MIN ? undefined : due // (3) (4)
}

/** Counts what is whole, over chunks that end anywhere: lines of JSON, or events, which end with an empty line. */
export function lineCounter(contentType: string): (chunk: Uint8Array) => number {
  const events = formOf(contentType) === 'events'
  let lines = 0
  let before = 0
  return chunk => {
    for (const byte of chunk) {
      if (byte === NEWLINE && (!events || before === NEWLINE)) lines += 1
      if (byte !== RETURN) before = byte
    }
    return lines
  }
}

const NEWLINE = 10
const RETURN = 13

function formOf(contentType: string): 'lines' | 'events' | undefined {
  if (contentType.startsWith('application/x-ndjson')) return 'lines'
  return contentType.startsWith('text/event-stream') ? 'events' : undefined
}
