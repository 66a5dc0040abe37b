import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { bearerOf } from '../../src/pki/bearer.ts'
import { newRequest } from '../../src/pki/request.ts'
import { newToken } from '../../src/pki/token.ts'
import { DAY_MS, trusting } from './trusting.ts'

t.test('a node that was invited gets a certificate in its name, with its own key', async t => {
  const w = await trusting(t)
  const { token, until } = await w.joining.invite('gpu-1', 3_600_000, 'cli')
  t.equal(until, w.clock.now() + 3_600_000)
  const { csr } = newRequest()
  const issued = await w.joining.join({ token, csr }, '10.0.0.1')
  const made = new X509Certificate(issued.certificate)
  t.same(bearerOf(made.raw), { role: 'node', node: 'gpu-1' })
  t.ok(made.verify(new X509Certificate(issued.authority).publicKey))
  t.equal(issued.expiresAt, w.clock.now() + 30 * DAY_MS)
  t.match(w.trusted.state.get('gpu-1'), {
    state: 'trusted',
    certificate: { serial: made.serialNumber, until: issued.expiresAt },
  })
})

t.test('a token works once, in its time, and one that somebody made up never', async t => {
  const w = await trusting(t)
  const { csr } = newRequest()
  const join = (token: string, from = '10.0.0.1') => w.joining.join({ token, csr }, from)
  const { token } = await w.joining.invite('a', 3_600_000, 'cli')
  await t.rejects(join(newToken(w.authority.fingerprint).text), { code: 'agent.token-wrong' })
  await t.rejects(join(''), { code: 'agent.token-wrong' })
  await t.rejects(join('x'.repeat(1_000_000)), { code: 'agent.token-wrong' })
  await t.rejects(join(`${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`), {
    code: 'agent.token-wrong',
  })
  await join(token)
  await t.rejects(join(token), { code: 'agent.token-used' })
  const late = await w.joining.invite('b', 60_000, 'cli')
  await w.clock.advance(60_000)
  await t.rejects(join(late.token), { code: 'agent.token-expired' })
  const first = await w.joining.invite('c', 60_000, 'cli')
  await w.joining.invite('c', 60_000, 'cli')
  await t.rejects(join(first.token), { code: 'agent.token-wrong' })
})

t.test('of two that use a token at once, one gets in', async t => {
  const w = await trusting(t)
  const { token } = await w.joining.invite('a', 3_600_000, 'cli')
  const outcomes = await Promise.allSettled(
    ['1', '2', '3'].map(from => w.joining.join({ token, csr: newRequest().csr }, from)),
  )
  t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
  t.match(
    outcomes.filter(({ status }) => status === 'rejected'),
    Array(2).fill({ reason: { code: 'agent.token-used' } }),
  )
})

t.test('a request that is none leaves the token good', async t => {
  const w = await trusting(t)
  const { token } = await w.joining.invite('a', 3_600_000, 'cli')
  await t.rejects(w.joining.join({ token, csr: 'junk' }, 'x'), { code: 'agent.request' })
  await w.joining.join({ token, csr: newRequest().csr }, 'x')
  await t.rejects(w.joining.renew({ ...(await w.join('b')) }, { csr: '' }), { code: 'agent.request' })
})

t.test('strangers are counted, each and all, and hear of nothing but that', async t => {
  const w = await trusting(t)
  const wrong = newToken(w.authority.fingerprint).text
  const { token } = await w.joining.invite('a', 3_600_000, 'cli')
  const { csr } = newRequest()
  const ask = (from: string, shown = wrong) =>
    w.joining.join({ token: shown, csr }, from).then(
      () => 'in',
      error => error.code as string,
    )
  for (let i = 0; i < 10; i += 1) t.equal(await ask('10.0.0.1'), 'agent.token-wrong')
  t.equal(await ask('10.0.0.1'), 'agent.attempts')
  t.equal(await ask('10.0.0.1', token), 'agent.attempts', 'the right one waits, too, from there')
  t.equal(await ask('10.0.0.2', token), 'in', 'and nobody else does')
  for (let i = 0; i < 90; i += 1) await ask(`10.0.1.${i}`)
  t.equal(await ask('10.0.9.9'), 'agent.attempts')
  await w.clock.advance(60_000)
  t.equal(await ask('10.0.0.1'), 'agent.token-wrong')
})

t.test('a certificate is renewed for itself only', async t => {
  const w = await trusting(t)
  const first = await w.join('a')
  await w.clock.advance(20 * DAY_MS)
  const second = await w.renew(first)
  t.not(second.serial, first.serial)
  t.equal(second.until, w.clock.now() + 30 * DAY_MS)
  const { serial, fingerprint, until } = second
  const house = { role: 'house', serial, fingerprint, until } as const
  await t.rejects(w.joining.renew(house, newRequest()), { code: 'agent.unknown' })
  await t.rejects(w.joining.renew({ ...second, node: 'b' }, newRequest()), { code: 'agent.unknown' })
  await w.engine.dispatch('agent', 'a', { type: 'agent.revoke', data: { reason: 'stolen' } })
  await t.rejects(w.renew(second), { code: 'agent.revoked' })
})

t.test('names and times that cannot be are not invited', async t => {
  const w = await trusting(t)
  for (const node of ['', 'a b', 'a/b', '-a', `a${'b'.repeat(63)}`, 'a\n']) {
    await t.rejects(w.joining.invite(node, 60_000, 'cli'), { code: 'node.name' }, JSON.stringify(node))
  }
  for (const ttl of [0, 59_999, 7 * DAY_MS + 1]) {
    await t.rejects(w.joining.invite('a', ttl, 'cli'), { code: 'agent.ttl' })
  }
})

t.test('no token, and no key, is in any fact', async t => {
  const w = await trusting(t)
  const { token } = await w.joining.invite('a', 3_600_000, 'cli')
  const { csr, key } = newRequest()
  const { certificate } = await w.joining.join({ token, csr }, '10.0.0.1')
  await w.renew(w.principal(certificate, 'a'))
  const written = w.records.join('\n')
  t.match(written, /agent\.renewed/)
  t.match(written, /"by":"~10\.0\.0\.1"/, 'who joined is written down as clients are')
  for (const secret of [token, token.slice(6, 28), key.split('\n')[1]!]) t.notOk(written.includes(secret))
})
