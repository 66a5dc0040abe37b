/** Nodes come and go while the house stands. */
import t from 'tap'
import { startSim } from '../../src/sim/sim.ts'
import { world } from './world.ts'

t.test('a node added over HTTP is looked at and gets work; removed, it takes its models with it', async t => {
  const w = await world(t)
  const other = await startSim({
    name: 'other',
    models: 'special:latest',
    loadMs: 10,
    decodeTps: 500,
    words: 4,
  })
  t.teardown(() => other.close())
  const added = await w.post('/quipu/nodes', { url: other.url, name: 'other' })
  t.equal(added.status, 201)
  const res = await w.generate({ model: 'special' })
  t.equal(res.headers.get('x-quipu-node'), 'other')
  await res.text()
  const removed = await fetch(`${w.url}/quipu/nodes/other`, { method: 'DELETE' })
  t.equal(removed.status, 200)
  await w.fact('model.gone', ({ id }) => id === 'special:latest')
  const { models } = (await (await fetch(`${w.url}/api/tags`)).json()) as { models: { name: string }[] }
  t.same(models.map(({ name }) => name).sort(), ['embed:latest', 'tiny:latest'])
})

t.test('a node that was removed and comes again under its name has the models that it has', async t => {
  const w = await world(t, { sims: [{}, { models: 'special:latest' }] })
  const found = await w.fact('replica.found', ({ id }) => id === 'special:latest@n2')
  t.equal((await fetch(`${w.url}/quipu/nodes/n2`, { method: 'DELETE' })).status, 200)
  await w.fact('model.gone', ({ id }) => id === 'special:latest')
  const names = async (path: string): Promise<string[]> => {
    const rows = (await (await fetch(`${w.url}${path}`)).json()) as { name?: string; model?: string }[]
    return rows.map(({ name, model = name! }) => model).sort()
  }
  t.same(await names('/quipu/models/status'), ['embed:latest', 'tiny:latest'], 'what is nowhere is not told')
  const added = await w.post('/quipu/nodes', { url: w.sims[1]!.url, name: 'n2' })
  t.equal(added.status, 201)
  await w.fact('replica.found', ({ id, seq }) => id === 'special:latest@n2' && seq > found.seq)
  t.same(await names('/quipu/models'), ['embed:latest', 'special:latest', 'tiny:latest'])
  const res = await w.generate({ model: 'special' })
  t.equal(res.headers.get('x-quipu-node'), 'n2')
  await res.text()
})

t.test('drain finishes what runs, takes nothing new, and says when it is empty', async t => {
  const w = await world(t, {
    sims: [
      { decodeTps: 100, words: 40 },
      { decodeTps: 100, words: 40 },
    ],
  })
  await Promise.all([w.generate(), w.generate()].map(async res => (await res).text()))
  const running = await w.generate()
  t.equal(running.headers.get('x-quipu-node'), 'n1')
  await fetch(`${w.url}/quipu/nodes/n1/drain`, { method: 'POST' })
  const next = await w.generate()
  t.equal(next.headers.get('x-quipu-node'), 'n2')
  t.match(await running.text(), /"done":true/)
  const emptied = await w.fact('node.emptied')
  const completed = await w.fact(
    'request.completed',
    ({ id }) => id === running.headers.get('x-quipu-request'),
  )
  t.ok(completed.seq < emptied.seq)
  await fetch(`${w.url}/quipu/nodes/n1/resume`, { method: 'POST' })
  await next.text()
  t.equal((await w.generate()).headers.get('x-quipu-node'), 'n1')
})

t.test('no fact per look: a fleet at rest writes nothing', async t => {
  const w = await world(t, { sims: [{}, {}], flags: { 'probe-every': '20ms' } })
  await w.fact('replica.found', ({ id }) => id === 'embed:latest@n2')
  const before = (await w.facts()).length
  await new Promise(resolve => setTimeout(resolve, 400))
  t.equal((await w.facts()).length, before)
})

t.test('addresses a house must not call are refused', async t => {
  const w = await world(t)
  for (const url of [
    'ftp://a',
    'http://169.254.169.254',
    'http://[fe80::1]:11434',
    'http://user:pw@a',
    'http://2852039166',
    'nonsense',
  ]) {
    const res = await w.post('/quipu/nodes', { url })
    t.equal(res.status, 400, url)
  }
  t.equal(
    (await w.post('/quipu/nodes', { url: w.sims[0]!.url, name: 'twin' })).status,
    409,
    'the same node twice',
  )
})
