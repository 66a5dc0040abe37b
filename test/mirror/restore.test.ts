/** A journal out of its copy: whole, or not at all. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock as clock } from '../../src/clock.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { run } from '../cli/terminal.ts'
import { dataFolder } from '../house/world.ts'
import { texts, write } from '../journal/facts.ts'
import { type Stage, type StageOptions, stage, TOPIC } from './stage.ts'
import { plainBatch } from './wire.ts'

/** A topic with a copy of a journal of 2,500 facts. */
async function copied(t: Test, options: StageOptions = {}): Promise<Stage> {
  const s = await stage(t, options)
  await s.put(2_500)
  await s.level()
  return s
}

function restore(t: Test, { broker }: Stage, dir: string, ...more: readonly string[]) {
  return run(t, ['restore', '--from', 'kafka', '--kafka', `brokers=${broker.url}`, '--data', dir, ...more])
}

t.test('the journal is what it was, text by text, and an audit of it finds the same head', async t => {
  const s = await copied(t)
  const dir = join(dataFolder(t), 'new')
  const told = await restore(t, s, dir)
  t.equal(told.code, 0, told.err)
  const { seq, hash } = s.journal.head
  t.match(told.out, 'facts    2,500 in ')
  t.match(told.out, `head     ${seq}:${hash}`)
  const journal = await openLevelJournal({ dir, clock })
  t.equal(journal.id, s.journal.id)
  t.same(await texts(journal), await texts(s.journal))
  t.same(journal.head, s.journal.head)
  write(journal, 1)
  await journal.close()
  t.equal(journal.head.seq, seq + 1, 'and it goes on from there')
})

t.test('what is there twice is taken once; what others wrote is left out, and counted', async t => {
  const s = await copied(t)
  const twice = s.broker.topics.get(TOPIC)!.partitions[0]!.batches.slice(2, 4)
  for (const { bytes } of twice) s.broker.put(TOPIC, bytes)
  s.broker.put(TOPIC, plainBatch('somebody', 'something'))
  await s.put(10)
  await s.level()
  const dir = dataFolder(t)
  const told = JSON.parse((await restore(t, s, dir, '--json')).out)
  const doubles = twice.reduce((sum, { count }) => sum + count, 0)
  t.match(told, { facts: 2_510, doubles, others: 1, journal: 'memory', topic: TOPIC })
})

t.test('of several journals one must be named', async t => {
  const s = await copied(t)
  await copied(t, { broker: s.broker, journal: openMemoryJournal({ id: 'another' }) })
  const dir = join(dataFolder(t), 'new')
  const told = await restore(t, s, dir)
  t.equal(told.code, 1)
  t.match(told.err, 'more than one journal (memory, another); say with --journal')
  t.notOk(existsSync(dir), 'nothing is left')
  const named = await restore(t, s, dir, '--journal', 'another', '--json')
  t.match(JSON.parse(named.out), { journal: 'another', facts: 2_500, others: 2_500 })
})

t.test('a folder with anything in it is left alone', async t => {
  const s = await copied(t)
  const dir = dataFolder(t)
  mkdirSync(join(dir, 'journal'))
  writeFileSync(join(dir, 'journal', 'CURRENT'), 'of another')
  const told = await restore(t, s, dir)
  t.equal(told.code, 1)
  t.match(told.err, 'is not empty')
  t.same(readdirSync(dir), ['journal'])
  t.same(readdirSync(join(dir, 'journal')), ['CURRENT'])
})

t.test('a topic that has forgotten the first facts restores nothing', async t => {
  const s = await copied(t)
  const { offset } = s.broker.topics.get(TOPIC)!.partitions[0]!.batches[2]!
  s.broker.forget(TOPIC, offset)
  const dir = join(dataFolder(t), 'new')
  const told = await restore(t, s, dir)
  t.equal(told.code, 1)
  t.match(told.err, `fact 1 is not in the topic, and the next one there is ${offset + 1}`)
  t.notOk(existsSync(dir))
})

t.test('a fact that was altered in the topic is found, and nothing is restored', async t => {
  const s = await copied(t)
  const [message] = s.broker.messages(TOPIC).slice(1_233)
  for (const { bytes } of s.broker.topics.get(TOPIC)!.partitions[0]!.batches) {
    const at = bytes.indexOf(message!.value.slice(-15))
    if (at !== -1) bytes[at + 13]! ^= 1
  }
  const dir = join(dataFolder(t), 'new')
  const told = await restore(t, s, dir)
  t.equal(told.code, 1)
  t.match(told.err, 'Fact 1234 in the topic does not follow from the one before it')
  t.notOk(existsSync(dir))
})

t.test(
  'a topic that is not there, and one that is empty, are told apart from a broker that is away',
  async t => {
    const s = await stage(t, { more: ',topic=elsewhere' })
    await s.level()
    const dir = join(dataFolder(t), 'new')
    t.match((await restore(t, s, dir)).err, 'This server does not host this topic-partition')
    s.broker.make(TOPIC)
    t.match((await restore(t, s, dir)).err, 'the topic holds nothing of a journal')
    await s.broker.stop()
    t.match((await restore(t, s, dir)).err, 'Kafka cannot be reached')
    t.notOk(existsSync(dir))
  },
)

t.test('a broker that breaks off in between is asked again from there', async t => {
  const s = await copied(t)
  s.broker.plan({ api: 'fetch', lost: 'broken', times: 3 })
  const told = await restore(t, s, join(dataFolder(t), 'new'), '--json')
  t.equal(told.code, 0, told.err)
  t.equal(JSON.parse(told.out).facts, 2_500)
})

t.test('what is wanted must be said', async t => {
  for (const [args, why] of [
    [['--kafka', 'brokers=a', '--data', 'x'], 'needs --from kafka'],
    [['--from', 'kafka', '--data', 'x'], 'needs --kafka'],
    [['--from', 'kafka', '--kafka', 'brokers=a'], 'needs --data'],
  ] as const) {
    const told = await run(t, ['restore', ...args])
    t.equal(told.code, 2)
    t.match(told.err, why)
  }
})
