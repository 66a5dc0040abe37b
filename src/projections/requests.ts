/** Who has been promised an answer and has none yet: who waits, in which order, and who runs where? */
import type { RequestClass, RequestFact } from '../../machines/request.ts'
import { projection } from './projection.ts'
import { charge, costOf, emptyQueue, enter, leave, type Queue, settle } from './queue.ts'

/** One call to a node that several requests share: it takes one slot, until the last of them is over. */
export interface Ride {
  /** Ids of those who are aboard and not over. */
  readonly open: Set<string>
}

export interface Open {
  readonly id: string
  readonly path: string
  readonly model: string
  /** How the model has to be loaded for it; see machines/variant.ts. */
  readonly variant: string
  readonly labels: Readonly<Record<string, string>>
  readonly client: string
  readonly job: boolean
  readonly class: RequestClass
  readonly priority: number
  readonly admittedAt: number
  readonly expiresAt: number
  /** Infinity where there is none. */
  readonly deadlineAt: number
  readonly seq: number
  readonly tokens: { readonly promptTokens: number; readonly outputTokens: number }
  readonly cost: number
  state: 'queued' | 'running' | 'answering' | 'leased'
  /** Where it runs, or ran last: a node, or the worker who has it. */
  node: string
  assignedAt: number
  /** What it shares with others, while it runs. */
  ride?: Ride
  /** Nodes it already failed on. */
  readonly tried: Set<string>
  /** One of them was left because it was too slow. */
  moved: boolean
}

export interface Requests {
  readonly open: Map<string, Open>
  readonly queue: Queue<Open>
  /** By model, then node: how many run there. Those that share a call are one. */
  readonly running: Map<string, Map<string, number>>
  /** By node: how many run there in all. */
  readonly loads: Map<string, number>
}

export type RequestsProjection = ReturnType<typeof requests>

/** What is thought of a question whose estimate was not written down: before 0.2.0 none was. */
const PROMPT_BYTES_PER_TOKEN = 4
const OUTPUT_TOKENS = 200

export const requests = () =>
  projection(nobody(), {
    'request.admitted': (self, { id, at, seq, data }) => {
      const { path, model, client, priority, expiresAt, bodyBytes } = data
      const tokens = data.estimate ?? {
        promptTokens: Math.ceil(bodyBytes / PROMPT_BYTES_PER_TOKEN),
        outputTokens: OUTPUT_TOKENS,
      }
      const open: Open = {
        id,
        path,
        model,
        variant: data.variant ?? '',
        labels: data.labels ?? {},
        client,
        job: data.job ?? false,
        class: data.class ?? 'interactive',
        priority,
        admittedAt: at,
        expiresAt,
        deadlineAt: data.deadlineAt ?? Number.POSITIVE_INFINITY,
        seq,
        tokens,
        cost: costOf(tokens),
        state: 'queued',
        node: '',
        assignedAt: 0,
        tried: new Set(),
        moved: false,
      }
      self.open.set(id, open)
      enter(self.queue, open)
    },
    'request.assigned': (self, { id, at, data: { node, batch } }) => {
      const open = self.open.get(id)!
      start(self, open, node, at)
      open.state = 'running'
      board(self, open, batch)
    },
    'request.leased': (self, { id, at, data: { worker } }) => {
      const open = self.open.get(id)!
      start(self, open, worker, at)
      open.state = 'leased'
    },
    'request.begun': (self, { id }) => {
      self.open.get(id)!.state = 'answering'
    },
    'request.retried': (self, { id, data: { node, reason, leased } }) => {
      const open = self.open.get(id)!
      stop(self, open, -open.cost)
      if (!leased && reason !== 'restart') open.tried.add(node)
      open.moved ||= reason === 'slow'
      open.state = 'queued'
      enter(self.queue, open)
    },
    'request.completed': (self, { id, data }) => {
      const open = self.open.get(id)!
      end(self, open, owed(open, data))
    },
    'request.failed': (self, { id, data: { bytes } }) => {
      const open = self.open.get(id)!
      end(self, open, bytes === 0 ? -open.cost : 0)
    },
    'request.expired': (self, { id }) => end(self, self.open.get(id)!, 0),
    'request.abandoned': (self, { id }) => end(self, self.open.get(id)!, 0),
    'request.cancelled': (self, { id }) => end(self, self.open.get(id)!, 0),
  })

/** How many requests run on a node, of one model or of all. */
export function runningOn({ loads, running }: Requests, node: string, model?: string): number {
  if (model === undefined) return loads.get(node) ?? 0
  return running.get(model)?.get(node) ?? 0
}

/** How many requests for a model are in the queue. */
export function waitingFor({ queue }: Requests, model: string): number {
  let count = 0
  for (const key of queue.ofModel.get(model) ?? []) count += queue.lines.get(key)!.count
  return count
}

function nobody(): Requests {
  return { open: new Map(), queue: emptyQueue(), running: new Map(), loads: new Map() }
}

/** What it cost beyond what its client was charged. Where the figures do not say, the estimate stands. */
function owed(open: Open, data: Extract<RequestFact, { type: 'request.completed' }>['data']): number {
  if (data.status >= 400) return -open.cost
  const { promptTokens, outputTokens = 0 } = data
  return promptTokens === undefined ? 0 : costOf({ promptTokens, outputTokens }) - open.cost
}

function start(self: Requests, open: Open, node: string, at: number): void {
  charge(self.queue, open)
  leave(self.queue, open)
  open.node = node
  open.assignedAt = at
}

function stop(self: Requests, open: Open, owes: number): void {
  settle(self.queue, open, owes)
  if (open.state !== 'leased') alight(self, open)
}

function end(self: Requests, open: Open, owes: number): void {
  if (open.state === 'queued') leave(self.queue, open)
  else stop(self, open, owes)
  self.open.delete(open.id)
}

/** Takes a slot; who rides along shares that of the one who leads. */
function board(self: Requests, open: Open, batch: string | undefined): void {
  if (batch !== undefined) {
    const ride = (batch !== open.id && self.open.get(batch)?.ride) || { open: new Set() }
    open.ride = ride
    ride.open.add(open.id)
    if (ride.open.size > 1) return
  }
  count(self, open, 1)
}

function alight(self: Requests, open: Open): void {
  const { ride } = open
  delete open.ride
  ride?.open.delete(open.id)
  if (ride === undefined || ride.open.size === 0) count(self, open, -1)
}

function count({ running, loads }: Requests, { node, model }: Open, step: 1 | -1): void {
  let nodes = running.get(model)
  if (nodes === undefined) {
    nodes = new Map()
    running.set(model, nodes)
  }
  bump(nodes, node, step)
  bump(loads, node, step)
  if (nodes.size === 0) running.delete(model)
}

function bump(counts: Map<string, number>, key: string, step: 1 | -1): void {
  const n = (counts.get(key) ?? 0) + step
  if (n > 0) counts.set(key, n)
  else counts.delete(key)
}
