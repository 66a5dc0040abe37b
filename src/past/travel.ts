/**
 * The views as they were: taken up from the nearest snapshot before the moment, and folded from the journal up to it. No
 * charts: what is in the journal was accepted when it came. The house that may be running knows nothing of it.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { foldsOf } from '../engine/folds.ts'
import type { Entry, Journal } from '../journal/journal.ts'
import { type States, views } from '../projections/views.ts'
import type { Place } from './when.ts'

export interface Journey {
  readonly journal: Pick<Journal, 'read' | 'durable'>
  /** See snapshots/snapshots.ts. */
  readonly snapshots: { newest(until: { untilAt?: number; untilSeq?: number }): Promise<Base | undefined> }
  /** Hears of every fact after the first stop, up to the last. */
  readonly note?: (entry: Entry) => void
  /** Called after each page; the journey goes on when it resolves. A rejection ends it. */
  readonly pace?: (page: { readonly seq: number }) => Promise<void>
}

export interface Base {
  readonly seq: number
  readonly views: States
}

export type Answers = ReturnType<typeof views>

export interface Stop {
  /** The last fact that had happened, and when; 0 before the first. */
  readonly seq: number
  readonly at: number
  /** The fact after which a snapshot was taken up; 0 for none. */
  readonly from: number
  /** They go on changing with the next step. */
  readonly answers: Answers
}

/** Stops at each place, the earliest first. One that lies before the one before it is there at once. */
export async function* travel(
  { journal, snapshots, note = () => {}, pace = () => turn() }: Journey,
  places: readonly Place[],
): AsyncGenerator<Stop> {
  const [first] = places
  if (first === undefined) return
  const base = await snapshots.newest('seq' in first ? { untilSeq: first.seq } : { untilAt: first.at })
  const answers = views(base?.views)
  const folds = foldsOf(Object.values(answers))
  const from = base?.seq ?? 0
  let seq = from
  let at = await timeOf(journal, seq)
  let next = 0
  // What comes while this is under way is not of the past.
  const until = journal.durable
  for await (const page of journal.read({ after: seq, until })) {
    await turn()
    for (const entry of page) {
      for (; next < places.length && isAfter(entry, places[next]!); next += 1)
        yield { seq, at, from, answers }
      if (next === places.length) return
      for (const fold of folds.get(entry.type) ?? []) fold(entry)
      if (next > 0) note(entry)
      ;({ seq, at } = entry)
    }
    await pace({ seq })
  }
  for (; next < places.length; next += 1) yield { seq, at, from, answers }
}

function isAfter({ seq, at }: Entry, place: Place): boolean {
  return 'seq' in place ? seq > place.seq : at > place.at
}

async function timeOf(journal: Journey['journal'], seq: number): Promise<number> {
  if (seq === 0) return 0
  for await (const [entry] of journal.read({ after: seq - 1, until: seq })) return entry!.at
  return 0
}
