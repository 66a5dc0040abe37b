import t from 'tap'
import { type NodeData, type NodeEquipment, type NodeFact, node } from '../../machines/node.ts'
import { given } from './given.ts'

const at = 1_000
const data: NodeData = { url: 'http://a:11434', slots: 1, residentMax: 3, labels: {}, origin: 'api' }
const registered = { type: 'node.registered', at, data } as const
const joined = { type: 'node.joined', at, data: { version: '0.33.0' } } as const
const lost = { type: 'node.lost', at: 2_000, data: { reason: 'silence' } } as const
const drained = { type: 'node.drained', at, data: {} } as const
const nothing = {}

const up = { member: { reach: 'up', duty: 'active', pace: 'full' } }
const joining = { member: { reach: 'joining', duty: 'active', pace: 'full' } }
const down = { member: { reach: 'down', duty: 'active', pace: 'full' } }

t.test('a node is registered, and joins when it answers', async t => {
  given(t, node)
    .when({ type: 'node.register', at, data })
    .answers([{ type: 'node.registered', data }], {
      member: { reach: 'joining', duty: 'active', pace: 'full' },
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
    .answers([{ type: 'node.registered', data: moved }], {
      member: { reach: 'joining', duty: 'active', pace: 'full' },
    })
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
    .answers([{ type: 'node.registered', data: wished }], {
      member: { reach: 'joining', duty: 'active', pace: 'full' },
    })
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
    .answers([], { member: { reach: 'joining', duty: 'active', pace: 'full' } })
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
    .answers([{ type: 'node.drained', data: nothing }], {
      member: { reach: 'up', duty: 'draining', pace: 'full' },
    })
  given(t, node, ...facts, drained)
    .when({ type: 'node.drain', at, data: nothing })
    .answers([], {
      member: { reach: 'up', duty: 'draining', pace: 'full' },
    })
  given(t, node, ...facts, drained)
    .when({ type: 'node.empty', at, data: nothing })
    .answers([{ type: 'node.emptied', data: nothing }], {
      member: { reach: 'up', duty: 'empty', pace: 'full' },
    })
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
      member: { reach: 'up', duty: 'draining', pace: 'full' },
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
      member: { reach: 'joining', duty: 'active', pace: 'full' },
    })
})

const equipment: NodeEquipment = {
  os: { platform: 'linux', name: 'Debian GNU/Linux 12', arch: 'x64' },
  cpu: { model: 'AMD Ryzen 9 7950X', cores: 32 },
  memoryBytes: 64e9,
  gpus: [{ vendor: 'nvidia', model: 'GeForce RTX 4090', memoryBytes: 24e9 }],
  gpusKnown: true,
  disk: { fileSystem: 'ext4', type: 'ssd', sizeBytes: 1e12 },
  container: false,
}
const equipped = { type: 'node.equipped', at, data: equipment } as const

t.test('what a machine is, is a fact when it is another than before', async t => {
  given(t, node, registered)
    .when({ type: 'node.equip', at, data: equipment })
    .answers([{ type: 'node.equipped', data: equipment }], joining)
  const grown = { ...equipment, gpus: [...equipment.gpus, ...equipment.gpus] }
  const { os: _unread, ...nameless } = equipment
  const half = [{ vendor: 'nvidia', model: 'GeForce RTX 4090', memoryBytes: 12e9 }]
  for (const [what, data] of [
    ['a second GPU', grown],
    ['no GPU any more', { ...equipment, gpus: [] }],
    ['nobody could look', { ...equipment, gpus: [], gpusKnown: false }],
    ['another system', { ...equipment, os: { ...equipment.os!, name: 'Debian GNU/Linux 13' } }],
    ['a system that says nothing', nameless],
    ['more cores', { ...equipment, cpu: { ...equipment.cpu!, cores: 33 } }],
    ['half of the memory', { ...equipment, memoryBytes: 32e9 }],
    ['half of the memory of a GPU', { ...equipment, gpus: half }],
  ] as const) {
    t.comment(what)
    given(t, node, registered, joined, equipped)
      .when({ type: 'node.equip', at, data })
      .answers([{ type: 'node.equipped', data }], up)
  }
})

t.test('a pool of disks that is as large as what it holds is no other machine', async t => {
  given(t, node, registered, joined, equipped)
    .when({ type: 'node.equip', at, data: equipment })
    .answers([], up)
  const near = { ...equipment, memoryBytes: 63e9, disk: { ...equipment.disk!, sizeBytes: 1.04e12 } }
  given(t, node, registered, joined, equipped).when({ type: 'node.equip', at, data: near }).answers([], up)
  // Little by little it is one all the same: each is held against the last fact, not against what was said last.
  const far = { ...equipment, disk: { ...equipment.disk!, sizeBytes: 1.06e12 } }
  given(t, node, registered, joined, equipped)
    .when({ type: 'node.equip', at, data: far })
    .answers([{ type: 'node.equipped', data: far }], up)
})

t.test('registered anew, a node has to say again what it is', async t => {
  given(t, node, registered, joined, equipped, registered)
    .when({ type: 'node.equip', at, data: equipment })
    .answers([{ type: 'node.equipped', data: equipment }], joining)
  given(t, node, registered, { type: 'node.removed', at, data: nothing })
    .when({ type: 'node.equip', at, data: equipment })
    .refuses('node.unknown')
})

const heat = { cause: 'heat', since: 900 } as const
const throttled = { type: 'node.throttled', at, data: heat } as const
const slow = { member: { reach: 'up', duty: 'active', pace: 'throttled' } }

t.test('it is slowed down once, until something else slows it down', async t => {
  given(t, node, registered, joined)
    .when({ type: 'node.throttle', at, data: heat })
    .answers([{ type: 'node.throttled', data: heat }], slow)
  given(t, node, registered, joined, throttled)
    .when({ type: 'node.throttle', at, data: { ...heat, since: 950 } })
    .answers([], slow)
  const memory = { cause: 'memory', since: 990 } as const
  given(t, node, registered, joined, throttled)
    .when({ type: 'node.throttle', at, data: memory })
    .answers([{ type: 'node.throttled', data: memory }], slow)
})

t.test('it cools with the time it was slow, once', async t => {
  given(t, node, registered, joined, throttled)
    .when({ type: 'node.cool', at: 61_000, data: nothing })
    .answers([{ type: 'node.cooled', data: { cause: 'heat', throttledMs: 60_000 } }], up)
  given(t, node, registered, joined, throttled)
    .when({ type: 'node.cool', at: 0, data: nothing })
    .answers([{ type: 'node.cooled', data: { cause: 'heat', throttledMs: 0 } }], up)
  given(t, node, registered, joined).when({ type: 'node.cool', at, data: nothing }).answers([], up)
})

t.test(
  'a node that does not answer is not slow: lost, it is slow no longer, and cannot become so',
  async t => {
    given(t, node, registered, joined, throttled)
      .when({ type: 'node.lose', at, data: { reason: 'silence' } })
      .answers([{ type: 'node.lost', data: { reason: 'silence' } }], down)
    given(t, node, registered, joined, throttled, lost)
      .when({ type: 'node.throttle', at, data: heat })
      .answers([], down)
    given(t, node, registered).when({ type: 'node.throttle', at, data: heat }).answers([], joining)
  },
)
