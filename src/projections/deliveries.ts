/** Who is to be called when a job is over, what will be said, and how far is that? */
import type { Report } from '../../machines/delivery.ts'
import { projection } from './projection.ts'

export interface Delivery {
  readonly id: string
  /**
   * `awaited`: the job is not over. `unordered`: it is, and nobody has said so yet. `due`: a try is under way or about to
   * be. `waiting`: until the next one. The last two are the end of it.
   */
  readonly state: 'awaited' | 'unordered' | 'due' | 'waiting' | 'delivered' | 'abandoned'
  /** The try that is due, or was the last: 1, 2, 3 …; 0 before the first. */
  readonly attempt: number
  /** Since when it is in this state, milliseconds since the epoch. */
  readonly since: number
  /** While it waits: when the next try is due, milliseconds since the epoch. */
  readonly until?: number
  /** What went wrong last. */
  readonly reason?: string
  readonly status?: number
  /** What is said, and when the job was over, milliseconds since the epoch. */
  readonly report?: Report
  readonly endedAt?: number
  /** The job is not kept any more. */
  readonly erased?: true
}

interface Calls {
  /** Not settled yet. */
  readonly open: Map<string, Delivery>
  /** Settled, and their jobs are kept. */
  readonly settled: Map<string, Delivery>
}

export type Deliveries = ReturnType<typeof deliveries>

export const deliveries = () =>
  projection({ open: new Map(), settled: new Map() } as Calls, {
    'request.admitted': ({ open }, { id, at, data: { callback } }) => {
      if (callback) open.set(id, { id, state: 'awaited', attempt: 0, since: at })
    },
    'request.completed': (self, { id, at, data: { status, bytes, digest } }) =>
      end(self, id, at, { state: 'completed', status, bytes, ...(digest === undefined ? {} : { digest }) }),
    'request.failed': (self, { id, at, data: { reason, status } }) =>
      end(self, id, at, { state: 'failed', reason, ...(status === undefined ? {} : { status }) }),
    'request.expired': (self, { id, at }) => end(self, id, at, { state: 'expired' }),
    'request.abandoned': (self, { id, at }) => end(self, id, at, { state: 'abandoned' }),
    'request.cancelled': (self, { id, at }) => end(self, id, at, { state: 'cancelled' }),
    'delivery.ordered': (self, { id, at, data: report }) =>
      turn(self, id, { state: 'due', attempt: 1, since: at, report }),
    'delivery.failed': (self, { id, at, data: { waitMs, ...trouble } }) =>
      turn(self, id, { state: 'waiting', since: at, until: at + waitMs, ...trouble }),
    'delivery.retried': (self, { id, at, data: { attempt } }) =>
      turn(self, id, { state: 'due', attempt, since: at }),
    'delivery.delivered': (self, { id, at, data }) =>
      settle(self, id, { state: 'delivered', since: at, ...data }),
    'delivery.abandoned': (self, { id, at, data }) =>
      settle(self, id, { state: 'abandoned', since: at, ...data }),
    'spool.erased': ({ open, settled }, { id }) => {
      settled.delete(id)
      const call = open.get(id)
      if (call !== undefined) open.set(id, { ...call, erased: true })
    },
  })

function end(self: Calls, id: string, at: number, report: Report): void {
  if (self.open.has(id)) turn(self, id, { state: 'unordered', since: at, report, endedAt: at })
}

function turn({ open }: Calls, id: string, change: Partial<Delivery>): void {
  const { until: _past, ...known } = open.get(id)!
  open.set(id, { ...known, ...change })
}

function settle(self: Calls, id: string, change: Partial<Delivery>): void {
  const { reason: _past, ...known } = self.open.get(id)!
  self.open.delete(id)
  if (!known.erased) self.settled.set(id, { ...known, ...change })
}
