/**
 * A request is one promise to one client: an answer, or a reason why not.
 *
 *   new ──admitted──▶ queued ──assigned──▶ running ──begun──▶ answering ──completed──▶ completed
 *                      ▲  │                 │ │                  │
 *                      └──┼─────retried─────┘ │                  │
 *                         └─ failed, abandoned (from any of the three), expired (queued only) ──▶ over
 *
 * After `begun` the client has bytes of one node's answer, so nothing is retried any more.
 */
import { assign, type SnapshotFrom, setup } from 'xstate'
import { type Deadline, type Decide, entity, type Message } from './entity.ts'

/** One row of the table a node was chosen from: what the house knew of it at that moment. */
export type Candidate = {
  readonly node: string
  readonly resident: boolean
  /** Slots free for this model on that node. */
  readonly idle: number
  /** Milliseconds until it would have started there, as estimated; null where nothing is known. */
  readonly estimateMs: number | null
  /** Why it was out of the question. */
  readonly excluded?: string
}

/** What went over the wire to the client; `totalMs` since the request was admitted. */
type Delivered = { readonly bytes: number; readonly chunks: number; readonly totalMs: number }

/** The answer of one node; `runMs` since the request was assigned to it. */
type Answered = {
  readonly node: string
  readonly model: string
  readonly status: number
  readonly runMs: number
}

/** Figures the node itself gives in its last line. Milliseconds and tokens; absent where the dialect has none. */
export type Figures = {
  readonly promptTokens?: number
  readonly outputTokens?: number
  readonly loadMs?: number
  readonly promptMs?: number
  readonly outputMs?: number
  readonly doneReason?: string
}

export type RequestFact =
  | Message<
      'request.admitted',
      {
        readonly path: string
        /** Canonical name; see name.ts. */
        readonly model: string
        readonly client: string
        readonly priority: number
        readonly bodyBytes: number
        /** When it stops waiting, milliseconds since the epoch. */
        readonly expiresAt: number
        readonly attemptsMax: number
      }
    >
  | Message<
      'request.assigned',
      { readonly node: string; readonly attempt: number; readonly candidates: readonly Candidate[] }
    >
  | Message<'request.begun', { readonly node: string; readonly status: number; readonly ttftMs: number }>
  | Message<'request.retried', { readonly node: string; readonly reason: string; readonly status?: number }>
  | Message<'request.completed', Answered & Delivered & Figures>
  | Message<
      'request.failed',
      { readonly reason: string; readonly node?: string; readonly status?: number } & Delivered
    >
  | Message<'request.expired', { readonly waitedMs: number }>
  | Message<'request.abandoned', { readonly node?: string } & Delivered>

export type RequestCommand =
  | Message<'request.admit', Extract<RequestFact, { type: 'request.admitted' }>['data']>
  | Message<'request.assign', { readonly node: string; readonly candidates: readonly Candidate[] }>
  /** The first byte of the answer is here. */
  | Message<'request.begin', { readonly status: number }>
  | Message<'request.complete', { readonly bytes: number; readonly chunks: number } & Figures>
  | Message<
      'request.fail',
      {
        readonly reason: string
        /** Would another node, or the same one again, be worth a try? */
        readonly retryable: boolean
        readonly status?: number
        readonly bytes: number
        readonly chunks: number
      }
    >
  | Message<'request.expire', Record<string, never>>
  /** The client went away. */
  | Message<'request.abandon', { readonly bytes: number; readonly chunks: number }>

export interface RequestContext {
  readonly model: string
  readonly admittedAt: number
  readonly assignedAt: number
  readonly expiresAt: number
  readonly attemptsMax: number
  readonly attempts: number
  readonly node: string
  readonly status: number
}

const patience: Deadline<RequestContext, RequestCommand> = {
  at: ({ expiresAt }) => expiresAt,
  issue: 'request.expire',
}

const machine = setup({ types: { context: {} as RequestContext, events: {} as RequestFact } }).createMachine({
  id: 'request',
  context: {
    model: '',
    admittedAt: 0,
    assignedAt: 0,
    expiresAt: 0,
    attemptsMax: 1,
    attempts: 0,
    node: '',
    status: 0,
  },
  initial: 'new',
  states: {
    new: {
      on: {
        'request.admitted': {
          target: 'queued',
          actions: assign(({ event: { at, data } }) => ({
            admittedAt: at,
            model: data.model,
            expiresAt: data.expiresAt,
            attemptsMax: data.attemptsMax,
          })),
        },
      },
    },
    queued: {
      meta: { deadline: patience },
      on: {
        'request.assigned': {
          target: 'running',
          actions: assign(({ event: { at, data } }) => ({
            node: data.node,
            attempts: data.attempt,
            assignedAt: at,
          })),
        },
        'request.expired': 'expired',
        'request.failed': 'failed',
        'request.abandoned': 'abandoned',
      },
    },
    running: {
      on: {
        'request.begun': {
          target: 'answering',
          actions: assign({ status: ({ event }) => event.data.status }),
        },
        'request.retried': 'queued',
        'request.failed': 'failed',
        'request.abandoned': 'abandoned',
      },
    },
    answering: {
      on: {
        'request.completed': 'completed',
        'request.failed': 'failed',
        'request.abandoned': 'abandoned',
      },
    },
    completed: { type: 'final' },
    failed: { type: 'final' },
    expired: { type: 'final' },
    abandoned: { type: 'final' },
  },
})

type State = SnapshotFrom<typeof machine>

const decide: Decide<State, RequestCommand, RequestFact> = {
  'request.admit': (_request, { data }) => [{ type: 'request.admitted', data }],
  'request.assign': ({ context }, { data: { node, candidates } }) => [
    { type: 'request.assigned', data: { node, attempt: context.attempts + 1, candidates } },
  ],
  'request.begin': ({ context }, { at, data: { status } }) => [
    { type: 'request.begun', data: { node: context.node, status, ttftMs: at - context.admittedAt } },
  ],
  'request.complete': ({ context: { node, model, status, admittedAt, assignedAt } }, { at, data }) => [
    {
      type: 'request.completed',
      data: { node, model, status, totalMs: at - admittedAt, runMs: at - assignedAt, ...data },
    },
  ],
  'request.fail': (request, { at, data: { reason, retryable, status, bytes, chunks } }) => {
    const { node, attempts, attemptsMax, admittedAt, expiresAt } = request.context
    const answer = status === undefined ? {} : { status }
    if (retryable && request.matches('running') && attempts < attemptsMax && at < expiresAt) {
      return [{ type: 'request.retried', data: { node, reason, ...answer } }]
    }
    const where = node === '' ? {} : { node }
    const totalMs = at - admittedAt
    return [{ type: 'request.failed', data: { reason, ...where, ...answer, bytes, chunks, totalMs } }]
  },
  'request.expire': ({ context }, { at }) => [
    { type: 'request.expired', data: { waitedMs: at - context.admittedAt } },
  ],
  'request.abandon': (request, { at, data }) => {
    const { node, admittedAt } = request.context
    const where = request.matches('queued') ? {} : { node }
    return [{ type: 'request.abandoned', data: { ...where, ...data, totalMs: at - admittedAt } }]
  },
}

export const request = entity({ kind: 'request', machine, decide })
