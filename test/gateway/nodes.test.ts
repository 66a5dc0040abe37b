/** Which nodes a client's request may concern, by what the projections say. */
import t from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { Nodes, type NodeVitals } from '../../src/gateway/nodes.ts'
import type { FleetNode } from '../../src/projections/fleet.ts'
import type { Replica } from '../../src/projections/residency.ts'

type Row = Partial<FleetNode> & { readonly models?: Readonly<Record<string, Replica['state']>> }

function fleet(rows: Readonly<Record<string, Row>>) {
  const clock = virtualClock()
  const state = new Map<string, FleetNode>()
  const byNode = new Map<string, Map<string, Replica>>()
  const byModel = new Map<string, Map<string, Replica>>()
  const vitals = new Map<string, NodeVitals>()
  const looks: string[] = []
  let slow = (): Promise<void> => Promise.resolve()
  for (const [name, { models = {}, ...more }] of Object.entries(rows)) {
    state.set(name, { name, url: `http://${name}`, reach: 'up', duty: 'active', ...more } as FleetNode)
    vitals.set(name, { tags: [], ps: [], seenAt: clock.now(), misses: 0 })
    byNode.set(name, new Map())
    for (const [model, memory] of Object.entries(models)) {
      const replica = { model, node: name, state: memory, sizeBytes: 10 } as Replica
      byNode.get(name)!.set(model, replica)
      byModel.set(model, new Map([...(byModel.get(model) ?? []), [name, replica]]))
    }
  }
  const nodes = new Nodes({
    clock,
    vitals,
    fleet: { state } as never,
    residency: { state: { byNode, byModel } } as never,
    look: async name => {
      looks.push(name)
      await slow()
      vitals.set(name, { ...vitals.get(name)!, seenAt: clock.now() })
    },
  })
  const delay = (by: () => Promise<void>): void => {
    slow = by
  }
  return { nodes, clock, vitals, looks, state, delay }
}

const names = (nodes: readonly FleetNode[]): string[] => nodes.map(({ name }) => name)

t.test('those that have a model answer for it, those with it in memory first; else anybody', async t => {
  const { nodes } = fleet({
    a: { models: { m: 'present' } },
    b: { models: { m: 'resident' } },
    c: {},
    d: { models: { m: 'resident' }, reach: 'down' },
    e: { models: { m: 'resident' }, duty: 'draining' },
  })
  t.same(names(nodes.answerers('m')), ['b', 'a'])
  t.same(names(nodes.answerers('x')), ['a', 'b', 'c'])
  t.same(names(nodes.answerers(undefined)), ['a', 'b', 'c'])
  t.same(names(nodes.holders('m')), ['b', 'd', 'e', 'a'])
  t.same(names(nodes.warm('m')), ['b', 'e'])
  t.same(names(nodes.emptiest), ['c', 'a', 'b'])
})

t.test('where every node drains, one that is up still answers', async t => {
  const { nodes } = fleet({ a: { duty: 'draining' }, b: { reach: 'down' } })
  t.same(names(nodes.usable), ['a'])
})

t.test('a client’s home is the same each time, and changes for few when a node goes', async t => {
  const rows = Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map(name => [name, {}]))
  const { nodes, state } = fleet(rows)
  const clients = Array.from({ length: 300 }, (_, i) => `10.0.${i % 7}.${i}`)
  const before = clients.map(client => nodes.home(client)!.name)
  t.same(
    clients.map(client => nodes.home(client)!.name),
    before,
  )
  const shares = Object.values(Object.groupBy(before, name => name)).map(share => share!.length)
  t.ok(shares.length === 5 && Math.min(...shares) > 30, shares.join())
  state.delete('c')
  for (const [i, client] of clients.entries())
    if (before[i] !== 'c' && nodes.home(client)!.name !== before[i]) t.fail(`${client} moved for nothing`)
  t.equal(fleet({}).nodes.home('10.0.0.1'), undefined)
})

t.test('nodes are named once each, or all that take work', async t => {
  const { nodes } = fleet({ a: {}, b: { duty: 'draining' }, c: { reach: 'down' } })
  const named = (header: string) => {
    const found = nodes.named(header)!
    return 'refused' in found ? found.refused : names(found.nodes)
  }
  t.equal(nodes.named(undefined), undefined)
  t.same(named('a'), ['a'])
  t.same(named(' c ,a,, c'), ['c', 'a'])
  t.same(named('all'), ['a'])
  t.match(named('a,x,y'), 'no node is called x, y; there are: a, b, c')
  t.match(named(''), 'no node is called ""')
})

t.test('what was seen a moment ago is good enough, unless something was done since', async t => {
  const { nodes, clock, vitals, looks } = fleet({ a: {}, b: {}, c: { reach: 'down' } })
  await clock.advance(900)
  await nodes.freshen()
  t.same(looks, [])
  nodes.touch('b')
  await nodes.freshen()
  t.same(looks.splice(0), ['b'])
  await nodes.freshen()
  t.same(looks, [], 'once')
  await clock.advance(1_001)
  vitals.set('b', { ...vitals.get('b')!, misses: 1 })
  await nodes.freshen()
  t.same(looks.splice(0), ['a'], 'who did not answer last time is not waited for')
  await nodes.seek('unheard-of')
  t.same(looks, [])
})

t.test('a look that began before something was done does not count', async t => {
  const { nodes, clock, looks, delay } = fleet({ a: {} })
  const { promise, resolve } = Promise.withResolvers<void>()
  delay(() => promise)
  nodes.touch('a')
  const first = nodes.freshen()
  nodes.touch('a')
  resolve()
  await first
  await nodes.freshen()
  t.same(looks, ['a', 'a'])
  delay(() => new Promise(() => {}))
  nodes.touch('a')
  const stuck = nodes.freshen()
  await clock.advance(2_000)
  await stuck
  t.pass('and nobody waits longer than two seconds')
})

t.test('a model that a node only passes on is known, unless another has it', async t => {
  const { nodes, vitals } = fleet({ a: {}, b: { models: { 'here:latest': 'present' } } })
  const rows = ['Far:latest', 'here:latest'].map(name => ({ name, remote_host: 'https://ollama.com' }))
  vitals.set('a', { ...vitals.get('a')!, tags: [...rows, { name: 'plain:latest' }] })
  t.ok(nodes.isElsewhere('far:latest'))
  t.notOk(nodes.isElsewhere('here:latest'))
  t.notOk(nodes.isElsewhere('plain:latest'))
})
