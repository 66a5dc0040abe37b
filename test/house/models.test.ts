/** Models across the fleet: a whole house, and simulated nodes that pull. */
import t from 'tap'
import { houseOf, odd } from '../gateway/odd.ts'
import { type World, world } from './world.ts'

const SLOW = { pullBytesPerSec: 2e9 }
const fleet = (n: number, more = {}) => Array.from({ length: n }, () => ({ ...SLOW, ...more }))

interface Row {
  readonly id: string
  readonly node: string
  readonly state: string
  readonly waits?: string
  readonly reason?: string
  readonly progress?: { readonly bytes: number; readonly totalBytes?: number }
}

const transfers = async ({ url }: World): Promise<Row[]> =>
  (await fetch(`${url}/quipu/transfers`)).json() as never

/** What was written down of transfers and copies of one model, as `begun n1`. */
async function story(w: World, model: string): Promise<string[]> {
  const facts = await w.facts()
  return facts
    .filter(({ id, type }) => id.startsWith(`${model}@`) && /^transfer|^replica\.(found|removed)/.test(type))
    .map(({ id, type }) => `${type.split('.')[1]} ${id.split('@')[1]}`)
}

t.test('a pull to three nodes goes one after the other, and ends with a copy found on each', async t => {
  const w = await world(t, { sims: fleet(3) })
  const nodes = ['n1', 'n2', 'n3']
  const answer = await w.post('/quipu/models/pull', { model: 'fresh', nodes })
  t.equal(answer.status, 202)
  const ordered = (await answer.json()) as { transfers: Row[] }
  t.same(
    ordered.transfers.map(({ id }) => id),
    ['fresh:latest@n1', 'fresh:latest@n2', 'fresh:latest@n3'],
  )
  await w.fact('transfer.begun')
  t.match(await transfers(w), [
    { node: 'n1', state: 'running' },
    { node: 'n2', state: 'waiting', waits: '1 download at a time, it is next' },
    { node: 'n3', state: 'waiting', waits: '1 download at a time, 1 before it' },
  ])
  await w.fact('transfer.completed', ({ id }) => id === 'fresh:latest@n3')
  t.same(await story(w, 'fresh:latest'), [
    ...nodes.map(node => `ordered ${node}`),
    ...nodes.flatMap(node => [`begun ${node}`, `found ${node}`, `completed ${node}`]),
  ])
  for (const sim of w.sims) t.ok(sim.models().includes('fresh:latest'), sim.name)
  const again = (await (await w.post('/quipu/models/pull', { model: 'fresh', all: true })).json()) as object
  t.match(again, { transfers: [], already: { length: 3 } })
})

t.test('one that is called off stops on the node, and what people read says so', async t => {
  const w = await world(t, { sims: [{ pullBytesPerSec: 1e8 }] })
  await w.post('/quipu/models/pull', { model: 'fresh' })
  await w.fact('transfer.begun')
  const url = `${w.url}/quipu/transfers/${encodeURIComponent('fresh:latest@n1')}`
  t.match(await (await fetch(url, { method: 'DELETE' })).json(), { state: 'cancelled' })
  t.equal((await fetch(url, { method: 'DELETE' })).status, 404)
  await new Promise(resolve => setTimeout(resolve, 300))
  t.notOk(w.sims[0]!.models().includes('fresh:latest'))
})

t.test('a model that the registry does not have is given up at once, in the words of the node', async t => {
  const w = await world(t)
  await w.post('/quipu/models/pull', { model: 'absent' })
  await w.fact('transfer.abandoned')
  t.match(await transfers(w), [
    { state: 'abandoned', trouble: 'unknown', reason: 'pull model manifest: file does not exist' },
  ])
})

t.test(
  'a disk that is full is said in the words of the node, and the journal has the kind of it only',
  async t => {
    const words = 'write /models/blobs/sha256-ab-partial: no space left on device'
    const node = await odd(t, (_req, res) => {
      res.writeHead(200, { 'Content-Type': 'application/x-ndjson' })
      res.end(`{"status":"pulling manifest"}\n{"error":"${words}"}\n`)
    })
    const w = await houseOf(t, [node])
    await w.post('/quipu/models/pull', { model: 'fresh' })
    const { data } = await w.fact('transfer.abandoned')
    t.match(data, { attempt: 1, reason: 'full' })
    t.match(await transfers(w), [{ state: 'abandoned', trouble: 'full', reason: words }])
    for (const fact of await w.facts()) t.notMatch(JSON.stringify(fact), /no space left/)
  },
)

t.test(
  'the plug of the node with the only copy is pulled: it is made anew, and the facts tell the story',
  async t => {
    const w = await world(t, {
      sims: [{}, { models: [] }],
      flags: { 'probe-every': '50ms', 'lost-after': '1', 'heal-after': '300ms' },
    })
    await w.fact('replica.found', ({ id }) => id === 'tiny:latest@n1')
    const policy = { replicasMin: 1 }
    await fetch(`${w.url}/quipu/policies/tiny`, { method: 'PUT', body: JSON.stringify(policy) })
    await w.sims[0]!.close()
    const { data, by } = await w.fact('transfer.ordered')
    t.match({ data, by }, { data: { cause: 'policy', lost: ['n1'] }, by: 'registry' })
    await w.fact('transfer.completed')
    const told = (await w.facts()).filter(({ type }) => /^(node\.lost|transfer\.)/.test(type))
    t.same(
      told.map(({ type, id }) => `${type} ${id}`),
      [
        'node.lost n1',
        'transfer.ordered tiny:latest@n2',
        'transfer.begun tiny:latest@n2',
        'transfer.completed tiny:latest@n2',
      ],
    )
    t.equal((await w.generate()).status, 200, 'and it answers from there')
  },
)

t.test('a copy is removed by hand where there are others, and what a policy needs is not', async t => {
  const w = await world(t, { sims: [{}, {}] })
  for (const node of ['n1', 'n2']) await w.fact('replica.found', ({ id }) => id === `tiny:latest@${node}`)
  await fetch(`${w.url}/quipu/policies/tiny`, { method: 'PUT', body: '{"replicasMin":1}' })
  const one = await w.post('/quipu/models/rm', { model: 'tiny', nodes: ['n1'] })
  t.same(await one.json(), { model: 'tiny:latest', removed: ['n1'], failed: [] })
  t.notOk(w.sims[0]!.models().includes('tiny:latest'))
  const other = await w.post('/quipu/models/rm', { model: 'tiny' })
  t.same([other.status, ((await other.json()) as { code: string }).code], [409, 'policy.needs'])
  t.ok(w.sims[1]!.models().includes('tiny:latest'))
  t.equal((await w.fact('replica.removed')).id, 'tiny:latest@n1')
})
