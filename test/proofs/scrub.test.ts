/** The scrub reads everything, slowly, and tells of what it finds without ending anything. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type VirtualClock, virtualClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { Failure } from '../../src/failure.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { Scrub, type ScrubNeeds } from '../../src/proofs/scrub.ts'
import { write } from '../journal/facts.ts'
import { dataFolder } from './stand.ts'

const DAY_MS = 86_400_000

interface Stand {
  readonly clock: VirtualClock
  readonly journal: Journal
  readonly scrub: Scrub
  readonly warned: readonly string[]
  close(): Promise<void>
}

async function stand(
  t: Test,
  {
    dir,
    records,
    scrubMs = DAY_MS,
    clock = virtualClock(),
    tables = async () => [],
  }: {
    dir: string
    records: string[]
    scrubMs?: number
    clock?: VirtualClock
    tables?: NonNullable<ScrubNeeds['tables']>
  },
): Promise<Stand> {
  const journal = openMemoryJournal({ records, clock })
  const engine = new Engine(journal, clock, [])
  const warned: string[] = []
  const warn = (message: string): void => void warned.push(message)
  const scrub = new Scrub({ engine, journal, clock, config: { scrubMs }, dir, tables, warn })
  await scrub.open()
  scrub.start()
  t.teardown(() => scrub.close())
  return {
    clock,
    journal,
    scrub,
    warned,
    async close() {
      await scrub.close()
      engine.close()
      await journal.close()
    },
  }
}

/** As many facts, in an array. */
async function written(count: number): Promise<string[]> {
  const records: string[] = []
  const journal = openMemoryJournal({ records })
  write(journal, count)
  await journal.close()
  return records
}

/** Lets time go by until it stands so. */
async function until(
  { clock, scrub }: Stand,
  holds: (state: Scrub['state']) => boolean,
  stepMs = 100,
): Promise<void> {
  for (let step = 0; step < 5_000 && !holds(scrub.state); step += 1) {
    await clock.advance(stepMs)
    // Its file is written in real time.
    await new Promise(resolve => setTimeout(resolve, 1))
  }
  if (!holds(scrub.state)) throw new Error(`it stands at ${JSON.stringify(scrub.state)}`)
}

t.test('it reads all there is, once a day, and says when and how much', async t => {
  const house = await stand(t, { dir: dataFolder(t), records: await written(3_500) })
  await until(house, ({ last }) => last !== undefined)
  t.match(house.scrub.state, { after: undefined, last: { facts: 3_500, bad: 0 } })
  const { finishedAt } = house.scrub.state.last!
  t.ok(finishedAt > house.scrub.state.beganAt)
  write(house.journal, 5)
  await house.clock.advance(DAY_MS - 120_000)
  t.equal(house.scrub.state.last?.finishedAt, finishedAt)
  await house.clock.advance(120_000)
  await until(house, ({ last }) => last!.finishedAt !== finishedAt)
  t.equal(house.scrub.state.last?.facts, 3_505)
  t.same(house.warned, [])
})

t.test('it rests nineteen times as long as it reads', async t => {
  const house = await stand(t, { dir: dataFolder(t), records: await written(4_000) })
  const read = house.journal.records
  const times: number[] = []
  // Each page takes 10 ms.
  house.journal.records = async function* (range) {
    times.push(house.clock.now())
    const took = house.clock.advance(10)
    yield* read(range)
    await took
  }
  for (let step = 0; step < 400; step += 1) await house.clock.advance(50)
  t.ok(times.length >= 4, `${times.length} pages`)
  for (const [i, time] of times.entries()) {
    if (i > 0) t.ok(time - times[i - 1]! >= 200, `${time - times[i - 1]!} ms between two pages`)
  }
})

t.test('what is damaged becomes a fact, a line and a figure; the rest is read all the same', async t => {
  const records = await written(5_000)
  const dir = dataFolder(t)
  const house = await stand(t, { dir, records })
  const whole = records[1_499]!
  records[1_499] = whole.replace('"number":1500', '"number":1501')
  records[3_700] = ''
  await until(house, ({ last }) => last !== undefined)
  t.match(house.scrub.state.last, { bad: 2 })
  t.ok(house.scrub.state.last!.facts >= 5_000)
  t.match(house.warned, [/Fact 1500 is not what was written/, /Fact 3701 is not what was written/])
  const { journal } = house
  t.equal(journal.durable, 5_002)
  const told = records.slice(5_000).map(record => JSON.parse(record.split('\n')[2]!))
  t.same(told, [
    { seq: 1_500, code: 'journal.broken' },
    { seq: 3_701, code: 'journal.broken' },
  ])
  // The next day it is nothing new.
  const before = house.scrub.state.last!.finishedAt
  await house.clock.advance(DAY_MS)
  await until(house, ({ last }) => last!.finishedAt !== before)
  t.equal(journal.durable, 5_002)
  t.equal(house.scrub.state.last?.bad, 2)
})

t.test('a damaged record on the edge of two pages is told of once', async t => {
  const records = await written(3_000)
  const house = await stand(t, { dir: dataFolder(t), records })
  records[999] = records[999]!.replace('"number":1000', '"number":1001')
  await until(house, ({ last }) => last !== undefined)
  t.equal(house.scrub.state.last?.bad, 1)
  t.match(house.warned, [/Fact 1000 /])
})

t.test('after a restart it goes on where it was', async t => {
  const dir = dataFolder(t)
  const records = await written(5_000)
  const clock = virtualClock()
  const first = await stand(t, { dir, records, clock })
  await until(first, ({ after = 0 }) => after >= 2_000, 5)
  const { after, beganAt } = first.scrub.state
  await first.close()
  const next = await stand(t, { dir, records, clock })
  t.match(next.scrub.state, { after, beganAt })
  const read = next.journal.records
  const froms: number[] = []
  next.journal.records = range => {
    froms.push(range!.after!)
    return read(range)
  }
  await until(next, ({ last }) => last !== undefined)
  t.equal(froms[0], after)
  t.equal(next.scrub.state.last?.facts, 5_000)
})

t.test('a state that cannot be read, or is of another journal, begins anew', async t => {
  for (const [text, warnings] of [
    ['{', 1],
    ['{"id":"other","beganAt":7,"after":9}', 0],
  ] as const) {
    const dir = dataFolder(t)
    mkdirSync(dir, { recursive: true })
    writeFileSync(join(dir, 'scrub.json'), text)
    const house = await stand(t, { dir, records: await written(10) })
    t.equal(house.warned.length, warnings)
    await until(house, ({ last }) => last?.facts === 10)
  }
})

t.test('facts in archive files that are away are passed over', async t => {
  const house = await stand(t, { dir: dataFolder(t), records: await written(3_000) })
  const read = house.journal.records
  const froms: number[] = []
  house.journal.records = range => {
    froms.push(range!.after!)
    if (range!.after! < 2_000) throw new Failure('archive.missing', 'they are on tape')
    return read(range)
  }
  Object.defineProperty(house.journal, 'base', { value: { seq: 2_000, hash: '' } })
  await until(house, ({ last }) => last !== undefined)
  t.match(house.scrub.state.last, { facts: 3_000, bad: 0 })
  t.same(froms, [0, 2_000])
})

t.test('a table whose checksums do not fit is told of, and nothing is read through LevelDB', async t => {
  const records = await written(10)
  let looks = 0
  const tables = async (seen: () => Promise<void>) => {
    looks += 1
    await seen()
    return [{ name: '000005.ldb', at: 4_096 }]
  }
  const house = await stand(t, { dir: dataFolder(t), records, tables })
  house.journal.records = () => {
    throw new Error('it is read')
  }
  await until(house, ({ last }) => last !== undefined)
  t.match(house.scrub.state.last, { facts: 0, bad: 1 })
  t.match(house.warned, [/000005\.ldb is not what LevelDB wrote, from byte 4096 on/])
  t.same(JSON.parse(records[10]!.split('\n')[2]!), { code: 'journal.broken', table: '000005.ldb' })
  t.equal(looks, 1)
})

t.test('with 0 nothing is read, and a disk that cannot be read for now is no damage', async t => {
  const off = await stand(t, { dir: dataFolder(t), records: await written(10), scrubMs: 0 })
  await off.clock.advance(2 * DAY_MS)
  t.equal(off.scrub.state.last, undefined)
  const house = await stand(t, { dir: dataFolder(t), records: await written(10) })
  const read = house.journal.records
  let failures = 0
  house.journal.records = () => {
    failures += 1
    if (failures === 3) house.journal.records = read
    throw new Failure('journal.unwritable', 'not now', { retryable: true })
  }
  await until(house, ({ last }) => last !== undefined)
  t.equal(failures, 3)
  t.match(house.scrub.state.last, { facts: 10, bad: 0 })
  t.same(house.warned, [])
})
