/**
 * The journal over HTTP: pages of it as NDJSON, and what comes as server-sent events whose id is the fact's seq, so that
 * a reader who lost the connection goes on where it was; or as lines of JSON, for who would rather have these.
 *
 * Every reader follows at its own pace and holds one page at most; one who takes nothing for a while is cut, and may
 * come back with its mark. Who is up to date is handed the same bytes as all the others.
 */
import type { ServerResponse } from 'node:http'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { Refusal } from '../../machines/entity.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import type { Beginnings } from '../journal/beginning.ts'
import type { Feed } from '../journal/feed.ts'
import type { Entry, Journal } from '../journal/journal.ts'
import type { Stories } from '../journal/stories.ts'
import { type Filter, type Wanted, wantedBy } from '../journal/wanted.ts'
import type { Naming } from '../naming.ts'
import { doors, hang } from './doors.ts'
import { type Known, verify } from './known.ts'
import { type Form, line, Pieces, sse } from './pieces.ts'
import { type EventsQuery, JOURNAL_LIMIT } from './schema/journal.ts'
import type { Given } from './schema/words.ts'
import { STALL_MS, Writer } from './writer.ts'

export interface EventsNeeds {
  readonly clock: Clock
  readonly journal: Journal
  readonly feed: Feed
  readonly stories: Stories
  readonly beginnings: Beginnings
  readonly naming: Naming
  /** Where a named subscription goes on, and what it wants; see subscriptions/subscriptions.ts. */
  readonly named: {
    follow(
      name: string,
      signal: AbortSignal,
      cut: (failure: Failure) => void,
    ): { readonly after: number; readonly filter: Filter }
  }
}

/** Proxies drop what is silent for 30 or 60 s. */
const BEAT_MS = 15_000
/** How soon a browser tries again. */
const RETRY_MS = 1_000

type Query = Given<typeof EventsQuery>

export const events: FastifyPluginAsync<EventsNeeds> = async (app, needs) => {
  const { clock, journal, feed, stories, beginnings, named, naming } = needs
  const forms = { sse: new Pieces(sse), ndjson: new Pieces(line) }

  app.addHook('preClose', async () => feed.close())

  /** Counts a reader in, and out when its connection is over. */
  function enter(res: ServerResponse): AbortController {
    const reader = feed.enter()
    if (res.destroyed) reader.abort()
    else res.once('close', () => reader.abort())
    return reader
  }

  /** Facts to a reader until it leaves, is cut, or the house closes. */
  async function tell(
    writer: Writer,
    form: Form,
    { after, wanted, signal }: { after: number; wanted: Wanted | undefined; signal: AbortSignal },
  ): Promise<void> {
    let mark = after
    let lastWords = ''
    // The id alone makes a browser come back to this very place, even if no fact ever arrives.
    if (form === 'sse') writer.put(`retry: ${RETRY_MS}\nid: ${after}\n\n`)
    // With filters, facts pass that are not sent: the mark moves on all the same.
    const rest = writer.beat(BEAT_MS, () => (form === 'sse' ? `: still here\nid: ${mark}\n\n` : '\n'))
    try {
      for await (const { facts, seq } of feed.follow(after, wanted, signal)) {
        for (const piece of forms[form].of(facts)) {
          const room = await writer.room(signal)
          if (room === 'stalled') throw SLOW
          if (room === 'gone') return
          writer.put(piece.bytes)
          mark = piece.seq
        }
        mark = seq
      }
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      lastWords = cut(error, form)
    } finally {
      rest()
      if (signal.reason instanceof Failure) lastWords = cut(signal.reason, form)
      writer.end(lastWords)
    }
  }

  /** The header is the newer of the two: a browser that comes back asks for the same URL again. */
  async function markOf(request: FastifyRequest, query: Query, signal: AbortSignal): Promise<number> {
    const { after, from, since } = query
    const last = lastEventId(request)
    if (last !== undefined) return last
    if (after !== undefined && from !== undefined)
      throw new Refusal('request.invalid', 'after and from both say where to begin; one of them is enough')
    return after ?? beginnings.mark(from ?? since ?? 'now', signal)
  }

  /** The reader of a named subscription, alone: whoever comes later takes its place. */
  function follow(
    request: FastifyRequest,
    query: Query,
    reader: AbortController,
  ): { wanted: Wanted | undefined; after: number } {
    const stray = ITS_OWN.find(field => query[field] !== undefined)
    if (stray !== undefined) {
      const said = `${stray} does not go with subscription, which says itself where to begin, and with what`
      throw new Refusal('request.invalid', said)
    }
    const { after, filter } = named.follow(query.subscription!, reader.signal, why => reader.abort(why))
    const mark = lastEventId(request) ?? query.after ?? after
    return { wanted: wantedBy(filter, stories, naming), after: mark }
  }

  hang(app, doors.events, async ({ query, request, reply }) => {
    const form = formOf(request, query)
    const res = reply.raw
    const reader = enter(res)
    const { signal } = reader
    const { wanted, after } =
      query.subscription === undefined
        ? { wanted: wantedBy(query, stories, naming), after: await markOf(request, query, signal) }
        : follow(request, query, reader)
    await verify(journal, knownOf(query, after))
    reply.hijack()
    res.writeHead(200, {
      'Content-Type': form === 'sse' ? 'text/event-stream; charset=utf-8' : 'application/x-ndjson',
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
      'X-Quipu-Journal': journal.id,
      'X-Quipu-Mark': after,
    })
    res.flushHeaders()
    // Not awaited: Fastify is done with it, and what is no Failure is a bug, which must not be swallowed.
    void tell(new Writer(res, clock), form, { after, wanted, signal })
  })

  hang(app, doors.journal, async ({ query: { after = 0, limit = JOURNAL_LIMIT }, reply }) => {
    const { durable } = journal
    const res = reply.raw
    const { signal } = enter(res)
    const done = await feed.turns.take(signal)
    res.once('close', done)
    // The first page before the head: what cannot be read at all is an error with a status.
    const pages = journal.read({ after, until: after + limit })[Symbol.asyncIterator]()
    const first = await pages.next()
    reply.hijack()
    res.writeHead(200, {
      'Content-Type': 'application/x-ndjson',
      'X-Quipu-Durable': durable,
      'Cache-Control': 'no-store',
      'X-Quipu-Journal': journal.id,
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
        for (const { bytes } of forms.ndjson.of(page.value)) {
          if ((await writer.room(signal)) !== 'room') return writer.destroy()
          writer.put(bytes)
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

/** Of the query, what a named subscription has a word of its own on. */
const ITS_OWN = ['from', 'kind', 'type', 'id', 'client', 'model', 'node', 'since', 'until'] as const

function formOf({ headers }: FastifyRequest, { format }: Query): Form {
  return format ?? (headers.accept?.includes('application/x-ndjson') ? 'ndjson' : 'sse')
}

function lastEventId({ headers }: FastifyRequest): number | undefined {
  const last = headers['last-event-id']
  if (last === undefined || last === '') return undefined
  if (typeof last === 'string' && /^\d{1,15}$/.test(last)) return Number(last)
  throw new Refusal('request.invalid', 'Last-Event-ID must be the seq of a fact')
}

function knownOf({ journal: id, seen }: Query, mark: number): Known {
  const [seq, hash = ''] = seen?.split(':') ?? []
  return { mark, id, seen: seq === undefined ? undefined : { seq: Number(seq), hash } }
}

function cut({ code, message, retryable }: Failure, form: Form): string {
  const said = JSON.stringify({ error: message, code, retryable })
  return form === 'sse' ? `event: cut\ndata: ${said}\n\n` : `${said}\n`
}

const SLOW = new Failure(
  'events.slow',
  `nothing was taken for ${STALL_MS / 1_000} s; come back with Last-Event-ID`,
  {
    retryable: true,
  },
)
