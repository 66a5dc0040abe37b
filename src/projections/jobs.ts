/** Which jobs are open, and which that have ended still have something in the spool? */
import type { RequestClass } from '../../machines/request.ts'
import { projection } from './projection.ts'

export interface Job {
  readonly id: string
  readonly path: string
  readonly model: string
  readonly client: string
  readonly priority: number
  readonly class: RequestClass
  readonly bodyBytes: number
  readonly admittedAt: number
  readonly expiresAt: number
  readonly deadlineAt?: number
  readonly labels?: Readonly<Record<string, string>>
  readonly variant?: string
  readonly callback: boolean
  state: 'queued' | 'running' | 'answering' | 'leased' | 'completed' | 'failed' | 'expired' | 'cancelled'
  /** How often somebody was given the work; what is in the spool of an answer bears this number. */
  attempt: number
  /** Where it runs, or ran last: a node, or the worker who has it. */
  node: string
  endedAt?: number
  reason?: string
  status?: number
  /** Of the answer that is kept. */
  bytes?: number
  digest?: string
  promptTokens?: number
  outputTokens?: number
}

export interface Jobs {
  /** By id, oldest first. */
  readonly all: Map<string, Job>
  /** Those that have ended, the one that ended first at the head. */
  readonly finished: Map<string, Job>
  queuedCount: number
  /** The same by client. */
  readonly queuedBy: Map<string, number>
}

export type JobsProjection = ReturnType<typeof jobs>

export const jobs = () =>
  projection({ all: new Map(), finished: new Map(), queuedCount: 0, queuedBy: new Map() } as Jobs, {
    'request.admitted': (self, { id, at, data }) => {
      if (data.job !== true) return
      const { path, model, client, priority, bodyBytes, expiresAt, deadlineAt, labels, variant } = data
      self.all.set(id, {
        id,
        path,
        model,
        client,
        priority,
        class: data.class ?? 'interactive',
        bodyBytes,
        admittedAt: at,
        expiresAt,
        ...(deadlineAt !== undefined && { deadlineAt }),
        ...(labels !== undefined && { labels }),
        ...(variant !== undefined && { variant }),
        callback: data.callback === true,
        state: 'queued',
        attempt: 0,
        node: '',
      })
      queue(self, client, 1)
    },
    'request.assigned': (self, { id, data: { attempt, node } }) =>
      move(self, id, 'running', { attempt, node }),
    'request.leased': (self, { id, data: { attempt, worker } }) =>
      move(self, id, 'leased', { attempt, node: worker }),
    'request.begun': (self, { id }) => move(self, id, 'answering', {}),
    'request.retried': (self, { id }) => move(self, id, 'queued', {}),
    'request.completed': (self, { id, at, data }) => {
      const { status, bytes, digest, promptTokens, outputTokens } = data
      end(self, id, at, 'completed', {
        status,
        bytes,
        ...(digest !== undefined && { digest }),
        ...(promptTokens !== undefined && { promptTokens }),
        ...(outputTokens !== undefined && { outputTokens }),
      })
    },
    'request.failed': (self, { id, at, data: { reason, status, bytes, digest } }) =>
      end(self, id, at, 'failed', {
        reason,
        ...(status !== undefined && { status }),
        ...(digest !== undefined && { bytes, digest }),
      }),
    'request.expired': (self, { id, at }) => end(self, id, at, 'expired', {}),
    'request.cancelled': (self, { id, at }) => end(self, id, at, 'cancelled', {}),
    'spool.erased': (self, { id }) => {
      self.all.delete(id)
      self.finished.delete(id)
    },
  })

export function openCount({ all, finished }: Jobs): number {
  return all.size - finished.size
}

function move(self: Jobs, id: string, state: Job['state'], more: Partial<Job>): void {
  const job = self.all.get(id)
  if (job === undefined) return
  if (job.state === 'queued') queue(self, job.client, -1)
  if (state === 'queued') queue(self, job.client, 1)
  Object.assign(job, more, { state })
}

function queue(self: Jobs, client: string, step: 1 | -1): void {
  const count = (self.queuedBy.get(client) ?? 0) + step
  self.queuedCount += step
  if (count > 0) self.queuedBy.set(client, count)
  else self.queuedBy.delete(client)
}

function end(self: Jobs, id: string, endedAt: number, state: Job['state'], more: Partial<Job>): void {
  const job = self.all.get(id)
  if (job === undefined) return
  move(self, id, state, { endedAt, ...more })
  self.finished.set(id, job)
}
