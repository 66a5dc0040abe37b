/** What happened to each of the last requests, fact by fact? Older ones are in the journal only. */
import type { Entry } from '../journal/journal.ts'
import { projection } from './projection.ts'

/** How many requests are kept; about 3 KB each. */
const KEPT_MAX = 2_000

export type History = ReturnType<typeof history>

export const history = () => {
  const note = (requests: Map<string, Entry[]>, entry: Entry): void => {
    requests.get(entry.id)?.push(entry)
  }
  return projection(new Map<string, Entry[]>(), {
    'request.admitted': (requests, entry) => {
      requests.set(entry.id, [entry])
      if (requests.size > KEPT_MAX) requests.delete(requests.keys().next().value!)
    },
    'request.assigned': note,
    'request.begun': note,
    'request.retried': note,
    'request.completed': note,
    'request.failed': note,
    'request.expired': note,
    'request.abandoned': note,
    'request.leased': note,
    'request.extended': note,
    'request.cancelled': note,
    'request.late': note,
  })
}
