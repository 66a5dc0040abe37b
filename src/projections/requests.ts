/** Who has been promised an answer and has none yet: who waits, in which order, and who runs where? */
import { projection } from './projection.ts'

export interface Open {
  readonly id: string
  readonly path: string
  readonly model: string
  readonly client: string
  readonly job: boolean
  readonly priority: number
  readonly admittedAt: number
  readonly expiresAt: number
  readonly seq: number
  state: 'queued' | 'running' | 'answering' | 'leased'
  /** Where it runs, or ran last: a node, or the worker who has it. */
  node: string
  assignedAt: number
  /** Nodes it already failed on. */
  readonly tried: Set<string>
}

export interface Requests {
  readonly open: Map<string, Open>
  /** By model: highest priority first, then oldest first. */
  readonly waiting: Map<string, Open[]>
  waitingCount: number
  /** By node, then model: how many run there. */
  readonly running: Map<string, Map<string, number>>
}

export type RequestsProjection = ReturnType<typeof requests>

export const requests = () =>
  projection({ open: new Map(), waiting: new Map(), waitingCount: 0, running: new Map() } as Requests, {
    'request.admitted': (
      self,
      { id, at, seq, data: { path, model, client, priority, expiresAt, job = false } },
    ) => {
      const open: Open = {
        id,
        path,
        model,
        client,
        job,
        priority,
        expiresAt,
        seq,
        admittedAt: at,
        state: 'queued',
        node: '',
        assignedAt: 0,
        tried: new Set(),
      }
      self.open.set(id, open)
      queue(self, open)
    },
    'request.assigned': (self, { id, at, data: { node } }) => {
      const open = self.open.get(id)!
      unqueue(self, open)
      open.state = 'running'
      open.node = node
      open.assignedAt = at
      count(self, open, 1)
    },
    'request.leased': (self, { id, at, data: { worker } }) => {
      const open = self.open.get(id)!
      unqueue(self, open)
      open.state = 'leased'
      open.node = worker
      open.assignedAt = at
    },
    'request.begun': (self, { id }) => {
      self.open.get(id)!.state = 'answering'
    },
    'request.retried': (self, { id, data: { node, reason } }) => {
      const open = self.open.get(id)!
      if (open.state !== 'leased') count(self, open, -1)
      if (reason !== 'restart') open.tried.add(node)
      open.state = 'queued'
      queue(self, open)
    },
    'request.completed': end,
    'request.failed': end,
    'request.expired': end,
    'request.abandoned': end,
    'request.cancelled': end,
  })

/** How many requests run on a node, of one model or of all. */
export function runningOn({ running }: Requests, node: string, model?: string): number {
  const models = running.get(node)
  if (models === undefined) return 0
  if (model !== undefined) return models.get(model) ?? 0
  let sum = 0
  for (const n of models.values()) sum += n
  return sum
}

/** Does `a` go before `b`? */
export function before(a: Open, b: Open): boolean {
  return a.priority === b.priority ? a.seq < b.seq : a.priority > b.priority
}

function end(self: Requests, { id }: { id: string }): void {
  const open = self.open.get(id)!
  if (open.state === 'queued') unqueue(self, open)
  else if (open.state !== 'leased') count(self, open, -1)
  self.open.delete(id)
}

function queue(self: Requests, open: Open): void {
  const line = self.waiting.get(open.model)
  self.waitingCount += 1
  if (line === undefined) {
    self.waiting.set(open.model, [open])
    return
  }
  let at = line.length // almost always the end: the newest comes last
  while (at > 0 && before(open, line[at - 1]!)) at -= 1
  line.splice(at, 0, open)
}

function unqueue(self: Requests, open: Open): void {
  const line = self.waiting.get(open.model)!
  self.waitingCount -= 1
  if (line.length === 1) self.waiting.delete(open.model)
  else line.splice(line.indexOf(open), 1)
}

function count({ running }: Requests, { node, model }: Open, step: 1 | -1): void {
  let models = running.get(node)
  if (models === undefined) {
    models = new Map()
    running.set(node, models)
  }
  const n = (models.get(model) ?? 0) + step
  if (n > 0) models.set(model, n)
  else models.delete(model)
}
