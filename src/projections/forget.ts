/**
 * Takes a client's names out of what is in memory, as a start from a journal without them would find it. No fact says
 * whose names they are, so that this is no fold; it comes after the journal has been changed.
 */
import { entryOf, hashOf } from '../journal/chain.ts'
import type { EstimatesProjection } from './estimates.ts'
import type { History } from './history.ts'
import type { Job, JobsProjection } from './jobs.ts'
import type { RequestsProjection } from './requests.ts'

export interface Memory {
  readonly estimates: EstimatesProjection
  readonly history: History
  readonly jobs: JobsProjection
  readonly requests: RequestsProjection
}

/** Who asks for something meanwhile is known by that name again. */
export function forgetNames({ estimates, jobs, requests }: Memory, names: ReadonlySet<string>): void {
  const { ownOutputs } = estimates.state
  // `model client`: no model has a blank in its name.
  for (const key of ownOutputs.keys())
    if (names.has(plain(key.slice(key.indexOf(' ') + 1)))) ownOutputs.delete(key)
  for (const job of jobs.state.all.values()) {
    if (job.endedAt !== undefined && names.has(plain(job.client))) (job as Writable<Job>).client = 'forgotten'
  }
  const { accounts } = requests.state.queue
  for (const [client, { waiting, running }] of accounts)
    if (waiting === 0 && running === 0 && names.has(plain(client))) accounts.delete(client)
}

/** The same facts as the journal has them now, by their seq. */
export function forgetFacts({ history }: Memory, records: ReadonlyMap<number, string>): void {
  for (const record of records.values()) {
    const entry = entryOf(record, hashOf(record))
    const facts = history.state.get(entry.id)
    const at = facts?.findIndex(({ seq }) => seq === entry.seq) ?? -1
    if (at >= 0) facts![at] = entry
  }
}

/** How many of its requests have no end yet. */
export function openOf({ requests }: Pick<Memory, 'requests'>, names: ReadonlySet<string>): number {
  let count = 0
  for (const { client } of requests.state.open.values()) if (names.has(plain(client))) count += 1
  return count
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] }

function plain(client: string): string {
  return client.replace(/^::ffff:/i, '')
}
