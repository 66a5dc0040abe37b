/**
 * The mirror, and a real broker that is killed and stopped under load. QUIPU_APACHE=3 kills it three times, and fetches its
 * jars first where they are not there; without it this is skipped.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { kafkaSpec } from '../../src/brokers.ts'
import { systemClock as clock } from '../../src/clock.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { JournalTopic } from '../../src/mirror/journaltopic.ts'
import { Mirror } from '../../src/mirror/mirror.ts'
import { run } from '../cli/terminal.ts'
import { dataFolder } from '../house/world.ts'
import { texts, until, write } from '../journal/facts.ts'
import { ApacheBroker, missing, PASSWORD, USER } from './apache.ts'
import { deduped } from './stage.ts'
import type { Message } from './wire.ts'

/** As a consumer, and to make a topic: like anybody else. */
const { Kafka } = createRequire(import.meta.url)('kafkajs') as { Kafka: new (options: object) => Client }

const rounds = Number(process.env['QUIPU_APACHE'] ?? 0)
const LEVEL_MS = 120_000
/** Longer than two answers may take, so that the connection is given up meanwhile. */
const STOPPED_MS = 10_000

t.setTimeout(900_000)
const why = rounds > 0 ? missing() : 'QUIPU_APACHE=3 kills one three times'

if (why !== undefined) t.test('a real Kafka', { skip: why }, async () => {})
else {
  const dir = dataFolder(t)
  const broker = await new ApacheBroker(dir).init()
  await broker.start()
  t.teardown(() => broker.stop())

  await t.test(
    `killed ${rounds} times and stopped once under load, it holds each fact once, and gives the journal back`,
    async t => {
      const journal = await openLevelJournal({ dir: join(dataFolder(t), 'data'), clock, create: true })
      const mirror = begin(t, journal, `brokers=${broker.url}`)
      let loading = true
      const load = (async () => {
        while (loading) {
          write(journal, 20)
          await pause(20)
        }
        await journal.flushed()
      })()
      const some = (): Promise<void> => {
        const from = mirror.status.sent
        return until(() => mirror.status.sent > from + 200, 'facts go', LEVEL_MS)
      }
      for (let round = 0; round < rounds; round += 1) {
        await some()
        await broker.stop()
        await pause(500)
        await broker.start()
      }
      await some()
      broker.signal('SIGSTOP')
      await pause(STOPPED_MS)
      broker.signal('SIGCONT')
      await some()
      loading = false
      await load
      await until(() => mirror.status.mirrored === journal.durable, 'the mirror is level', LEVEL_MS)
      await mirror.close()

      const messages = await consumed(broker.url, journal.durable)
      t.same(
        deduped(messages, journal.id),
        await texts(journal),
        'each fact once, for who leaves out doubles',
      )
      t.comment(`${journal.durable} facts, ${messages.length - journal.durable} doubles`)
      const { seq, hash, type } = (await headersOf(journal)).at(-1)!
      t.match(messages.at(-1), { key: journal.id, headers: { epoch: '1', seq, hash, type } })

      const restored = join(dataFolder(t), 'restored')
      const from = [
        'restore',
        '--from',
        'kafka',
        '--kafka',
        `brokers=${broker.url}`,
        '--data',
        restored,
        '--json',
      ]
      const told = await run(t, from)
      t.equal(told.code, 0, told.err)
      t.match(JSON.parse(told.out), { facts: journal.durable, head: `${seq}:${hash}`, journal: journal.id })
      await journal.close()
    },
  )

  for (const mechanism of ['scram-sha-512', 'plain']) {
    await t.test(`over TLS, with ${mechanism} and a password from a file`, async t => {
      const passwordFile = join(dataFolder(t), 'password')
      writeFileSync(passwordFile, `${PASSWORD}\n`)
      const journal = await openLevelJournal({ dir: join(dataFolder(t), 'data'), clock, create: true })
      write(journal, 10)
      const who = `sasl=${mechanism},user=${USER},password-file=${passwordFile}`
      const spec = `brokers=${broker.secureUrl},topic=${mechanism},${who},ca=${broker.caPath}`
      const mirror = begin(t, journal, spec)
      await until(() => mirror.status.mirrored === 10, 'the mirror is level', LEVEL_MS)
      t.same(mirror.status.warnings, [])
      await mirror.close()

      writeFileSync(passwordFile, 'another')
      const refused = begin(t, journal, spec)
      await until(() => refused.status.trouble !== undefined, 'it is not let in', LEVEL_MS)
      t.equal(refused.status.trouble?.code, 'mirror.refused')
      writeFileSync(passwordFile, readFileSync(passwordFile, 'utf8').replace('another', PASSWORD))
      await until(() => refused.status.state === 'live', 'the file is read again', LEVEL_MS)
      await refused.close()
      await journal.close()
    })
  }

  await t.test('a compacted topic is found out', async t => {
    const admin = new Kafka({ brokers: [broker.url], logLevel: 0 }).admin()
    await admin.connect()
    const configEntries = [{ name: 'cleanup.policy', value: 'compact' }]
    await admin.createTopics({ topics: [{ topic: 'compacted', configEntries }] })
    await admin.disconnect()
    const journal = await openLevelJournal({ dir: join(dataFolder(t), 'data'), clock, create: true })
    const mirror = begin(t, journal, `brokers=${broker.url},topic=compacted`)
    await until(() => mirror.status.trouble !== undefined, 'it says so', LEVEL_MS)
    t.equal(mirror.status.trouble?.code, 'mirror.compacted')
    await mirror.close()
    await journal.close()
  })
}

type Journal = Awaited<ReturnType<typeof openLevelJournal>>

function begin(t: Test, journal: Journal, spec: string): Mirror {
  const topic = new JournalTopic({ spec: kafkaSpec(spec), clock, password: () => undefined })
  const say = (level: string, line: string): void => t.comment(`${level}: ${line}`)
  const mirror = new Mirror({ journal, clock, topic, say, onBug: error => t.fail('a bug', { error }) })
  mirror.start()
  return mirror
}

async function headersOf(journal: Journal): Promise<readonly { seq: string; hash: string; type: string }[]> {
  const headers: { seq: string; hash: string; type: string }[] = []
  for await (const page of journal.read()) {
    headers.push(...page.map(({ seq, hash, type }) => ({ seq: String(seq), hash, type })))
  }
  return headers
}

// ── a consumer as anybody has it ─────────────────────────────────────────────────────────────────────────────────

interface Client {
  admin(): {
    connect(): Promise<void>
    disconnect(): Promise<void>
    createTopics(request: object): Promise<unknown>
  }
  consumer(options: object): {
    connect(): Promise<void>
    disconnect(): Promise<void>
    subscribe(what: object): Promise<void>
    run(how: object): Promise<void>
  }
}

interface Delivered {
  readonly offset: string
  readonly key: Buffer
  readonly value: Buffer
  readonly timestamp: string
  readonly headers: Readonly<Record<string, Buffer>>
}

/** All that a consumer group sees from the first message on, until it has the fact `last`. */
async function consumed(broker: string, last: number): Promise<readonly Message[]> {
  const messages: Message[] = []
  const consumer = new Kafka({ brokers: [broker], logLevel: 0 }).consumer({ groupId: 'test' })
  await consumer.connect()
  await consumer.subscribe({ topic: 'quipu.journal', fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ message: { offset, key, value, timestamp, headers } }: { message: Delivered }) => {
      const told = Object.entries(headers).map(([name, held]) => [name, held.toString()])
      messages.push({
        offset: Number(offset),
        key: key.toString(),
        value: value.toString(),
        headers: Object.fromEntries(told),
        at: Number(timestamp),
      })
    },
  })
  await until(() => messages.some(({ headers }) => headers.seq === String(last)), 'all are read', LEVEL_MS)
  await consumer.disconnect()
  return messages
}
