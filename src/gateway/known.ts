/** Is the journal that a reader comes back to the one it left? What it knows of it says so. */
import { Refusal } from '../../machines/entity.ts'
import type { Journal } from '../journal/journal.ts'

export interface Known {
  /** Where it goes on. */
  readonly mark: number
  /** The journal's id. */
  readonly id?: string | undefined
  /** A fact that it received. */
  readonly seen?: { readonly seq: number; readonly hash: string } | undefined
}

/** Throws a Refusal `events.foreign`, and as a read does. */
export async function verify(journal: Journal, { mark, id, seen }: Known): Promise<void> {
  if (id !== undefined && id !== journal.id) {
    throw foreign(`this is the journal ${journal.id}, and not ${id}; begin anew`)
  }
  const furthest = Math.max(mark, seen?.seq ?? 0)
  if (furthest > journal.durable) {
    throw foreign(
      `the journal ends at ${journal.durable}, so ${furthest} is a mark from another one, or from facts it has lost`,
    )
  }
  if (seen === undefined || seen.seq === 0) return
  for await (const [fact] of journal.read({ after: seen.seq - 1, until: seen.seq })) {
    if (fact?.hash === seen.hash) return
  }
  throw foreign(
    `fact ${seen.seq} is not the one that was received: the journal was put back to an older state, or is another`,
  )
}

function foreign(message: string): Refusal {
  return new Refusal('events.foreign', message)
}
