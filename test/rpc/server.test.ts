/** What every gRPC server of Quipu offers beside its own services, as strangers use it; and how one ends. */
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { type Client, credentials, loadPackageDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { protoPath as healthProto } from 'grpc-health-check'
import t, { type Test } from 'tap'
import { systemClock as clock } from '../../src/clock.ts'
import { Failure } from '../../src/failure.ts'
import { statuses } from '../../src/gateway/refusals.ts'
import { Channel } from '../../src/rpc/channel.ts'
import { plaintext } from '../../src/rpc/credentials.ts'
import { agentService, houseService } from '../../src/rpc/definitions.ts'
import { type Handler, openServer } from '../../src/rpc/server.ts'

const reflectionProto = `${dirname(createRequire(import.meta.url).resolve('@grpc/reflection/package.json'))}/build/proto/grpc/reflection/v1/reflection.proto`
const probe = { afterMs: 10_000, patienceMs: 5_000 }

function stub(
  t: Test,
  proto: string,
  path: readonly string[],
  address: string,
): Client & Record<string, any> {
  const loaded: any = loadPackageDefinition(loadSync(proto, { enums: String, oneofs: true }))
  const made = new (path.reduce((at, name) => at[name], loaded))(address, credentials.createInsecure())
  t.teardown(() => made.close())
  return made
}

async function offered(t: Test, handlers: Readonly<Record<string, Handler>> = {}) {
  const bugs: unknown[] = []
  const server = await openServer({
    clock,
    where: '127.0.0.1:0',
    credentials: plaintext.serving(),
    statuses,
    messageBytesMax: 1_000,
    callsMax: 8,
    probe,
    onBug: error => bugs.push(error),
    offers: [{ service: agentService, handlers }],
  })
  t.teardown(() => server.close(0))
  const channel = new Channel({ clock, address: server.address, dialling: plaintext.dialling(), probe })
  t.teardown(() => channel.close())
  return { server, channel, bugs }
}

t.test('it says that it serves, and to those who watch that it leaves', async t => {
  const { server } = await offered(t)
  const health = stub(t, healthProto, ['grpc', 'health', 'v1', 'Health'], server.address)
  const check = (service: string): Promise<any> =>
    new Promise((resolve, reject) =>
      health.check({ service }, (error: Error | null, told: object) =>
        error ? reject(error) : resolve(told),
      ),
    )
  t.match(await check(''), { status: 'SERVING' })
  t.match(await check('quipu.v1.Agent'), { status: 'SERVING' })
  await t.rejects(check('quipu.v1.House'), { code: 5 })
  const told: string[] = []
  const watch = health.watch({ service: 'quipu.v1.Agent' })
  watch.on('error', () => {})
  for await (const { status } of watch) {
    told.push(status)
    if (told.length === 2) break
    server.leave()
  }
  t.same(told, ['SERVING', 'NOT_SERVING'])
})

t.test('it tells strangers which services it has', async t => {
  const { server } = await offered(t)
  const reflection = stub(
    t,
    reflectionProto,
    ['grpc', 'reflection', 'v1', 'ServerReflection'],
    server.address,
  )
  const call = reflection.ServerReflectionInfo()
  call.write({ listServices: '' })
  for await (const { listServicesResponse } of call) {
    const names = listServicesResponse.service.map(({ name }: { name: string }) => name)
    t.ok(names.includes('quipu.v1.Agent'))
    t.notOk(names.includes('quipu.v1.House'))
    break
  }
})

t.test('what a handler throws comes with its code; of a bug, only that there is one', async t => {
  const { channel, bugs } = await offered(t, {
    CancelModelCommand: {
      async answer({ id }: { id: string }) {
        if (id === 'bug') throw new Error('a secret')
        throw new Failure('agent.busy', 'later', { retryable: true })
      },
    },
  })
  const ask = (id: string) => channel.ask(agentService, 'CancelModelCommand', { id })
  await t.rejects(ask('a'), { code: 'agent.busy', message: 'later', retryable: true })
  await t.rejects(ask('bug'), { code: 'rpc.answer', message: 'internal error', retryable: false })
  t.match(bugs, [{ message: 'a secret' }])
  await t.rejects(ask('x'.repeat(2_000)), { code: 'rpc.answer', message: /larger than max/ })
  await t.rejects(channel.ask(agentService, 'GetCompleteNodeStatus', {}), { code: 'rpc.answer' })
  await t.rejects(channel.ask(houseService, 'Join', {}), { code: 'rpc.answer' })
})

t.test('a deadline reaches the other side, and ends the call on both', async t => {
  const { promise: left, resolve } = Promise.withResolvers<void>()
  const { channel } = await offered(t, {
    CancelModelCommand: {
      answer(_request, _caller, signal) {
        signal.addEventListener('abort', () => resolve())
        return new Promise(() => {})
      },
    },
  })
  const late = channel.ask(agentService, 'CancelModelCommand', { id: 'a' }, { deadlineMs: 100 })
  await t.rejects(late, { code: 'rpc.timeout', retryable: true })
  await left
})

t.test('it ends in time, whoever is still there', async t => {
  const { server, channel } = await offered(t, {
    WatchStatus: {
      tell: (_request, _out, signal) =>
        new Promise(resolve => signal.addEventListener('abort', () => resolve())),
    },
  })
  const watching = channel.listen(agentService, 'WatchStatus', {})[Symbol.asyncIterator]()
  const told = watching.next()
  told.catch(() => {})
  await new Promise(resolve => setTimeout(resolve, 100))
  const began = performance.now()
  await server.close(100)
  t.ok(performance.now() - began < 5_000)
  await t.rejects(told, { code: /^rpc\./ })
})
