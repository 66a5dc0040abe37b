import t, { type Test } from 'tap'
import type { Refusal } from '../../machines/entity.ts'
import { Trust } from '../../src/fleet/trust.ts'
import { DAY_MS, trusting } from './trusting.ts'

async function given(t: Test) {
  const w = await trusting(t)
  const expelled: [node: string, code: string, serial?: string][] = []
  const expel = (node: string, why: Refusal, serial?: string): void =>
    void expelled.push([node, why.code, ...(serial === undefined ? [] : [serial])] as never)
  const trust = new Trust({ ...w, expel })
  w.engine.start(trust.reactor)
  t.teardown(() => trust.close())
  const revoke = (node: string) =>
    w.engine.dispatch('agent', node, { type: 'agent.revoke', data: { reason: 'stolen' } })
  return { ...w, expelled, trust, revoke }
}

t.test('who was never invited, and the house, are no agents', async t => {
  const { trust, join, expelled } = await given(t)
  const a = await join('a')
  t.doesNotThrow(() => trust.admit(a))
  t.throws(() => trust.admit({ ...a, node: 'b' }), { code: 'agent.unknown' })
  const { serial, fingerprint, until } = a
  t.throws(() => trust.admit({ role: 'house', serial, fingerprint, until }), { code: 'agent.unknown' })
  t.throws(() => trust.admit({ ...a, serial: 'B7' }), { code: 'agent.outdated' })
  t.same(expelled, [])
})

t.test('who is revoked loses every line at once, and comes back with another token only', async t => {
  const { trust, join, renew, revoke, expelled, clock } = await given(t)
  const [a, b] = [await join('a'), await join('b')]
  trust.admit(a)
  trust.admit(b)
  const next = await renew(a)
  trust.admit(next)
  await revoke('a')
  await clock.advance(0)
  t.same(expelled, [
    ['a', 'agent.revoked', a.serial],
    ['a', 'agent.revoked', next.serial],
  ])
  for (const one of [a, next]) t.throws(() => trust.admit(one), { code: 'agent.revoked' })
  const again = await join('a')
  t.doesNotThrow(() => trust.admit(again))
  t.throws(() => trust.admit(next), { code: 'agent.outdated' })
})

t.test('a node that joins anew puts out whoever had its name', async t => {
  const { trust, join, expelled, clock } = await given(t)
  const thief = await join('a')
  trust.admit(thief)
  const owner = await join('a')
  await clock.advance(0)
  t.same(expelled, [['a', 'agent.outdated', thief.serial]])
  t.throws(() => trust.admit(thief), { code: 'agent.outdated' })
  t.doesNotThrow(() => trust.admit(owner))
})

t.test('after a renewal the certificate before opens lines for an hour, and keeps those it has', async t => {
  const { trust, join, renew, expelled, clock } = await given(t)
  const first = await join('a')
  trust.admit(first)
  await clock.advance(20 * DAY_MS)
  const second = await renew(first)
  trust.admit(second)
  await clock.advance(3_599_999)
  t.doesNotThrow(() => trust.admit(first))
  await clock.advance(1)
  t.throws(() => trust.admit(first), { code: 'agent.outdated' })
  t.same(expelled, [])
  await clock.advance(10 * DAY_MS)
  t.same(expelled, [['a', 'agent.expired', first.serial]], 'until it ends')
  t.doesNotThrow(() => trust.admit(second))
})

t.test('the lines of a certificate end with it, at that moment', async t => {
  const { trust, join, expelled, clock } = await given(t)
  const a = await join('a')
  trust.admit(a)
  trust.admit(a)
  await clock.advance(30 * DAY_MS - 1_000)
  t.same(expelled, [])
  await clock.advance(1_000)
  t.same(expelled, [['a', 'agent.expired', a.serial]], 'once')
  t.throws(() => trust.admit(a), { code: 'agent.expired' })
})

t.test('what was missed is done when it looks again', async t => {
  const w = await trusting(t)
  const expelled: string[] = []
  const trust = new Trust({ ...w, expel: node => void expelled.push(node) })
  t.teardown(() => trust.close())
  const a = await w.join('a')
  trust.admit(a)
  await w.engine.dispatch('agent', 'a', { type: 'agent.revoke', data: { reason: 'stolen' } })
  t.same(expelled, [])
  trust.reactor.resume()
  t.same(expelled, ['a'])
  trust.reactor.resume()
  t.same(expelled, ['a'])
})
