/** The queue in figures, in all and by model: what waits, what runs, what workers have, and how the last hour ended. */
import type { Clock } from '../clock.ts'
import { type EndingsProjection, lastHour, lastMinute } from '../projections/endings.ts'
import type { RequestsProjection } from '../projections/requests.ts'
import type { QueueStats } from './schema/queue.ts'
import type { Told } from './schema/words.ts'

export interface CountNeeds {
  readonly clock: Clock
  readonly requests: RequestsProjection
  readonly endings: EndingsProjection
}

type Counts = { -readonly [Name in keyof Row]: Row[Name] }
type Row = Omit<Told<typeof QueueStats>, 'models' | 'perMinute'>

export function queueStats({ clock, requests, endings }: CountNeeds): Told<typeof QueueStats> {
  const now = clock.now()
  const all = none()
  const models = new Map<string, Counts>()
  const of = (model: string): Counts => {
    let counts = models.get(model)
    if (counts === undefined) {
      counts = none()
      models.set(model, counts)
    }
    return counts
  }
  for (const { model, state, job, admittedAt } of requests.state.open.values()) {
    for (const counts of [all, of(model)]) {
      switch (state) {
        case 'queued':
          counts.waiting += 1
          if (job) counts.waitingJobs += 1
          counts.oldestWaitMs = Math.max(counts.oldestWaitMs, now - admittedAt)
          break
        case 'leased':
          counts.leased += 1
          break
        default:
          counts.running += 1
      }
    }
  }
  for (const [model, ended] of lastHour(endings.state, now)) {
    for (const counts of [all, of(model)]) {
      const { lastHour: so } = counts
      counts.lastHour = {
        completed: so.completed + ended.completed,
        failed: so.failed + ended.failed,
        expired: so.expired + ended.expired,
        abandoned: so.abandoned + ended.abandoned,
        cancelled: so.cancelled + ended.cancelled,
      }
    }
  }
  const named = [...models].sort(([a], [b]) => (a < b ? -1 : 1))
  const perMinute = lastMinute(endings.state, now)
  return { ...all, perMinute, models: named.map(([model, counts]) => ({ model, ...counts })) }
}

function none(): Counts {
  const lastHour = { completed: 0, failed: 0, expired: 0, abandoned: 0, cancelled: 0 }
  return { waiting: 0, waitingJobs: 0, oldestWaitMs: 0, running: 0, leased: 0, lastHour }
}
