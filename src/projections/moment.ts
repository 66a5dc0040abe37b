/**
 * The house as it was at one moment: what decisions are made from, folded from the journal once more. Not a projection
 * of its own, and no charts: what is in the journal was accepted when it came.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { foldsOf } from '../engine/folds.ts'
import type { Journal } from '../journal/journal.ts'
import { breakers } from './breakers.ts'
import { estimates } from './estimates.ts'
import { fleet } from './fleet.ts'
import { policies } from './policies.ts'
import { requests } from './requests.ts'
import { residency } from './residency.ts'
import { settings } from './settings.ts'

const grounds = () => ({
  fleet: fleet(),
  residency: residency(),
  requests: requests(),
  breakers: breakers(),
  estimates: estimates(),
  policies: policies(),
  settings: settings(),
})

export type Moment = ReturnType<typeof grounds>

/**
 * Folds from the first fact on and stops after each of `seqs` (ascending); what is shown then goes on changing as soon as
 * `see` has returned. Gives the others of this process a turn after each page; ends early with the signal.
 */
export async function revisit(
  journal: Pick<Journal, 'read'>,
  seqs: readonly number[],
  see: (moment: Moment, seq: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const moment = grounds()
  const folds = foldsOf(Object.values(moment))
  let next = 0
  while (seqs[next] === 0) see(moment, seqs[next++]!)
  for await (const page of journal.read({ until: seqs.at(-1) ?? 0 })) {
    for (const entry of page) {
      for (const fold of folds.get(entry.type) ?? []) fold(entry)
      while (seqs[next] === entry.seq) see(moment, seqs[next++]!)
    }
    if (signal?.aborted) return
    await turn()
  }
}
