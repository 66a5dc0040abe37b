/**
 * A request is one promise to one client: an answer, or a reason why not.
 *
 *   new ──admitted──▶ queued ──assigned──▶ running ──begun──▶ answering ──completed──▶ completed
 *                     │ ▲ ▲                   │                  │
 *                     │ │ └──────retried──────┴────(a job)───────┘
 *                     │ └─retried──┐
 *                     └──leased──▶ leased ──completed──▶ completed
 *
 *   from any of the four: failed, abandoned, cancelled; from queued: expired
 *
 * Bytes that a client has seen cannot be taken back: after `begun` nothing is retried any more. A job is a request that
 * outlives its client: its answer goes to the spool, so it may be begun again until it has ended. Instead of a node, a
 * worker from outside may take a queued request on a lease.
 *
 * `attempt` counts who was given the work, and is the fence: an answer that comes with an older one is `late`, a fact
 * of its own that changes nothing.
 */
import { assign, type SnapshotFrom, setup } from 'xstate'
import { type Conclusion, type Deadline, type Decide, entity, type Message, Refusal } from './entity.ts'

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
  /** What told against it, though it was not out of the question. */
  readonly against?: string
  /** The head of this conversation was answered there before. */
  readonly affine?: true
}

/** What somebody waits at the screen for, and what may wait for that. */
export type RequestClass = 'interactive' | 'batch'

/** What went over the wire to the client; `totalMs` since the request was admitted. */
type Delivered = { readonly bytes: number; readonly chunks: number; readonly totalMs: number }

/** The answer of one node; `runMs` since the request was assigned to it. */
type Answered = {
  readonly node: string
  readonly model: string
  readonly status: number
  readonly runMs: number
}

/** It was with a worker from outside, so that `node` is the worker's name: no node is the better or the worse for it. */
type Outside = { readonly leased?: true }

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
        /** `interactive` where it is left out. */
        readonly class?: RequestClass
        /** An answer is of no use after this, milliseconds since the epoch. */
        readonly deadlineAt?: number
        /** How the model has to be loaded for it, as in `num_ctx=8192`; see variant.ts. */
        readonly variant?: string
        /** Only nodes with these labels will do. */
        readonly labels?: { readonly [name: string]: string }
        /** What it was expected to cost. */
        readonly estimate?: {
          readonly promptTokens: number
          readonly outputTokens: number
          /** How long it was thought to wait for its turn. */
          readonly waitMs?: number
        }
        /** It outlives its client; its body and its answer are in the spool. */
        readonly job?: true
        /** Keyed digests, hexadecimal, of the client's Idempotency-Key and of the body it came with. */
        readonly key?: string
        readonly bodyDigest?: string
        /** Somebody wants to be called when it is over. */
        readonly callback?: true
      }
    >
  | Message<
      'request.assigned',
      {
        readonly node: string
        readonly attempt: number
        readonly candidates: readonly Candidate[]
        /** It shares one call to the node with others; the id of the request that leads them. */
        readonly batch?: string
      }
    >
  /** A worker from outside has taken it, until then (milliseconds since the epoch). */
  | Message<'request.leased', { readonly worker: string; readonly attempt: number; readonly until: number }>
  | Message<'request.extended', { readonly until: number }>
  | Message<
      'request.begun',
      {
        readonly node: string
        readonly status: number
        readonly ttftMs: number
        /** For how long of that the first of the answer was held back. */
        readonly heldMs?: number
      }
    >
  | Message<
      'request.retried',
      { readonly node: string; readonly reason: string; readonly status?: number } & Outside
    >
  | Message<'request.completed', Answered & Delivered & Figures & Outside & { readonly digest?: string }>
  | Message<
      'request.failed',
      {
        readonly reason: string
        readonly node?: string
        readonly status?: number
        /** Why no other attempt followed, though one was left. */
        readonly unretried?: 'budget'
        /** Where what the node said last is kept all the same. */
        readonly digest?: string
      } & Outside &
        Delivered
    >
  | Message<'request.expired', { readonly waitedMs: number }>
  | Message<'request.abandoned', { readonly node?: string } & Delivered>
  /** Somebody called it off. */
  | Message<'request.cancelled', { readonly node?: string; readonly totalMs: number }>
  /** An answer of an attempt that no longer counts. */
  | Message<'request.late', { readonly attempt: number; readonly node: string; readonly bytes: number }>

export type RequestCommand =
  | Message<'request.admit', Extract<RequestFact, { type: 'request.admitted' }>['data']>
  | Message<
      'request.assign',
      { readonly node: string; readonly candidates: readonly Candidate[]; readonly batch?: string }
    >
  | Message<'request.lease', { readonly worker: string; readonly until: number }>
  /** The worker needs longer. Refused when the lease is no longer its own. */
  | Message<'request.extend', { readonly attempt: number; readonly until: number }>
  /** A lease has run out. */
  | Message<'request.lapse', Record<string, never>>
  /** The house was started anew while a job ran. */
  | Message<'request.restart', Record<string, never>>
  /** The first byte of the answer is here. */
  | Message<'request.begin', { readonly status: number; readonly heldMs?: number }>
  | Message<
      'request.complete',
      {
        readonly bytes: number
        readonly chunks: number
        /** Of the answer in the spool: SHA-256, hexadecimal. */
        readonly digest?: string
        /** From a worker: which lease, who says so, and the status of the answer. */
        readonly attempt?: number
        readonly worker?: string
        readonly status?: number
      } & Figures
    >
  | Message<
      'request.fail',
      {
        readonly reason: string
        /** Would another node, or the same one again, be worth a try? */
        readonly retryable: boolean
        /** Have all requests together been retried as often as they may? */
        readonly spent?: boolean
        readonly status?: number
        readonly bytes: number
        readonly chunks: number
        /** Of what came in the spool: SHA-256, hexadecimal. */
        readonly digest?: string
        readonly attempt?: number
        readonly worker?: string
      }
    >
  /** Its answer comes far too slowly, the client has seen none of it, and another node is idle. */
  | Message<'request.move', Record<string, never>>
  | Message<'request.expire', Record<string, never>>
  /** The client went away. */
  | Message<'request.abandon', { readonly bytes: number; readonly chunks: number }>
  | Message<'request.cancel', Record<string, never>>

export interface RequestContext {
  readonly model: string
  readonly admittedAt: number
  readonly assignedAt: number
  readonly expiresAt: number
  readonly attemptsMax: number
  readonly job: boolean
  /** How often somebody was given the work: the fence. */
  readonly attempts: number
  /** Of these, how many failed; how many of them took a node with them; how many the house itself cut short. */
  readonly failures: number
  readonly deaths: number
  readonly restarts: number
  /** Where it runs, or ran last: a node, or the worker who holds the lease. */
  readonly node: string
  /** When the lease runs out, milliseconds since the epoch. */
  readonly until: number
  readonly status: number
}

/** A job that took this many nodes with it is not given another. */
const DEATHS_MAX = 2
/** What a node that died says, in the words of request.retried. A refused connection is a node that was dead before. */
const DEATHS: ReadonlySet<string> = new Set(['lost', 'wedged', 'broken'])
/** A job that was under way each of so many times when the house went down is not begun again. */
const RESTARTS_MAX = 10

const patience: Deadline<RequestContext, RequestCommand> = {
  at: ({ expiresAt }) => expiresAt,
  issue: 'request.expire',
}

const lease: Deadline<RequestContext, RequestCommand> = {
  at: ({ until }) => until,
  issue: 'request.lapse',
}

const machine = setup({ types: { context: {} as RequestContext, events: {} as RequestFact } }).createMachine({
  id: 'request',
  context: {
    model: '',
    admittedAt: 0,
    assignedAt: 0,
    expiresAt: 0,
    attemptsMax: 1,
    job: false,
    attempts: 0,
    failures: 0,
    deaths: 0,
    restarts: 0,
    node: '',
    until: 0,
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
            job: data.job === true,
          })),
        },
        'request.late': 'forgotten', // what has ended is forgotten, and so looks as if new
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
        'request.leased': {
          target: 'leased',
          actions: assign(({ event: { at, data } }) => ({
            node: data.worker,
            attempts: data.attempt,
            assignedAt: at,
            until: data.until,
          })),
        },
        'request.late': { target: 'queued', actions: assign({}) },
        'request.expired': 'expired',
        'request.failed': 'failed',
        'request.abandoned': 'abandoned',
        'request.cancelled': 'cancelled',
      },
    },
    running: {
      on: {
        'request.begun': {
          target: 'answering',
          actions: assign({ status: ({ event }) => event.data.status }),
        },
        'request.retried': { target: 'queued', actions: assign(again) },
        'request.late': { target: 'running', actions: assign({}) },
        'request.failed': 'failed',
        'request.abandoned': 'abandoned',
        'request.cancelled': 'cancelled',
      },
    },
    answering: {
      on: {
        'request.completed': 'completed',
        'request.retried': { target: 'queued', actions: assign(again) },
        'request.late': { target: 'answering', actions: assign({}) },
        'request.failed': 'failed',
        'request.abandoned': 'abandoned',
        'request.cancelled': 'cancelled',
      },
    },
    leased: {
      description: 'a worker from outside has it',
      meta: { deadline: lease },
      on: {
        'request.extended': { target: 'leased', actions: assign({ until: ({ event }) => event.data.until }) },
        'request.completed': 'completed',
        'request.retried': { target: 'queued', actions: assign(again) },
        'request.late': { target: 'leased', actions: assign({}) },
        'request.failed': 'failed',
        'request.abandoned': 'abandoned',
        'request.cancelled': 'cancelled',
      },
    },
    completed: { type: 'final' },
    failed: { type: 'final' },
    expired: { type: 'final' },
    abandoned: { type: 'final' },
    cancelled: { type: 'final' },
    forgotten: { type: 'final' },
  },
})

type State = SnapshotFrom<typeof machine>

const decide: Decide<State, RequestCommand, RequestFact> = {
  'request.admit': (_request, { data }) => [{ type: 'request.admitted', data }],
  'request.assign': ({ context }, { data: { node, candidates, batch } }) => {
    const shared = batch === undefined ? {} : { batch }
    return [
      { type: 'request.assigned', data: { node, attempt: context.attempts + 1, candidates, ...shared } },
    ]
  },
  'request.lease': ({ context }, { data: { worker, until } }) => [
    { type: 'request.leased', data: { worker, attempt: context.attempts + 1, until } },
  ],
  'request.extend': (request, { data: { attempt, until } }) => {
    if (request.matches('leased') && request.context.attempts === attempt)
      return [{ type: 'request.extended', data: { until } }]
    throw new Refusal('request.lease-lost', 'the lease has run out or was given up; take the request again')
  },
  'request.lapse': (request, { at }) =>
    outcome(request, at, { reason: 'lapsed', retryable: true, ...NOTHING }),
  'request.restart': (request, { at }) => {
    const { job, restarts, node } = request.context
    return job && restarts < RESTARTS_MAX && !request.matches('queued')
      ? [{ type: 'request.retried', data: { node, reason: 'restart' } }]
      : outcome(request, at, { reason: 'restart', retryable: false, ...NOTHING })
  },
  'request.begin': ({ context: { node, admittedAt } }, { at, data: { status, ...held } }) => [
    { type: 'request.begun', data: { node, status, ttftMs: at - admittedAt, ...held } },
  ],
  'request.complete': (request, { at, data: { attempt, worker, ...answer } }) => {
    if (overtaken(request, attempt, worker)) return late(attempt!, worker, answer.bytes)
    const { node, model, status, admittedAt, assignedAt } = request.context
    const ms = { totalMs: at - admittedAt, runMs: at - assignedAt }
    const data = { node, model, status: status || 200, ...ms, ...outside(request), ...answer }
    return [{ type: 'request.completed', data }]
  },
  'request.fail': (request, { at, data: { attempt, worker, ...trouble } }) =>
    overtaken(request, attempt, worker)
      ? late(attempt!, worker, trouble.bytes)
      : outcome(request, at, trouble),
  'request.move': (request, { at }) =>
    request.matches('running') && mayTryAgain(request, at)
      ? [{ type: 'request.retried', data: { node: request.context.node, reason: 'slow' } }]
      : [],
  'request.expire': ({ context }, { at }) => [
    { type: 'request.expired', data: { waitedMs: at - context.admittedAt } },
  ],
  'request.abandon': (request, { at, data }) => {
    const { admittedAt } = request.context
    return [
      { type: 'request.abandoned', data: { ...whereabouts(request), ...data, totalMs: at - admittedAt } },
    ]
  },
  'request.cancel': (request, { at }) => {
    const { admittedAt } = request.context
    return [{ type: 'request.cancelled', data: { ...whereabouts(request), totalMs: at - admittedAt } }]
  },
}

export const request = entity({ kind: 'request', machine, decide })

type Trouble = Omit<Extract<RequestCommand, { type: 'request.fail' }>['data'], 'attempt' | 'worker'>

const NOTHING = { bytes: 0, chunks: 0 }

/** Tried again where that is allowed and of use, else failed. */
function outcome(
  request: State,
  at: number,
  { reason, retryable, spent = false, status, bytes, chunks, digest }: Trouble,
): readonly Conclusion<RequestFact>[] {
  const { node, job, deaths, admittedAt } = request.context
  const answer = status === undefined ? {} : { status }
  const open =
    request.matches('running') || request.matches('leased') || (job && request.matches('answering'))
  const poison = job && DEATHS.has(reason) && deaths + 1 >= DEATHS_MAX
  const again = retryable && open && !poison && mayTryAgain(request, at)
  if (again && !spent)
    return [{ type: 'request.retried', data: { node, reason, ...answer, ...outside(request) } }]
  const where = node === '' ? {} : { node }
  const why = { reason: poison ? 'poison' : reason, ...(again && ({ unretried: 'budget' } as const)) }
  const kept = digest === undefined ? {} : { digest }
  return [
    {
      type: 'request.failed',
      data: {
        ...why,
        ...where,
        ...answer,
        ...outside(request),
        bytes,
        chunks,
        totalMs: at - admittedAt,
        ...kept,
      },
    },
  ]
}

/** Is an attempt left, and may it still wait? */
function mayTryAgain({ context: { failures, attemptsMax, expiresAt } }: State, at: number): boolean {
  return failures + 1 < attemptsMax && at < expiresAt
}

/** Has the work been given to somebody else since, or was it never this one's? */
function overtaken(request: State, attempt: number | undefined, worker: string | undefined): boolean {
  if (attempt === undefined) return false
  const { attempts, node } = request.context
  return !(request.matches('leased') && attempts === attempt && node === worker)
}

function late(attempt: number, node = '', bytes: number): readonly Conclusion<RequestFact>[] {
  return [{ type: 'request.late', data: { attempt, node, bytes } }]
}

function whereabouts(request: State): { readonly node?: string } {
  return request.matches('queued') ? {} : { node: request.context.node }
}

function outside(request: State): { readonly leased?: true } {
  return request.matches('leased') ? { leased: true } : {}
}

/** What a retry adds to the account. */
function again({
  context: { failures, deaths, restarts },
  event: {
    data: { reason },
  },
}: {
  readonly context: RequestContext
  readonly event: Extract<RequestFact, { type: 'request.retried' }>
}): Partial<RequestContext> {
  if (reason === 'restart') return { restarts: restarts + 1 }
  return { failures: failures + 1, deaths: deaths + (DEATHS.has(reason) ? 1 : 0) }
}
