import t from 'tap'
import { type NodeData, type NodeFact, node } from '../../machines/node.ts'
import { given } from './given.ts'

const at = 1_000
const data: NodeData = { url: 'http://a:11434', slots: 1, residentMax: 3, labels: {}, origin: 'api' }
const registered = { type: 'node.registered', at, data } as const
const joined = { type: 'node.joined', at, data: { version: '0.33.0' } } as const
const lost = { type: 'node.lost', at: 2_000, data: { reason: 'silence' } } as const
const drained = { type: 'node.drained', at, data: {} } as const
const nothing = {}

const up = { member: { reach: 'up', duty: 'active' } }
const down = { member: { reach: 'down', duty: 'active' } }

t.test('a node is registered, and joins when it answers', async t => {
  given(t, node)
    .when({ type: 'node.register', at, data })
    .answers([{ type: 'node.registered', data }], {
      member: { reach: 'joining', duty: 'active' },
    })
  given(t, node, registered)
    .when({ type: 'node.answer', at, data: { version: '0.33.0' } })
    .answers([{ type: 'node.joined', data: { version: '0.33.0' } }], up)
})

t.test('registering the same node again changes nothing, another address starts it afresh', async t => {
  given(t, node, registered, joined).when({ type: 'node.register', at, data }).answers([], up)
  const moved = { ...data, url: 'http://b:11434' }
  given(t, node, registered, joined)
    .when({ type: 'node.register', at, data: moved })
    .answers([{ type: 'node.registered', data: moved }], { member: { reach: 'joining', duty: 'active' } })
})

t.test('a node without slots is refused', async t => {
  given(t, node)
    .when({ type: 'node.register', at, data: { ...data, slots: 0 } })
    .refuses('node.slots')
})

t.test('a weight and hours that make no sense are refused', async t => {
  for (const weight of [0, -1, 101, Number.NaN]) {
    given(t, node)
      .when({ type: 'node.register', at, data: { ...data, weight } })
      .refuses('node.weight')
  }
  for (const hours of ['', 'night', '18:00-18:00']) {
    given(t, node)
      .when({ type: 'node.register', at, data: { ...data, hours } })
      .refuses('node.hours')
  }
  const wished = { ...data, weight: 0.5, hours: 'mon-fri@18:00-08:00+sat-sun' }
  given(t, node)
    .when({ type: 'node.register', at, data: wished })
    .answers([{ type: 'node.registered', data: wished }], { member: { reach: 'joining', duty: 'active' } })
})

t.test('losing it twice is losing it once', async t => {
  given(t, node, registered, joined)
    .when({ type: 'node.lose', at, data: { reason: 'refused' } })
    .answers([{ type: 'node.lost', data: { reason: 'refused' } }], down)
  given(t, node, registered, joined, lost)
    .when({ type: 'node.lose', at, data: { reason: 'silence' } })
    .answers([], down)
})

t.test('a node that never answered cannot be lost', async t => {
  given(t, node, registered)
    .when({ type: 'node.lose', at, data: { reason: 'silence' } })
    .answers([], { member: { reach: 'joining', duty: 'active' } })
})

t.test('it returns with the time it was away', async t => {
  given(t, node, registered, joined, lost)
    .when({ type: 'node.answer', at: 5_000, data: { version: '0.33.0' } })
    .answers([{ type: 'node.returned', data: { version: '0.33.0', awayMs: 3_000 } }], up)
})

t.test('an answer is a fact only when it brings another version', async t => {
  given(t, node, registered, joined)
    .when({ type: 'node.answer', at, data: { version: '0.33.0' } })
    .answers([], up)
  given(t, node, registered, joined)
    .when({ type: 'node.answer', at, data: { version: '0.34.0' } })
    .answers([{ type: 'node.upgraded', data: { from: '0.33.0', version: '0.34.0' } }], up)
})

t.test('a node leaves in two steps and may come back', async t => {
  const facts: NodeFact[] = [registered, joined]
  given(t, node, ...facts)
    .when({ type: 'node.drain', at, data: nothing })
    .answers([{ type: 'node.drained', data: nothing }], { member: { reach: 'up', duty: 'draining' } })
  given(t, node, ...facts, drained)
    .when({ type: 'node.drain', at, data: nothing })
    .answers([], {
      member: { reach: 'up', duty: 'draining' },
    })
  given(t, node, ...facts, drained)
    .when({ type: 'node.empty', at, data: nothing })
    .answers([{ type: 'node.emptied', data: nothing }], { member: { reach: 'up', duty: 'empty' } })
  given(t, node, ...facts, drained)
    .when({ type: 'node.resume', at, data: nothing })
    .answers([{ type: 'node.resumed', data: nothing }], up)
  given(t, node, ...facts)
    .when({ type: 'node.empty', at, data: nothing })
    .isOutOfTurn()
})

t.test('a draining node may be lost and stays drained when it returns', async t => {
  given(t, node, registered, joined, drained, lost)
    .when({ type: 'node.answer', at: 2_500, data: { version: '0.33.0' } })
    .answers([{ type: 'node.returned', data: { version: '0.33.0', awayMs: 500 } }], {
      member: { reach: 'up', duty: 'draining' },
    })
})

t.test('a removed node is unknown until it is registered again', async t => {
  const removed = { type: 'node.removed', at, data: nothing } as const
  given(t, node, registered)
    .when({ type: 'node.remove', at, data: nothing })
    .answers([{ type: 'node.removed', data: nothing }], 'removed')
  for (const type of ['node.drain', 'node.resume', 'node.remove'] as const) {
    given(t, node, registered, removed).when({ type, at, data: nothing }).refuses('node.unknown')
    given(t, node).when({ type, at, data: nothing }).refuses('node.unknown')
  }
  given(t, node, registered, removed)
    .when({ type: 'node.register', at, data })
    .answers([{ type: 'node.registered', data }], {
      member: { reach: 'joining', duty: 'active' },
    })
})
