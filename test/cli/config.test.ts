/** Every knob, what it is set to, and who set it; and what a running house makes of what is set there. */
import t from 'tap'
import { fakeHouse, json } from './house.ts'
import * as recorded from './recorded.ts'
import { run } from './terminal.ts'

t.test('config lists every knob with its value and where that comes from', async t => {
  const args = [
    'config',
    '--host',
    '0.0.0.0:4000',
    '--node',
    'gpu-a,slots=4,label.room=attic',
    '--wait-max',
    '90s',
  ]
  const { code, out } = await run(t, args, {
    QUIPU_QUEUE_MAX: '64',
    QUIPU_BODY_MAX: '1536',
    QUIPU_CLOUD: 'on',
  })
  t.equal(code, 0)
  t.matchSnapshot(out)
})

t.test('a port inside the host comes from whoever gave the host', async t => {
  const { out } = await run(t, ['config', '--json'], { QUIPU_HOST: '[::1]:4000' })
  const rows = JSON.parse(out) as { name: string; value: unknown; source: string; variable: string }[]
  const row = (name: string) => rows.find(each => each.name === name)
  t.match(row('host'), { value: '::1', source: 'env', variable: 'QUIPU_HOST' })
  t.match(row('port'), { value: 4000, source: 'env' })
  t.match(row('data'), { value: './data', source: 'default' })
  t.match(row('ollamaHost'), { value: '127.0.0.1:1', source: 'env', variable: 'OLLAMA_HOST' })
})

t.test('a value that makes no sense is named, with what would', async t => {
  const { code, out, err } = await run(t, ['config'], { QUIPU_WAIT_MAX: 'forever' })
  t.equal(code, 1)
  t.equal(out, '')
  t.match(err, /^quipu: QUIPU_WAIT_MAX: "forever" is not a duration such as 250ms/)
})

t.test('get shows what holds in a running house, all of it or one value', async t => {
  const house = await fakeHouse(t, { 'GET /quipu/config': recorded.settings })
  const all = await run(t, ['config', 'get'], house.env)
  t.same([all.code, all.err], [0, ''])
  t.matchSnapshot(all.out)
  t.same(await run(t, ['config', 'get', 'queue-max'], house.env), { code: 0, out: '64\n', err: '' })
  const one = await run(t, ['config', 'get', 'queue-max', '--json'], house.env)
  t.same(JSON.parse(one.out), recorded.settings[1])
  t.match(await run(t, ['config', 'get', 'queu-max'], house.env), {
    code: 2,
    err: /did you mean queue-max\?/,
  })
})

t.test('set and reset say what holds from now on', async t => {
  const [, queueMax] = recorded.settings
  const house = await fakeHouse(t, {
    'PUT /quipu/config/queue-max': queueMax,
    'DELETE /quipu/config/queue-max': { ...queueMax, value: '512', source: 'env' },
    'PUT /quipu/config/port': (_: unknown, res: never) =>
      json(res, 409, { error: 'port is read once, at the start', code: 'setting.fixed' }),
  })
  t.match(await run(t, ['config', 'set', 'queue-max', '64'], house.env), {
    code: 0,
    out: 'queue-max is 64, until it is set or reset again (the start said 512)\n',
  })
  t.same(JSON.parse(house.asked[0]!.body), { value: '64' })
  t.match(await run(t, ['config', 'reset', 'queue-max'], house.env), {
    code: 0,
    out: 'queue-max is 512 again, as the start said (env)\n',
  })
  t.same(await run(t, ['config', 'set', 'port', '80'], house.env), {
    code: 1,
    out: '',
    err: 'quipu: port is read once, at the start\n',
  })
})

t.test('history and rollback print the changes, and where there are none, that', async t => {
  const house = await fakeHouse(t, {
    'GET /quipu/config/history': recorded.settingChanges,
    'POST /quipu/config/rollback': [],
  })
  const { code, out } = await run(t, ['config', 'history', '--limit', '7'], house.env)
  t.equal(code, 0)
  t.matchSnapshot(out)
  t.equal(house.asked[0]!.url, '/quipu/config/history?limit=7')
  t.match(await run(t, ['config', 'rollback', '12'], house.env), {
    code: 0,
    out: /nothing had to be changed/,
  })
  t.same(JSON.parse(house.asked[1]!.body), { to: 12 })
})
