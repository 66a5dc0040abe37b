/**
 * What sharing calls brings to who embeds: many clients with one text each, one node with one slot, the house with
 * `--batch on` and `off` in turns. A call that costs the node nothing shows what the house itself saves.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { EmbedderOrder, HouseOrder, LoadOrder, LoadResult } from './child.ts'
import { median, percentile, type Row } from './row.ts'

const CHILD = fileURLToPath(new URL('../../dist/test/bench/child.js', import.meta.url))
const FLAGS = ['--max-semi-space-size=8', '--max-old-space-size=1024']

const ROUNDS = 5
const CLIENTS = 64
const LOAD_MS = 3_000
const ASK = { path: '/api/embed', body: '{"model":"embed","input":"text number ########"}' }

/** A small embedding model takes a few milliseconds a text; opening its file for a call about as long. */
const NODES: Readonly<Record<string, EmbedderOrder>> = {
  'a call costs 4 ms, a text 4 ms': { callMs: 4, textMs: 4 },
  'a call costs nothing, a text 4 ms': { callMs: 0, textMs: 4 },
}

export async function embeddingBench(): Promise<Row[]> {
  const dir = await mkdtemp(join(tmpdir(), 'quipu-bench-'))
  const children: ChildProcess[] = []
  const start = async <T>(role: string, argument: object): Promise<{ child: ChildProcess; said: T }> => {
    const child = fork(CHILD, [role, JSON.stringify(argument)], { execArgv: role === 'house' ? FLAGS : [] })
    children.push(child)
    const [said] = await once(child, 'message')
    return { child, said: said as T }
  }
  try {
    const rows: Row[] = []
    for (const [i, [name, cost]] of Object.entries(NODES).entries()) {
      const houses: Record<string, string> = {}
      for (const batch of ['off', 'on']) {
        const node = await start<string>('embedder', cost)
        const order: HouseOrder = {
          dir: join(dir, `${i}-${batch}`),
          urls: [node.said],
          slots: 1,
          flags: { batch },
        }
        houses[batch] = (await start<string>('house', order)).said
      }
      const results: Record<string, LoadResult[]> = { off: [], on: [] }
      for (let round = -1; round < ROUNDS; round += 1) {
        for (const [batch, url] of Object.entries(houses)) {
          const order: LoadOrder = { url, connections: CLIENTS, ms: round < 0 ? 1_000 : LOAD_MS, ...ASK }
          const { child, said } = await start<LoadResult>('load', order)
          child.disconnect()
          if (round >= 0) results[batch]!.push(said)
        }
      }
      rows.push(...rowsOf(name, results))
      for (const child of children.splice(0)) if (child.exitCode === null) child.kill()
    }
    return rows
  } finally {
    for (const child of children) if (child.exitCode === null) child.kill()
    await rm(dir, { recursive: true, force: true })
  }
}

function rowsOf(name: string, results: Record<string, LoadResult[]>): Row[] {
  const rate = (batch: string): number => median(results[batch]!.map(({ perSecond }) => perSecond))
  const rows = ['off', 'on'].map(batch => {
    const runs = results[batch]!
    const at = (part: number): string => median(runs.map(({ times }) => percentile(times, part))).toFixed(0)
    const errors = runs.reduce((sum, run) => sum + run.errors, 0)
    return {
      name: `--batch ${batch}: ${name}, ${CLIENTS} clients`,
      value: rate(batch),
      unit: 'req/s',
      note: `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, errors ${errors}`,
    }
  })
  return [...rows, { name: `shared / single, ${name}`, value: rate('on') / rate('off'), unit: '×' }]
}
