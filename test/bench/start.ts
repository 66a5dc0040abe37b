/**
 * How long until a house listens that has 1,000,000 facts in its journal: whole lives of requests and jobs, and what
 * nodes, models and people do meanwhile. Without a snapshot; from one that is as old as one gets (50,000 facts: after
 * kill -9); and from that of a clean stop. Each time in a new process.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Flags } from '../../src/config.ts'
import type { StartOrder, StartResult } from './child.ts'
import type { HistoryOrder, HistoryResult } from './history.ts'
import { median, type Row } from './row.ts'

const CHILD = fileURLToPath(new URL('../../dist/test/bench/child.js', import.meta.url))
const FLAGS = ['--max-semi-space-size=8', '--max-old-space-size=1024']

const FACTS = 1_000_000
const ROUNDS = 3

export async function startBench(): Promise<Row[]> {
  const dir = await mkdtemp(join(tmpdir(), 'quipu-bench-'))
  try {
    const { pauseMs } = await child<HistoryResult>('history', { dir, facts: FACTS } satisfies HistoryOrder)
    const whole = await starts(dir, { 'snapshot-every': '0' })
    const killed = await starts(dir, {})
    await start({ dir, stop: true })
    const stopped = await starts(dir, {})
    return [
      ...rows('no snapshot', whole, 'aim: 5,000'),
      ...rows('a snapshot 50,000 facts old', killed, 'aim: 1,000'),
      ...rows('the snapshot of a clean stop', stopped, 'aim: 1,000'),
      { name: 'taking a snapshot holds up everything else for', value: pauseMs, unit: 'ms' },
    ]
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** Killed each time; without its lock, so that the next one does not look for what killed the last two. */
async function starts(dir: string, flags: Flags): Promise<readonly StartResult[]> {
  const results: StartResult[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    results.push(await start({ dir, flags, stop: false }))
    await rm(join(dir, 'lock'), { force: true })
  }
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

const start = (order: StartOrder): Promise<StartResult> => child('start', order)

/** In a process of its own: what it says, once it has ended. */
async function child<T>(role: string, argument: object): Promise<T> {
  const child = fork(CHILD, [role, JSON.stringify(argument)], { execArgv: FLAGS })
  const [said] = await once(child, 'message')
  child.disconnect()
  await once(child, 'exit')
  return said as T
}
