import t from 'tap'
import { fakeHouse } from '../house.ts'
import { optimized, removed, standings, synced } from '../recorded.ts'
import { run } from '../terminal.ts'

t.test('a removal that went wrong somewhere says where, and ends with 1', async t => {
  const house = await fakeHouse(t, { 'POST /quipu/models/rm': removed })
  const { code, out } = await run(
    t,
    ['models', 'rm', 'llama3.2', '--nodes', 'gpu-a,gpu-b', '--force'],
    house.env,
  )
  t.same(JSON.parse(house.asked[0]!.body), { model: 'llama3.2', nodes: ['gpu-a', 'gpu-b'], force: true })
  t.same([code, out], [1, 'gpu-a: llama3.2:latest is removed\ngpu-b: not removed: it is not up\n'])
})

t.test('a dry run of sync says what would be done, and what there is no node for', async t => {
  const house = await fakeHouse(t, { 'POST /quipu/models/sync': synced })
  const { out } = await run(t, ['models', 'sync', '--dry-run'], house.env)
  t.same(JSON.parse(house.asked[0]!.body), { dryRun: true })
  t.match(out, /^WOULD +MODEL +NODE +BECAUSE\npull +llama3.2:latest +gpu-b +1 copy of 2/)
  t.match(out, /\nqwen3:32b: no node has the room\n$/)
})

t.test('proposals are told, and how to take them up', async t => {
  const house = await fakeHouse(t, { 'POST /quipu/models/optimize': optimized })
  const { out } = await run(t, ['models', 'optimize'], house.env)
  t.match(out, /add +llama3.2:latest +gpu-b +who asked for it waited/)
  t.match(out, /Nothing was done. To do it: quipu models optimize --apply/)
  await run(t, ['models', 'optimize', '--apply'], house.env)
  t.same(
    house.asked.map(({ body }) => JSON.parse(body)),
    [{}, { apply: true }],
  )
})

t.test('how models stand is a table with remarks; one by name, in full', async t => {
  const house = await fakeHouse(t, { 'GET /quipu/models/status': standings })
  const all = await run(t, ['models', 'status'], house.env)
  t.match(all.out, /llama3.2:latest +2 to 3 +2 +1 missing, 1 on its way +desk\* gpu-z \(down\)/)
  t.match(all.out, /llama3.2:latest: gpu-z is down, and has one of its copies\n/)
  const one = await run(t, ['models', 'status', 'llama3.2'], house.env)
  t.equal(house.asked[1]!.url, '/quipu/models/status?model=llama3.2')
  t.match(one.out, /wanted +2 to 3\n +standing +1 missing/)
  t.match(one.out, /copy +gpu-z: present, 2.0 GB, a80c4f17acd5; the node is down\n/)
  t.match(one.out, /transfer +gpu-a +[█#]+[░.]+ +51 %/)
  t.match(one.out, /plan +pull it to gpu-b: gpu-z has been down/)
})
