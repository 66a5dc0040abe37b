/**
 * What 200 agents cost a house, and each of them its machine: attached and watched every 5 s, at rest, and while clients
 * stream through them. All agents are in one process, which is then divided by 200; their readings of the machine are real.
 * In plain text.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { LoadOrder, LoadResult } from './child.ts'
import type { CrewOrder, HouseAt, Taken } from './crew.ts'
import { percentile, type Row } from './row.ts'

const compiled = (name: string): string =>
  fileURLToPath(new URL(`../../dist/test/bench/${name}.js`, import.meta.url))
const FLAGS = ['--max-semi-space-size=8', '--max-old-space-size=1024']

const AGENTS = 200
const CONNECTIONS = 200
const WARM_MS = 15_000
const MEASURED_MS = 30_000

interface Worker<T> {
  readonly child: ChildProcess
  readonly said: T
}

export async function agentsBench(): Promise<Row[]> {
  const dir = await mkdtemp(join(tmpdir(), 'quipu-bench-'))
  const children: ChildProcess[] = []
  const start = async <T>(file: string, role: string, argument = ''): Promise<Worker<T>> => {
    const child = fork(compiled(file), [role, argument], { execArgv: role === 'house' ? FLAGS : [] })
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
    const ollama = await start<string>('crew', 'ollama')
    const house = await start<HouseAt>('crew', 'house', join(dir, 'data'))
    const order: CrewOrder = { house: house.said.agents, ollama: ollama.said, agents: AGENTS }
    const nobody = await start<number>('crew', 'crew', JSON.stringify({ ...order, agents: 0 }))
    await sleep(2_000)
    const [alone, idle] = [await taken(house), await taken(nobody)]
    nobody.child.kill()

    const began = performance.now()
    const crew = await start<number>('crew', 'crew', JSON.stringify(order))
    while ((await up(house.said.url)) < AGENTS) await sleep(50)
    const attachedMs = performance.now() - began
    await sleep(WARM_MS)
    const rest = await measure([house, crew], () => sleep(MEASURED_MS))

    const load: LoadOrder = {
      url: house.said.url,
      connections: CONNECTIONS,
      ms: MEASURED_MS,
      path: '/api/generate',
      body: JSON.stringify({ model: 'tiny', prompt: 'x' }),
    }
    // The first answers load the model on nodes; that is not what is measured.
    await start<LoadResult>('child', 'load', JSON.stringify({ ...load, ms: WARM_MS }))
    let result: LoadResult | undefined
    const busy = await measure([house, crew], async () => {
      const worker = await start<LoadResult>('child', 'streams', JSON.stringify(load))
      result = worker.said
    })
    const { times, errors, perSecond } = result!
    const [houseRest, crewRest] = rest
    const [houseBusy, crewBusy] = busy
    const mb = (bytes: number): number => bytes / 1e6
    return [
      {
        name: `${AGENTS} agents are up`,
        value: attachedMs / 1_000,
        unit: 's',
        note: 'from the start of their process',
      },
      {
        name: 'house at rest, RSS',
        value: mb(houseRest!.rssBytes),
        unit: 'MB',
        note: `${mb(alone.rssBytes).toFixed(0)} MB before`,
      },
      { name: 'house at rest, share of a core', value: houseRest!.core, unit: '%' },
      {
        name: 'an agent at rest, RSS',
        value: (crewRest!.rssBytes - idle.rssBytes) / AGENTS / 1e3,
        unit: 'KB',
        note: `beside ${mb(idle.rssBytes).toFixed(0)} MB that any such process takes`,
      },
      { name: 'an agent at rest, share of a core', value: crewRest!.core / AGENTS, unit: '%' },
      {
        name: `${CONNECTIONS} clients, answers of 30 tokens`,
        value: perSecond,
        unit: '/s',
        note: `${errors} errors; first byte p50 ${percentile(times, 0.5).toFixed(0)}, p99 ${percentile(times, 0.99).toFixed(0)} ms`,
      },
      {
        name: 'house under that, share of a core',
        value: houseBusy!.core,
        unit: '%',
        note: `RSS ${mb(houseBusy!.rssBytes).toFixed(0)} MB`,
      },
      {
        name: 'agents under that, share of a core, all',
        value: crewBusy!.core,
        unit: '%',
        note: `RSS ${mb(crewBusy!.rssBytes).toFixed(0)} MB`,
      },
      { name: 'agents under that, an answer', value: (crewBusy!.core / 100 / perSecond) * 1e6, unit: 'µs' },
    ]
  } finally {
    for (const child of children) if (child.exitCode === null) child.kill()
    await rm(dir, { recursive: true, force: true })
  }
}

interface Spent extends Taken {
  /** Per cent of one. */
  readonly core: number
}

async function measure(
  workers: readonly Worker<unknown>[],
  during: () => Promise<unknown>,
): Promise<readonly Spent[]> {
  const before = await Promise.all(workers.map(taken))
  const began = performance.now()
  await during()
  const ms = performance.now() - began
  const after = await Promise.all(workers.map(taken))
  return after.map((now, i) => ({ ...now, core: (now.cpuMicros - before[i]!.cpuMicros) / ms / 10 }))
}

async function taken({ child }: Worker<unknown>): Promise<Taken> {
  child.send('taken')
  const [said] = await once(child, 'message')
  return said as Taken
}

async function up(url: string): Promise<number> {
  const { nodes } = (await (await fetch(`${url}/quipu`)).json()) as { nodes: { up: number } }
  return nodes.up
}
