/** A whole house with a copy in Kafka: what it owes its clients, with and without Kafka; and what is got back. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { systemClock as clock } from '../../src/clock.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { run } from '../cli/terminal.ts'
import { until } from '../journal/facts.ts'
import { FakeBroker } from '../mirror/broker.ts'
import { dataFolder, world } from './world.ts'

const TOPIC = 'quipu.journal'
type Mirror = { state: string; mirrored?: number; lagFacts: number; durable: number }

t.test(
  'every fact of a house goes to Kafka, with it and after it; an audit finds the same head in what is restored',
  async t => {
    const broker = await new FakeBroker().start()
    t.teardown(() => broker.stop())
    const dir = dataFolder(t)
    const journal = await openLevelJournal({ dir, clock, create: true })
    const kafka = `brokers=${broker.url}`
    const w = await world(t, { journal, flags: { kafka } })
    const mirror = async (): Promise<Mirror> =>
      (await fetch(`${w.url}/quipu/mirror`)).json() as Promise<Mirror>

    t.equal((await w.generate()).status, 200)
    await until(() => (broker.topics.get(TOPIC)?.partitions[0]?.high ?? 0) > 4, 'facts are in the topic')

    await broker.stop()
    for (let i = 0; i < 5; i += 1) t.equal((await w.generate()).status, 200, 'a client notices nothing')
    await w.fact('request.completed')
    const without = await mirror()
    t.ok(without.lagFacts > 10, 'the house says what is missing')
    t.match(await (await fetch(`${w.url}/metrics`)).text(), /^quipu_mirror_lag_facts [1-9]/m)
    t.equal((await fetch(`${w.url}/readyz`)).status, 200, 'and is as ready as ever')

    await broker.start()
    await until(
      () => broker.topics.get(TOPIC)!.partitions[0]!.high === journal.durable,
      'Kafka has them all',
      30_000,
    )
    await w.generate()
    await w.house.close()
    const { seq, hash } = journal.head
    t.equal(broker.topics.get(TOPIC)!.partitions[0]!.high, seq, 'the last facts went while it closed')

    const restored = join(dataFolder(t), 'restored')
    const told = await run(t, ['restore', '--from', 'kafka', '--kafka', kafka, '--data', restored])
    t.equal(told.code, 0, told.err)
    const audit = await run(t, ['audit', '--data', restored, '--expect', `${seq}:${hash}`, '--json'])
    t.equal(audit.code, 0, audit.err)
    t.match(JSON.parse(audit.out), { ok: true, id: journal.id, head: `${seq}:${hash}` })
    t.notOk(existsSync(join(restored, 'secret')), 'what is not a fact is not in the topic')
  },
)

t.test('a house begins, answers and ends where Kafka is not there at all', async t => {
  const gone = await new FakeBroker().start()
  await gone.stop()
  const w = await world(t, { flags: { kafka: `brokers=${gone.url}` } })
  t.equal((await w.generate()).status, 200)
  const { state, lagFacts, durable } = (await (await fetch(`${w.url}/quipu/mirror`)).json()) as Mirror
  t.ok(['connecting', 'waiting'].includes(state), state)
  t.equal(lagFacts, durable)
  // A house that waited for Kafka here would not come to its end.
  await w.house.close()
})
