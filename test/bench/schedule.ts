/**
 * What a decision of the scheduler costs, engine and journal in memory included: 1,000 nodes, 10,000 requests waiting;
 * an answer ends, and whoever has the next turn is given its slot. Once with a hundred models, each on a fifth of the
 * nodes, and once with a single model on all of them: one line, and every node to be looked at; and once more with the
 * hundred, where each node has an agent and memory for one of them, but places for three.
 */
import { replicaId } from '../../machines/replica.ts'
import { mulberry32, systemClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { views } from '../../src/projections/views.ts'
import { scheduler } from '../../src/scheduler/scheduler.ts'
import type { Row } from './row.ts'

const NODES = 1_000
const WAITING = 10_000
const CLIENTS = 500
const TURNS = 3_000
const WARM_UP = 500

export async function scheduleBench(): Promise<Row[]> {
  const rows: Row[] = []
  for (const [title, models, spread, known] of [
    ['100 models, each on 200 of 1,000 nodes', 100, 200, false],
    ['one model on all of 1,000 nodes', 1, NODES, false],
    ['100 models, memory known', 100, 200, true],
  ] as const) {
    const times = await turns(models, spread, known)
    rows.push({ name: `a turn, 10,000 waiting: ${title}, p50`, value: at(times, 0.5), unit: 'ms' })
    rows.push({ name: `the same, p99`, value: at(times, 0.99), unit: 'ms', note: 'aim: under 1' })
  }
  return rows
}

/** Room for one model of 4 GB and its context. */
const CARD = {
  gpus: [{ vendor: 'nvidia', model: 'a card', memoryBytes: 8e9 }],
  gpusKnown: true,
  container: false,
}

/** Milliseconds of each turn, sorted. */
async function turns(models: number, spread: number, known: boolean): Promise<readonly number[]> {
  const random = mulberry32(7)
  const answers = views()
  const engine = new Engine(openMemoryJournal(), systemClock, Object.values(answers))
  const name = (model: number): string => `model-${model}:latest`
  for (let i = 0; i < NODES; i += 1) {
    const node = `node-${i}`
    const residentMax = known ? 3 : 1
    const data = { url: `http://${node}`, slots: 1, residentMax, labels: {}, origin: 'api' } as const
    engine.commit('node', node, { type: 'node.register', data })
    engine.commit('node', node, { type: 'node.answer', data: { version: '1' } })
    if (known) engine.commit('node', node, { type: 'node.equip', data: CARD })
    for (let k = 0; k < (models * spread) / NODES || k < 1; k += 1) {
      const id = replicaId(name((i + k) % models), node)
      engine.commit('replica', id, { type: 'replica.find', data: { digest: 'd', sizeBytes: 4e9 } })
      if (k === 0) engine.commit('replica', id, { type: 'replica.confirm', data: { ms: 5_000 } })
    }
    if (i % 50 === 0) await engine.settled()
  }
  engine.start(scheduler({ ...answers, engine, clock: systemClock }))
  let asked = 0
  const ask = (): void => {
    const data = {
      path: '/api/chat',
      model: name(Math.floor(random() * models)),
      client: `client-${Math.floor(random() * CLIENTS)}`,
      priority: 5,
      bodyBytes: 800,
      expiresAt: Date.now() + 3_600_000,
      attemptsMax: 3,
    }
    engine.commit('request', `request-${asked++}`, { type: 'request.admit', data })
  }
  while (answers.requests.state.queue.count < WAITING) {
    for (let i = 0; i < 100; i += 1) ask()
    await engine.settled()
  }

  const times: number[] = []
  for (let turn = 0; turn < WARM_UP + TURNS; turn += 1) {
    ask()
    await engine.settled()
    const { id } = running(answers.requests.state.open, random)
    engine.commit('request', id, { type: 'request.begin', data: { status: 200 } })
    const figures = { promptTokens: 200, promptMs: 130, outputTokens: 150, outputMs: 3_000 }
    const began = performance.now()
    engine.commit('request', id, {
      type: 'request.complete',
      data: { bytes: 900, chunks: 150, ...figures },
    })
    await Promise.resolve() // the scheduler decides in a microtask
    if (turn >= WARM_UP) times.push(performance.now() - began)
  }
  engine.close()
  return times.sort((a, b) => a - b)
}

function running<O extends { readonly state: string }>(
  open: ReadonlyMap<string, O>,
  random: () => number,
): O {
  const all = [...open.values()].filter(({ state }) => state === 'running')
  return all[Math.floor(random() * all.length)]!
}

function at(sorted: readonly number[], q: number): number {
  return sorted[Math.floor(q * (sorted.length - 1))]!
}
