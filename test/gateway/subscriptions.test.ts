/** The doors of named subscriptions, as a program meets them. */
import t from 'tap'
import { misfits } from '../../src/gateway/schema/check.ts'
import { Subscription, Subscriptions, TakenFacts } from '../../src/gateway/schema/subscriptions.ts'
import { openDoors } from './doors.ts'

const alive = setInterval(() => {}, 1_000)
t.teardown(() => clearInterval(alive))

const PATH = '/quipu/subscriptions'

t.test('a subscription is made, found, taken from, acknowledged and deleted', async t => {
  const house = await openDoors(t)
  house.join('shed')
  const made = await house.post(PATH, { name: 'a', filter: { kind: 'node' }, from: 'start' })
  t.match(made, { statusCode: 201, headers: { location: `${PATH}/a` } })
  t.match(made.json(), { name: 'a', state: 'active', after: 0, filter: { kind: 'node' }, mark: 0, lag: 3 })
  t.same(misfits(Subscription, made.json()), [])
  const again = await house.post(PATH, { name: 'a', filter: { kind: 'node' } })
  t.equal(again.statusCode, 200, 'the same one again is no mistake')
  const other = await house.post(PATH, { name: 'a' })
  t.match([other.statusCode, other.json()], [409, { code: 'subscription.taken' }])

  const taken = (await house.post(`${PATH}/a/take`, { max: 1 })).json()
  t.same(misfits(TakenFacts, taken), [])
  t.match(taken, { attempt: 1, facts: [{ seq: 1, type: 'node.registered', id: 'shed' }], mark: 0, lag: 3 })
  t.equal(taken.until, house.clock.now() + 60_000)
  const second = (await house.post(`${PATH}/a/take`, { leaseMs: 5_000 })).json()
  t.match(second.facts, [{ seq: 2 }])
  t.match((await house.post(`${PATH}/a/return`, { lease: second.lease })).json(), { mark: 0 })
  const lost = await house.post(`${PATH}/a/extend`, { lease: second.lease, leaseMs: 5_000 })
  t.match([lost.statusCode, lost.json()], [409, { code: 'subscription.lease-lost' }])
  const longer = (await house.post(`${PATH}/a/extend`, { lease: taken.lease, leaseMs: 90_000 })).json()
  t.equal(longer.until, house.clock.now() + 90_000)
  t.same((await house.post(`${PATH}/a/ack`, { lease: taken.lease })).json(), { mark: 1, lag: 2 })
  const [row] = (await house.get(PATH)).json()
  t.match(row, { mark: 1, leases: 0 })
  t.match((await house.get('/metrics')).body, /quipu_subscription_lag_facts\{subscription="a"\} 2/)

  t.same((await house.remove(`${PATH}/a`)).json(), { name: 'a', deleted: true })
  t.same((await house.get(PATH)).json(), [])
  for (const door of ['', '/take', '/ack', '/park']) {
    const body = door === '/ack' ? { seq: 1 } : {}
    const res = await (door === '' ? house.get(`${PATH}/a`) : house.post(`${PATH}/a${door}`, body))
    t.match([res.statusCode, res.json()], [404, { code: 'subscription.unknown' }], door)
  }
})

t.test('it begins where it is told to', async t => {
  const house = await openDoors(t)
  for (const name of ['n1', 'n2']) {
    house.join(name)
    await house.clock.advance(60_000)
  }
  const from = new Date(house.clock.now() - 60_000).toISOString()
  const begins = async (name: string, from?: string | number): Promise<number> =>
    (await house.post(PATH, { name, ...(from !== undefined && { from }) })).json().after
  t.same(
    [await begins('start', 'start'), await begins('seq', 3), await begins('time', from), await begins('now')],
    [0, 2, 2, 7],
  )
  t.match((await house.post(PATH, { name: 'x', from: 'tea time' })).json(), { code: 'request.invalid' })
  t.match((await house.post(PATH, { name: 'x', from: 99 })).json(), { code: 'request.invalid' })
  t.match((await house.post(`${PATH}/now/take`, {})).json(), {
    facts: [{ type: 'subscription.created', id: 'now' }],
  })
})

t.test('one that is parked gives nobody anything; one that is a webhook is not to be taken from', async t => {
  const house = await openDoors(t)
  await house.post(PATH, { name: 'a', from: 'start' })
  t.match((await house.post(`${PATH}/a/park`)).json(), { state: 'parked', reason: 'asked' })
  const parked = await house.post(`${PATH}/a/take`, {})
  t.match([parked.statusCode, parked.json()], [409, { code: 'subscription.parked' }])
  t.match((await house.post(`${PATH}/a/resume`)).json(), { state: 'active' })
  t.match((await house.post(`${PATH}/a/take`, {})).json(), { facts: [{ seq: 1 }, {}, {}] })

  const webhook = { url: 'https://hooks.example/secret?token=hush', secret: 'shh' }
  const made = await house.post(PATH, { name: 'h', webhook })
  t.same(made.json().webhook, {
    origin: 'https://hooks.example',
    signed: true,
    format: 'json',
    batchMax: 100,
    lingerMs: 1_000,
    failuresMax: 20,
  })
  t.same(misfits(Subscriptions, (await house.get(PATH)).json()), [])
  const res = await house.post(`${PATH}/h/take`, {})
  t.match([res.statusCode, res.json()], [409, { code: 'subscription.webhook' }])
})

t.test('who waits for facts is answered when there are some, or when the time is up', async t => {
  const house = await openDoors(t)
  await house.post(PATH, { name: 'a', filter: { kind: 'node' } })
  // What inject gives begins when somebody waits for it.
  const take = async () => (await house.post(`${PATH}/a/take`, { waitMs: 30_000 })).json()
  const waiting = take()
  await house.clock.advance(10)
  house.join('shed')
  await house.clock.advance(10)
  t.match((await waiting).facts[0], { type: 'node.registered' })
  await house.post(`${PATH}/a/ack`, { seq: house.journal.durable })
  const late = take()
  for (let n = 0; n < 4; n += 1) await house.clock.advance(10_000)
  t.match(await late, { facts: [], lease: undefined })
})

t.test('what makes no sense is refused in words', async t => {
  const house = await openDoors(t)
  const bad: readonly (readonly [string, object, RegExp])[] = [
    ['', { name: 'a b' }, /name/],
    ['', { name: 'a', filter: { knid: 'node' } }, /knid/],
    ['', { name: 'a', filter: { kind: 'nod' } }, /kind/],
    ['', { name: 'a', webhook: { url: 'x', batchMax: 5_000 } }, /batchMax/],
    ['/a/take', { max: 0 }, /max/],
    ['/a/ack', {}, /must NOT have fewer|must have at least|properties/],
  ]
  for (const [door, body, words] of bad) {
    const res = await house.post(PATH + door, body)
    t.match(
      [res.statusCode, res.json()],
      [400, { code: 'request.invalid', error: words }],
      JSON.stringify(body),
    )
  }
})

t.test('there may be so many, and no more', async t => {
  const house = await openDoors(t)
  for (let n = 0; n < 256; n += 1) {
    house.engine.commit('subscription', `s${n}`, {
      type: 'subscription.create',
      data: { after: 0, filter: {} },
    })
  }
  const res = await house.post(PATH, { name: 'one-more' })
  t.match([res.statusCode, res.json()], [409, { code: 'subscription.full' }])
})
