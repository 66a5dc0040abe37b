import t from 'tap'
import type { BreakerView } from '../../src/projections/breakers.ts'
import type { FleetNode } from '../../src/projections/fleet.ts'
import { emptyQueue } from '../../src/projections/queue.ts'
import type { Open } from '../../src/projections/requests.ts'
import type { Replica } from '../../src/projections/residency.ts'
import type { Choice } from '../../src/scheduler/place.ts'
import {
  cover,
  elsewhere,
  type Ground,
  needed,
  nextSlotMs,
  verdict,
  warmSlots,
} from '../../src/scheduler/trial.ts'

const view = (more: Partial<BreakerView> = {}): BreakerView => ({
  state: 'closed',
  failures: 0,
  round: 0,
  until: 0,
  reason: 'broken',
  by: '',
  outcomes: [],
  backAt: 0,
  ...more,
})

/** Outcomes as a row of + and -. */
const seen = (marks: string): BreakerView['outcomes'] =>
  [...marks].map((mark, i) => ({ id: `${i}`, at: i, ok: mark === '+' }))

/** Nodes by what they hold: `{ a: 'm n' }`; `!` before a model of those that nobody wants, `?` for a node that is away. */
function ground(nodes: Record<string, string>, out: Record<string, BreakerView['state']> = {}): Ground {
  const fleet = new Map<string, FleetNode>()
  const byNode = new Map<string, Map<string, Replica>>()
  const byModel = new Map<string, Map<string, Replica>>()
  const queue = emptyQueue<Open>()
  for (const [name, held] of Object.entries(nodes)) {
    const reach = held.includes('?') ? 'down' : 'up'
    fleet.set(name, { name, reach, duty: 'active' } as FleetNode)
    for (const text of held.split(' ').filter(word => word !== '' && word !== '?')) {
      const model = text.replace('!', '')
      if (!byNode.has(name)) byNode.set(name, new Map())
      if (!byModel.has(model)) byModel.set(model, new Map())
      byNode.get(name)!.set(model, {} as Replica)
      byModel.get(model)!.set(name, {} as Replica)
      if (text === model) queue.ofModel.set(model, new Set([model]))
    }
  }
  return {
    fleet,
    residency: { byNode, byModel, inMemory: new Map() },
    requests: {
      open: new Map(),
      queue,
      running: new Map(),
      loads: new Map(),
    },
    breakers: {
      nodes: new Map(Object.entries(out).map(([name, state]) => [name, view({ state })])),
      failing: new Set(),
      ejected: new Set(),
      suspects: new Map(),
      riders: new Set(),
    },
  }
}

t.test('what is left without a node: half of every model’s nodes, fewer, or none', async t => {
  for (const [expected, nodes, out] of [
    ['none', { a: 'm' }, {}],
    ['enough', { a: 'm', b: 'm' }, {}],
    ['none', { a: 'm', b: 'm' }, { b: 'open' }],
    ['none', { a: 'm', b: 'm' }, { b: 'halfOpen' }],
    ['none', { a: 'm', b: 'm ?' }, {}],
    ['enough', { a: 'm', b: 'm', c: 'm' }, {}],
    ['thin', { a: 'm', b: 'm', c: 'm' }, { b: 'open' }],
    ['enough', { a: 'm', b: 'm', c: 'm', d: 'm' }, { b: 'open' }],
    ['thin', { a: 'm', b: 'm', c: 'm', d: 'm ?' }, { b: 'open' }],
    ['none', { a: 'm n', b: 'm', c: 'm' }, {}],
    ['enough', { a: 'm !n', b: 'm', c: 'm' }, {}],
    ['none', { a: '!m !n', b: '!m' }, {}],
    ['enough', { a: '', b: 'm' }, {}],
  ] as const) {
    t.equal(cover('a', ground(nodes, out)), expected, JSON.stringify([nodes, out]))
    t.equal(needed('a', ground(nodes, out)), expected !== 'enough')
  }
})

t.test('a model that runs is wanted, as one that is waited for', async t => {
  const still = ground({ a: 'm !n', b: 'm' })
  t.equal(cover('a', still), 'enough')
  const running = new Map([['n', new Map([['a', 1]])]])
  t.equal(cover('a', { ...still, requests: { ...still.requests, running } }), 'none')
})

t.test('three in a row take a node out, half of ten of its last outcomes, or one on trial', async t => {
  const pair = ground({ a: 'm', b: 'm' })
  const alone = ground({ a: 'm' })
  for (const [what, seenOf, where, expected] of [
    ['two in a row', { failures: 2, outcomes: seen('--') }, pair, undefined],
    ['three', { failures: 3, outcomes: seen('---') }, pair, { by: 'row', brief: false }],
    ['three of the last one', { failures: 3, outcomes: seen('---') }, alone, { by: 'row', brief: true }],
    ['three that say busy', { failures: 3, reason: 'busy' }, pair, { by: 'row', brief: true }],
    ['half of nine', { failures: 2, outcomes: seen('-+-+-+---') }, pair, undefined],
    ['half of ten', { outcomes: seen('+-+-+-+-+-') }, pair, { by: 'ratio', share: 0.5, brief: false }],
    ['half of ten, when the last went well', { outcomes: seen('-+-+-+-+-+') }, pair, undefined],
    ['less than half', { outcomes: seen('++-+-+-+-+-') }, pair, undefined],
    ['half of ten of the last one', { outcomes: seen('+-+-+-+-+-') }, alone, undefined],
    ['a trial under way', { state: 'halfOpen' }, pair, undefined],
    ['a trial that failed', { state: 'halfOpen', failures: 1 }, pair, { by: 'trial', brief: false }],
    ['one who is out', { state: 'open', failures: 9 }, pair, undefined],
  ] as const) {
    t.same(verdict('a', view(seenOf), where), expected, what)
  }
})

t.test('who came back has one slot, and all of them after half a minute, in equal steps', async t => {
  const at = (ms: number, slots = 4): number => warmSlots(slots, 1_000_000, 1_000_000 + ms)
  t.same(
    [0, 9_999, 10_000, 20_000, 29_999, 30_000, 1e9].map(ms => at(ms)),
    [1, 1, 2, 3, 3, 4, 4],
  )
  t.equal(at(0, 1), 1)
  t.equal(warmSlots(4, 0, 1_000_000), 4, 'who was never away')
  t.equal(at(-1), 4, 'a wall clock that was set back')
})

t.test('when the next slot comes is known', async t => {
  const at = (ms: number, slots = 4): number | undefined => nextSlotMs(slots, 1_000_000, 1_000_000 + ms)
  t.same(
    [0, 4_000, 10_000, 29_999].map(ms => at(ms)),
    [10_000, 6_000, 10_000, 1],
  )
  t.same([at(30_000), at(0, 1), at(-1)], [undefined, undefined, undefined])
  t.equal(at(0, 8), 4_286, 'rounded up: then it is there')
  t.equal(warmSlots(8, 0, 4_286), 2)
})

t.test('elsewhere: another node, from memory, at once', async t => {
  const open = { node: 'a', tried: new Set(['b']) } as unknown as Open
  const answer = (to: Choice['to'], node: string, resident = true): boolean =>
    elsewhere(open, ({ tried }) => {
      t.same([...tried], ['b', 'a'])
      return { to, node, candidates: [{ node, resident, idle: 1, estimateMs: 0 }] } as never
    })
  t.equal(answer('assign', 'c'), true)
  t.equal(answer('assign', 'c', false), false, 'its load had failed')
  t.equal(answer('assign', 'a'), false, 'nobody but those it was on')
  t.equal(answer('load', 'c'), false)
  t.equal(answer('wait', 'c'), false)
})
