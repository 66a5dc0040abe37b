/**
 * The past of a busy house, written to a folder: so many facts, the last of them a moment ago; and a snapshot in it that is
 * as old as one gets. By the same code as the house that will read it: a snapshot of other code is not used.
 */
import { join } from 'node:path'
import { systemClock } from '../../src/clock.ts'
import { knobs } from '../../src/config.ts'
import { Engine } from '../../src/engine/engine.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { views } from '../../src/projections/views.ts'
import { Snapshots } from '../../src/snapshots/snapshots.ts'
import { handClock, lives } from '../snapshots/lives.ts'
import { median } from './row.ts'

export interface HistoryOrder {
  readonly dir: string
  readonly facts: number
}

export interface HistoryResult {
  /** For how long taking a snapshot at the end holds up everything else. */
  readonly pauseMs: number
}

const ROUNDS = 3
/** About 5 facts a second. */
const PACE_MS = 200
/** Nobody listens there. */
const NOWHERE = 'http://127.0.0.1'

export async function history({ dir, facts }: HistoryOrder): Promise<HistoryResult> {
  const time = { now: systemClock.now() - facts * PACE_MS }
  const journal = await openLevelJournal({ dir, clock: systemClock, create: true })
  const answers = views()
  const engine = new Engine(journal, handClock(time), Object.values(answers))
  const urlOf = (node: string): string => `${NOWHERE}:${node.length}`
  const step = lives({ engine, time, seed: 1, openMax: 50, paceMs: PACE_MS, urlOf })
  const goOn = async (until: number): Promise<void> => {
    while (journal.head.seq < until) {
      for (let i = 0; i < 500; i += 1) step()
      await engine.settled()
    }
  }
  const snapshotsIn = (dir: string): Snapshots => {
    const options = { dir, journal, clock: systemClock, everyFacts: 2 * facts, warn: console.error }
    const snapshots = new Snapshots(options)
    snapshots.start(engine, answers)
    return snapshots
  }
  await goOn(facts - knobs.snapshotFacts.default)
  await snapshotsIn(dir).take()
  await goOn(facts)
  const tried = snapshotsIn(join(dir, 'tried'))
  const pauses: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    await tried.take()
    pauses.push(tried.figures.pauseMs)
  }
  await journal.close()
  return { pauseMs: median(pauses) }
}
