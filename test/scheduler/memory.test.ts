/** What is in memory beside each other, where it is known how much there is. */
import t from 'tap'
import { replicaId } from '../../machines/replica.ts'
import { choose } from '../../src/scheduler/scheduler.ts'
import { yard } from './yard.ts'

const GB = 1e9

/** Nodes with a card each, and three places in memory; models by the size of their files. */
async function given(cards: Readonly<Record<string, number>>, models: Readonly<Record<string, number>>) {
  const y = yard()
  y.start()
  for (const [node, bytes] of Object.entries(cards)) {
    await y.node(node, [], { residentMax: 3 })
    for (const [model, sizeBytes] of Object.entries(models)) {
      const data = { digest: 'd', sizeBytes }
      y.engine.commit('replica', replicaId(model, node), { type: 'replica.find', data })
    }
    if (bytes === 0) continue
    const gpus = [{ vendor: 'nvidia', model: 'x', memoryBytes: bytes }]
    const data = { gpus, gpusKnown: true, container: false }
    y.engine.commit('node', node, { type: 'node.equip', data })
  }
  await y.clock.advance(0)
  const world = {
    ...y,
    /** In memory, with so much of it. */
    async loads(model: string, node: string, sizeBytes: number) {
      const residence = { sizeBytes, vramBytes: sizeBytes, contextLength: 4_096 }
      const data = { ms: 1_000, residence }
      await y.engine.dispatch('replica', replicaId(model, node), { type: 'replica.confirm', data })
      await y.clock.advance(1_000)
    },
    inMemory: (node: string) =>
      [...(y.residency.state.inMemory.get(node)?.values() ?? [])]
        .map(({ model, state }) => `${model} ${state}`)
        .sort()
        .join(', '),
    table: (id: string) =>
      choose(y, y.requests.state.open.get(id)!)
        .candidates.map(({ node, against }) => `${node}: ${against ?? ''}`)
        .join('; '),
  }
  return world
}

t.test('a model is loaded beside others where it fits', async t => {
  const w = await given({ a: 24 * GB }, { m: 8 * GB, n: 8 * GB })
  await w.loads('m', 'a', 10 * GB)
  await w.ask('r', 'n')
  t.equal(w.inMemory('a'), 'm resident, n loading')
})

t.test(
  'where it does not fit beside what nobody uses, that goes first, however many may be there',
  async t => {
    const w = await given({ a: 24 * GB }, { m: 8 * GB, n: 16 * GB })
    await w.loads('m', 'a', 10 * GB)
    await w.ask('r', 'n')
    t.equal(w.inMemory('a'), 'n loading')
    t.match((await w.facts('replica.loading'))[0]?.data, { evicts: 'm' })
  },
)

t.test('as many go as it takes, and no more', async t => {
  const w = await given({ a: 24 * GB }, { tiny: GB, m: 8 * GB, n: 8 * GB, wide: 13 * GB })
  await w.loads('tiny', 'a', GB)
  await w.loads('m', 'a', 10 * GB)
  await w.loads('n', 'a', 10 * GB)
  await w.ask('r', 'wide')
  t.match((await w.facts('replica.loading'))[0]?.data, { evicts: 'm', evictsAlso: ['n'] })
  t.equal(w.inMemory('a'), 'tiny resident, wide loading', 'the oldest is small, and stays')
})

t.test('what it took before counts more than how large its file is', async t => {
  const w = await given({ a: 24 * GB, b: 24 * GB }, { m: 8 * GB, n: 8 * GB })
  await w.loads('m', 'a', 10 * GB)
  await w.loads('n', 'a', 18 * GB)
  await w.engine.dispatch('replica', 'n@a', { type: 'replica.unload', data: {} })
  await w.engine.dispatch('node', 'b', { type: 'node.drain', data: {} })
  await w.ask('r', 'n')
  t.equal(w.inMemory('a'), 'n loading', 'a context of that size leaves no room for m')
})

t.test('without an agent only their number counts', async t => {
  const w = await given({ a: 0 }, { m: 80 * GB, n: 80 * GB })
  await w.loads('m', 'a', 100 * GB)
  await w.ask('r', 'n')
  t.equal(w.inMemory('a'), 'm resident, n loading')
  t.equal(w.table('r'), 'a: ')
})

t.test('a model that is too large for one node goes to another, whatever stands there', async t => {
  const w = await given({ a: 12 * GB, b: 48 * GB }, { m: 4 * GB, big: 32 * GB })
  await w.loads('m', 'b', 10 * GB)
  await w.ask('r', 'big')
  t.equal(w.inMemory('a'), '')
  t.equal(w.inMemory('b'), 'big loading')
  t.equal(w.table('r'), 'a: larger than its memory; b: ')
})

t.test('where all are too small, it is loaded where most of it fits, with the node to itself', async t => {
  const w = await given({ a: 12 * GB, b: 24 * GB }, { m: 4 * GB, big: 32 * GB })
  await w.loads('m', 'b', 5 * GB)
  await w.ask('r', 'big')
  t.equal(w.inMemory('b'), 'big loading')
})

t.test('what is busy and in the way is waited for, and the table says so', async t => {
  const w = await given({ a: 24 * GB }, { m: 8 * GB, n: 16 * GB })
  await w.loads('m', 'a', 10 * GB)
  await w.ask('one', 'm')
  t.equal(w.at('one'), 'a')
  await w.ask('r', 'n')
  t.equal(w.inMemory('a'), 'm resident')
  t.equal(w.table('r'), 'a: does not fit beside m')
  await w.done('one')
  await w.clock.advance(30_000)
  t.equal(w.inMemory('a'), 'n loading')
})

t.test('another machine changes what fits, and who waits is looked at again', async t => {
  const w = await given({ a: 24 * GB }, { m: 8 * GB, n: 16 * GB })
  await w.loads('m', 'a', 10 * GB)
  await w.ask('one', 'm')
  await w.ask('r', 'n')
  t.equal(w.inMemory('a'), 'm resident')
  const gpus = [24 * GB, 24 * GB].map(memoryBytes => ({ vendor: 'nvidia', model: 'x', memoryBytes }))
  w.engine.commit('node', 'a', { type: 'node.equip', data: { gpus, gpusKnown: true, container: false } })
  await w.clock.advance(0)
  t.equal(w.inMemory('a'), 'm resident, n loading')
})

t.test('who is slowed down gets nothing that another can take at once', async t => {
  const w = await given({ a: 24 * GB, b: 24 * GB }, { m: 8 * GB })
  await w.loads('m', 'a', 10 * GB)
  await w.loads('m', 'b', 10 * GB)
  const heat = { cause: 'heat', since: 0 } as const
  w.engine.commit('node', 'a', { type: 'node.throttle', data: heat })
  await w.ask('one', 'm')
  t.equal(w.at('one'), 'b')
  await w.ask('two', 'm')
  t.equal(w.at('two'), 'a', 'but it is not out')
  t.match((await w.facts('request.assigned'))[0]?.data, {
    candidates: [{ node: 'a', against: 'throttled: heat' }, { node: 'b' }],
  })
})
