/** Brokers that do not answer: real seconds pass, 4 an answer, so that all of these wait beside each other. */
import t from 'tap'
import { until } from '../journal/facts.ts'
import type { FaultPlan } from './broker.ts'
import { holds, stage } from './stage.ts'

const BESIDE = { buffered: true }
t.jobs = 8

t.test(
  'a broker that goes silent is left after two answers that did not come, for new sockets',
  BESIDE,
  async t => {
    const s = await stage(t)
    await s.put(10)
    await s.level()
    const began = performance.now()
    s.broker.silent = true
    await s.put(10)
    await until(() => s.mirror.status.state === 'waiting', 'it notices', 12_000)
    s.broker.silent = false
    await s.level(20_000)
    t.comment(`whole again after ${Math.round(performance.now() - began)} ms`)
    t.equal(await holds(t, s), 0)
    t.equal(s.log.length, 2, 'one line when it went, one when it came back')
    t.match(s.log[0], 'does not answer (mirror.unreachable)')
    t.match(s.log[1], 'is back')
  },
)

t.test('a broker that was stopped like a process does, later, what it was asked before', BESIDE, async t => {
  const s = await stage(t)
  await s.put(10)
  await s.level()
  s.broker.pause()
  await s.put(10)
  await until(() => s.mirror.status.state === 'waiting', 'it is given up', 12_000)
  await s.put(10)
  s.broker.resume()
  await s.level(30_000)
  const { repeated } = s.broker
  t.equal(await holds(t, s), 0, 'no double')
  t.ok(repeated > 0, 'the broker knew the second try by its numbers')
})

const plans: Readonly<Record<string, FaultPlan>> = {
  'one batch is taken, and not answered': { api: 'produce', lost: 'silent' },
  'four batches are taken, and not answered': { api: 'produce', lost: 'silent', times: 4 },
  'the end of the topic is not told': { api: 'fetch', lost: 'silent' },
  'where the topic is led is not told': { api: 'metadata', lost: 'silent' },
  'no versions are told': { api: 'apiVersions', lost: 'silent' },
}

for (const [what, plan] of Object.entries(plans)) {
  t.test(`${what}: then the topic holds each fact once`, BESIDE, async t => {
    const s = await stage(t)
    await s.put(50)
    await s.level()
    s.broker.plan(plan)
    if (plan.api !== 'produce') await s.restart()
    await s.put(700)
    await s.level(60_000)
    t.equal(s.broker.planned, 0, 'it was silent')
    t.equal(await holds(t, s), 0, 'no double')
  })
}

t.test('a broker that is silent in the middle of a password is given up, too', BESIDE, async t => {
  const s = await stage(t, {
    more: ',sasl=plain,user=quipu',
    password: 'x',
    before: broker => {
      broker.account = { user: 'quipu', password: 'x' }
      broker.plan({ api: 'saslAuthenticate', lost: 'silent' })
    },
  })
  await s.put(1)
  await s.level(60_000)
  t.equal(await holds(t, s), 0)
})
