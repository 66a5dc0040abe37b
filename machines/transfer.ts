/**
 * A transfer brings one model to one node. Its id is the replica's, `model@node`.
 *
 *   none ──ordered──▶ waiting ──begun──▶ running
 *                        ▲                  │
 *                retried │                  │ failed
 *                        └──── resting ◀────┘            until the wait is over, or somebody asks for it
 *
 *   from all three: raised, and stays; completed, cancelled ──▶ none; abandoned ──▶ abandoned ──ordered──▶ waiting
 *
 * It is completed where it waits, too: somebody else may have brought the model meanwhile.
 *
 * A pull that broke goes on where it broke: Ollama keeps the blobs it has, and parts of others. So a try costs little, and
 * there are several. Where a copy is one too many, that is no transfer: `model.deleted` says so.
 */
import { assign, type SnapshotFrom, setup } from 'xstate'
import { type Conclusion, type Deadline, type Decide, entity, type Message } from './entity.ts'

/**
 * Who wants it: people, by name; a policy's number of copies, by itself; people who had that made true at once; people who
 * took up a proposal.
 */
export type TransferCause = 'asked' | 'policy' | 'sync' | 'optimize'

/** A node it could have gone to, as it looked then. What was not known is null. */
export type Destination = {
  readonly node: string
  /** On the volume that the models are on, less what is to be kept free and what is on its way there. */
  readonly freeBytes: number | null
  /** In which memory it would fit whole. */
  readonly fit: 'gpu' | 'memory' | null
  /** Requests that ran there, for each of its slots. */
  readonly load: number
  /** Of all requests for the model lately, how many came from where this node is; 0 to 1. */
  readonly demand: number
  readonly preferred?: true
  /** Why it was out of the question. */
  readonly excluded?: string
}

/**
 * What went wrong with a try. `unknown`: Ollama's registry has no such model; `full`: no room on that disk; `upstream`: the
 * registry could not be reached, or broke off; `away`: the node could not; `stalled`: nothing came any more; `digest`:
 * what came is not what was ordered; `answer`: the node answered with an error. Words of the node are not kept: they
 * may quote addresses with signatures in them.
 */
export type TransferTrouble = 'unknown' | 'full' | 'upstream' | 'away' | 'stalled' | 'digest' | 'answer'

export type TransferFact =
  | Message<
      'transfer.ordered',
      {
        readonly cause: TransferCause
        /** When it is given up if nobody has begun it, milliseconds since the epoch. */
        readonly until: number
        readonly sizeBytes?: number
        /** Of the manifest, hexadecimal: what it should turn out to be. */
        readonly digest?: string
        /** Nodes that have it, and count as gone: it is brought here in their place. */
        readonly lost?: readonly string[]
        /** It is there already, and brought up to date. */
        readonly renews?: true
        /** What it was chosen from, where the house chose. */
        readonly candidates?: readonly Destination[]
      }
    >
  /** Somebody asked for what was under way for another reason: it goes before what only policies want. */
  | Message<'transfer.raised', { readonly cause: TransferCause }>
  /** `command` names the try, to the node's agent, too; given up at `until` if it is still under way. */
  | Message<'transfer.begun', { readonly command: string; readonly attempt: number; readonly until: number }>
  /** `ms` is 0 where somebody else had brought it. */
  | Message<
      'transfer.completed',
      { readonly ms: number; readonly sizeBytes?: number; readonly digest?: string }
    >
  | Message<
      'transfer.failed',
      {
        readonly attempt: number
        readonly reason: TransferTrouble
        readonly status?: number
        readonly waitMs: number
      }
    >
  | Message<'transfer.retried', { readonly attempt: number; readonly until: number }>
  | Message<
      'transfer.abandoned',
      {
        /** How often it was tried. */
        readonly attempt: number
        /** `waited`, `long`: it was not begun, or not done, in time. */
        readonly reason: TransferTrouble | 'waited' | 'long'
        readonly status?: number
      }
    >
  /** Somebody asked; nobody wants it any more; or its node is none any more. */
  | Message<'transfer.cancelled', { readonly why: 'asked' | 'policy' | 'gone' }>

export type TransferCommand =
  | Message<
      'transfer.order',
      {
        readonly cause: TransferCause
        readonly sizeBytes?: number
        readonly digest?: string
        readonly lost?: readonly string[]
        readonly renews?: true
        readonly candidates?: readonly Destination[]
      }
    >
  | Message<'transfer.begin', { readonly command: string }>
  /** Without a command: it is there, whoever brought it. */
  | Message<
      'transfer.complete',
      {
        readonly command?: string
        readonly ms: number
        readonly sizeBytes?: number
        readonly digest?: string
      }
    >
  /** `chance` in [0, 1) decides the jitter. */
  | Message<
      'transfer.fail',
      {
        readonly command: string
        readonly reason: TransferTrouble
        readonly status?: number
        /** Might the same try go well later? */
        readonly retryable: boolean
        readonly chance: number
      }
    >
  | Message<'transfer.retry', Record<string, never>>
  | Message<'transfer.expire', Record<string, never>>
  | Message<'transfer.cancel', { readonly why: 'asked' | 'policy' | 'gone' }>

export interface TransferContext {
  readonly cause: TransferCause
  /** The try that is next, is under way, or was the last: 1, 2, 3 … */
  readonly attempt: number
  /** Of the try that is under way. */
  readonly command: string
  /** When the state is over, milliseconds since the epoch. */
  readonly until: number
}

export const ATTEMPTS_MAX = 5
/** Full jitter over an exponential wait, as with deliveries; the four between five tries come to 15 minutes at most. */
const REST_MIN_MS = 30_000
const REST_FLOOR_MS = 1_000
/** A node that is full or down for a day is a matter for people. */
const WAIT_MAX_MS = 86_400_000
/** 400 GB at 40 Mbit/s. */
const RUN_MAX_MS = 86_400_000

const over: Deadline<TransferContext, TransferCommand> = {
  at: ({ until }) => until,
  issue: 'transfer.expire',
}
const again: Deadline<TransferContext, TransferCommand> = {
  at: ({ until }) => until,
  issue: 'transfer.retry',
}

const charts = setup({ types: { context: {} as TransferContext, events: {} as TransferFact } })
const ordered = charts.assign(({ event: { data } }) =>
  'cause' in data && 'until' in data ? { cause: data.cause, until: data.until, attempt: 1, command: '' } : {},
)

const machine = charts.createMachine({
  id: 'transfer',
  context: { cause: 'asked', attempt: 0, command: '', until: 0 },
  initial: 'none',
  states: {
    none: { on: { 'transfer.ordered': { target: 'open', actions: ordered } } },
    open: {
      initial: 'waiting',
      on: {
        'transfer.raised': { actions: assign({ cause: ({ event }) => event.data.cause }) },
        'transfer.completed': 'none',
        'transfer.cancelled': 'none',
        'transfer.abandoned': 'abandoned',
      },
      states: {
        waiting: {
          description: 'in line',
          meta: { deadline: over },
          on: {
            'transfer.begun': {
              target: 'running',
              actions: assign(({ event: { data } }) => ({ command: data.command, until: data.until })),
            },
          },
        },
        running: {
          meta: { deadline: over },
          on: {
            'transfer.failed': {
              target: 'resting',
              actions: assign(({ event: { at, data } }) => ({ until: at + data.waitMs })),
            },
          },
        },
        resting: {
          meta: { deadline: again },
          on: {
            'transfer.retried': {
              target: 'waiting',
              actions: assign(({ event: { data } }) => ({ attempt: data.attempt, until: data.until })),
            },
          },
        },
      },
    },
    abandoned: {
      description: 'what policies want of it rests for a while',
      on: { 'transfer.ordered': { target: 'open', actions: ordered } },
    },
  },
})

type State = SnapshotFrom<typeof machine>

const decide: Decide<State, TransferCommand, TransferFact> = {
  'transfer.order': (transfer, { at, data }) => {
    if (!transfer.matches('open'))
      return [{ type: 'transfer.ordered', data: { ...data, until: at + WAIT_MAX_MS } }]
    const { cause } = transfer.context
    // People are heard; a policy has nothing to add to what is under way.
    if (data.cause === 'policy') return []
    const raised = { type: 'transfer.raised', data: { cause: data.cause } } as const
    return [
      ...(RANK[data.cause] > RANK[cause] ? [raised] : []),
      ...(transfer.matches({ open: 'resting' }) ? [retried(transfer, at)] : []),
    ]
  },
  'transfer.begin': ({ context: { attempt } }, { at, data: { command } }) => [
    { type: 'transfer.begun', data: { command, attempt, until: at + RUN_MAX_MS } },
  ],
  'transfer.complete': (transfer, { data: { command, ...data } }) =>
    (command === undefined ? transfer.matches('open') : current(transfer, command))
      ? [{ type: 'transfer.completed', data }]
      : [],
  'transfer.fail': (transfer, { data: { command, reason, status, retryable, chance } }) => {
    if (!current(transfer, command)) return []
    const { attempt } = transfer.context
    const trouble = { attempt, reason, ...(status !== undefined && { status }) }
    if (!retryable || attempt >= ATTEMPTS_MAX) return [{ type: 'transfer.abandoned', data: trouble }]
    const waitMs = Math.max(REST_FLOOR_MS, Math.round(chance * REST_MIN_MS * 2 ** attempt))
    return [{ type: 'transfer.failed', data: { ...trouble, waitMs } }]
  },
  'transfer.retry': (transfer, { at }) => [retried(transfer, at)],
  'transfer.expire': transfer => {
    const { attempt } = transfer.context
    const running = transfer.matches({ open: 'running' })
    return [
      {
        type: 'transfer.abandoned',
        data: { attempt: running ? attempt : attempt - 1, reason: running ? 'long' : 'waited' },
      },
    ]
  },
  'transfer.cancel': (transfer, { data }) =>
    transfer.matches('open') ? [{ type: 'transfer.cancelled', data }] : [],
}

/** What goes before what. */
const RANK: Readonly<Record<TransferCause, number>> = { policy: 0, optimize: 1, sync: 2, asked: 3 }

/** News of a try that is over, or was called off, comes too late to mean anything. */
function current(transfer: State, command: string): boolean {
  return transfer.matches({ open: 'running' }) && transfer.context.command === command
}

function retried({ context: { attempt } }: State, at: number): Conclusion<TransferFact> {
  return { type: 'transfer.retried', data: { attempt: attempt + 1, until: at + WAIT_MAX_MS } }
}

export const transfer = entity({ kind: 'transfer', machine, decide })
