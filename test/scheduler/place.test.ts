/** The numbered policy, case by case. */
import t from 'tap'
import { candidatesOf, type Demand, edgeOf, place, type Spot } from '../../src/scheduler/place.ts'

const spot = (node: string, change: Partial<Spot> = {}): Spot => ({
  node,
  memory: 'resident',
  slots: 1,
  running: 0,
  load: 0,
  weight: 1,
  preferred: false,
  offHours: false,
  affine: false,
  affinity: 0,
  loadFailures: 0,
  room: 'free',
  loadMs: 1_000,
  runMs: 400,
  loadLeftMs: 0,
  heldMs: 1e9,
  evictMs: 0,
  ...change,
})
const demand = (change: Partial<Demand> = {}): Demand => ({
  tried: new Set(),
  unsettled: false,
  waiting: 1,
  waitedMs: 0,
  ...change,
})
const where = (spots: Spot[], change: Partial<Demand> = {}): string => {
  const choice = place(demand(change), spots)
  return choice.to === 'wait' ? 'wait' : `${choice.to} ${choice.node}`
}

t.test('1: a barred node, or one without the model, is out of the question', async t => {
  t.equal(where([spot('a', { barred: 'down' }), spot('b', { load: 9 })]), 'assign b')
  t.equal(where([spot('a', { memory: 'absent' }), spot('b', { load: 9 })]), 'assign b')
  t.equal(where([spot('a', { barred: 'down' })]), 'wait')
  t.equal(where([]), 'wait')
})

t.test('1: a model nobody has is asked of any node, for its own 404', async t => {
  const spots = [spot('a', { memory: 'absent', load: 2 }), spot('b', { memory: 'absent' })]
  t.equal(where(spots), 'assign b')
  t.equal(where(spots, { unsettled: true }), 'wait', 'but a new node may yet turn out to have it')
})

t.test('2: a node it failed on already comes after all others', async t => {
  const tried = new Set(['a'])
  t.equal(where([spot('a'), spot('b', { load: 9 })], { tried }), 'assign b')
  t.equal(
    where([spot('a'), spot('b', { running: 1, load: 1 })], { tried }),
    'wait',
    'better wait for the other',
  )
  t.equal(where([spot('a'), spot('b', { barred: 'breaker open' })], { tried }), 'assign a')
})

t.test('3: loaded with an idle slot; least load, then name', async t => {
  t.equal(where([spot('b'), spot('a')]), 'assign a')
  t.equal(where([spot('a', { load: 1 }), spot('b')]), 'assign b')
  t.equal(
    where([spot('a', { running: 1, load: 1 }), spot('b', { load: 3 })]),
    'assign b',
    'residency is not occupancy',
  )
  t.equal(where([spot('a', { slots: 4, running: 3, load: 3 })]), 'assign a')
})

t.test('5: after a failed load the node answers for itself', async t => {
  t.equal(where([spot('a', { memory: 'present', loadFailures: 1 })]), 'assign a')
  t.equal(where([spot('a', { memory: 'present', loadFailures: 1, running: 1 })]), 'load a')
})

t.test('6: a cold model is loaded where that costs least', async t => {
  const cold = { memory: 'present' } as const
  t.equal(where([spot('a', { ...cold, loadMs: 900 }), spot('b', { ...cold, loadMs: 800 })]), 'load b')
  t.equal(
    where([spot('a', { ...cold, evictMs: 500 }), spot('b', cold)]),
    'load b',
    'evicting what others wait for costs',
  )
  t.equal(where([spot('a', { ...cold, room: 'full' }), spot('b', { ...cold, load: 5 })]), 'load b')
})

t.test('6: a second copy is loaded only when waiting for the first would cost more', async t => {
  const spots = [
    spot('a', { running: 1, load: 1, runMs: 400 }),
    spot('b', { memory: 'present', loadMs: 1_000 }),
  ]
  t.equal(where(spots, { waiting: 1 }), 'wait')
  t.equal(where(spots, { waiting: 2 }), 'wait')
  t.equal(where(spots, { waiting: 4 }), 'load b')
  const loading = [
    spot('a', { memory: 'loading', loadLeftMs: 100 }),
    spot('b', { memory: 'present', loadMs: 1_000 }),
  ]
  t.equal(where(loading, { waiting: 1 }), 'wait', 'one that is almost loaded is worth waiting for')
})

t.test('7: what others wait for is displaced only after the wait has cost as much', async t => {
  const wanted = [spot('a', { memory: 'present', room: 'evict', evictMs: 500 })]
  t.equal(where(wanted, { waitedMs: 1_499 }), 'wait')
  t.equal(where(wanted, { waitedMs: 1_500 }), 'load a')
  t.equal(
    where([spot('a', { memory: 'present', room: 'evict' })]),
    'load a',
    'what nobody waits for goes at once',
  )
})

t.test(
  '7: and only after that beside what would have to go, so that a load is never for nothing',
  async t => {
    const fresh = { memory: 'present', room: 'evict', evictMs: 500 } as const
    t.equal(where([spot('a', { ...fresh, heldMs: 1_499 })], { waitedMs: 9_999 }), 'wait')
    t.equal(where([spot('a', { ...fresh, heldMs: 1_500 })], { waitedMs: 9_999 }), 'load a')
    t.equal(where([spot('a', { ...fresh, room: 'full', heldMs: 0 })], { waitedMs: 9_999 }), 'wait')
  },
)

t.test('7: a node full of busy models is claimed, likewise', async t => {
  const spots = [spot('a', { memory: 'present', room: 'full', evictMs: 1_000, load: 1 })]
  t.equal(where(spots, { waitedMs: 1_999 }), 'wait')
  t.equal(where(spots, { waitedMs: 2_000 }), 'claim a')
  const warm = [...spots, spot('b', { running: 1, load: 1 })]
  t.equal(where(warm, { waitedMs: 9_999 }), 'wait', 'with a warm copy there is no need')
  t.equal(where(warm, { waitedMs: 9_999, waiting: 10 }), 'wait', 'a swap will have to be undone')
  t.equal(where(warm, { waitedMs: 9_999, waiting: 11 }), 'claim a')
})

t.test('the table says what was known of each node, and why it was out', async t => {
  const spots = [
    spot('a', { slots: 2, running: 1, load: 1, affine: true }),
    spot('b', { memory: 'present', loadMs: 900, evictMs: 100 }),
    spot('c', { barred: 'draining' }),
    spot('d'),
    spot('e', { memory: 'absent' }),
    spot('f', { running: 1, load: 1, runMs: 400 }),
    spot('g', { offHours: true }),
  ]
  t.same(candidatesOf(demand({ tried: new Set(['d']) }), spots, 'a'), [
    { node: 'a', resident: true, idle: 1, estimateMs: 0, affine: true },
    { node: 'b', resident: false, idle: 1, estimateMs: 1_000 },
    { node: 'c', resident: true, idle: 1, estimateMs: null, excluded: 'draining' },
    { node: 'd', resident: true, idle: 1, estimateMs: null, excluded: 'failed already' },
    { node: 'e', resident: false, idle: 1, estimateMs: null, excluded: 'does not have the model' },
    { node: 'f', resident: true, idle: 0, estimateMs: 67 },
    { node: 'g', resident: true, idle: 1, estimateMs: null, excluded: 'outside its hours' },
  ])
})

t.test('the table is short, and the chosen node is in it', async t => {
  const many = Array.from({ length: 40 }, (_, i) => spot(`n${String(i).padStart(2, '0')}`, { load: 40 - i }))
  const choice = place(demand(), many)
  t.same(choice, { to: 'assign', node: 'n39' })
  const rows = candidatesOf(demand(), many, 'n39')
  t.equal(rows.length, 16)
  t.ok(rows.some(({ node }) => node === 'n39'))
})

t.test('2: outside its hours a node works only if nobody else can', async t => {
  t.equal(where([spot('a', { offHours: true }), spot('b', { load: 9 })]), 'assign b')
  t.equal(where([spot('a', { offHours: true }), spot('b', { running: 1 })]), 'wait')
  t.equal(where([spot('a', { offHours: true }), spot('b', { barred: 'down' })]), 'assign a')
})

t.test(
  '3: among those as fast: whom people prefer, who knows the conversation, the least load for its weight',
  async t => {
    t.equal(where([spot('a', { runMs: 600 }), spot('b', { load: 3 })]), 'assign b', 'the faster')
    t.equal(where([spot('a', { runMs: 450, load: 0 }), spot('b', { load: 3 })]), 'assign a', 'as good as it')
    t.equal(where([spot('a'), spot('b', { preferred: true, load: 1 })]), 'assign b')
    t.equal(where([spot('a', { affinity: 0.9 }), spot('b', { affine: true })]), 'assign b')
    t.equal(where([spot('a', { affinity: 0.1 }), spot('b', { affinity: 0.2 })]), 'assign b')
    t.equal(where([spot('a', { load: 1 }), spot('b', { load: 2, weight: 4 })]), 'assign b')
    t.equal(where([spot('a', { load: 1 }), spot('b', { load: 2, weight: 2 })]), 'assign a', 'by name')
  },
)

t.test('4: a slow node is left alone until the line is long', async t => {
  const spots = [spot('fast', { slots: 2, running: 2, runMs: 1_000 }), spot('old', { runMs: 4_000 })]
  t.equal(where(spots, { waiting: 1 }), 'wait')
  t.equal(where(spots, { waiting: 2 }), 'wait')
  t.equal(where(spots, { waiting: 3 }), 'assign old')
  t.equal(where(spots, { waitedMs: 1_999 }), 'wait')
  t.equal(where(spots, { waitedMs: 2_000 }), 'assign old', 'and for no longer than half of what it takes')
})

t.test('3: of those as fast, one that nothing slows down; but speed comes first', async t => {
  const hot = { throttled: 'heat' }
  t.equal(where([spot('a', hot), spot('b', { load: 9 })]), 'assign b')
  t.equal(where([spot('a', { ...hot, preferred: true, affine: true }), spot('b')]), 'assign b')
  t.equal(where([spot('a', { ...hot, runMs: 400 }), spot('b', { runMs: 600 })]), 'assign a')
  t.equal(where([spot('a', hot), spot('b', { running: 1 })]), 'assign a', 'it is slow, and not out')
  t.equal(where([spot('a', hot), spot('b', hot)]), 'assign a')
})

t.test('6: a load where something slows the node down is worth twice its price', async t => {
  const cold = { memory: 'present', loadMs: 1_000 } as const
  const busy = spot('w', { running: 1, runMs: 400 })
  const hot = spot('a', { ...cold, throttled: 'gpu' })
  t.equal(where([busy, spot('a', cold)], { waiting: 4 }), 'load a')
  t.equal(where([busy, hot], { waiting: 4 }), 'wait')
  t.equal(where([busy, hot], { waiting: 6 }), 'load a')
  t.equal(where([hot, spot('b', { ...cold, loadMs: 9_000 })]), 'load b', 'and comes after the others')
  t.equal(where([hot]), 'load a')
  t.equal(
    where([hot, spot('b', { ...cold, room: 'evict', evictMs: 500 })]),
    'load a',
    'but displaces nothing that is missed',
  )
})

t.test('6: where a model does not fit, its load costs what answers take longer, and comes last', async t => {
  const cold = { memory: 'present', loadMs: 1_000 } as const
  const small = spot('a', { ...cold, spillMs: 2_000 })
  t.equal(where([small, spot('b', { ...cold, loadMs: 9_000 })]), 'load b')
  t.equal(where([small, spot('b', { ...cold, room: 'evict', evictMs: 500 })], { waitedMs: 9_999 }), 'load b')
  t.equal(
    where([small, spot('b', { ...cold, room: 'full' })], { waitedMs: 9_999 }),
    'claim b',
    'better wait for one that holds it',
  )
  t.equal(where([small]), 'load a', 'nobody else: slowly is better than not at all')
  t.equal(where([small, spot('b', { ...cold, spillMs: 500 })]), 'load b')
  const hardly = spot('b', { ...cold, spillMs: 100 })
  t.equal(where([hardly, spot('c', { ...cold, loadMs: 1_200 })]), 'load b', 'a quarter longer is as good')
  t.equal(where([hardly, spot('a', { ...cold, room: 'evict', evictMs: 9 })]), 'load b')
  const busy = spot('w', { running: 1, runMs: 400 })
  t.equal(where([busy, small], { waiting: 7 }), 'wait', 'seven of 400 ms are sooner done than 3 s there')
  t.equal(where([busy, small], { waiting: 9 }), 'load a')
})

t.test('the table says what told against a node that was not out of the question', async t => {
  const cold = { memory: 'present', loadMs: 1_000 } as const
  const rows = candidatesOf(
    demand(),
    [
      spot('a', { throttled: 'heat' }),
      spot('b', { ...cold, spillMs: 10 }),
      spot('c', { ...cold, room: 'evict', crowdedBy: ['big:latest', 'wide:latest'] }),
      spot('d', { ...cold, throttled: 'memory', spillMs: 10, crowdedBy: ['big:latest'] }),
      spot('e', { throttled: 'heat', barred: 'down' }),
      spot('f', { spillMs: 10, crowdedBy: ['big:latest'] }),
    ],
    'a',
  )
  t.same(
    rows.map(({ node, excluded, against }) => [node, excluded ?? '', against ?? '']),
    [
      ['a', '', 'throttled: heat'],
      ['b', '', 'larger than its memory'],
      ['c', '', 'does not fit beside big:latest, wide:latest'],
      ['d', '', 'throttled: memory; larger than its memory; does not fit beside big:latest'],
      ['e', 'down', ''],
      ['f', '', ''],
    ],
    'of a copy that is in memory, nobody asks whether it would fit',
  )
})

t.test('what put one before another may be that nothing slowed it down', async t => {
  const spots = [spot('a', { throttled: 'heat', preferred: true }), spot('b')]
  t.equal(edgeOf({ demand: demand(), spots }, 'b', 'a'), 'throttled')
  t.equal(edgeOf({ demand: demand(), spots: [spot('a'), spot('b')] }, 'a', 'b'), 'name')
})
