/** Settings over HTTP: what holds, what was set, and what cannot be. */
import t from 'tap'
import { Failure } from '../../src/failure.ts'
import { openDoors } from './doors.ts'

type Json = Record<string, any>

t.test(
  'a setting is set, holds at once, is shown with its source, and is a fact with who and when',
  async t => {
    const house = await openDoors(t)
    const one = async (name: string): Promise<Json> =>
      (await house.get('/quipu/config')).json().find((row: Json) => row.name === name)
    t.match(await one('queue-max'), { value: '512', source: 'default', live: true, start: '512' })
    t.match(await one('log'), { value: 'silent', source: 'flag', live: false })

    const set = await house.change('/quipu/config/queue-max', { value: '064' })
    t.equal(set.statusCode, 200)
    t.match(set.json(), { name: 'queue-max', value: '64', source: 'set', start: '512' })
    t.equal(house.config.queueMax, 64)
    t.same(await one('queue-max'), set.json())
    t.match(house.journal.recent(0), [
      { type: 'setting.set', id: 'queue-max', by: '127.0.0.1', data: { before: '512', after: '64' } },
    ])
    t.equal((await house.change('/quipu/config/queue-max', { value: '64' })).statusCode, 200, 'twice is once')
    t.equal(house.journal.head.seq, 1)

    const reset = await house.remove('/quipu/config/queue-max')
    t.match([reset.statusCode, reset.json()], [200, { value: '512', source: 'default' }])
    t.equal(house.config.queueMax, 512)
    t.equal((await house.remove('/quipu/config/queue-max')).statusCode, 200, 'twice is once')
    t.equal(house.journal.head.seq, 2)
  },
)

t.test('the history is told newest first, and a rollback is new facts', async t => {
  const house = await openDoors(t)
  const start = house.clock.now()
  await house.change('/quipu/config/queue-max', { value: '64' })
  await house.clock.advance(1_000)
  await house.change('/quipu/config/wait-max', { value: '90s' })
  await house.change('/quipu/config/queue-max', { value: '8' })
  t.same((await house.get('/quipu/config/history?limit=2')).json(), [
    { seq: 3, at: start + 1_000, by: '127.0.0.1', name: 'queue-max', as: 'set', before: '64', after: '8' },
    { seq: 2, at: start + 1_000, by: '127.0.0.1', name: 'wait-max', as: 'set', before: '10m', after: '90s' },
  ])
  const back = await house.post('/quipu/config/rollback', { to: 1 })
  t.equal(back.statusCode, 200)
  t.match(back.json(), [
    { seq: 4, name: 'queue-max', as: 'set', before: '8', after: '64' },
    { seq: 5, name: 'wait-max', as: 'reset', before: '90s', after: '10m' },
  ])
  t.same([house.config.queueMax, house.config.waitMaxMs], [64, 600_000])
  t.same((await house.post('/quipu/config/rollback', { to: 5 })).json(), [], 'it is so already')
  t.equal((await house.post('/quipu/config/rollback', { to: 3 })).json().length, 2, 'and forth')
  t.same([house.config.queueMax, house.config.waitMaxMs], [8, 90_000])
  await house.post('/quipu/config/rollback', { to: 0 })
  t.same([house.config.queueMax, house.config.waitMaxMs], [512, 600_000])
})

t.test('what cannot be set says what to do, and leaves no fact', async t => {
  const house = await openDoors(t)
  const refusals = [
    [() => house.change('/quipu/config/port', { value: '80' }), 409, 'setting.fixed', /--port or QUIPU_PORT/],
    [() => house.remove('/quipu/config/log'), 409, 'setting.fixed', /stop the house/],
    [() => house.change('/quipu/config/nothing', { value: '1' }), 404, 'setting.unknown', /"nothing"/],
    [() => house.change('/quipu/config/queue-max', { value: 'x' }), 400, 'setting.invalid', /whole number/],
    [() => house.change('/quipu/config/queue-max', { value: 7 }), 400, 'request.invalid', /must be string/],
    [() => house.change('/quipu/config/queue-max', {}), 400, 'request.invalid', /value is missing/],
    [() => house.post('/quipu/config/rollback', { to: 1 }), 404, 'setting.past', /journal ends at 0/],
    [() => house.post('/quipu/config/rollback', { to: -1 }), 400, 'request.invalid', /to must be >= 0/],
  ] as const
  for (const [ask, status, code, said] of refusals) {
    const answer = await ask()
    t.same([answer.statusCode, answer.json().code], [status, code])
    t.match(answer.json().error, said)
  }
  t.equal(house.journal.head.seq, 0)
})

t.test('a rollback that goes too far, or to what nobody understands any more, changes nothing', async t => {
  const house = await openDoors(t)
  // As an older house may have written it.
  const set = (value: string) =>
    house.engine.commit('setting', 'queue-max', { type: 'setting.set', data: { value, start: '512' } })
  set('plenty')
  await house.change('/quipu/config/wait-max', { value: '1m' })
  t.match(
    (await house.get('/quipu/config')).json().find(({ name }: Json) => name === 'queue-max'),
    {
      value: '512',
      source: 'default',
      ignored: 'plenty',
    },
  )
  set('64')
  const back = await house.post('/quipu/config/rollback', { to: 1 })
  t.same([back.statusCode, back.json().code, house.config.waitMaxMs], [400, 'setting.invalid', 60_000])
  for (let i = 1; i < 1_002; i += 1) set(String(i))
  const far = await house.post('/quipu/config/rollback', { to: 1 })
  t.match([far.statusCode, far.json()], [404, { code: 'setting.past', error: /further back/ }])
  t.equal(house.config.queueMax, 1_001)
})

t.test('while the disk does not write, nothing is set', async t => {
  let full = false
  const house = await openDoors(t, {
    fault: () => {
      if (full) throw new Failure('journal.unwritable', 'ENOSPC')
    },
  })
  house.join('a')
  await house.engine.settled()
  full = true
  house.admit('r1')
  await house.clock.advance(1)
  for (const answer of [
    await house.change('/quipu/config/queue-max', { value: '1' }),
    await house.remove('/quipu/config/queue-max'),
    await house.post('/quipu/config/rollback', { to: 0 }),
  ]) {
    t.same([answer.statusCode, answer.json().code], [503, 'journal.unwritable'])
  }
  t.equal(house.config.queueMax, 512)
})
