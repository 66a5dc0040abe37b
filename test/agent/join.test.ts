/** A house with an authority, on real sockets, and those who want to come in. */
import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { joinHouse } from '../../src/agent/join.ts'
import { systemClock } from '../../src/clock.ts'
import type { Failure } from '../../src/failure.ts'
import { makeAuthority, pkiIn } from '../../src/pki/authority.ts'
import { type Identity, Papers } from '../../src/pki/papers.ts'
import { newRequest } from '../../src/pki/request.ts'
import { newToken } from '../../src/pki/token.ts'
import type { Channel } from '../../src/rpc/channel.ts'
import { remedyOf, toHouse, toHouseOf } from '../../src/rpc/credentials.ts'
import { agentService, houseService } from '../../src/rpc/definitions.ts'
import type { Exchange } from '../../src/rpc/exchange.ts'
import { dataFolder, type World, world } from '../house/world.ts'
import { dial } from '../rpc/trusted.ts'

const DEADLINE = { deadlineMs: 5_000 }

interface Trusting extends World {
  readonly data: string
  readonly at: string
  invite(node: string, ttlMs?: number): Promise<string>
  join(node: string): Promise<Identity>
  revoke(node: string): Promise<Response>
}

async function house(t: Test, flags: Record<string, string> = {}): Promise<Trusting> {
  const data = dataFolder(t)
  await makeAuthority(pkiIn(data), systemClock)
  const w = await world(t, { sims: [], flags: { agents: '127.0.0.1:0', data, ...flags } })
  const at = w.house.agents!
  const self: Trusting = {
    ...w,
    data,
    at,
    async invite(node, ttlMs = 60_000) {
      const res = await w.post('/quipu/agents', { node, ttlMs })
      t.equal(res.status, 201)
      return ((await res.json()) as { token: string }).token
    },
    join: async node => (await joinHouse(systemClock, at, await self.invite(node))).identity,
    revoke: node => w.post(`/quipu/agents/${encodeURIComponent(node)}/revoke`, { reason: 'stolen' }),
  }
  return self
}

const lineOf = (t: Test, at: string, identity: Identity): Channel =>
  dial(t, at, toHouse(new Papers(identity)))

const hello = (node: string, session = 's') => ({
  hello: { session, agentVersion: '0', startedAt: Date.now(), labels: {}, node },
})

/** What becomes of a stream. */
function hear(stream: Exchange<any, any>) {
  const { promise: gone, resolve } = Promise.withResolvers<{ code: string; message: string }>()
  const { promise: accepted, resolve: accept } = Promise.withResolvers<void>()
  let over = false
  stream.hear({
    message() {},
    room() {},
    accepted: () => accept(),
    end: () => resolve({ code: 'ended', message: '' }),
    gone(failure) {
      over = true
      resolve(failure)
    },
  })
  return { gone, accepted, over: () => over }
}

t.test('a node that was invited joins, and attaches in its own name, whatever it says', async t => {
  const w = await house(t)
  const identity = await w.join('gpu-1')
  const line = lineOf(t, w.at, identity)
  const stream = line.exchange(houseService, 'Attach')
  const heard = hear(stream)
  stream.put(hello('gpu-2'))
  await heard.accepted
  const { id, data } = await w.fact('node.registered')
  t.match([id, data], ['gpu-1', { url: 'agent://gpu-1', origin: 'agent' }])
  t.equal((await w.facts('node.registered')).length, 1)
  stream.cancel()
})

t.test('a token is replayed in vain, and a wrong one tells nothing', async t => {
  const w = await house(t)
  const token = await w.invite('a')
  await joinHouse(systemClock, w.at, token)
  await t.rejects(joinHouse(systemClock, w.at, token), { code: 'agent.token-used' })
  const { fingerprint } = await import('../../src/pki/authority.ts').then(({ openAuthority }) =>
    openAuthority(pkiIn(w.data)),
  )
  await t.rejects(joinHouse(systemClock, w.at, newToken(fingerprint).text), { code: 'agent.token-wrong' })
  await t.rejects(joinHouse(systemClock, w.at, 'quipu-x'), { code: 'agent.token-wrong' })
})

t.test('the token of another house is not told to this one', async t => {
  const [w, other] = [await house(t), await house(t)]
  const token = await other.invite('a')
  await t.rejects(joinHouse(systemClock, w.at, token), { code: 'agent.stranger' })
  await joinHouse(systemClock, other.at, token)
  t.same(await w.facts('agent.joined'), [])
})

t.test('who takes the port of clients for that of agents is told so', async t => {
  const w = await house(t)
  const token = await w.invite('a')
  await t.rejects(joinHouse(systemClock, `127.0.0.1:${w.house.port}`, token), {
    code: 'agent.unreachable',
    message: /does not speak TLS.*--agents/,
  })
  const identity = await w.join('a')
  const line = lineOf(t, `127.0.0.1:${w.house.port}`, identity)
  const error = await line.ready(5_000).catch(error => error)
  t.match(remedyOf(error.message), /does not speak TLS/)
})

t.test('who is revoked is cut off at once, in the middle of a call, and stays out', async t => {
  const w = await house(t)
  const identity = await w.join('a')
  const line = lineOf(t, w.at, identity)
  const streams = [...Array(10).keys()].map(() => line.exchange(houseService, 'Attach'))
  const heard = streams.map(hear)
  for (const stream of streams) stream.put(hello('a'))
  await Promise.all(heard.map(({ accepted }) => accepted))
  // The house has begun to look at the node on one of them; nobody answers.
  await w.fact('node.registered')
  const began = performance.now()
  t.equal((await w.revoke('a')).status, 200)
  const ends = await Promise.all(heard.map(({ gone }) => gone))
  const ms = performance.now() - began
  t.ok(ms < 5_000, `${Math.round(ms)} ms`)
  t.same(
    new Set(ends.map(({ code }) => code)),
    new Set(['agent.revoked', 'rpc.cancelled']),
    'idle ones hear why, those with calls are cut',
  )
  await t.rejects(line.ask(houseService, 'Renew', newRequest(), DEADLINE), { code: 'agent.revoked' })
  const again = hear(line.exchange(houseService, 'Attach'))
  t.equal((await again.gone).code, 'agent.revoked')
  const anew = await w.join('a')
  t.match(await lineOf(t, w.at, anew).ask(houseService, 'Renew', newRequest(), DEADLINE), {
    certificate: { node: 'a' },
  })
})

t.test('a line with the certificate before goes on, and a new one shows the next', async t => {
  const w = await house(t)
  const identity = await w.join('a')
  const line = lineOf(t, w.at, identity)
  const stream = line.exchange(houseService, 'Attach')
  const heard = hear(stream)
  stream.put(hello('a'))
  await heard.accepted
  const { key, csr } = newRequest()
  const { certificate } = await line.ask<any>(houseService, 'Renew', { csr }, DEADLINE)
  const next = { key, certificate: certificate.certificate, authority: identity.authority }
  const renewed = lineOf(t, w.at, next)
  const other = renewed.exchange(houseService, 'Attach')
  const also = hear(other)
  other.put(hello('a'))
  await also.accepted
  t.equal((await w.revoke('b')).status, 404)
  t.notOk(also.over())
  const { serialNumber } = new X509Certificate(next.certificate)
  t.match(await (await fetch(`${w.url}/quipu/agents`)).json(), [
    { node: 'a', state: 'trusted', certificate: { serial: serialNumber } },
  ])
  stream.cancel()
  other.cancel()
})

t.test('what a stolen key opens: its own node, and nothing else of the house', async t => {
  const w = await house(t)
  const identity = await w.join('a')
  const b = await w.join('b')
  const other = lineOf(t, w.at, b).exchange(houseService, 'Attach')
  const others = hear(other)
  other.put(hello('b', 'of b'))
  await others.accepted
  const before = (await w.facts()).length

  const thief = lineOf(t, w.at, identity)
  const offered = (await import('@grpc/proto-loader')).loadSync(
    ['quipu/v1/agent.proto', 'quipu/v1/journal.proto'],
    { includeDirs: [join(import.meta.dirname, '../../proto')] },
  )
  const methods = Object.entries(offered).flatMap(([service, held]) =>
    service
      .split('.')
      .at(-1)!
      .match(/^(Agent|House|Journal)$/) === null
      ? []
      : Object.entries(held as Record<string, { path: string }>).map(([name, { path }]) => ({
          name,
          path,
          requestStream: (held as any)[name].requestStream as boolean,
        })),
  )
  t.ok(methods.length >= 11, `${methods.length} methods`)
  const raw = (path: string): Promise<number> =>
    new Promise(resolve => {
      const call = thief.exchange<any, any>(
        {
          methods: {
            X: { path, requestSerialize: () => Buffer.alloc(0), responseDeserialize: (x: Buffer) => x },
          },
        } as never,
        'X',
      )
      call.hear({
        message() {},
        room() {},
        end: () => resolve(0),
        gone: error => resolve((error as any).cause?.code),
      })
      call.put({})
      call.end()
      setTimeout(() => {
        call.cancel()
        resolve(-1)
      }, 1_000).unref()
    })
  const UNIMPLEMENTED = 12
  const outcomes: Record<string, number> = {}
  for (const { path } of methods) outcomes[path] = await raw(path)
  const closed = Object.entries(outcomes).filter(([, code]) => code === UNIMPLEMENTED)
  t.same(
    methods.map(({ path }) => path).filter(path => !closed.some(([shut]) => shut === path)),
    ['/quipu.v1.House/Join', '/quipu.v1.House/Renew', '/quipu.v1.House/Attach'],
    'of all there is, only these are there',
  )
  t.match(await thief.ask(houseService, 'Renew', newRequest(), DEADLINE), { certificate: { node: 'a' } })
  const stream = thief.exchange(houseService, 'Attach')
  const heard = hear(stream)
  stream.put(hello('b', 'of b'))
  await heard.accepted
  await w.fact('node.registered', ({ id }) => id === 'a')
  t.notOk(others.over(), 'nobody else’s stream is touched')
  await t.rejects(thief.ask(agentService, 'CancelModelCommand', { id: 'x' }, DEADLINE), {
    code: 'rpc.answer',
  })
  const written = (await w.facts()).slice(before).filter(({ kind }) => kind !== 'node')
  t.same(new Set(written.map(({ id, type }) => `${type} ${id}`)), new Set(['agent.renewed a']))
  stream.cancel()
  other.cancel()
})

t.test('strangers at the port find Join, and a wall', async t => {
  const w = await house(t)
  const { authority } = await w.join('a')
  const nobody = dial(t, w.at, toHouseOf(authority))
  for (const [service, name] of [
    [houseService, 'Renew'],
    [agentService, 'CancelModelCommand'],
  ] as const) {
    await t.rejects(nobody.ask(service, name, {}, DEADLINE), { code: /agent\.unknown|rpc\.answer/ }, name)
  }
  const codes: string[] = []
  for (let i = 0; i < 12; i += 1) {
    const error = await nobody
      .ask(houseService, 'Join', { token: `quipu-${i}`, csr: 'x'.repeat(60_000) }, DEADLINE)
      .catch(error => error)
    codes.push((error as Failure).code)
  }
  t.same(codes, [...Array(10).fill('agent.token-wrong'), 'agent.attempts', 'agent.attempts'])
})

t.test('nothing that was secret is in the journal, in what doors tell, or in errors', async t => {
  const w = await house(t, { log: 'silent' })
  const token = await w.invite('a')
  const { identity } = await joinHouse(systemClock, w.at, token)
  const errors = [
    String(await joinHouse(systemClock, w.at, token).catch(error => error)),
    String(await joinHouse(systemClock, '127.0.0.1:1', token).catch(error => error)),
  ]
  const told = await Promise.all(
    ['/quipu/agents', '/quipu/journal', '/quipu/config', '/quipu', '/metrics'].map(async path =>
      (await fetch(w.url + path)).text(),
    ),
  )
  const facts = JSON.stringify(await w.facts())
  const key = readFileSync(join(pkiIn(w.data), 'key'), 'utf8').split('\n')[1]!
  for (const secret of [token, token.slice(6, 28), identity.key.split('\n')[1]!, key]) {
    for (const text of [...told, ...errors, facts]) t.notOk(text.includes(secret))
  }
})

t.test('a house that needs an authority and has none says how to make it', async t => {
  await t.rejects(world(t, { sims: [], flags: { agents: '127.0.0.1:0' } }), {
    code: 'pki.missing',
    message: /quipu pki init/,
  })
  const data = dataFolder(t)
  await makeAuthority(pkiIn(data), systemClock)
  writeFileSync(join(pkiIn(data), 'key'), 'torn')
  await t.rejects(world(t, { sims: [], flags: { agents: '127.0.0.1:0', data } }), { code: 'pki.damaged' })
  const without = await world(t, { sims: [], flags: { data } })
  const res = await without.post('/quipu/agents', { node: 'a' })
  t.same([res.status, ((await res.json()) as { code: string }).code], [409, 'agent.off'])
})

t.test('a house that needs no authority starts beside one that has expired', async t => {
  const data = dataFolder(t)
  const longAgo = Date.now() - 11 * 365 * 86_400_000
  await makeAuthority(pkiIn(data), { ...systemClock, now: () => longAgo })
  await t.rejects(world(t, { sims: [], flags: { agents: '127.0.0.1:0', data } }), { code: 'pki.expired' })
  await world(t, { sims: [], flags: { data } })
})
