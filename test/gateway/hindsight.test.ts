import t from 'tap'
import { type Doors, openDoors, row } from './doors.ts'

/** Two nodes with the model in memory; r0 of ann runs on a, r1 of bob waits, then r2 comes. */
async function afternoon(t: Parameters<typeof openDoors>[0]): Promise<Doors> {
  const house = await openDoors(t)
  for (const node of ['a', 'b', 'c']) {
    house.join(node)
    house.put('tiny:latest', node, node === 'c' ? 'present' : 'resident')
  }
  house.put('other:latest', 'b')
  house.admit('r0', { client: 'ann' })
  house.assign('r0', 'a', [row('a'), row('b')])
  house.admit('o1', { model: 'other:latest' })
  house.assign('o1', 'b', [row('b')])
  house.admit('r1', { client: 'bob' })
  await house.clock.advance(2_000)
  house.admit('r2', { client: 'eve' })
  await house.clock.advance(1_000)
  house.assign('r1', 'b', [row('b')])
  house.begin('o1')
  house.complete('o1')
  house.engine.commit('node', 'c', { type: 'node.drain', data: {}, by: 'op' })
  await house.clock.advance(1_000)
  house.begin('r0')
  house.complete('r0')
  house.assign('r2', 'a', [row('a'), row('b', { idle: 0 })])
  return house
}

t.test('who was ahead of a request is told as it was then, though they are long gone', async t => {
  const house = await afternoon(t)
  house.begin('r1')
  house.complete('r1')
  house.begin('r2')
  house.complete('r2')
  const { moments } = (await house.get('/quipu/requests/r2/hindsight')).json()
  t.match(moments, [
    {
      as: 'admitted',
      queue: {
        line: 'tiny:latest',
        waiting: 2,
        inLine: 2,
        ahead: 1,
        clients: [{ client: 'bob', count: 1 }],
        oldestMs: 2_000,
      },
      others: [],
    },
    { as: 'assigned', node: 'a', queue: { waiting: 1, ahead: 0 }, decided: { to: 'assign', nodes: ['a'] } },
  ])
  t.notOk('oldestMs' in moments[1].queue)
})

t.test('others are asked at each moment, with the nodes as they stood', async t => {
  const house = await afternoon(t)
  const compare = 'least-connections;round-robin;power-of-two;warm-first;prefer=b;avoid=a+b'
  const { moments } = (
    await house.get(`/quipu/requests/r2/hindsight?compare=${encodeURIComponent(compare)}`)
  ).json()
  t.matchSnapshot(moments.map(({ others }: { others: { policy: string; words: string }[] }) => others))
})

t.test('a node that won among equals is told with what it won by', async t => {
  const house = await openDoors(t)
  for (const node of ['a', 'b']) {
    house.join(node)
    house.put('tiny:latest', node)
  }
  house.admit('r1')
  house.assign('r1', 'a', [row('a'), row('b')])
  house.admit('r2')
  house.assign('r2', 'a', [row('a', { affine: true }), row('b')])
  const edges = async (id: string) =>
    (await house.get(`/quipu/requests/${id}/hindsight`)).json().moments[1].edges
  t.match(await edges('r1'), [{ over: 'b', by: 'name' }])
  t.same(await edges('r2'), [], 'a was busy by then, and was not compared')
})

t.test('where the journal would decide otherwise, that is told, not hidden', async t => {
  const house = await openDoors(t)
  for (const node of ['a', 'b']) {
    house.join(node)
    house.put('tiny:latest', node)
  }
  house.admit('r1')
  house.assign('r1', 'b', [row('a'), row('b')])
  const { moments } = (await house.get('/quipu/requests/r1/hindsight')).json()
  t.match(moments[1], { node: 'b', decided: { to: 'assign', nodes: ['a'] } })
})

t.test('one may look back at a time; who asks for what there is not is told what there is', async t => {
  const house = await afternoon(t)
  const both = await Promise.all([1, 2].map(() => house.get('/quipu/requests/r2/hindsight')))
  t.same(both.map(({ statusCode }) => statusCode).sort(), [200, 503])
  t.equal(both.find(({ statusCode }) => statusCode === 503)!.json().code, 'house.busy')
  t.equal((await house.get('/quipu/requests/r2/hindsight?compare=luck')).json().code, 'request.invalid')
  t.equal((await house.get('/quipu/requests/never/hindsight')).statusCode, 404)
})

t.test(
  'what was decided meanwhile is told around the wait of a request, what changed the fleet first',
  async t => {
    const house = await afternoon(t)
    const { meanwhile } = (await house.get('/quipu/requests/r2/why')).json()
    t.matchSnapshot(meanwhile.items.map(({ words, by }: { words: string; by?: string }) => [words, by ?? '']))
    t.equal(meanwhile.left, 0)
  },
)

t.test('a model that came to a node while a request waited is told, and one that was taken away', async t => {
  const house = await openDoors(t)
  house.join('a')
  house.admit('r1')
  const by = 'registry'
  const order = (node: string, lost?: readonly string[]): void => {
    const data = { cause: 'policy', ...(lost && { lost }) } as const
    house.engine.commit('transfer', `tiny:latest@${node}`, { type: 'transfer.order', data, by })
  }
  order('a', ['x', 'y'])
  order('b', ['x'])
  order('c')
  const begin = { type: 'transfer.begin', data: { command: 'c1' } } as const
  house.engine.commit('transfer', 'tiny:latest@a', begin)
  house.engine.commit('transfer', 'tiny:latest@b', begin)
  await house.clock.advance(1_500)
  const come = { type: 'transfer.complete', data: { command: 'c1', ms: 1_500 } } as const
  house.engine.commit('transfer', 'tiny:latest@a', come)
  const full = { command: 'c1', reason: 'full', retryable: false, chance: 0 } as const
  house.engine.commit('transfer', 'tiny:latest@b', { type: 'transfer.fail', data: full })
  house.engine.commit('transfer', 'tiny:latest@c', { type: 'transfer.cancel', data: { why: 'policy' }, by })
  for (const cause of [undefined, 'policy', 'optimize'] as const) {
    const data = { nodes: ['a', 'b'], ...(cause && { cause }) }
    house.engine.commit('model', 'other:latest', { type: 'model.delete', data, by })
  }
  house.assign('r1', 'a', [row('a')])
  const { meanwhile } = (await house.get('/quipu/requests/r1/why')).json()
  t.same(
    meanwhile.items
      .filter(({ type }: { type: string }) => /^(transfer|model)\./.test(type))
      .map(({ words }: { words: string }) => words),
    [
      'tiny:latest was ordered for a, in place of x and y, which were lost',
      'tiny:latest was ordered for b, in place of x, which was lost',
      'tiny:latest was ordered for c',
      'a had got tiny:latest, after 1.5 s',
      'tiny:latest was given up for b (full)',
      'tiny:latest was called off for c',
      'other:latest was deleted from a and b',
      'other:latest was one too many, and was taken from a and b',
      'other:latest answered nobody there, and was taken from a and b',
    ],
  )
})

t.test('what was decided meanwhile has an end, however busy the house was', async t => {
  const house = await openDoors(t)
  house.join('a', { slots: 100 })
  house.put('tiny:latest', 'a')
  house.admit('r1')
  for (let i = 0; i < 50; i += 1) {
    house.admit(`o${i}`)
    house.assign(`o${i}`, 'a', [row('a')])
  }
  house.assign('r1', 'a', [row('a')])
  const { meanwhile } = (await house.get('/quipu/requests/r1/why')).json()
  const turns = meanwhile.items.filter(({ type }: { type: string }) => type === 'request.assigned')
  t.equal(turns.length, 8)
  t.match(turns.at(-1).words, 'tiny:latest for 127.0.0.1 was sent to a')
  t.equal(
    meanwhile.left,
    50 + 3 - meanwhile.items.length,
    'a node came, answered, and had its model, just before',
  )
})
