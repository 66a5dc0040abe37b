/** How many requests of each model were over within the last hour, and how did they end? */
import { projection } from './projection.ts'

export type Ending = 'completed' | 'failed' | 'expired' | 'abandoned' | 'cancelled'

/** How many ended so, by model. */
type Minute = Map<string, Record<Ending, number>>

interface Endings {
  /** By the minute they ended in (of the epoch), oldest first. */
  readonly minutes: Map<number, Minute>
  /** Models of those that are not over. */
  readonly models: Map<string, string>
}

export type EndingsProjection = ReturnType<typeof endings>

const MINUTE_MS = 60_000
/** The hour, and the minute that is under way. */
const MINUTES_MAX = 61

export const endings = () =>
  projection({ minutes: new Map(), models: new Map() } as Endings, {
    'request.admitted': ({ models }, { id, data: { model } }) => void models.set(id, model),
    'request.completed': (self, fact) => end(self, fact, 'completed'),
    'request.failed': (self, fact) => end(self, fact, 'failed'),
    'request.expired': (self, fact) => end(self, fact, 'expired'),
    'request.abandoned': (self, fact) => end(self, fact, 'abandoned'),
    'request.cancelled': (self, fact) => end(self, fact, 'cancelled'),
  })

/** Of the last hour before `now`, to the minute. */
export function lastHour(
  { minutes }: Endings,
  now: number,
): ReadonlyMap<string, Readonly<Record<Ending, number>>> {
  const sums: Minute = new Map()
  const first = Math.floor(now / MINUTE_MS) - MINUTES_MAX
  for (const [minute, models] of minutes) {
    if (minute <= first) continue
    for (const [model, counts] of models) {
      const sum = countsIn(sums, model)
      for (const how of Object.keys(sum) as Ending[]) sum[how] += counts[how]
    }
  }
  return sums
}

/**
 * How many were over within the last 60 s before `now`: the minute under way, and of the one before as much as is left
 * of those seconds. Exact where requests come evenly, and never far off.
 */
export function lastMinute({ minutes }: Endings, now: number): number {
  const minute = Math.floor(now / MINUTE_MS)
  const left = 1 - (now % MINUTE_MS) / MINUTE_MS
  return Math.round(countOf(minutes.get(minute)) + left * countOf(minutes.get(minute - 1)))
}

function countOf(minute: Minute | undefined): number {
  let count = 0
  for (const endings of minute?.values() ?? []) for (const ended of Object.values(endings)) count += ended
  return count
}

function end(
  { minutes, models }: Endings,
  { id, at }: { readonly id: string; readonly at: number },
  how: Ending,
): void {
  const model = models.get(id)
  if (model === undefined) return // ended already, as far as anybody can tell
  models.delete(id)
  const minute = Math.floor(at / MINUTE_MS)
  let now = minutes.get(minute)
  if (now === undefined) {
    now = new Map()
    minutes.set(minute, now)
    // Counted and not dated, so that one wrong clock does not wipe out what was before.
    if (minutes.size > MINUTES_MAX) minutes.delete(minutes.keys().next().value!)
  }
  countsIn(now, model)[how] += 1
}

function countsIn(minute: Minute, model: string): Record<Ending, number> {
  let counts = minute.get(model)
  if (counts === undefined) {
    counts = { completed: 0, failed: 0, expired: 0, abandoned: 0, cancelled: 0 }
    minute.set(model, counts)
  }
  return counts
}
