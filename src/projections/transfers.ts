/** Which models are on their way to which nodes, and how did the last ones end? */
import { replicaParts } from '../../machines/replica.ts'
import type { TransferCause, TransferFact } from '../../machines/transfer.ts'
import { projection } from './projection.ts'

type Ordered = Extract<TransferFact, { type: 'transfer.ordered' }>['data']
type Abandoned = Extract<TransferFact, { type: 'transfer.abandoned' }>['data']

/** Times are milliseconds since the epoch. */
interface Known extends Pick<Ordered, 'sizeBytes' | 'digest' | 'lost' | 'renews'> {
  /** `model@node`. */
  readonly id: string
  readonly model: string
  readonly node: string
  readonly cause: TransferCause
  /** Who asked for it, or raised it last. */
  readonly by?: string
  readonly orderedAt: number
  /** Its place in line among those of the same cause: the number of the fact. */
  readonly seq: number
  /** The try that is next, is under way, or was the last: 1, 2, 3 … */
  readonly attempt: number
  /** Since when it is in this state. */
  readonly since: number
  /** What went wrong last. */
  readonly reason?: Abandoned['reason']
  readonly status?: number
}

export interface OpenTransfer extends Known {
  /** In line; under way; or resting after a try that failed. */
  readonly state: 'waiting' | 'running' | 'resting'
  /** When the state is over at the latest. */
  readonly until: number
  /** Of the try that is under way. */
  readonly command?: string
}

export interface EndedTransfer extends Known {
  readonly state: 'completed' | 'abandoned' | 'cancelled'
  /** Of the try that this was the end of; one that was called off may go on where nobody heard of it. */
  readonly command?: string
  /** How long the try took that brought it. */
  readonly ms?: number
  readonly why?: Extract<TransferFact, { type: 'transfer.cancelled' }>['data']['why']
}

interface Transfers {
  /** By `model@node`, in the order they were ordered. */
  readonly open: Map<string, OpenTransfer>
  /** Those that were given up and not ordered again since, by `model@node`, the last ones. */
  readonly abandoned: Map<string, EndedTransfer>
  /** The last that ended, oldest first. */
  readonly ended: EndedTransfer[]
  /** When policies ordered transfers and took copies away, by themselves; the last ones, oldest first. */
  readonly actions: number[]
}

export type TransfersProjection = ReturnType<typeof transfers>
export type TransfersState = TransfersProjection['state']

const ENDED_MAX = 200
const ABANDONED_MAX = 1_000
/** More than any window may hold; see src/registry/budget.ts. */
export const ACTIONS_MAX = 1_000

export const transfers = () =>
  projection({ open: new Map(), abandoned: new Map(), ended: [], actions: [] } as Transfers, {
    'transfer.ordered': (self, { id, at, seq, by, data: { candidates: _read, ...data } }) => {
      const who = by === undefined ? {} : { by }
      self.abandoned.delete(id)
      self.open.set(id, {
        ...replicaParts(id),
        ...data,
        ...who,
        id,
        seq,
        orderedAt: at,
        attempt: 1,
        since: at,
        state: 'waiting',
      })
      if (data.cause === 'policy') act(self, at)
    },
    'transfer.raised': ({ open }, { id, by, data: { cause } }) =>
      turn(open, id, { cause, ...(by !== undefined && { by }) }),
    'transfer.begun': ({ open }, { id, at, data }) =>
      turn(open, id, { state: 'running', since: at, ...data }),
    'transfer.failed': ({ open }, { id, at, data: { waitMs, ...trouble } }) => {
      const { command: _over, status: _past, ...known } = open.get(id)!
      open.set(id, { ...known, state: 'resting', since: at, until: at + waitMs, ...trouble })
    },
    'transfer.retried': ({ open }, { id, at, data }) =>
      turn(open, id, { state: 'waiting', since: at, ...data }),
    'transfer.completed': (self, { id, at, data }) =>
      end(self, id, { state: 'completed', since: at, ...data }),
    'transfer.abandoned': (self, { id, at, data }) => {
      const known = end(self, id, { state: 'abandoned', since: at, ...data })
      self.abandoned.set(id, known)
      if (self.abandoned.size > ABANDONED_MAX) self.abandoned.delete(self.abandoned.keys().next().value!)
    },
    'transfer.cancelled': (self, { id, at, data }) =>
      end(self, id, { state: 'cancelled', since: at, ...data }),
    'model.deleted': (self, { at, data: { cause } }) => {
      if (cause === 'policy') act(self, at)
    },
  })

/** In the order they are begun: what people asked for first, then as they were ordered. */
export function inLine({ open }: TransfersState): readonly OpenTransfer[] {
  return [...open.values()]
    .filter(({ state }) => state === 'waiting')
    .sort((a, b) => Number(b.cause === 'asked') - Number(a.cause === 'asked') || a.seq - b.seq)
}

function turn(open: Map<string, OpenTransfer>, id: string, change: Partial<OpenTransfer>): void {
  open.set(id, { ...open.get(id)!, ...change })
}

function end(self: Transfers, id: string, change: Pick<EndedTransfer, 'state' | 'since'>): EndedTransfer {
  const { until: _past, ...known } = self.open.get(id)!
  const ended = { ...known, ...change }
  self.open.delete(id)
  self.ended.push(ended)
  if (self.ended.length > ENDED_MAX) self.ended.shift()
  return ended
}

function act({ actions }: Transfers, at: number): void {
  actions.push(at)
  if (actions.length > ACTIONS_MAX) actions.shift()
}
