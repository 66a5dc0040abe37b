/**
 * The journal over gRPC (proto/quipu/v1/journal.proto): Head, Read, Subscribe.
 *
 * In plain text, and so on addresses of this machine only. Readers are the same as those of /quipu/events: counted
 * together, given turns together, cut when they take nothing.
 */
import { Refusal } from '../../machines/entity.ts'
import { entities } from '../../machines/index.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import type { Beginnings } from '../journal/beginning.ts'
import type { Feed } from '../journal/feed.ts'
import type { Entry, Journal } from '../journal/journal.ts'
import type { Stories } from '../journal/stories.ts'
import { type Filter, type Wanted, wantedBy } from '../journal/wanted.ts'
import type { Naming } from '../naming.ts'
import { plaintext } from '../rpc/credentials.ts'
import { journalService } from '../rpc/definitions.ts'
import { type Caller, type Outlet, openServer } from '../rpc/server.ts'
import { verify } from './known.ts'
import { statuses } from './refusals.ts'
import { STALL_MS } from './writer.ts'

export interface GrpcNeeds {
  readonly clock: Clock
  readonly journal: Journal
  readonly feed: Feed
  readonly stories: Stories
  readonly beginnings: Beginnings
  readonly naming: Naming
  /** Called for what should never happen. */
  readonly onBug: (error: unknown) => void
}

export interface Grpc {
  /** Where it listens, as `127.0.0.1:50051`. */
  readonly address: string
  close(): Promise<void>
}

/** A request is a few numbers and words. */
const REQUEST_BYTES_MAX = 65_536
/** Facts in one message: some 50 KB. */
const MESSAGE_FACTS = 100
const BEAT_MS = 15_000
/** How long calls under way may take to hear that the house stops. */
const FAREWELL_MS = 1_000
/** A connection on which nothing moves is asked whether it is still there. */
const PROBE = { afterMs: 60_000, patienceMs: 20_000 }
/** On one connection; readers as such are counted with those of /quipu/events. */
const CALLS_MAX = 1_024

// ── what passes, as proto-loader reads it ────────────────────────────────────────────────────────────────────────

interface FilterMessage {
  readonly kinds: readonly string[]
  readonly types: readonly string[]
  readonly ids: readonly string[]
  readonly clients: readonly string[]
  readonly models: readonly string[]
  readonly nodes: readonly string[]
  readonly since?: number
  readonly until?: number
}

interface KnownMessage {
  readonly journal: string
  readonly seq: number
  readonly hash: string
}

interface Given {
  readonly filter: FilterMessage | null
  readonly known: KnownMessage | null
}

interface ReadRequest extends Given {
  readonly after: number
  readonly until?: number
}

interface SubscribeRequest extends Given {
  readonly begin?: 'after' | 'time'
  readonly after?: number
  readonly time?: number
}

/** Listens on HOST:PORT; config.ts has seen to it that HOST is this machine. Throws a Failure `house.address`. */
export async function openGrpc(needs: GrpcNeeds, where: string): Promise<Grpc> {
  const { journal, feed, beginnings, clock, onBug } = needs
  const head = async (): Promise<object> => {
    const { id, durable, head, writable } = journal
    return { journal: id, durable, seq: head.seq, hash: head.hash, writable }
  }

  /** Counts a reader in, tells, and says how it ended. */
  const streamed = <Request>(
    tell: (request: Request, out: Outlet, signal: AbortSignal) => Promise<void>,
  ): { tell: (request: Request, out: Outlet, signal: AbortSignal) => Promise<void> } => ({
    async tell(request, out, left) {
      const reader = feed.enter()
      const leave = (): void => reader.abort()
      left.addEventListener('abort', leave)
      try {
        await tell(request, out, reader.signal)
        if (out.cancelled) return
        if (reader.signal.aborted || journal.closed) throw STOPPED
      } finally {
        leave()
      }
    },
  })

  /** Resolves when there is room for a message; false where the reader is gone. */
  const room = (call: Outlet, signal: AbortSignal): Promise<boolean> => {
    if (signal.aborted) return Promise.resolve(false)
    if (!call.writableNeedDrain) return Promise.resolve(true)
    return new Promise((resolve, reject) => {
      const settle = (run: () => void): void => {
        timer.cancel()
        call.off('drain', drained)
        signal.removeEventListener('abort', gone)
        run()
      }
      const drained = (): void => settle(() => resolve(true))
      const gone = (): void => settle(() => resolve(false))
      const timer = clock.after(STALL_MS, () => settle(() => reject(SLOW)))
      call.once('drain', drained)
      signal.addEventListener('abort', gone)
    })
  }

  /** Facts in messages, the last of them with the mark, though it may be of a fact that is not wanted. */
  const put = async (
    call: Outlet,
    { facts, seq, signal }: { facts: readonly Entry[]; seq: number; signal: AbortSignal },
  ): Promise<boolean> => {
    for (let at = 0; at < facts.length; at += MESSAGE_FACTS) {
      if (!(await room(call, signal))) return false
      const some = facts.slice(at, at + MESSAGE_FACTS)
      const mark = at + MESSAGE_FACTS < facts.length ? some.at(-1)!.seq : seq
      call.write({ facts: some.map(messageOf), mark })
    }
    return true
  }

  const read = streamed<ReadRequest>(async (request, call, signal) => {
    const { after, until = journal.durable, filter, known } = request
    const wanted = wantedOf(filter, needs)
    await verify(journal, knownOf(known, 0))
    const done = await feed.turns.take(signal)
    try {
      let mark = after
      for await (const page of journal.read({ after, until })) {
        const facts: readonly Entry[] = wanted === undefined ? page : await wanted.of(page, signal)
        mark = page.at(-1)!.seq
        if (!(await put(call, { facts, seq: mark, signal }))) return
      }
      if (await room(call, signal)) call.write({ facts: [], mark })
    } finally {
      done()
    }
  })

  const subscribe = streamed<SubscribeRequest>(async (request, call, signal) => {
    const { begin, after = 0, time = 0, filter, known } = request
    const wanted = wantedOf(filter, needs)
    let mark = journal.durable
    if (begin === 'after') mark = after
    if (begin === 'time') mark = await beginnings.before(time, signal)
    await verify(journal, knownOf(known, mark))
    call.write({ facts: [], mark })
    const beat = (): void => {
      if (!call.writableNeedDrain) call.write({ facts: [], mark })
      timer = clock.after(BEAT_MS, beat)
    }
    let timer = clock.after(BEAT_MS, beat)
    try {
      for await (const { facts, seq } of feed.follow(mark, wanted, signal)) {
        if (!(await put(call, { facts, seq, signal }))) return
        mark = seq
      }
    } finally {
      timer.cancel()
    }
  })

  const server = await openServer({
    clock,
    where,
    onBug,
    statuses,
    credentials: plaintext.serving(),
    messageBytesMax: REQUEST_BYTES_MAX,
    callsMax: CALLS_MAX,
    probe: PROBE,
    turnAway: distrusted,
    offers: [
      { service: journalService, handlers: { Head: { answer: head }, Read: read, Subscribe: subscribe } },
    ],
  })
  return { address: server.address, close: () => server.close(FAREWELL_MS) }
}

function messageOf({ data, ...entry }: Entry): object {
  return { ...entry, data: JSON.stringify(data) }
}

function wantedOf(filter: FilterMessage | null, { naming, stories }: GrpcNeeds): Wanted | undefined {
  if (filter === null) return undefined
  const unknown = filter.kinds.find(kind => !(kind in entities))
  if (unknown !== undefined) {
    const known = Object.keys(entities).join(', ')
    throw new Refusal('request.invalid', `there is no kind "${unknown}"; known are ${known}`)
  }
  const { since, until } = filter
  const texts: Record<keyof Filter, string | undefined> = {
    kind: words(filter.kinds),
    type: words(filter.types),
    id: words(filter.ids),
    client: words(filter.clients),
    model: words(filter.models),
    node: words(filter.nodes),
    since: since === undefined ? undefined : iso(since),
    until: until === undefined ? undefined : iso(until),
  }
  return wantedBy(texts, stories, naming)
}

function words(list: readonly string[]): string | undefined {
  return list.length === 0 ? undefined : list.join(',')
}

function iso(at: number): string {
  const date = new Date(at)
  if (Number.isNaN(date.getTime())) throw new Refusal('request.invalid', `${at} is not a time`)
  return date.toISOString()
}

function knownOf(known: KnownMessage | null, mark: number): Parameters<typeof verify>[1] {
  const { journal = '', seq = 0, hash = '' } = known ?? {}
  return { mark, ...(journal !== '' && { id: journal }), ...(seq > 0 && { seen: { seq, hash } }) }
}

/** A proxy on this machine speaks for strangers, so what it passes on is not local. */
function distrusted(caller: Caller): Refusal | undefined {
  const passedOn = ['x-forwarded-for', 'forwarded', 'via'].some(name => caller.header(name) !== undefined)
  if (!passedOn) return undefined
  return new Refusal(
    'house.untrusted',
    'this came through a proxy, perhaps from a stranger; gRPC is for this machine',
  )
}

const SLOW = new Failure(
  'events.slow',
  `nothing was taken for ${STALL_MS / 1_000} s; begin after the last mark`,
  {
    retryable: true,
  },
)
const STOPPED = new Failure('house.stopped', 'the house is stopping; come back with the last mark', {
  retryable: true,
})
