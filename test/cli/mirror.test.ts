import t from 'tap'
import { fakeHouse } from './house.ts'
import * as recorded from './recorded.ts'
import { run } from './terminal.ts'

t.test('what the copy in Kafka lacks is told, since when, and why', async t => {
  const house = await fakeHouse(t, { 'GET /quipu/mirror': recorded.mirror })
  t.matchSnapshot((await run(t, ['mirror'], house.env)).out)
  t.same(JSON.parse((await run(t, ['mirror', '--json'], house.env)).out), recorded.mirror)
})

t.test('of a copy that lacks nothing there is little to say', async t => {
  const { trouble: _trouble, ...well } = recorded.mirror
  const mirror = { ...well, state: 'live', mirrored: 12_345, lagFacts: 0, lagMs: 0, warnings: [] }
  const house = await fakeHouse(t, { 'GET /quipu/mirror': mirror })
  t.matchSnapshot((await run(t, ['mirror'], house.env)).out)
})

t.test('where there is none, it says so', async t => {
  const off = { ...recorded.mirror, state: 'off' }
  const house = await fakeHouse(t, { 'GET /quipu/mirror': off })
  t.match((await run(t, ['mirror'], house.env)).out, 'this house was started without --kafka')
})
