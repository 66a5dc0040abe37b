/**
 * A delivery is one promise to call somebody when a job is over. Its id is the job's.
 *
 *   new ──ordered──▶ due ──delivered──▶ delivered
 *                    │ ▲
 *             failed │ │ retried          when the wait is over, and not for ever
 *                    ▼ │
 *                   waiting
 *
 *   from due: abandoned
 *
 * What is said is written down when the job ends, so that each try says the same, also after a restart. Where it is said
 * to, and the secret it is signed with, are in the spool.
 */
import { assign, type SnapshotFrom, setup } from 'xstate'
import { type Deadline, type Decide, entity, type Message } from './entity.ts'

/** How the job ended. */
export type Report = {
  readonly state: 'completed' | 'failed' | 'expired' | 'abandoned' | 'cancelled'
  /** Of the answer. */
  readonly status?: number
  readonly bytes?: number
  /** SHA-256, hexadecimal. */
  readonly digest?: string
  /** Why there is none. */
  readonly reason?: string
}

/** What went wrong with one try: a short word, and the status where there was one. */
type Trouble = { readonly attempt: number; readonly reason: string; readonly status?: number }

export type DeliveryFact =
  | Message<'delivery.ordered', Report>
  | Message<'delivery.failed', Trouble & { readonly waitMs: number }>
  | Message<'delivery.retried', { readonly attempt: number }>
  | Message<'delivery.delivered', { readonly attempt: number; readonly status: number }>
  | Message<'delivery.abandoned', Trouble>

export type DeliveryCommand =
  | Message<'delivery.order', Report>
  /** `chance` in [0, 1) decides the jitter. */
  | Message<
      'delivery.fail',
      {
        readonly reason: string
        /** Might the same try go well later? */
        readonly retryable: boolean
        readonly status?: number
        readonly chance: number
      }
    >
  | Message<'delivery.retry', Record<string, never>>
  | Message<'delivery.deliver', { readonly status: number }>

export interface DeliveryContext {
  /** The try that is due, or was the last: 1, 2, 3 … */
  readonly attempt: number
  /** When the next one is due, milliseconds since the epoch. */
  readonly until: number
}

export const ATTEMPTS_MAX = 8
/**
 * Full jitter over an exponential wait: random(0, WAIT_MIN · 2^attempt), never below the floor. The seven waits between
 * eight tries come to 63 minutes on average, and to 127 at most.
 */
const WAIT_MIN_MS = 30_000
const WAIT_FLOOR_MS = 1_000

const again: Deadline<DeliveryContext, DeliveryCommand> = {
  at: ({ until }) => until,
  issue: 'delivery.retry',
}

const machine = setup({
  types: { context: {} as DeliveryContext, events: {} as DeliveryFact },
}).createMachine({
  id: 'delivery',
  context: { attempt: 0, until: 0 },
  initial: 'new',
  states: {
    new: { on: { 'delivery.ordered': { target: 'due', actions: assign({ attempt: 1 }) } } },
    due: {
      description: 'a try is under way, or is about to be',
      on: {
        'delivery.failed': {
          target: 'waiting',
          actions: assign({ until: ({ event: { at, data } }) => at + data.waitMs }),
        },
        'delivery.delivered': 'delivered',
        'delivery.abandoned': 'abandoned',
      },
    },
    waiting: {
      meta: { deadline: again },
      on: {
        'delivery.retried': {
          target: 'due',
          actions: assign({ attempt: ({ event }) => event.data.attempt }),
        },
      },
    },
    delivered: { type: 'final' },
    abandoned: { type: 'final' },
  },
})

const decide: Decide<SnapshotFrom<typeof machine>, DeliveryCommand, DeliveryFact> = {
  'delivery.order': (_delivery, { data }) => [{ type: 'delivery.ordered', data }],
  'delivery.fail': ({ context: { attempt } }, { data: { reason, retryable, status, chance } }) => {
    const trouble = { attempt, reason, ...(status === undefined ? {} : { status }) }
    if (!retryable || attempt >= ATTEMPTS_MAX) return [{ type: 'delivery.abandoned', data: trouble }]
    const waitMs = Math.max(WAIT_FLOOR_MS, Math.round(chance * WAIT_MIN_MS * 2 ** attempt))
    return [{ type: 'delivery.failed', data: { ...trouble, waitMs } }]
  },
  'delivery.retry': ({ context: { attempt } }) => [
    { type: 'delivery.retried', data: { attempt: attempt + 1 } },
  ],
  'delivery.deliver': ({ context: { attempt } }, { data: { status } }) => [
    { type: 'delivery.delivered', data: { attempt, status } },
  ],
}

export const delivery = entity({ kind: 'delivery', machine, decide })
