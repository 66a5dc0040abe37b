/**
 * What the copy in Kafka makes a second, and what it costs the house: the same work without it, with it, and with a Kafka
 * that is not there, in turns. The broker is the one of the tests, in a process of its own; with QUIPU_APACHE=1 a real one
 * is filled, too.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { kafkaSpec } from '../../src/brokers.ts'
import { systemClock as clock } from '../../src/clock.ts'
import { readConfig } from '../../src/config.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { openHouse } from '../../src/main.ts'
import { JournalTopic } from '../../src/mirror/journaltopic.ts'
import { Mirror } from '../../src/mirror/mirror.ts'
import { startSim } from '../../src/sim/sim.ts'
import { until, write } from '../journal/facts.ts'
import { ApacheBroker, missing } from '../mirror/apache.ts'
import { FakeBroker } from '../mirror/broker.ts'
import { median, type Row } from './row.ts'

const FACTS = 100_000
const TURNS = 7
const TURN_MS = 1_000
const CLIENTS = 32
/** Nobody listens there. */
const AWAY = 'brokers=127.0.0.1:1'

export async function mirrorBench(): Promise<Row[]> {
  const dir = await mkdtemp(join(tmpdir(), 'quipu-bench-'))
  const child = fork(fileURLToPath(import.meta.url))
  const [url] = (await once(child, 'message')) as [string]
  try {
    const rows: Row[] = []
    const journal = await openLevelJournal({ dir: join(dir, 'filled'), clock, create: true })
    for (let left = FACTS; left > 0; left -= 500) {
      write(journal, 500)
      await journal.flushed()
    }
    rows.push({
      name: 'facts copied, to the broker of the tests',
      value: await fill(journal, url),
      unit: '/s',
    })
    const why = process.env['QUIPU_APACHE'] === undefined ? 'QUIPU_APACHE is not set' : missing()
    if (why === undefined) {
      const broker = await new ApacheBroker(await mkdtemp(join(dir, 'apache-'))).init()
      await broker.start()
      const value = await fill(journal, broker.url)
      rows.push({ name: 'facts copied, to Apache Kafka 4.1', value, unit: '/s', note: 'one broker, cold' })
      await broker.stop()
    } else
      rows.push({ name: 'facts copied, to Apache Kafka 4.1', value: 0, unit: '/s', note: `skipped: ${why}` })
    await journal.close()
    return [...rows, ...(await answers(dir, `brokers=${url},topic=beside`))]
  } finally {
    child.kill()
    await rm(dir, { recursive: true, force: true })
  }
}

/** How many facts a second a journal that is all there goes into an empty topic. */
async function fill(journal: Journal, url: string): Promise<number> {
  const topic = new JournalTopic({ spec: kafkaSpec(`brokers=${url}`), clock, password: () => undefined })
  const onBug = (error: unknown): never => {
    throw error
  }
  const mirror = new Mirror({ journal, clock, topic, onBug, say: (_level, line) => console.error(line) })
  const began = clock.monotonic()
  mirror.start()
  await until(() => mirror.status.mirrored === journal.durable, 'all are copied', 120_000)
  const ms = clock.monotonic() - began
  await mirror.close()
  return (FACTS / ms) * 1_000
}

/** Answers a second of three houses, each alone in its turns. */
async function answers(dir: string, kafka: string): Promise<Row[]> {
  const sim = await startSim({
    name: 'n',
    slots: CLIENTS,
    loadMs: 10,
    prefillTps: 1e9,
    decodeTps: 1e9,
    words: 8,
  })
  const houses = []
  for (const [name, more] of [
    ['none', {}],
    ['live', { kafka }],
    ['away', { kafka: AWAY }],
  ] as const) {
    const flags = { port: '0', embedded: 'off', log: 'silent', data: join(dir, name), ...more }
    const config = readConfig({ ...flags, node: [`${sim.url},slots=${CLIENTS}`] }, {})
    houses.push({ name, house: await openHouse({ config, version: '0.0.0' }), perSecond: [] as number[] })
  }
  for (let turn = 0; turn <= TURNS; turn += 1) {
    for (const { house, perSecond } of houses) {
      const found = await asked(house.url)
      if (turn > 0) perSecond.push(found) // the first one warms up
    }
  }
  for (const { house } of houses) await house.close()
  await sim.close()
  const [none, live, away] = houses.map(({ perSecond }) => median(perSecond)) as [number, number, number]
  return [
    { name: `answers, ${CLIENTS} clients, without --kafka`, value: none, unit: '/s' },
    { name: '… copied to Kafka meanwhile', value: live, unit: '/s', note: `${(live / none).toFixed(2)} ×` },
    { name: '… with a Kafka that is away', value: away, unit: '/s', note: `${(away / none).toFixed(2)} ×` },
  ]
}

async function asked(url: string): Promise<number> {
  const body = '{"model":"tiny","prompt":"hello","stream":false}'
  const end = clock.monotonic() + TURN_MS
  let count = 0
  const client = async (): Promise<void> => {
    while (clock.monotonic() < end) {
      const response = await fetch(`${url}/api/generate`, { method: 'POST', body })
      await response.arrayBuffer()
      if (response.status === 200) count += 1
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  return (count / TURN_MS) * 1_000
}

// In the process of its own.
if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) {
  const broker = await new FakeBroker().start()
  process.send(broker.url)
}
