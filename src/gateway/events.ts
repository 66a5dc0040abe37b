/**
 * The journal over HTTP: pages of it as NDJSON, and what comes as server-sent events whose id is the fact's seq, so that
 * a reader who lost the connection goes on where it was.
 *
 * Every reader follows at its own pace and holds one page at most; one who takes nothing for a while is cut, and may
 * come back with its mark. A fact is made into text once, for all readers.
 */
import type { ServerResponse } from 'node:http'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { Refusal } from '../../machines/entity.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import { follow } from '../journal/follow.ts'
import type { Entry, Journal } from '../journal/journal.ts'
import { doors, hang } from './doors.ts'
import { type EventsQuery, type Given, JOURNAL_LIMIT } from './schema.ts'
import { STALL_MS, Writer } from './writer.ts'

export interface EventsNeeds {
  readonly clock: Clock
  readonly journal: Journal
}

/** One that is behind holds a page of a thousand facts, and has the disk fetch the next: 2 MB or so. */
const READERS_MAX = 64
/** Proxies drop what is silent for 30 or 60 s. */
const BEAT_MS = 15_000
/** What is handed to a socket at once. */
const CHUNK_CHARACTERS = 65_536
/** How soon a browser tries again. */
const RETRY_MS = 1_000

export const events: FastifyPluginAsync<EventsNeeds> = async (app, { clock, journal }) => {
  const readers = new Set<AbortController>()
  /** Those who are up to date are all handed the same entries (journal.recent), and so the same text. */
  const frames = new WeakMap<Entry, string>()

  app.addHook('preClose', async () => {
    for (const reader of readers) reader.abort()
  })

  /** Counts a reader in, and out when its connection is over. */
  function enter(res: ServerResponse): AbortSignal {
    if (readers.size >= READERS_MAX) {
      const message = `${READERS_MAX} read the journal already, and no more than that may; try again`
      throw new Failure('events.full', message, { retryable: true })
    }
    const reader = new AbortController()
    const leave = (): void => {
      readers.delete(reader)
      reader.abort()
    }
    readers.add(reader)
    if (res.destroyed) leave()
    else res.once('close', leave)
    return reader.signal
  }

  function frameOf(entry: Entry): string {
    let frame = frames.get(entry)
    if (frame === undefined) {
      frame = `id: ${entry.seq}\nevent: ${entry.type}\ndata: ${JSON.stringify(entry)}\n\n`
      frames.set(entry, frame)
    }
    return frame
  }

  /** Facts to a reader until it leaves, is cut, or the house closes. */
  async function tell(writer: Writer, after: number, wanted: Wanted, signal: AbortSignal): Promise<void> {
    // The id alone makes a browser come back to this very place, even if no fact ever arrives.
    writer.put(`retry: ${RETRY_MS}\nid: ${after}\n\n`)
    let mark = after
    let lastWords = ''
    // With filters, facts pass that are not sent: the mark moves on all the same.
    const rest = writer.beat(BEAT_MS, () => `: still here\nid: ${mark}\n\n`)
    try {
      for await (const page of follow(journal, { after, signal })) {
        for (const { text, seq } of chunks(page, wanted, frameOf)) {
          const room = await writer.room(signal)
          if (room === 'stalled') throw SLOW
          if (room === 'gone') return
          if (text !== '') writer.put(text)
          mark = seq
        }
      }
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      lastWords = cut(error)
    } finally {
      rest()
      writer.end(lastWords)
    }
  }

  hang(app, doors.events, ({ query, request, reply }) => {
    const wanted = wantedBy(query)
    const after = markOf(request, query) ?? journal.durable
    if (after > journal.durable) {
      const message = `the journal ends at ${journal.durable}, so ${after} is a mark from another one`
      throw new Refusal('request.invalid', message)
    }
    const res = reply.raw
    const signal = enter(res)
    reply.hijack()
    res.writeHead(200, {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
    })
    // Not awaited: Fastify is done with it, and what is no Failure is a bug, which must not be swallowed.
    void tell(new Writer(res, clock), after, wanted, signal)
  })

  hang(app, doors.journal, async ({ query: { after = 0, limit = JOURNAL_LIMIT }, reply }) => {
    const { durable } = journal
    const res = reply.raw
    const signal = enter(res)
    // The first page before the head: what cannot be read at all is an error with a status.
    const pages = journal.read({ after, until: after + limit })[Symbol.asyncIterator]()
    const first = await pages.next()
    reply.hijack()
    res.writeHead(200, {
      'Content-Type': 'application/x-ndjson',
      'Cache-Control': 'no-store',
      'X-Quipu-Durable': durable,
    })
    void print(new Writer(res, clock), first, pages, signal)
  })

  async function print(
    writer: Writer,
    first: IteratorResult<readonly Entry[]>,
    pages: AsyncIterator<readonly Entry[]>,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      for (let page = first; !page.done; page = await pages.next()) {
        for (const { text } of chunks(page.value, ALL, lineOf)) {
          if ((await writer.room(signal)) !== 'room') return writer.destroy()
          writer.put(text)
        }
      }
      writer.end()
    } catch (error) {
      writer.destroy()
      if (!(error instanceof Failure)) throw error
    } finally {
      await pages.return?.()
    }
  }
}

// ── who wants what ───────────────────────────────────────────────────────────────────────────────────────────────

type Wanted = (entry: Entry) => boolean

const ALL: Wanted = () => true

function wantedBy({ kind, type, id }: Given<typeof EventsQuery>): Wanted {
  const kinds = words(kind)
  const types = words(type)
  const ids = words(id)
  if ((kinds ?? types ?? ids) === undefined) return ALL
  return entry =>
    (kinds?.includes(entry.kind) ?? true) &&
    (types?.some(word => (word.endsWith('.') ? entry.type.startsWith(word) : entry.type === word)) ?? true) &&
    (ids?.includes(entry.id) ?? true)
}

function words(text: string | undefined): readonly string[] | undefined {
  return text?.split(',').map(word => word.trim())
}

/** A browser that comes back asks for the same URL again, so the header is the newer of the two. */
function markOf({ headers }: FastifyRequest, { after }: Given<typeof EventsQuery>): number | undefined {
  const last = headers['last-event-id']
  if (last === undefined || last === '') return after
  if (typeof last === 'string' && /^\d{1,15}$/.test(last)) return Number(last)
  throw new Refusal('request.invalid', 'Last-Event-ID must be the seq of a fact')
}

// ── how it is written ────────────────────────────────────────────────────────────────────────────────────────────

function lineOf(entry: Entry): string {
  return `${JSON.stringify(entry)}\n`
}

/** The wanted facts of a page in pieces; `seq` is the last fact that is dealt with when the piece is written. */
function* chunks(
  page: readonly Entry[],
  wanted: Wanted,
  print: (entry: Entry) => string,
): Generator<{ readonly text: string; readonly seq: number }> {
  let text = ''
  for (const entry of page) {
    if (!wanted(entry)) continue
    text += print(entry)
    if (text.length < CHUNK_CHARACTERS) continue
    yield { text, seq: entry.seq }
    text = ''
  }
  yield { text, seq: page.at(-1)!.seq }
}

function cut({ code, message }: Failure): string {
  return `event: cut\ndata: ${JSON.stringify({ error: message, code })}\n\n`
}

const SLOW = new Failure(
  'events.slow',
  `nothing was taken for ${STALL_MS / 1_000} s; come back with Last-Event-ID`,
  {
    retryable: true,
  },
)
