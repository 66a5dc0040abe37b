import t from 'tap'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { fact, texts, until, write } from '../journal/facts.ts'
import { ERRORS, FakeBroker, type FaultPlan } from './broker.ts'
import { deduped, holds, stage, TOPIC } from './stage.ts'
import { plainBatch } from './wire.ts'

const warnings: string[] = []
process.on('warning', ({ name }) => warnings.push(name))

t.test('every fact is a message: its key, its headers, and the record as it is stored', async t => {
  const s = await stage(t)
  const at = Date.UTC(2026, 0, 2)
  s.journal.stage('node', 'shed', [{ ...fact({ url: 'http://schön' }, 'node.registered', 'cli'), at }])
  await s.level()
  const [message, ...others] = s.broker.messages(TOPIC)
  t.same(others, [])
  const [record = ''] = await texts(s.journal)
  t.same(message, {
    offset: 0,
    key: 'memory',
    value: record,
    headers: { epoch: '1', seq: '1', hash: s.journal.head.hash, type: 'node.registered' },
    at,
  })
  t.match(record, s.journal.head.hash)
  t.match(s.mirror.status, { state: 'live', mirrored: 1, lagFacts: 0, lagMs: 0, sent: 1, partition: 0 })
})

t.test('the topic that is made for it keeps everything', async t => {
  const s = await stage(t)
  await s.level()
  const settings = s.broker.topics.get(TOPIC)!.settings
  t.same(Object.fromEntries(settings), {
    'cleanup.policy': 'delete',
    'retention.ms': '-1',
    'retention.bytes': '-1',
  })
  t.same(s.mirror.status.warnings, [])
})

t.test('what was written before, meanwhile and after a restart is there once', async t => {
  const journal = openMemoryJournal()
  write(journal, 2_345)
  await journal.flushed()
  const s = await stage(t, { journal })
  await s.put(100)
  await s.level()
  await s.restart()
  await s.put(100)
  await s.level()
  t.equal(await holds(t, s), 0, 'no double')
  t.equal(s.mirror.status.sent, 100, 'the second one went on where the first had come')
})

// ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────

const produce = (fault: Omit<FaultPlan, 'api'>): FaultPlan => ({ api: 'produce', ...fault })

/** Each under load: facts come while it fails. */
const faults: Readonly<Record<string, readonly FaultPlan[]>> = {
  'its leader is elsewhere': [produce({ code: ERRORS.NOT_LEADER_FOR_PARTITION, times: 2 })],
  'its replicas are too slow': [produce({ code: ERRORS.REQUEST_TIMED_OUT, times: 2 })],
  'too few replicas are there': [produce({ code: ERRORS.NOT_ENOUGH_REPLICAS, times: 3 })],
  'its disk fails': [produce({ code: ERRORS.KAFKA_STORAGE_ERROR })],
  'it fences (an error that kafkajs does not know)': [produce({ code: ERRORS.PRODUCER_FENCED })],
  'it fences (an old epoch)': [produce({ code: ERRORS.INVALID_PRODUCER_EPOCH })],
  'it says something from the future': [produce({ code: ERRORS.INELIGIBLE_REPLICA })],
  'it counts otherwise': [produce({ code: ERRORS.OUT_OF_ORDER_SEQUENCE_NUMBER })],
  'we may not write for a while': [produce({ code: ERRORS.TOPIC_AUTHORIZATION_FAILED, times: 2 })],
  'an answer is lost with its connection, the batch taken': [produce({ lost: 'broken', times: 2 })],
  'nobody gives out producer ids': [{ api: 'initProducerId', lost: 'broken', times: 2 }],
}

for (const [what, plan] of Object.entries(faults)) {
  t.test(`a broker fails: ${what}; then the topic holds each fact once`, async t => {
    const s = await stage(t)
    await s.put(50)
    await s.level()
    s.broker.plan(...plan)
    if (plan.some(({ api }) => api !== 'produce')) await s.restart()
    await s.put(700)
    await s.put(50)
    await s.level(60_000)
    t.equal(s.broker.planned, 0, 'it did fail')
    t.equal(await holds(t, s), 0, 'no double')
  })
}

t.test('a broker that is stopped and started under load, again and again', async t => {
  const s = await stage(t)
  for (let round = 0; round < 5; round += 1) {
    await s.put(300)
    await until(() => s.mirror.status.sent > 0, 'some are sent')
    await s.broker.stop()
    await s.put(300)
    await s.broker.start()
  }
  await s.level(60_000)
  t.equal(await holds(t, s), 0, 'no double, for one producer id lasts')
})

t.test('a broker that has forgotten its producers takes what comes', async t => {
  const s = await stage(t)
  await s.put(10)
  await s.level()
  s.broker.forgetProducers()
  await s.put(10)
  await s.level()
  t.equal(await holds(t, s), 0)
})

t.test('a topic that is deleted is made again, and filled from the first fact', async t => {
  const s = await stage(t)
  await s.put(100)
  await s.level()
  s.broker.topics.delete(TOPIC)
  await s.put(1)
  await until(() => s.broker.topics.get(TOPIC)?.partitions[0]?.high === 101, 'all are there again', 20_000)
  await s.level()
  t.equal(await holds(t, s), 0)
})

t.test('a batch that is too large goes in halves; a single fact that is too large is said to be', async t => {
  const s = await stage(t, { broker: await new FakeBroker({ batchBytesMax: 4_096 }).start() })
  await s.put(500)
  await s.level()
  t.equal(await holds(t, s), 0)
  s.journal.stage('node', 'shed', [fact({ note: 'x'.repeat(5_000) })])
  await s.journal.flushed()
  await until(() => s.mirror.status.trouble?.code === 'mirror.too-large', 'it says so')
  t.match(s.mirror.status.trouble?.message, /^Fact 501 is larger than the topic takes .*max\.message\.bytes/)
  s.broker.batchBytesMax = 1_048_588
  await s.level()
  t.equal(await holds(t, s), 0, 'and goes once the topic takes it')
})

// ── where the topic is not ours alone ────────────────────────────────────────────────────────────────────────────

t.test('other journals and other producers in the same partition are in nobody’s way', async t => {
  const a = await stage(t)
  const b = await stage(t, { broker: a.broker, journal: openMemoryJournal({ id: 'another' }) })
  await a.level()
  const foreign = (): void => a.broker.put(TOPIC, plainBatch('memory', 'not a record'))
  foreign()
  for (let round = 0; round < 3; round += 1) {
    await Promise.all([a.put(10), b.put(2_500)])
    await Promise.all([a.level(), b.level()])
    foreign()
    await a.restart()
  }
  await a.level()
  t.same(deduped(a.broker.messages(TOPIC), 'memory'), await texts(a.journal))
  t.same(deduped(a.broker.messages(TOPIC), 'another'), await texts(b.journal))
  t.equal(a.broker.messages(TOPIC).length, 30 + 7_500 + 4, 'no double')
})

t.test('of many partitions a journal has one, and keeps it when there are more', async t => {
  const s = await stage(t, { before: broker => void broker.make(TOPIC, 7) })
  await s.put(10)
  await s.level()
  const { partition = -1 } = s.mirror.status
  const { partitions } = s.broker.topics.get(TOPIC)!
  s.broker.topics.set(TOPIC, {
    ...s.broker.topics.get(TOPIC)!,
    partitions: [...partitions, ...s.broker.make('more', 4).partitions],
  })
  await s.restart()
  await s.put(10)
  await s.level()
  t.equal(s.mirror.status.partition, partition)
  t.equal(s.broker.messages(TOPIC, partition).length, 20)
})

t.test('where the topic holds another history, nothing is written, and it says so', async t => {
  const s = await stage(t)
  await s.put(20)
  await s.level()
  const journal = openMemoryJournal()
  write(journal, 30, 1_000)
  await journal.flushed()
  const other = await stage(t, { broker: s.broker, journal })
  await until(() => other.mirror.status.state === 'stopped', 'it stops')
  t.match(other.mirror.status.trouble, { code: 'mirror.diverged', message: /its fact 20 has the hash/ })
  t.match(other.log, [/^the mirror to Kafka has stopped: The topic holds another history/])
  t.equal(s.broker.messages(TOPIC).length, 20)
})

t.test('where the topic is ahead of the journal, nothing is written either', async t => {
  const s = await stage(t)
  await s.put(20)
  await s.level()
  const records = (await texts(s.journal)).slice(0, 10)
  const older = await stage(t, { broker: s.broker, journal: openMemoryJournal({ records }) })
  await until(() => older.mirror.status.state === 'stopped', 'it stops')
  t.match(older.mirror.status.trouble?.message, 'it holds facts up to 20, and the journal ends at 10')
})

t.test('a compacted topic is not written to, until it is not compacted any more', async t => {
  const s = await stage(t, {
    before: broker => void broker.make(TOPIC, 1, { 'cleanup.policy': 'compact,delete' }),
  })
  await s.put(3)
  await until(() => s.mirror.status.trouble?.code === 'mirror.compacted', 'it says so')
  t.equal(s.broker.messages(TOPIC).length, 0)
  s.broker.topics.get(TOPIC)!.settings.set('cleanup.policy', 'delete')
  await s.level()
  t.equal(await holds(t, s), 0)
})

t.test('a topic that forgets is used, and warned of', async t => {
  const s = await stage(t, {
    before: broker => void broker.make(TOPIC, 1, { 'retention.ms': '604800000' }),
  })
  await s.put(3)
  await s.level()
  t.match(s.mirror.status.warnings, [/forgets \(retention\.ms=604800000\)/])
  t.match(s.log, [/forgets/])
})

t.test('settings that may not be read are a warning, no obstacle', async t => {
  const s = await stage(t, {
    before: broker =>
      broker.plan({ api: 'describeConfigs', code: ERRORS.TOPIC_AUTHORIZATION_FAILED, times: 99 }),
  })
  await s.put(3)
  await s.level()
  t.match(s.mirror.status.warnings, [/nobody knows whether quipu.journal keeps everything/])
})

// ── who we are ───────────────────────────────────────────────────────────────────────────────────────────────────

t.test('a password from the environment is let in; a wrong one is told of, and never shown', async t => {
  const broker = await new FakeBroker().start()
  broker.account = { user: 'quipu', password: 'right and secret' }
  const more = ',sasl=plain,user=quipu'
  const s = await stage(t, { broker, more, password: 'right and secret' })
  await s.put(3)
  await s.level()
  t.match(s.mirror.status.warnings, [/in the clear/])
  const wrong = await stage(t, {
    broker,
    more: `${more},topic=other`,
    password: 'wrong and secret',
  })
  await until(() => wrong.mirror.status.state === 'waiting', 'it is not let in')
  t.match(wrong.mirror.status.trouble, { code: 'mirror.refused', message: /Invalid username or password/ })
  t.notMatch(JSON.stringify([wrong.mirror.status, wrong.log]), 'and secret')
  const none = await stage(t, { broker, more })
  await until(() => none.mirror.status.state === 'waiting', 'it does not even try')
  t.match(none.mirror.status.trouble?.message, 'there is no password')
})

// ── the house goes on ────────────────────────────────────────────────────────────────────────────────────────────

t.test('while Kafka is away nothing is kept in memory for it, and the lag is told', async t => {
  const s = await stage(t)
  await s.put(10)
  await s.level()
  await s.broker.stop()
  for (let round = 0; round < 20; round += 1) await s.put(400)
  await until(() => s.mirror.status.state === 'waiting', 'it notices')
  const { lagFacts, lagMs, mirrored } = s.mirror.status
  t.match({ lagFacts, mirrored }, { lagFacts: 8_000, mirrored: 10 })
  t.ok(lagMs > 0)
  await s.broker.start()
  await s.level(60_000)
  t.match(s.mirror.status, { lagFacts: 0, lagMs: 0, sent: 8_010 })
  t.equal(await holds(t, s), 0)
})

t.test('a house that begins without Kafka knows nothing of the topic, and says as much', async t => {
  const broker = await new FakeBroker().start()
  await broker.stop()
  const s = await stage(t, { broker })
  await s.put(7)
  await until(() => s.mirror.status.state === 'waiting', 'it notices')
  t.equal(s.mirror.status.mirrored, undefined)
  t.equal(s.mirror.status.lagFacts, 7)
  t.match(s.mirror.status.trouble?.message, 'ECONNREFUSED')
  t.equal(s.log.length, 1)
})

t.test('on close the last facts are given a moment; nothing is left open', async t => {
  const s = await stage(t)
  await s.level()
  await s.put(100)
  await s.mirror.close()
  t.equal(s.broker.messages(TOPIC).length, 100)
  await until(() => s.broker.connections === 0, 'every connection is closed')
})

t.test('in all of this no timer was set for a moment that is past', async t => {
  t.same(warnings, [], 'TimeoutNegativeWarning, as kafkajs has it on Node 24')
})
