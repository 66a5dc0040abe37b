import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import {
  type Client,
  type ClientReadableStream,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import t, { type Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { openGrpc } from '../../src/gateway/grpc.ts'
import { READERS_MAX } from '../../src/journal/feed.ts'
import { world } from '../house/world.ts'
import { type Doors, type DoorsOptions, openDoors } from './doors.ts'

interface Told {
  readonly facts: readonly {
    readonly seq: number
    readonly type: string
    readonly id: string
    readonly by?: string
    readonly data: string
    readonly hash: string
  }[]
  readonly mark: number
}
type Stream = ClientReadableStream<Told>

const root = fileURLToPath(new URL('../../proto', import.meta.url))
const loaded = loadPackageDefinition(
  loadSync('quipu/v1/journal.proto', { includeDirs: [root], keepCase: true, longs: Number, defaults: false }),
) as any

/** A stub as somebody else would make one, out of the .proto file. */
type Stub = Client & {
  Head(request: object, answer: (error: ServiceError | null, head: object) => void): void
  Read(request: object, metadata?: Metadata): Stream
  Subscribe(request: object, ...more: readonly object[]): Stream
}

async function offered(
  t: Test,
  options?: DoorsOptions,
): Promise<{ house: Doors; stub: Stub; close: () => Promise<void> }> {
  const house = await openDoors(t, options)
  const onBug = (error: unknown): void => void t.fail('a bug', { error })
  const { address, close } = await openGrpc({ ...house, onBug }, '127.0.0.1:0')
  const stub = new loaded.quipu.v1.Journal(address, credentials.createInsecure()) as Stub
  t.teardown(async () => {
    stub.close()
    house.feed.close()
    await close()
  })
  return { house, stub, close }
}

async function all(stream: Stream): Promise<Told[]> {
  const told: Told[] = []
  for await (const message of stream) told.push(message)
  return told
}

async function refusal(
  stream: Stream,
): Promise<{ code: status; said: string; our: unknown; retryable: unknown }> {
  stream.resume()
  const [error] = (await once(stream, 'error')) as [ServiceError]
  const [our] = error.metadata.get('quipu-code')
  return { code: error.code, said: error.details, our, retryable: error.metadata.get('quipu-retryable')[0] }
}

const seqs = (told: readonly Told[]): number[] =>
  told.flatMap(({ facts = [] }) => facts.map(({ seq }) => seq))
const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)

function pull(house: Doors, count: number, weight = 1): void {
  const data = { nodes: ['n'.repeat(weight)] }
  for (let i = 0; i < count; i += 1)
    house.engine.commit('model', 'tiny:latest', { type: 'model.pull', by: 'ann', data })
}

t.test('Head says which journal it is, and how far it has come', async t => {
  const { house, stub } = await offered(t, { id: 'j1' })
  pull(house, 2)
  await house.engine.settled()
  const head = await new Promise((resolve, reject) =>
    stub.Head({}, (error, head) => (error === null ? resolve(head) : reject(error))),
  )
  t.same(head, { journal: 'j1', durable: 2, seq: 2, hash: house.journal.head.hash, writable: true })
})

t.test('Read brings a range, as it stands in the journal, and ends', async t => {
  const { house, stub } = await offered(t)
  for (let i = 0; i < 3; i += 1) {
    pull(house, 1_000)
    await house.engine.settled()
  }
  t.same(seqs(await all(stub.Read({}))), numbers(1, 3_000))
  const [first, last] = await all(stub.Read({ after: 10, until: 11 }))
  const { data, ...entry } = house.journal.recent(10)?.[0] ?? (await one(house, 11))
  t.match(first, { mark: 11, facts: [{ ...entry, data: JSON.stringify(data) }] })
  t.same(last, { mark: 11 })
  t.same(seqs(await all(stub.Read({ filter: { kinds: ['node'] } }))), [])
  t.same(seqs(await all(stub.Read({ after: 5_000 }))), [])
})

async function one(house: Doors, seq: number) {
  for await (const [entry] of house.journal.read({ after: seq - 1, until: seq })) return entry!
  throw new Error(`there is no fact ${seq}`)
}

t.test('Subscribe goes on from a mark, and then tells what comes', async t => {
  const { house, stub } = await offered(t)
  pull(house, 3)
  await house.engine.settled()
  const told: Told[] = []
  const stream = stub.Subscribe({ after: 1 })
  stream.on('data', message => told.push(message)).on('error', () => {})
  while (seqs(told).length < 2) await once(stream, 'data')
  t.same(told[0], { mark: 1 }, 'first of all, where it begins')
  pull(house, 2)
  while (seqs(told).length < 4) await once(stream, 'data')
  t.same(seqs(told), [2, 3, 4, 5])
  t.equal(told.at(-1)!.mark, 5)
  t.equal(house.feed.readers, 1)
  stream.cancel()
  while (house.feed.readers > 0) await new Promise(resolve => setTimeout(resolve, 5))
  t.pass('who cancels is gone')
})

t.test(
  'Subscribe begins now, or at a time; filters move the mark on, and silence has signs of life',
  async t => {
    const { house, stub } = await offered(t)
    house.join('a')
    await house.engine.settled()
    await house.clock.advance(5_000)
    house.admit('r1', { client: 'ann' })
    house.admit('r2', { client: 'bob' })
    await house.engine.settled()
    const now = stub.Subscribe({})
    const [first] = (await once(now, 'data')) as [Told]
    t.same(first, { mark: house.journal.durable })
    now.on('error', () => {}).cancel()
    const told: Told[] = []
    const stream = stub.Subscribe({ time: Date.UTC(2026, 0, 1) + 5_000, filter: { clients: ['bob'] } })
    stream.on('data', message => told.push(message)).on('error', () => {})
    while (seqs(told).length < 1) await once(stream, 'data')
    t.match(told, [{ mark: 2 }, { mark: 4, facts: [{ type: 'request.admitted', id: 'r2' }] }])
    house.join('b')
    await house.engine.settled()
    await house.clock.advance(15_000)
    while (told.at(-1)!.mark < house.journal.durable) await once(stream, 'data')
    t.notOk(told.at(-1)!.facts)
    stream.cancel()
  },
)

t.test('what is refused has a canonical code, and ours beside it', async t => {
  const { house, stub } = await offered(t, { id: 'j1' })
  pull(house, 2)
  await house.engine.settled()
  const { hash } = house.journal.recent(0)![1]!
  for (const [request, code, our] of [
    [{ after: 3 }, status.FAILED_PRECONDITION, 'events.foreign'],
    [{ after: 1, known: { journal: 'j2' } }, status.FAILED_PRECONDITION, 'events.foreign'],
    [{ after: 1, known: { seq: 1, hash } }, status.FAILED_PRECONDITION, 'events.foreign'],
    [{ filter: { kinds: ['nodes'] } }, status.INVALID_ARGUMENT, 'request.invalid'],
    [{ filter: { since: Number.MAX_SAFE_INTEGER } }, status.INVALID_ARGUMENT, 'request.invalid'],
  ] as const) {
    t.match(
      await refusal(stub.Subscribe(request)),
      { code, our, retryable: 'false' },
      JSON.stringify(request),
    )
  }
  const passedOn = new Metadata()
  passedOn.set('x-forwarded-for', '203.0.113.9')
  t.match(await refusal(stub.Read({}, passedOn)), { code: status.PERMISSION_DENIED, our: 'house.untrusted' })
  for (let i = 0; i < READERS_MAX; i += 1) house.feed.enter()
  const full = await refusal(stub.Read({}))
  t.match(full, { code: status.RESOURCE_EXHAUSTED, our: 'events.full', retryable: 'true' })
})

t.test('a damaged fact is not skipped', async t => {
  const records: string[] = []
  const { house, stub } = await offered(t, { records })
  pull(house, 3)
  await house.engine.settled()
  records[1] = records[1]!.replace('model.pulled', 'model.pushed')
  t.match(await refusal(stub.Read({})), { code: status.DATA_LOSS, our: 'journal.broken' })
})

t.test('a deadline ends a call that would never end by itself', async t => {
  const { house, stub } = await offered(t)
  const stream = stub.Subscribe({}, new Metadata(), { deadline: Date.now() + 100 })
  t.equal((await refusal(stream)).code, status.DEADLINE_EXCEEDED)
  while (house.feed.readers > 0) await new Promise(resolve => setTimeout(resolve, 5))
  t.pass('and the house knows')
})

t.test('a reader that takes nothing is ended', async t => {
  const { house, stub } = await offered(t)
  for (let i = 0; i < 12; i += 1) {
    pull(house, 200, 10_000)
    await house.engine.settled()
  }
  const stream = stub.Subscribe({ after: 0 })
  const [first] = (await once(stream, 'data')) as [Told]
  stream.pause()
  t.equal(first.mark, 0)
  t.equal(house.feed.readers, 1)
  // The pipe between the two fills in real time; from then on the house's clock counts.
  while (house.feed.readers > 0) {
    await house.clock.advance(5_000)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  const ended = await refusal(stream)
  t.match(ended, { code: status.RESOURCE_EXHAUSTED, our: 'events.slow', retryable: 'true' })
})

t.test('when the house stops, streams end with a word that says to come back', async t => {
  const { house, stub, close } = await offered(t)
  const stream = stub.Subscribe({})
  await once(stream, 'data')
  const ended = refusal(stream)
  house.feed.close()
  t.match(await ended, { code: status.UNAVAILABLE, our: 'house.stopped', retryable: 'true' })
  await close()
})

t.test('gRPC is in plain text, and so for this machine only', async t => {
  for (const where of ['127.0.0.1:50051', '[::1]:0', 'localhost:50051', 'off'])
    t.equal(readConfig({ grpc: where }, {}).grpc, where)
  for (const where of ['0.0.0.0:50051', '[::]:50051', '10.0.0.5:50051', 'example.com:50051'])
    t.throws(() => readConfig({ grpc: where }, {}), { message: /--grpc: ".*" is not on this machine/ }, where)
  for (const where of ['50051', '127.0.0.1', '127.0.0.1:99999'])
    t.throws(() => readConfig({ grpc: where }, {}), { message: /neither off nor an address/ }, where)
  const { house } = await offered(t)
  const needs = { ...house, onBug: () => {} }
  const first = await openGrpc(needs, '127.0.0.1:0')
  t.teardown(() => first.close())
  await t.rejects(openGrpc(needs, first.address), { code: 'house.address', message: /for gRPC/ })
})

t.test('a house offers it where --grpc says, and what it decides is told', async t => {
  const w = await world(t, { flags: { grpc: '127.0.0.1:0' } })
  const stub = new loaded.quipu.v1.Journal(w.house.grpc, credentials.createInsecure()) as Stub
  t.teardown(() => stub.close())
  const stream = stub.Subscribe({ filter: { types: ['request.completed'] } })
  await once(stream, 'data')
  await (await w.generate()).text()
  const [{ facts }] = (await once(stream, 'data')) as [Told]
  t.match(facts, [{ type: 'request.completed' }])
  t.match(JSON.parse(facts[0]!.data), { model: 'tiny:latest', status: 200 })
  const ended = refusal(stream)
  await w.house.close()
  t.equal((await ended).code, status.UNAVAILABLE)
})
