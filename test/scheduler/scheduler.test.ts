import t from 'tap'
import { Affinity } from '../../src/scheduler/affinity.ts'
import { yard } from './yard.ts'

t.test('a request waits until a node that fits appears', async t => {
  const y = yard()
  y.start()
  await y.node('b', ['other'])
  await y.ask('r', 'm')
  t.equal(y.at('r'), 'b', 'nobody has it, so any node may say so')
  const z = yard()
  z.start()
  await z.ask('r', 'm')
  t.equal(z.at('r'), 'queued')
  await z.node('a', ['m'])
  await z.clock.advance(0)
  t.same(
    (await z.facts('replica.loading')).map(({ id }) => id),
    ['m@a'],
  )
  await z.loaded('m', 'a')
  t.equal(z.at('r'), 'a')
})

t.test('nothing is sent beyond the slots, and the choice is made when one is free', async t => {
  const y = yard()
  y.start()
  await y.node('a', ['m'], { resident: ['m'] })
  await y.node('b', ['m'], { resident: ['m'], slots: 2 })
  for (const id of ['1', '2', '3', '4', '5']) await y.ask(id, 'm')
  t.same(['1', '2', '3', '4', '5'].map(y.at), ['a', 'b', 'b', 'queued', 'queued'])
  await y.done('2')
  t.same(['4', '5'].map(y.at), ['b', 'queued'])
  await y.done('1')
  t.equal(y.at('5'), 'a')
})

t.test('who may share the call of another goes along with it, and takes no slot', async t => {
  const asked: string[] = []
  const riders: Record<string, string[]> = { first: ['third', 'fourth'] }
  const y = yard()
  y.start({
    riders: head => {
      asked.push(head)
      return riders[head] ?? []
    },
  })
  await y.node('a', ['m'], { resident: ['m'] })
  for (const id of ['running', 'first', 'second', 'third', 'fourth']) await y.ask(id, 'm')
  t.equal(y.at('third'), 'queued')
  await y.done('running')
  t.same(['first', 'second', 'third', 'fourth'].map(y.at), ['a', 'queued', 'a', 'a'])
  const told = (await y.facts('request.assigned')).slice(1)
  t.match(told, [
    { id: 'first', data: { node: 'a', batch: 'first', candidates: [{ node: 'a' }] } },
    { id: 'third', data: { node: 'a', batch: 'first', candidates: [] } },
    { id: 'fourth', data: { node: 'a', batch: 'first', candidates: [] } },
  ])
  await y.done('first')
  await y.done('fourth')
  t.equal(y.at('second'), 'queued', 'the slot is theirs while one of them is there')
  await y.failed('third', 'broken')
  t.same(['second', 'third'].map(y.at), ['a', 'queued'])
  t.same(asked, ['running', 'first', 'second'])
})

t.test('nobody rides along to a node that has failed it, or that it does not want', async t => {
  const y = yard()
  y.start({ riders: head => (head === 'first' ? ['burnt', 'choosy', 'fresh', 'gone'] : []) })
  await y.node('a', ['m'], { resident: ['m'] })
  await y.ask('burnt', 'm', { priority: 1 })
  await y.ask('first', 'm')
  await y.ask('fresh', 'm')
  await y.ask('choosy', 'm', { labels: { gpu: '4090' } })
  await y.node('b', ['m'], { resident: [] })
  await y.failed('burnt', 'broken')
  t.same(['first', 'burnt', 'fresh', 'choosy'].map(y.at), ['a', 'queued', 'a', 'queued'])
})

t.test('priority before age, age before the rest', async t => {
  const y = yard()
  y.start()
  await y.node('a', ['m'], { resident: ['m'] })
  await y.ask('running', 'm')
  await y.ask('old', 'm')
  await y.ask('late', 'm', { priority: 1 })
  await y.ask('urgent', 'm', { priority: 9 })
  const order: string[] = []
  let current = 'running'
  for (let i = 0; i < 3; i += 1) {
    await y.done(current)
    current = ['old', 'late', 'urgent'].find(id => y.at(id) === 'a')!
    order.push(current)
  }
  t.same(order, ['urgent', 'old', 'late'])
})

t.test('one node loads one model at a time', async t => {
  const y = yard()
  y.start()
  await y.node('a', ['m', 'n'], { residentMax: 2 })
  await y.ask('1', 'm')
  await y.ask('2', 'n')
  t.same(
    (await y.facts('replica.loading')).map(({ id }) => id),
    ['m@a'],
  )
  await y.loaded('m', 'a')
  t.same(
    (await y.facts('replica.loading')).map(({ id }) => id),
    ['m@a', 'n@a'],
  )
})

t.test('a swap happens once the wait has cost as much, and not before', async t => {
  const y = yard()
  y.start()
  await y.node('a', ['m', 'n'], { resident: ['m'] })
  await y.ask('m0', 'm')
  await y.ask('n0', 'n')
  let next = 1
  let running = 'm0'
  const turn = async (): Promise<void> => {
    await y.ask(`m${next}`, 'm')
    await y.done(running, 500)
    running = `m${next}`
    next += 1
  }
  await turn()
  await turn()
  t.equal((await y.facts('replica.loading')).length, 0, 'm is kept as long as it is cheap to')
  for (let i = 0; i < 20 && (await y.facts('replica.loading')).length === 0; i += 1) await turn()
  const [swap] = await y.facts('replica.loading')
  t.equal(swap?.id, 'n@a')
  const waited = swap!.at - (await y.facts('request.admitted')).find(({ id }) => id === 'n0')!.at
  t.ok(
    waited >= 4_500 && waited < 6_000,
    `after ${waited} ms: loading n is thought to take 3.5 s, m took 1 s`,
  )
})

t.test('a failing node is tried last, and its breaker opens at the third failure', async t => {
  const y = yard()
  y.start()
  await y.node('a', ['m'], { resident: ['m'] })
  await y.node('b', ['m'], { resident: ['m'] })
  for (const id of ['1', '2', '3']) {
    await y.ask(id, 'm')
    t.equal(y.at(id), 'a')
    await y.failed(id, 'busy', 503)
    t.equal(y.at(id), 'b')
    await y.done(id, 500)
  }
  t.equal(y.breakers.state.nodes.get('a')?.state, 'open')
  await y.ask('4', 'm')
  t.equal(y.at('4'), 'b')
  await y.ask('5', 'm')
  t.equal(y.at('5'), 'queued', 'a is not asked while its breaker is open')
  await y.clock.advance(2_000)
  t.equal(y.at('5'), 'a', 'the wait is over: one request may try')
  await y.ask('6', 'm')
  t.equal(y.at('6'), 'queued', 'and only one')
  await y.done('5', 500)
  t.equal(y.breakers.state.nodes.get('a')?.state, 'closed')
  await y.clock.advance(1_000) // b is quicker, and worth a little patience
  t.equal(y.at('6'), 'a')
})

t.test('a request that waits for a node it has not failed on holds up nobody behind it', async t => {
  const y = yard()
  y.start()
  await y.node('a', ['m'], { resident: ['m'] })
  await y.node('b', ['m'], { resident: ['m'] })
  await y.ask('1', 'm')
  await y.ask('2', 'm')
  t.same([y.at('1'), y.at('2')], ['a', 'b'])
  await y.failed('1', 'busy', 503)
  t.equal(y.at('1'), 'queued', 'a has failed it, and b is busy')
  await y.ask('3', 'm')
  t.equal(y.at('3'), 'a')
  await y.done('2')
  t.equal(y.at('1'), 'b')
})

t.test('a trial that fails opens the breaker for longer', async t => {
  const y = yard()
  y.start()
  await y.node('a', ['m'], { resident: ['m'] })
  await y.node('b', ['m'], { resident: ['m'] })
  for (const id of ['1', '2', '3']) {
    await y.ask(id, 'm')
    await y.failed(id, 'refused')
    await y.done(id)
  }
  await y.ask('4', 'm')
  await y.ask('5', 'm')
  await y.clock.advance(2_000)
  t.equal(y.at('5'), 'a')
  await y.failed('5', 'refused')
  t.same(y.breakers.state.nodes.get('a')?.state, 'open')
  t.equal(y.breakers.state.nodes.get('a')?.round, 2)
})

t.test('a 500 counts against a node only when another one answers the same request', async t => {
  const y = yard()
  y.start()
  for (const name of ['a', 'b', 'c']) await y.node(name, ['m'], { resident: ['m'] })
  for (const id of ['1', '2', '3', '4']) {
    await y.ask(id, 'm')
    for (let i = 0; i < 3; i += 1) await y.failed(id, 'error', 500)
    t.equal(y.at(id), 'over')
  }
  t.equal((await y.facts('breaker.tripped')).length, 0, 'the request was broken, not the nodes')
  for (const id of ['5', '6', '7']) {
    await y.ask(id, 'm')
    await y.failed(id, 'error', 500)
    await y.done(id)
  }
  t.same(
    (await y.facts('breaker.tripped')).map(({ id }) => id),
    ['a'],
  )
})

t.test('who waits too long is let go, by the alarm', async t => {
  const y = yard()
  y.start()
  await y.ask('r', 'm', { waitMs: 5_000 })
  y.seats.take('s', {})
  const sent = y.seats.granted('s')
  await y.ask('s', 'm', { waitMs: 5_000 })
  await y.clock.advance(5_000)
  t.equal(y.at('r'), 'over')
  t.same(await sent, { to: 'leave', reason: 'expired' })
})

t.test('after a restart the sockets are gone, and each open request is closed by one fact', async t => {
  const y = yard()
  y.start()
  await y.node('a', ['m'], { resident: ['m'] })
  for (const id of ['1', '2', '3']) await y.ask(id, 'm')
  const z = yard(y.records)
  await z.engine.replay()
  t.equal(z.requests.state.open.size, 3)
  z.start()
  await z.clock.advance(10)
  const failed = await z.facts('request.failed')
  t.same(
    failed.map(({ id, data }) => [id, (data as { reason: string }).reason]),
    [
      ['1', 'restart'],
      ['2', 'restart'],
      ['3', 'restart'],
    ],
  )
  const again = yard(z.records)
  await again.engine.replay()
  again.start()
  await again.clock.advance(10)
  t.equal((await again.facts('request.failed')).length, 3, 'and never twice')
})

t.test('one client that floods the queue delays nobody else by more than its share', async t => {
  const y = yard()
  y.start()
  await y.node('a', ['m'], { resident: ['m'] })
  for (let i = 0; i < 200; i += 1) await y.ask(`flood-${i}`, 'm', { client: 'greedy' })
  await y.ask('mine', 'm', { client: 'modest' })
  t.equal(y.at('flood-0'), 'a')
  await y.done('flood-0', 1_000)
  t.equal(y.at('flood-1'), 'a', 'who comes now has saved up nothing')
  await y.done('flood-1', 1_000)
  t.equal(y.at('mine'), 'a', 'but the next turn is its own')
})

t.test(
  'after the bound every fourth turn is for who has waited longest, whatever floods the queue',
  async t => {
    const y = yard()
    y.start()
    await y.node('a', ['m'], { resident: ['m'] })
    await y.ask('first', 'm', { priority: 9 })
    await y.ask('humble', 'm', { client: 'modest', priority: 0, kind: 'batch' })
    for (let i = 0; i < 400; i += 1) await y.ask(`flood-${i}`, 'm', { client: 'greedy', priority: 9 })
    const order: string[] = []
    for (let turn = 0; turn < 200 && y.at('humble') === 'queued'; turn += 1) {
      const running = [...y.requests.state.open.values()].find(({ state }) => state === 'running')!
      await y.done(running.id, 1_000)
      order.push(running.id)
    }
    t.equal(y.at('humble'), 'a')
    t.ok(order.length >= 120, `not before the bound of 120 s: ${order.length} turns of 1 s`)
    t.ok(order.length <= 124, `and within four turns of it: ${order.length}`)
  },
)

t.test('one client may be kept from running more than so many at once, and lets others by', async t => {
  const y = yard([], { starveMs: 120_000, clientRunningMax: 1 })
  y.start()
  await y.node('a', ['m'], { slots: 2, resident: ['m'] })
  await y.ask('1', 'm', { client: 'c' })
  await y.ask('2', 'm', { client: 'c' })
  await y.ask('3', 'm', { client: 'd' })
  t.same([y.at('1'), y.at('2'), y.at('3')], ['a', 'queued', 'a'])
  await y.done('1', 100)
  t.equal(y.at('2'), 'a')
})

t.test('another way to load a model is another line, and a swap of the model with itself', async t => {
  const y = yard()
  y.start()
  await y.node('a', ['m'], { resident: ['m'] })
  await y.ask('wide', 'm', { variant: 'num_ctx=8192' })
  t.equal(y.at('wide'), 'queued')
  const [loading] = await y.facts('replica.loading')
  t.match(loading?.data, { request: 'wide', variant: 'num_ctx=8192' })
  await y.loaded('m', 'a')
  t.equal(y.at('wide'), 'a')
  await y.ask('plain', 'm')
  t.equal(y.at('plain'), 'queued', 'that copy is not for it')
})

t.test('labels of a request, and the policy of its model, say which nodes will do', async t => {
  const y = yard()
  y.start()
  await y.node('a', ['m'], { resident: ['m'] })
  await y.node('b', ['m'], { resident: ['m'], labels: { gpu: '4090' } })
  await y.ask('1', 'm', { labels: { gpu: '4090' } })
  await y.ask('2', 'm', { labels: { gpu: 'h100' } })
  t.same([y.at('1'), y.at('2')], ['b', 'queued'])
})

t.test('whoever is displaced is gone before the load begins, so that nobody is sent there', async t => {
  const y = yard()
  y.start()
  await y.node('a', ['m', 'n'], { resident: ['m'] })
  await y.ask('1', 'n')
  const [loading] = await y.facts('replica.loading')
  t.match(loading, { id: 'n@a', data: { evicts: 'm' } })
  t.equal(y.residency.state.byNode.get('a')?.get('m')?.state, 'present')
})

t.test('a conversation goes where it went before, while that node has not much more to do', async t => {
  const y = yard()
  const heads = new Map<string, number>()
  y.start({ headOf: (id: string) => heads.get(id), affinity: new Affinity(y.clock) })
  for (const name of ['a', 'b', 'c', 'd']) await y.node(name, ['m'], { resident: ['m'] })
  const places = new Set<string>()
  for (let turn = 0; turn < 10; turn += 1) {
    heads.set(`talk-${turn}`, 42)
    await y.ask(`talk-${turn}`, 'm')
    places.add(y.at(`talk-${turn}`))
    await y.done(`talk-${turn}`, 1_000)
  }
  t.equal(places.size, 1)
  heads.set('once', 42)
  await y.ask('other', 'm')
  const spread = new Set<string>()
  for (let head = 0; head < 40; head += 1) {
    heads.set(`head-${head}`, head)
    await y.ask(`head-${head}`, 'm')
    spread.add(y.at(`head-${head}`))
    await y.done(`head-${head}`, 1_000)
  }
  t.ok(spread.size >= 3, 'others go elsewhere')
})

t.test('whoever waits for a swap gets it when the last answer of the other model has ended', async t => {
  const y = yard()
  y.start()
  await y.node('a', ['m', 'n'], { resident: ['m'] })
  await y.ask('m0', 'm')
  await y.ask('n0', 'n')
  await y.clock.advance(60_000)
  for (let turn = 0; turn < 3; turn += 1) await y.ask(`m${turn + 1}`, 'm')
  await y.done('m0')
  t.equal(y.at('m1'), 'queued', 'the node is kept free for the swap')
  await y.loaded('n', 'a')
  t.equal(y.at('n0'), 'a')
  await y.clock.advance(60_000)
  await y.done('n0')
  await y.loaded('m', 'a')
  t.equal(y.at('m1'), 'a', 'and back, though nobody waits for n any more')
})

t.test('two models with a backlog each take turns on one node, each as long as a load at least', async t => {
  const y = yard()
  y.start()
  await y.node('a', ['m', 'n'], { resident: ['m'] })
  for (let i = 0; i < 40; i += 1) for (const model of ['m', 'n']) await y.ask(`${model}${i}`, model)
  let served = 0
  for (let step = 0; step < 400 && served < 80; step += 1) {
    const running = [...y.requests.state.open.values()].find(({ state }) => state === 'running')
    const loading = [...y.residency.state.byNode.get('a')!.values()].find(({ state }) => state === 'loading')
    if (running !== undefined) {
      await y.done(running.id, 500)
      served += 1
    } else if (loading !== undefined) {
      await y.clock.advance(1_000)
      await y.loaded(loading.model, 'a')
    } else await y.clock.advance(500)
  }
  t.equal(served, 80)
  const loads = (await y.facts('replica.loading')).length
  t.ok(loads >= 2 && loads <= 20, `turns, not a swap for each answer: ${loads} loads for 80 answers`)
})
