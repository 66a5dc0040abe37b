/**
 * How long until a house listens that has 1,000,000 facts in its journal: whole lives of requests and jobs, and what
 * nodes, models and people do meanwhile. Without a snapshot; from one that is as old as one gets (200,000 facts: after
 * kill -9); and from that of a clean stop. Each time in a new process.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../src/clock.ts'
import { type Flags, knobs } from '../../src/config.ts'
import { Engine } from '../../src/engine/engine.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { views } from '../../src/projections/views.ts'
import { Snapshots } from '../../src/snapshots/snapshots.ts'
import { handClock, lives } from '../snapshots/lives.ts'
import type { StartOrder, StartResult } from './child.ts'
import { median, type Row } from './row.ts'

const CHILD = fileURLToPath(new URL('../../dist/test/bench/child.js', import.meta.url))
const FLAGS = ['--max-semi-space-size=8', '--max-old-space-size=1024']

const FACTS = 1_000_000
const ROUNDS = 3
/** About 5 facts a second, for 55 hours. */
const PACE_MS = 200
/** Nobody listens there. */
const NOWHERE = 'http://127.0.0.1'

export async function startBench(): Promise<Row[]> {
  const dir = await mkdtemp(join(tmpdir(), 'quipu-bench-'))
  try {
    const pauseMs = await live(dir)
    const whole = await starts(dir, { 'snapshot-every': '0' })
    const killed = await starts(dir, {})
    await start({ dir, stop: true })
    const stopped = await starts(dir, {})
    return [
      ...rows('no snapshot', whole, 'aim: 5,000'),
      ...rows('a snapshot 200,000 facts old', killed, 'aim: 1,000'),
      ...rows('the snapshot of a clean stop', stopped, 'aim: 1,000'),
      { name: 'taking a snapshot holds up everything else for', value: pauseMs, unit: 'ms' },
    ]
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

async function starts(dir: string, flags: Flags): Promise<readonly StartResult[]> {
  const results: StartResult[] = []
  for (let round = 0; round < ROUNDS; round += 1) results.push(await start({ dir, flags, stop: false }))
  return results
}

function rows(name: string, results: readonly StartResult[], aim: string): Row[] {
  const of = (what: keyof StartResult): number => median(results.map(result => result[what]))
  return [
    { name: `${name}: until it listens`, value: of('readyMs'), unit: 'ms', note: aim },
    { name: '… of which replay', value: of('replayMs'), unit: 'ms' },
    { name: '… memory then', value: of('rssBytes') / 1e6, unit: 'MB' },
  ]
}

/** Resolves to how long taking a snapshot at the end takes the event loop, milliseconds. */
async function live(dir: string): Promise<number> {
  // The last of it was a moment ago.
  const time = { now: systemClock.now() - FACTS * PACE_MS }
  const journal = await openLevelJournal({ dir, clock: systemClock, create: true })
  const answers = views()
  const engine = new Engine(journal, handClock(time), Object.values(answers))
  const step = lives({
    engine,
    time,
    seed: 1,
    openMax: 50,
    paceMs: PACE_MS,
    urlOf: node => `${NOWHERE}:${node.length}`,
  })
  const goOn = async (until: number): Promise<void> => {
    while (journal.head.seq < until) {
      for (let i = 0; i < 500; i += 1) step()
      await engine.settled()
    }
  }
  const snapshotsIn = (dir: string): Snapshots => {
    const options = { dir, journal, clock: systemClock, everyFacts: 2 * FACTS, warn: console.error }
    const snapshots = new Snapshots(options)
    snapshots.start(engine, answers)
    return snapshots
  }
  await goOn(FACTS - knobs.snapshotFacts.default)
  await snapshotsIn(dir).take()
  await goOn(FACTS)
  const tried = snapshotsIn(join(dir, 'tried'))
  const pauses: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    await tried.take()
    pauses.push(tried.figures.pauseMs)
  }
  await journal.close()
  return median(pauses)
}

async function start(order: StartOrder): Promise<StartResult> {
  const child = fork(CHILD, ['start', JSON.stringify(order)], { execArgv: FLAGS })
  const [said] = await once(child, 'message')
  child.disconnect()
  await once(child, 'exit')
  return said as StartResult
}
