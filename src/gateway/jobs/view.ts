/** Jobs as the house's own doors show them. */
import { canonicalName } from '../../../machines/name.ts'
import type { Deliveries } from '../../projections/deliveries.ts'
import type { Job, JobsProjection } from '../../projections/jobs.ts'
import type { Job as JobShape } from '../schema/jobs.ts'
import type { Told } from '../schema/words.ts'

export type JobView = Told<typeof JobShape>

export interface WantedJobs {
  readonly state?: string | undefined
  readonly model?: string | undefined
  readonly client?: string | undefined
  readonly limit: number
}

export function jobView(
  { variant: _load, callback: _wanted, node, attempt, ...told }: Job & { erased?: true },
  deliveries?: Deliveries,
): JobView {
  const callback = deliveries && callbackView(deliveries, told.id)
  return {
    ...told,
    attempts: attempt,
    ...(node !== '' && { node }),
    ...(callback !== undefined && { callback }),
  }
}

/** How far the call about a job is, where somebody wants one. */
function callbackView({ state: calls }: Deliveries, id: string): JobView['callback'] {
  const call = calls.open.get(id) ?? calls.settled.get(id)
  if (call === undefined) return undefined
  const { state, attempt: attempts, until, status, reason } = call
  return {
    state: state === 'unordered' ? 'due' : state,
    attempts,
    ...(until !== undefined && { until }),
    ...(status !== undefined && { status }),
    ...(reason !== undefined && { reason }),
  }
}

/** Newest first. */
export function someJobs(
  { jobs: { state }, deliveries }: { readonly jobs: JobsProjection; readonly deliveries: Deliveries },
  wanted: WantedJobs,
): readonly JobView[] {
  const states = words(wanted.state)
  const models = words(wanted.model)?.map(word => canonicalName(word) ?? word)
  const clients = words(wanted.client)
  const found: JobView[] = []
  for (const job of [...state.all.values()].reverse()) {
    if (found.length >= wanted.limit) break
    const either = job.endedAt === undefined ? 'open' : 'finished'
    if (states?.some(word => word === job.state || word === either) === false) continue
    if (models?.includes(job.model) === false) continue
    if (clients?.some(client => isOf(job, client)) === false) continue
    found.push(jobView(job, deliveries))
  }
  return found
}

/** By name, or by address however that is written. */
export function isOf({ client }: Job, name: string): boolean {
  return plain(client) === plain(name)
}

function plain(client: string): string {
  return client.replace(/^::ffff:/i, '')
}

function words(text: string | undefined): readonly string[] | undefined {
  return text?.split(',').map(word => word.trim())
}
