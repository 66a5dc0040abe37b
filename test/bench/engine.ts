/**
 * The engine without disk and wire: whole request lives decided a second (admitted, assigned, begun, completed), and
 * facts replayed a second, verified against the chain and the charts, with every projection.
 */
import { systemClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { views } from '../../src/projections/views.ts'
import { median, type Row } from './row.ts'

const LIVES = 25_000
const ROUNDS = 5

export async function engineBench(): Promise<Row[]> {
  const decided: number[] = []
  const replayed: number[] = []
  const records: string[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    records.length = 0
    const engine = new Engine(openMemoryJournal({ records }), systemClock, Object.values(views()))
    const began = performance.now()
    for (let i = 0; i < LIVES; i += 1) {
      live(engine, `request-${i}`)
      if (i % 100 === 99) await engine.settled()
    }
    await engine.settled()
    decided.push((LIVES / (performance.now() - began)) * 1_000)

    const again = new Engine(openMemoryJournal({ records }), systemClock, Object.values(views()))
    const from = performance.now()
    await again.replay()
    replayed.push((records.length / (performance.now() - from)) * 1_000)
  }
  return [
    { name: 'request lives decided, in memory', value: median(decided), unit: 'lives/s' },
    { name: 'facts replayed and verified', value: median(replayed), unit: 'facts/s', note: 'aim: 150,000' },
  ]
}

export function live(engine: Engine, id: string): void {
  const data = {
    path: '/api/chat',
    model: 'tiny:latest',
    client: '127.0.0.1',
    priority: 5,
    bodyBytes: 120,
    expiresAt: Date.now() + 600_000,
    attemptsMax: 3,
  }
  engine.commit('request', id, { type: 'request.admit', data })
  const candidates = ['gpu-1', 'gpu-2', 'gpu-3'].map(node => ({
    node,
    resident: true,
    idle: 1,
    estimateMs: 0,
  }))
  engine.commit('request', id, { type: 'request.assign', data: { node: 'gpu-1', candidates } })
  engine.commit('request', id, { type: 'request.begin', data: { status: 200 } })
  const figures = {
    promptTokens: 20,
    outputTokens: 100,
    loadMs: 1,
    promptMs: 30,
    outputMs: 1_600,
    doneReason: 'stop',
  }
  engine.commit('request', id, { type: 'request.complete', data: { bytes: 12_000, chunks: 101, ...figures } })
}
