/** Which requests are open, which were over within the last day, and where did they run? */
import { projection } from './projection.ts'

export type RecentState =
  | 'queued'
  | 'running'
  | 'leased'
  | 'completed'
  | 'failed'
  | 'expired'
  | 'abandoned'
  | 'cancelled'

/** Times are milliseconds since the epoch; 0 for not yet. */
export interface RecentRequest {
  readonly id: string
  readonly model: string
  readonly priority: number
  readonly createdAt: number
  state: RecentState
  /** When somebody was given it, the last time. */
  startedAt: number
  /** When it was over, however it ended. */
  endedAt: number
  /** Who: a node's address, as it was then; or the name of a worker from outside. Empty while it waits. */
  server: string
  /** The request whose call to the node it shares; empty where it ran alone. */
  batch: string
}

interface Recents {
  readonly open: Map<string, RecentRequest>
  /** In the order they ended, the first first; what stands before `from` is no longer of the last day. */
  readonly over: RecentRequest[]
  from: number
  /** Addresses of nodes by name. */
  readonly addresses: Map<string, string>
}

export type Recent = ReturnType<typeof recent>

const OVER_MAX = 10_000
const OVER_MS = 86_400_000
/** What is out is dropped by so many at once: to take the first out of a long list costs as much as to take them all. */
const DROPPED_AT_ONCE = 1_000

export const recent = () =>
  projection({ open: new Map(), over: [], from: 0, addresses: new Map() } as Recents, {
    'node.registered': ({ addresses }, { id, data: { url } }) => void addresses.set(id, url),
    'node.removed': ({ addresses }, { id }) => void addresses.delete(id),
    'request.admitted': ({ open }, { id, at, data: { model, priority } }) => {
      const waits = { state: 'queued', startedAt: 0, endedAt: 0, server: '', batch: '' } as const
      open.set(id, { id, model, priority, createdAt: at, ...waits })
    },
    'request.assigned': ({ open, addresses }, { id, at, data }) => {
      const server = addresses.get(data.node) ?? data.node
      Object.assign(open.get(id)!, { state: 'running', startedAt: at, server, batch: data.batch ?? '' })
    },
    'request.leased': ({ open }, { id, at, data: { worker } }) => {
      Object.assign(open.get(id)!, { state: 'leased', startedAt: at, server: worker, batch: '' })
    },
    'request.retried': ({ open }, { id }) => {
      Object.assign(open.get(id)!, { state: 'queued', startedAt: 0, server: '', batch: '' })
    },
    'request.completed': (self, fact) => end(self, fact, 'completed'),
    'request.failed': (self, fact) => end(self, fact, 'failed'),
    'request.expired': (self, fact) => end(self, fact, 'expired'),
    'request.abandoned': (self, fact) => end(self, fact, 'abandoned'),
    'request.cancelled': (self, fact) => end(self, fact, 'cancelled'),
  })

/** Those that were over within a day of `now`, the first first; facts drop the others, and where none come, time does. */
export function overSince({ over, from }: Recents, now: number): readonly RecentRequest[] {
  return over.slice(from).filter(({ endedAt }) => endedAt > now - OVER_MS)
}

function end(
  self: Recents,
  { id, at }: { readonly id: string; readonly at: number },
  state: RecentState,
): void {
  const { open, over } = self
  const request = open.get(id)!
  open.delete(id)
  request.state = state
  request.endedAt = at
  over.push(request)
  while (over.length - self.from > OVER_MAX || over[self.from]!.endedAt <= at - OVER_MS) self.from += 1
  if (self.from < DROPPED_AT_ONCE) return
  over.splice(0, self.from)
  self.from = 0
}
