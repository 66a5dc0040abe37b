/**
 * Frames of chance, and true ones with bits of them changed, on both services: whoever sends them gets a canonical status or a
 * stream that is reset, and the next who asks is answered as ever. A failure is told with its seed: FUZZ_SEED runs it again.
 */
import { once } from 'node:events'
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import t, { type Test } from 'tap'
import { mulberry32 } from '../../src/clock.ts'
import { agentService, houseService, type Method, type Service } from '../../src/rpc/definitions.ts'
import { agentOf, simOf } from '../agent/beside.ts'
import { houseSide, taking } from '../agent/stand.ts'

const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31)
const ROUNDS = 120
const STATUS_MAX = 16

const random = mulberry32(SEED)
const whole = (below: number): number => Math.floor(random() * below)
const pick = <T>(list: readonly T[]): T => list[whole(list.length)]!
const chance = (bytes: number): Buffer => Buffer.from(Array.from({ length: bytes }, () => whole(256)))

const odd = () => pick(['', 'n1', '../..', '\u0000', 'x'.repeat(300), 'ü', 'http://a', '[::1]:5', ' '])
const number = () => pick([0, 1, -1, 2 ** 31, 2 ** 53 - 1, 4_294_967_295])

/** What a caller of each method says when nothing is wrong with it, more or less. */
const said: Readonly<Record<string, () => object>> = {
  GetCompleteNodeStatus: () => ({ fresh: random() < 0.5 }),
  WatchStatus: () => ({ intervalMs: number() }),
  RemoteModelCommand: () => ({ id: odd(), [pick(['pull', 'delete', 'load', 'unload'])]: { model: odd() } }),
  CancelModelCommand: () => ({ id: odd() }),
  Relay: () =>
    pick<() => object>([
      () => ({
        head: {
          method: pick(['GET', 'POST', '', 'G T', 'x'.repeat(99)]),
          path: pick(['/api/tags', '/api/generate', '/', '', '/api/\r\nx: y', '/api/ü']),
          headers: [{ name: odd(), value: odd() }],
          body: random() < 0.5,
        },
      }),
      () => ({ data: chance(whole(200)) }),
      () => ({ end: random() < 0.5 }),
    ])(),
  Join: () => ({ token: odd(), csr: odd() }),
  Renew: () => ({ csr: odd() }),
  Attach: () =>
    pick<() => object>([
      () => ({
        hello: {
          session: odd(),
          startedAt: number(),
          node: odd(),
          slots: number(),
          labels: { [odd()]: odd() },
        },
      }),
      () => ({ status: { status: { at: number() } } }),
      () => ({ command: { end: { outcome: whole(9), httpStatus: number() } } }),
      () => ({ relay: { head: { status: number(), headers: [{ name: odd(), value: odd() }] } } }),
      () => ({ relay: { data: chance(whole(200)) } }),
      () => ({ end: { code: number(), quipuCode: odd() } }),
    ])(),
}

/** As it goes over the wire, and now and then not quite. */
function frame(method: Method, message: object): Buffer {
  let bytes: Buffer
  try {
    bytes = Buffer.from(method.requestSerialize(message))
  } catch {
    bytes = chance(whole(64))
  }
  if (random() < 0.2) bytes = chance(whole(300))
  for (let i = whole(4); i > 0 && bytes.length > 0; i -= 1) bytes[whole(bytes.length)]! ^= 1 << whole(8)
  const head = Buffer.alloc(5)
  head.writeUInt8(random() < 0.05 ? whole(256) : 0, 0)
  head.writeUInt32BE(random() < 0.05 ? whole(2 ** 32) : bytes.length, 1)
  return Buffer.concat([head, bytes])
}

/** Says a few of them on a stream of one method. Resolves with its status; undefined where it was reset, or goes on. */
async function talk(
  session: ClientHttp2Session,
  service: Service,
  name: string,
): Promise<number | undefined> {
  const method = service.methods[name] as Method
  const stream: ClientHttp2Stream = session.request({
    ':method': 'POST',
    ':path': method.path,
    'content-type': 'application/grpc+proto',
    te: 'trailers',
  })
  let status: number | undefined
  const note = (headers: Record<string, unknown>): void => {
    if (headers['grpc-status'] !== undefined) status = Number(headers['grpc-status'])
  }
  stream.on('response', note)
  stream.on('trailers', note)
  stream.on('error', () => {})
  stream.resume()
  for (let i = 1 + whole(4); i > 0 && !stream.destroyed; i -= 1) stream.write(frame(method, said[name]!()))
  if (random() < 0.7) stream.end()
  const late = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), 30 + whole(50))
  await once(stream, 'close').catch(() => {})
  clearTimeout(late)
  return status
}

async function storm(t: Test, address: string, service: Service): Promise<void> {
  const counts = new Map<number | undefined, number>()
  for (let round = 0; round < ROUNDS; round += 1) {
    const session = connect(`http://${address}`)
    session.on('error', () => {})
    const names = Object.keys(service.methods)
    const statuses = await Promise.all(Array.from({ length: 8 }, () => talk(session, service, pick(names))))
    session.destroy()
    for (const status of statuses) counts.set(status, (counts.get(status) ?? 0) + 1)
  }
  for (const status of counts.keys()) {
    if (status !== undefined)
      t.ok(status >= 0 && status <= STATUS_MAX, `${status} is canonical (seed ${SEED})`)
  }
  t.ok(
    [...counts.keys()].some(status => (status ?? 0) > 0),
    `some were refused (seed ${SEED})`,
  )
}

t.test('an agent that listens stands frames of chance', async t => {
  const house = await houseSide(t)
  const sim = await simOf(t)
  const agent = await agentOf(t, { ollama: sim.url, listen: '127.0.0.1:0', house: house.address })
  await storm(t, agent.address!, agentService)
  const link = await house.link('n1')
  const status = await link.status({ fresh: true, signal: new AbortController().signal })
  t.equal(status.identity?.node, 'n1', `seed ${SEED}`)
})

t.test('a house stands frames of chance from those who attach, also where it calls them', async t => {
  const house = await houseSide(t)
  const sim = await simOf(t)
  // Whoever is taken for an agent is called, and answers whatever chance says.
  house.agents.listen((node, up) => {
    const link = house.agents.of(node)
    if (!up || link === undefined || node === 'true') return
    const signal = AbortSignal.timeout(200)
    void link.status({ fresh: false, signal }).catch(() => {})
    link.send({ method: 'GET', path: '/api/tags', headers: {}, body: null }, taking())
    void (async () => {
      for await (const _ of link.command({ id: 'a', unload: { model: 'tiny' } }, signal));
    })().catch(() => {})
  })
  await storm(t, house.address, houseService)
  await agentOf(t, { name: 'true', ollama: sim.url, house: house.address })
  const receiver = taking()
  ;(await house.link('true')).send({ method: 'GET', path: '/api/version', headers: {}, body: null }, receiver)
  t.equal((await receiver.answer).status, 200, `seed ${SEED}`)
})
