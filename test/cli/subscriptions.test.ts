/** `quipu subscriptions`: what it asks of the house, and what it makes of the answers. */
import { join } from 'node:path'
import t from 'tap'
import { fakeHouse } from './house.ts'
import * as recorded from './recorded.ts'
import { run } from './terminal.ts'

const PATH = '/quipu/subscriptions'
const [billing, mirror, pager] = recorded.subscriptions

t.test('it lists them with their lag, and says what to do about the parked ones', async t => {
  const house = await fakeHouse(t, { [`GET ${PATH}`]: recorded.subscriptions })
  const { code, out, err } = await run(t, ['subscriptions'], house.env)
  t.same([code, err], [0, ''])
  t.matchSnapshot(out)
  t.same(
    JSON.parse((await run(t, ['subscriptions', 'list', '--json'], house.env)).out),
    recorded.subscriptions,
  )
  const none = await fakeHouse(t, { [`GET ${PATH}`]: [] })
  t.match((await run(t, ['subscriptions'], none.env)).out, /There is no subscription\. Make one with/)
})

t.test('show tells all about one', async t => {
  const rows = Object.fromEntries(recorded.subscriptions.map(row => [`GET ${PATH}/${row.name}`, row]))
  const house = await fakeHouse(t, rows)
  const names = ['billing', 'mirror', 'pager']
  const told = await Promise.all(names.map(name => run(t, ['subscriptions', 'show', name], house.env)))
  t.matchSnapshot(told.map(({ out }) => out).join('\n'))
})

t.test('create sends what was typed, and the secret out of its file', async t => {
  const house = await fakeHouse(t, { [`POST ${PATH}`]: pager })
  const dir = t.testdir({ 'hook.key': 'shh\n' })
  const args = ['--kind', 'node,breaker', '--from', 'start', '--url', 'https://hooks.example/x?token=hush']
  const more = ['--secret-file', join(dir, 'hook.key'), '--size', '7', '--linger', '2s', '--failures', '5']
  const { code, out } = await run(t, ['subscriptions', 'create', 'pager', ...args, ...more], house.env)
  t.same([code, out], [0, 'pager gets kind=node,breaker from fact 4344 on: to https://hooks.example\n'])
  t.same(JSON.parse(house.asked[0]!.body), {
    name: 'pager',
    filter: { kind: 'node,breaker' },
    from: 'start',
    webhook: {
      url: 'https://hooks.example/x?token=hush',
      secret: 'shh',
      batchMax: 7,
      lingerMs: 2_000,
      failuresMax: 5,
    },
  })
  const plain = await fakeHouse(t, { [`POST ${PATH}`]: { ...billing, filter: {} } })
  const told = await run(t, ['subscriptions', 'create', 'billing'], plain.env)
  t.match(
    told.out,
    /^billing gets all from fact 4712 on: take them at POST \/quipu\/subscriptions\/billing\/take/,
  )
  t.same(JSON.parse(plain.asked[0]!.body), { name: 'billing' })
})

t.test('ack, park, resume and delete do what they say', async t => {
  const house = await fakeHouse(t, {
    [`POST ${PATH}/billing/ack`]: { mark: 4_720, lag: 1 },
    [`POST ${PATH}/billing/park`]: { ...billing, state: 'parked', reason: 'asked' },
    [`POST ${PATH}/pager/resume`]: mirror,
    [`DELETE ${PATH}/billing`]: { name: 'billing', deleted: true },
  })
  const said = async (...args: string[]): Promise<string> =>
    (await run(t, ['subscriptions', ...args], house.env)).out
  t.equal(await said('ack', 'billing', '4720'), 'billing goes on after fact 4720; 1 fact behind\n')
  t.equal(await said('park', 'billing'), 'billing is parked at fact 4711; 12,345 facts behind\n')
  t.equal(await said('resume', 'pager'), 'pager goes on after fact 4800; 7 facts behind\n')
  t.equal(await said('delete', 'billing'), 'billing is no more\n')
  t.same(JSON.parse(house.asked[0]!.body), { seq: 4_720 })
})

t.test('what was typed wrongly is said before anybody is asked', async t => {
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [['lst'], /did you mean list/],
    [['create'], /create needs NAME/],
    [['ack', 'a'], /ack needs NAME SEQ/],
    [['ack', 'a', 'b'], /"b" is not the seq of a fact/],
    [['show', 'a', 'b'], /"b" is one word too many/],
    [['list', '--url', 'x'], /--url goes with subscriptions create/],
    [['create', 'a', '--size', '3'], /--size goes with --url/],
    [['create', 'a', '--url', 'x', '--linger', 'soon'], /--linger: "soon" is not a duration/],
    [['create', 'a', '--url', 'x', '--secret-file', '/nowhere'], /--secret-file: ENOENT/],
  ]
  for (const [args, words] of wrong)
    t.match(await run(t, ['subscriptions', ...args]), { code: 2, err: words }, args.join(' '))
})
