import { X509Certificate } from 'node:crypto'
import t, { type Test } from 'tap'
import { Renewal } from '../../src/agent/renewal.ts'
import { Failure } from '../../src/failure.ts'
import { type Identity, Papers } from '../../src/pki/papers.ts'
import { newRequest } from '../../src/pki/request.ts'
import { DAY_MS, trusting } from '../fleet/trusting.ts'

async function given(t: Test) {
  const w = await trusting(t)
  const { token } = await w.joining.invite('a', 3_600_000, 'cli')
  const { key, csr } = newRequest()
  const issued = await w.joining.join({ token, csr }, '10.0.0.1')
  const papers = new Papers({ key, certificate: issued.certificate, authority: issued.authority })
  const [steps, warnings] = [[] as string[], [] as string[]]
  const trouble: { away?: true; disk?: true; full?: true; other?: true } = {}
  /** Of the agent's machine: its clock goes on meanwhile, and its timers do not. */
  const slept = { ms: 0 }
  const principal = (identity: Identity) => w.principal(identity.certificate, 'a')
  const renewal = new Renewal({
    clock: { ...w.clock, now: () => w.clock.now() + slept.ms },
    papers,
    async renew(csr) {
      if (trouble.away) throw new Failure('rpc.broken', 'the house is away', { retryable: true })
      steps.push('renew')
      const answer = await w.joining.renew(principal(papers.present), { csr })
      return trouble.other ? { ...answer, certificate: issued.certificate } : answer
    },
    async trySave() {
      if (trouble.full) throw new Failure('agent.disk', 'no space left')
    },
    async save(identity) {
      if (trouble.disk) throw new Failure('agent.disk', 'no space left')
      steps.push(identity.key === papers.present.key ? 'save the same' : 'save')
    },
    redial: () => void steps.push('redial'),
    warn: message => void warnings.push(message),
  })
  t.teardown(() => renewal.close())
  renewal.start()
  const serial = (): string => new X509Certificate(papers.present.certificate).serialNumber
  return { ...w, papers, renewal, steps, warnings, trouble, slept, serial }
}

t.test('a certificate is renewed at two thirds of its time: asked, saved, then shown', async t => {
  const { clock, steps, serial, trusted, warnings } = await given(t)
  const first = serial()
  await clock.advance(20 * DAY_MS - 1_000)
  t.same(steps, [])
  await clock.advance(1_000)
  t.same(steps, ['renew', 'save', 'redial'])
  t.not(serial(), first)
  t.equal(trusted.state.get('a')!.certificate!.serial, serial())
  await clock.advance(40 * DAY_MS)
  t.equal(steps.length, 9)
  t.same(warnings, [])
})

t.test('a laptop that sleeps most of the time renews in time all the same', async t => {
  const { clock, steps, slept, warnings } = await given(t)
  for (let day = 1; day <= 7; day += 1) {
    await clock.advance(DAY_MS)
    slept.ms += 2 * DAY_MS
  }
  await clock.advance(3_600_000)
  t.same(steps, ['renew', 'save', 'redial'])
  t.same(warnings, [])
})

t.test('a house that is away is asked again, within the time there is', async t => {
  const { clock, steps, trouble, warnings, serial, papers } = await given(t)
  trouble.away = true
  const first = serial()
  await clock.advance(25 * DAY_MS)
  t.same([steps, serial()], [[], first])
  t.ok(warnings.length > 60 && warnings.length < 400, `${warnings.length} warnings in five days`)
  t.match(warnings[0], /ends in 14400 min: the house is away/)
  delete trouble.away
  await clock.advance(3_600_000)
  t.same(steps, ['renew', 'save', 'redial'])
  t.ok(new X509Certificate(papers.present.certificate).validToDate.getTime() > clock.now() + 29 * DAY_MS)
})

t.test('what could not be saved is not shown, and the one before gets another', async t => {
  const { clock, steps, trouble, serial } = await given(t)
  trouble.disk = true
  const first = serial()
  await clock.advance(20 * DAY_MS)
  t.same([steps, serial()], [['renew'], first])
  delete trouble.disk
  await clock.advance(60_000)
  t.same(steps, ['renew', 'renew', 'save', 'redial'])
  t.not(serial(), first)
})

t.test(
  'a disk that is full for days costs nothing but warnings, for nothing is asked for meanwhile',
  async t => {
    const { clock, steps, trouble, warnings } = await given(t)
    trouble.full = true
    await clock.advance(25 * DAY_MS)
    t.same(steps, [])
    t.match(warnings.at(-1), /ends in \d+ min: no space left/)
    delete trouble.full
    await clock.advance(3_600_000)
    t.same(steps, ['renew', 'save', 'redial'])
  },
)

t.test('what is no certificate for the new key is not taken', async t => {
  const { clock, steps, trouble, warnings } = await given(t)
  trouble.other = true
  await clock.advance(20 * DAY_MS)
  t.same(steps, ['renew'])
  t.match(warnings, [/no certificate of this node/])
})

t.test('one that has ended says so, and that it is over', async t => {
  const { clock, trouble, warnings } = await given(t)
  trouble.away = true
  await clock.advance(31 * DAY_MS)
  t.match(warnings.at(-1), /it has ended/)
})

t.test('an agent whose clock is ahead of its house’s does not ask without a pause', async t => {
  const w = await trusting(t, { agentCertificateMs: DAY_MS / 2 })
  const { token } = await w.joining.invite('a', 3_600_000, 'cli')
  const { key, csr } = newRequest()
  const issued = await w.joining.join({ token, csr }, '10.0.0.1')
  const papers = new Papers({ key, certificate: issued.certificate, authority: issued.authority })
  let asked = 0
  const renewal = new Renewal({
    // A clock that was set to the time of another zone.
    clock: { ...w.clock, now: () => w.clock.now() + 9 * 3_600_000 },
    papers,
    async renew(csr) {
      asked += 1
      if (asked > 100) throw new Failure('rpc.broken', 'too often', { retryable: true })
      return w.joining.renew(w.principal(papers.present.certificate, 'a'), { csr })
    },
    async trySave() {},
    async save() {},
    redial() {},
    warn() {},
  })
  t.teardown(() => renewal.close())
  renewal.start()
  await w.clock.advance(DAY_MS)
  t.ok(asked >= 2, 'it is renewed all the same')
  t.ok(asked <= 25, `${asked} times in a day`)
})
