import { once } from 'node:events'
import { connect, createServer } from 'node:tls'
import t, { type Test } from 'tap'
import { Refusal } from '../../machines/entity.ts'
import { systemClock } from '../../src/clock.ts'
import { Papers } from '../../src/pki/papers.ts'
import {
  agentsPort,
  authorityAt,
  type Gate,
  listeningAgent,
  principalOf,
  remedyOf,
  toAgent,
  toHouse,
  toHouseOf,
} from '../../src/rpc/credentials.ts'
import { agentService, houseService } from '../../src/rpc/definitions.ts'
import type { Served } from '../../src/rpc/exchange.ts'
import type { Offer } from '../../src/rpc/server.ts'
import { dial, HOUR_MS, serialIn, serve, trusted } from './trusted.ts'

const DEADLINE = { deadlineMs: 5_000 }

/** Answers with whom it takes the caller for. */
const house: Offer = {
  service: houseService,
  handlers: {
    Join: {
      answer: async (_request, { call }) => ({
        certificate: { node: principalOf(call) === undefined ? 'nobody' : 'somebody', expiresAt: 1 },
      }),
    },
    Renew: {
      answer: async (_request, { call }) => {
        const caller = principalOf(call)!
        const node = caller.role === 'node' ? caller.node : 'the house'
        return { certificate: { node, certificate: caller.serial, expiresAt: caller.until } }
      },
    },
    Attach: { exchange: (exchange: Served<any, any>) => exchange.put({ cancel: { id: 'c' } }) },
  },
}
const agent: Offer = {
  service: agentService,
  handlers: { CancelModelCommand: { answer: async () => ({ cancelled: true }) } },
}
const all: Gate = ({ role }) => {
  if (role !== 'node') throw new Refusal('agent.unknown', 'no node')
}

const join = (t: Test, address: string, authority: string) =>
  dial(t, address, toHouseOf(authority)).ask<{ certificate: { node: string } }>(
    houseService,
    'Join',
    { token: 'x', csr: '' },
    DEADLINE,
  )
const renew = (t: Test, address: string, papers: Papers) =>
  dial(t, address, toHouse(papers)).ask<{
    certificate: { node: string; certificate: string; expiresAt: number }
  }>(houseService, 'Renew', { csr: '' }, DEADLINE)

t.test('who calls is who the certificate names', async t => {
  const pki = await trusted(t)
  const address = await serve(t, agentsPort(pki.house, all), house)
  const [a, b] = [pki.node('a'), pki.node('gpu[1]:2')]
  const answer = await renew(t, address, a)
  t.equal(answer.certificate.node, 'a')
  t.equal(answer.certificate.certificate, serialIn(a.present))
  t.ok(Math.abs(answer.certificate.expiresAt - Date.now() - HOUR_MS) < 5_000)
  t.equal((await renew(t, address, b)).certificate.node, 'gpu[1]:2')
})

t.test('without a certificate one can join, and nothing else', async t => {
  const pki = await trusted(t)
  const address = await serve(t, agentsPort(pki.house, all), house)
  t.equal((await join(t, address, pki.authority.certificate)).certificate.node, 'nobody')
  const nobody = dial(t, address, toHouseOf(pki.authority.certificate))
  await t.rejects(nobody.ask(houseService, 'Renew', { csr: '' }, DEADLINE), { code: 'agent.unknown' })
  const attached = nobody.exchange(houseService, 'Attach')
  const gone = new Promise(resolve =>
    attached.hear({ message: () => t.fail('it was let in'), room() {}, end() {}, gone: resolve }),
  )
  t.match(await gone, { code: 'agent.unknown' })
})

t.test('what every server offers beside its own is behind the gate, too', async t => {
  const pki = await trusted(t)
  const address = await serve(t, agentsPort(pki.house, all), house)
  const same = {
    requestSerialize: () => Buffer.alloc(0),
    responseDeserialize: (bytes: Buffer) => ({ bytes }),
  }
  const paths = ['/grpc.health.v1.Health/Check', '/quipu.v1.House/Other', '/quipu.v1.House/Join/']
  const lines = {
    nobody: dial(t, address, toHouseOf(pki.authority.certificate)),
    node: dial(t, address, toHouse(pki.node('a'))),
  }
  const ask = (line: keyof typeof lines, path: string): Promise<string> =>
    lines[line].ask({ methods: { X: { path, ...same } } } as never, 'X', {}, DEADLINE).then(
      () => 'answered',
      error => error.code,
    )
  for (const path of paths) t.match(await ask('nobody', path), /^agent\.unknown$|^rpc\.answer$/, path)
  t.equal(await ask('nobody', paths[0]!), 'agent.unknown')
  t.equal(await ask('node', paths[0]!), 'answered')
})

t.test('a certificate of another authority is none', async t => {
  const [pki, other] = [await trusted(t), await trusted(t)]
  const address = await serve(t, agentsPort(pki.house, all), house)
  const forged = { ...other.issue({ role: 'node', node: 'a' }), authority: pki.authority.certificate }
  await t.rejects(renew(t, address, new Papers(forged)), { code: 'agent.unknown' })
  await t.rejects(
    renew(t, address, other.node('a')),
    { code: 'rpc.broken' },
    'and it believes no other house',
  )
  await t.rejects(join(t, address, other.authority.certificate), { code: 'rpc.broken' })
})

t.test('a certificate that has expired, or not begun, is none', async t => {
  const pki = await trusted(t)
  const address = await serve(t, agentsPort(pki.house, all), house)
  for (const now of [Date.now() - 2 * HOUR_MS, Date.now() + HOUR_MS]) {
    const papers = new Papers(pki.issue({ role: 'node', node: 'a' }, { now }))
    await t.rejects(renew(t, address, papers), { code: 'agent.unknown' })
  }
})

t.test('the certificate of a node does not pass for the house', async t => {
  const pki = await trusted(t)
  const posing = await serve(t, agentsPort(pki.node('b'), all), house)
  await t.rejects(renew(t, posing, pki.node('a')), { code: 'rpc.broken', message: /speaks for the node b/ })
  await t.rejects(join(t, posing, pki.authority.certificate), { message: /is not this house/ })
})

t.test('an agent that listens takes orders from its house only', async t => {
  const pki = await trusted(t)
  const address = await serve(t, listeningAgent(pki.node('a')), agent)
  const cancel = (papers: Papers, node: string) =>
    dial(
      t,
      address,
      toAgent(papers, node, () => {}),
    ).ask(agentService, 'CancelModelCommand', { id: 'c' }, DEADLINE)
  t.same(await cancel(pki.house, 'a'), { cancelled: true })
  await t.rejects(cancel(pki.house, 'b'), { code: 'rpc.broken', message: /is not the node b/ })
  await t.rejects(cancel(pki.node('b'), 'a'), { code: 'agent.unknown' })
  await t.rejects(cancel(pki.node('a'), 'a'), { code: 'agent.unknown' }, 'not even its own')
  const nobody = dial(t, address, toHouseOf(pki.authority.certificate))
  await t.rejects(nobody.ask(agentService, 'CancelModelCommand', { id: 'c' }, DEADLINE))
})

t.test('the gate is asked for every call, and its word is final', async t => {
  const pki = await trusted(t)
  let closed = false
  const asked: string[] = []
  const gate: Gate = principal => {
    asked.push(principal.serial)
    if (closed) throw new Refusal('agent.revoked', 'sent away')
  }
  const address = await serve(t, agentsPort(pki.house, gate), house)
  const papers = pki.node('a')
  const line = dial(t, address, toHouse(papers))
  await line.ask(houseService, 'Renew', { csr: '' }, DEADLINE)
  closed = true
  await t.rejects(line.ask(houseService, 'Renew', { csr: '' }, DEADLINE), {
    code: 'agent.revoked',
    message: 'sent away',
  })
  t.same(asked, Array(2).fill(serialIn(papers.present)))
})

t.test('both ends change their papers while a stream is up, and it is not cut', async t => {
  const pki = await trusted(t)
  const address = await serve(t, agentsPort(pki.house, all), house)
  const papers = pki.node('a')
  const line = dial(t, address, toHouse(papers))
  const attached = line.exchange<object, object>(houseService, 'Attach')
  let gone = false
  const heard = new Promise(resolve =>
    attached.hear({ message: resolve, room() {}, end: () => (gone = true), gone: () => (gone = true) }),
  )
  attached.put({ hello: { session: 's' } })
  t.match(await heard, { cancel: { id: 'c' } })
  const before = serialIn(papers.present)
  papers.replace(pki.issue({ role: 'node', node: 'a' }))
  pki.house.replace({ ...pki.issue({ role: 'house' }) })
  const { certificate } = await renew(t, address, papers)
  t.equal(certificate.certificate, serialIn(papers.present), 'new lines show the new one')
  const old = await line.ask<any>(houseService, 'Renew', { csr: '' }, DEADLINE)
  t.equal(old.certificate.certificate, before, 'the line that is up goes on as it was')
  t.notOk(gone)
  attached.cancel()
})

t.test('who joins learns the authority from the house, if it is the one in the token', async t => {
  const [pki, other] = [await trusted(t), await trusted(t)]
  const address = await serve(t, agentsPort(pki.house, all), house)
  const { fingerprint, certificate } = pki.authority
  t.equal(await authorityAt(address, fingerprint, systemClock), certificate)
  await t.rejects(authorityAt(address, other.authority.fingerprint, systemClock), { code: 'agent.stranger' })
  await t.rejects(authorityAt('127.0.0.1:1', fingerprint, systemClock), { code: 'agent.unreachable' })
  for (const odd of ['nowhere', 'a:b', '127.0.0.1:99999', 'http://127.0.0.1:1']) {
    await t.rejects(async () => authorityAt(odd, fingerprint, systemClock), { code: 'agent.address' }, odd)
  }
})

t.test('somebody in between who shows the right authority cannot use it', async t => {
  const pki = await trusted(t)
  const other = await trusted(t)
  const own = other.issue({ role: 'house' })
  const server = createServer(
    { key: own.key, cert: own.certificate + pki.authority.certificate, ALPNProtocols: ['h2'] },
    socket => void socket.on('data', data => heard.push(data)).on('error', () => {}),
  )
  const heard: Buffer[] = []
  server.listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const address = `127.0.0.1:${(server.address() as { port: number }).port}`
  const authority = await authorityAt(address, pki.authority.fingerprint, systemClock).catch(() => undefined)
  if (authority !== undefined) await t.rejects(join(t, address, authority), { code: 'rpc.broken' })
  t.equal(Buffer.concat(heard).length, 0, 'nothing was told')
})

t.test('older TLS than 1.3 is not spoken', async t => {
  const pki = await trusted(t)
  const address = await serve(t, agentsPort(pki.house, all), house)
  const port = Number(address.split(':')[1])
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, maxVersion: 'TLSv1.2' })
  const [error] = await once(socket, 'error')
  t.match((error as Error).message, /protocol version|alert/i)
})

t.test('what TLS says is told with what to do', async t => {
  t.match(remedyOf('certificate is not yet valid'), /clock/)
  t.match(remedyOf('CERT_HAS_EXPIRED'), /quipu pki invite/)
  t.match(remedyOf('self-signed certificate in certificate chain'), /another authority/)
  t.equal(remedyOf('connect ECONNREFUSED'), undefined)
})
