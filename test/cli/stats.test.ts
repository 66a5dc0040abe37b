/** `quipu stats`: the tables as people and spreadsheets read them. */
import t from 'tap'
import { type Door, doors } from '../../src/gateway/doors.ts'
import { fakeHouse } from './house.ts'
import * as recorded from './recorded.ts'
import { run } from './terminal.ts'

const NAMES = Object.keys(recorded.tables) as (keyof typeof recorded.tables)[]
const ANSWERS = Object.fromEntries(NAMES.map(name => [`GET /quipu/stats/${name}`, recorded.tables[name]]))

t.test('alone it lists the tables, without a house: just those that a house has', async t => {
  const { code, out, err } = await run(t, ['stats'])
  t.same([code, err], [0, ''])
  t.matchSnapshot(out)
  const listed = JSON.parse((await run(t, ['stats', '--json'])).out) as { table: string }[]
  const served = (Object.values(doors) as Door[]).filter(({ csv }) => csv).map(({ path }) => path)
  t.same(
    listed.map(({ table }) => `/quipu/stats/${table}`),
    served,
  )
})

for (const name of NAMES) {
  t.test(`${name} is printed as a table, and with --json as the house said it`, async t => {
    const house = await fakeHouse(t, ANSWERS)
    const [text, json] = await Promise.all([
      run(t, ['stats', name], house.env),
      run(t, ['stats', name, '--json'], house.env),
    ])
    t.same([text.code, text.err, json.code, json.err], [0, '', 0, ''])
    t.matchSnapshot(text.out)
    t.same(JSON.parse(json.out), recorded.tables[name])
  })
}

t.test('where there is nothing, that is said', async t => {
  const house = await fakeHouse(t, Object.fromEntries(Object.keys(ANSWERS).map(path => [path, []])))
  const said = await Promise.all(NAMES.map(name => run(t, ['stats', name], house.env)))
  t.matchSnapshot(said.map(({ out }) => out).join(''))
})

t.test('filters are handed on, and CSV is printed as it comes', async t => {
  const house = await fakeHouse(t, {
    'GET /quipu/stats/server_stats': (_: unknown, res: any) => res.end('server,value\r\na,1\r\n'),
    'GET /quipu/stats/request_stats': [],
    'GET /quipu/stats/inference_queue': [],
  })
  const filters = ['--server', 'gpu-a', '--type', 'load,health', '--since', '7d', '--step', '1h']
  t.same(await run(t, ['stats', 'server_stats', ...filters, '--csv'], house.env), {
    code: 0,
    out: 'server,value\na,1\n',
    err: '',
  })
  await run(t, ['stats', 'request_stats', '--by', 'day', '--limit', '7'], house.env)
  await run(t, ['stats', 'inference_queue', '--status', 'queued', '--model', 'tiny'], house.env)
  t.same(
    house.asked.map(({ url }) => url.replace('/quipu/stats/', '')),
    [
      'server_stats?type=load%2Chealth&step=1h&server=gpu-a&since=7d&limit=10000&format=csv',
      'request_stats?by=day&limit=7',
      'inference_queue?status=queued&model=tiny&limit=100',
    ],
  )
})
