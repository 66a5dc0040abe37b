/**
 * What it takes to tell a thousand readers a thousand facts a second: one house, its journal on disk, readers in a process
 * of their own that check that each gets every fact, in order. A delay is from the fact's time to its arrival, so that
 * the disk is in it.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Row } from './row.ts'
import type { Heard, Pace, ReadersOrder, Told } from './subscribers.ts'

const CHILD = fileURLToPath(new URL('../../dist/test/bench/subscribers.js', import.meta.url))
const FLAGS = ['--max-semi-space-size=8', '--max-old-space-size=1024']

/** How many readers, and how many facts a second. */
const CASES = [
  [1, 1_000],
  [100, 1_000],
  [1_000, 100],
  [1_000, 1_000],
] as const
const WARM_MS = 2_000
const MEASURED_MS = 10_000

export async function subscribeBench(): Promise<Row[]> {
  const dir = await mkdtemp(join(tmpdir(), 'quipu-bench-'))
  const children: ChildProcess[] = []
  const start = async <T>(role: string, argument: string): Promise<{ child: ChildProcess; said: T }> => {
    const child = fork(CHILD, [role, argument], { execArgv: role === 'house' ? FLAGS : [] })
    children.push(child)
    const [said] = await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => {
        throw new Error(`the ${role} ended`)
      }),
    ])
    return { child, said: said as T }
  }
  try {
    const rows: Row[] = []
    for (const [readers, perSecond] of CASES) {
      const house = await start<string>('house', join(dir, `${readers}-${perSecond}`))
      const order: ReadersOrder = { url: house.said, readers }
      const { child } = await start<number>('readers', JSON.stringify(order))
      const warm = await ask<Told>(house.child, { perSecond, ms: WARM_MS } satisfies Pace)
      await ask<Heard>(child, { last: warm.last })
      await ask(child, {})
      const told = await ask<Told>(house.child, { perSecond, ms: MEASURED_MS } satisfies Pace)
      const heard = await ask<Heard>(child, { last: told.last })
      rows.push(...rowsOf(`${readers} readers, ${perSecond} facts/s`, readers, told, heard))
      for (const child of children.splice(0)) child.kill()
    }
    return rows
  } finally {
    for (const child of children) if (child.exitCode === null) child.kill()
    await rm(dir, { recursive: true, force: true })
  }
}

async function ask<T>(child: ChildProcess, order: object): Promise<T> {
  child.send(order)
  const [said] = await once(child, 'message')
  return said as T
}

function rowsOf(name: string, readers: number, told: Told, heard: Heard): Row[] {
  const { received, missing, bytes, delays } = heard
  const all =
    received === readers * told.facts && missing === 0 ? 'each got every fact' : `${missing} MISSING`
  const megabytes = (bytes / told.ms / 1_000).toFixed(0)
  return [
    {
      name: `${name}: told`,
      value: (received / told.ms) * 1_000,
      unit: '/s',
      note: `${all}; ${Math.round((told.facts / told.ms) * 1_000)} facts/s were decided; ${megabytes} MB/s`,
    },
    {
      name: `${name}: delay from decision to reader, p50`,
      value: quantile(delays, 0.5),
      unit: 'ms',
      note: `p99 ${quantile(delays, 0.99)} ms, longest ${quantile(delays, 1)} ms`,
    },
    {
      name: `${name}: the house's share of a core`,
      value: told.cpuMicros / told.ms / 10,
      unit: '%',
      note: `${(told.cpuMicros / received).toFixed(2)} µs a fact and reader; RSS ${Math.round(told.rssBytes / 1e6)} MB`,
    },
  ]
}

function quantile(delays: readonly number[], part: number): number {
  let left = part * delays.reduce((sum, count) => sum + count, 0)
  return delays.findIndex(count => {
    left -= count
    return count > 0 && left <= 0.000_001
  })
}
