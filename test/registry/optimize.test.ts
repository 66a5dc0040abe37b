import t from 'tap'
import { mulberry32 } from '../../src/clock.ts'
import type { Demand } from '../../src/projections/demand.ts'
import { busyFor, optimize, PROPOSALS_MAX, waitEachMs } from '../../src/registry/optimize.ts'
import { CARE } from '../../src/registry/sites.ts'
import { copy, machine, NOW, node, open, scene, type Words } from './scene.ts'

const M = 'm:latest'
const DAY_MS = 86_400_000
const asked = (more: Partial<Demand> = {}): Demand => ({
  requests: 100,
  waitMs: 0,
  runMs: 500_000,
  loads: 0,
  loadMs: 0,
  evictions: 0,
  byLabels: new Map([['', 100]]),
  byNode: new Map(),
  ...more,
})
const by = (...names: string[]): Demand['byNode'] =>
  new Map(names.map(name => [name, { requests: 9, runMs: 9, lastAt: NOW }]))
const of = (words: Words, demand: Demand = asked()) =>
  optimize(scene({ demand: new Map([[M, demand]]), ...words }))

t.test(
  'where requests waited for their turn, another copy is proposed, with what it would have saved',
  async t => {
    const words = { nodes: [node('a'), node('b')], copies: [copy(M, 'a')] }
    const [one, ...others] = of(words, asked({ waitMs: 2_000_000, byNode: by('a') }))
    t.same(others, [])
    t.match(one, {
      do: 'add',
      model: M,
      node: 'b',
      bytes: 4e9,
      candidates: [{ node: 'b' }, { node: 'a' }],
      reason:
        /^who asked for it waited 20 s on average within the last day \(100 requests\); with a copy on b it would have been [\d.]+ s, \d+ min less in all$/,
    })
    if (one?.do !== 'add') return
    t.ok(one.benefitMs > 1_500_000 && one.benefitMs < 2_000_000, `${one.benefitMs} ms of 2,000,000`)
    t.same(of(words, asked({ waitMs: 40_000 })), [], 'not for so little in all')
    t.same(of(words, asked({ waitMs: 400_000, requests: 1_000 })), [], 'nor for so little each')
    const before = asked({ waitMs: 2_000_000, requests: 0, byLabels: new Map() })
    t.same(of(words, before), [], 'nor where all who waited came before the day began')
    t.same(of({ ...words, policies: { [M]: { replicasMax: 1 } } }, asked({ waitMs: 2_000_000 })), [])
    t.same(of({ ...words, policies: { [M]: { avoid: ['b'] } } }, asked({ waitMs: 2_000_000 })), [])
    t.same(of({ ...words, made: new Set([M]) }, asked({ waitMs: 2_000_000 })), [])
    t.same(of({ ...words, open: [open(M, 'b')] }, asked({ waitMs: 2_000_000 })), [], 'one is on its way')
    t.same(of({ ...words, freeBytes: () => 1e9 }, asked({ waitMs: 2_000_000 })), [], 'no room on a disk')
  },
)

t.test('where it was thrown out again and again, it goes where it need not be', async t => {
  const copies = [copy(M, 'a'), copy('big', 'a', { state: 'resident', sizeBytes: 20e9 })]
  const gpu = machine(64e9, 24e9)
  const swapped = asked({ waitMs: 900_000, loads: 60, loadMs: 900_000, evictions: 60 })
  const words = { nodes: [node('a', gpu), node('b', gpu)], copies }
  const [one] = of(words, swapped)
  t.match(one, { do: 'add', node: 'b', benefitMs: 900_000, reason: /60 loads, thrown out 60 times/ })
  const crowded = [...copies, copy('other', 'b', { state: 'resident', sizeBytes: 20e9 })]
  t.same(of({ ...words, copies: crowded }, swapped), [], 'not where others would have to go')
  const full = { residentMax: 0 }
  t.same(of({ ...words, nodes: [node('a', gpu), node('b', full)] }, swapped), [])
  t.same(
    of(words, asked({ waitMs: 900_000, loads: 60, loadMs: 900_000 })),
    [],
    'loads that nobody had caused stay',
  )
})

t.test('copies that answered nobody for a day are proposed to go, where others are enough', async t => {
  const nodes = ['a', 'b', 'c'].map(name => node(name))
  const copies = nodes.map(({ name }) => copy(M, name, { since: NOW - DAY_MS }))
  const words = { nodes, copies, freeBytes: (name: string) => (name === 'b' ? 9e9 : 99e9) }
  const demand = asked({ byNode: by('a') })
  const [one, ...others] = of(words, demand)
  t.same(others, [], 'one for a model')
  t.match(one, {
    do: 'remove',
    node: 'b',
    bytes: 4e9,
    reason:
      /^nobody was answered from there within the last day, and 2 others have it; that frees 4\.0 GB on b$/,
  })
  const none = (more: Partial<Words>, why: string, asking = demand): void => {
    t.same(of({ ...words, ...more }, asking), [], why)
  }
  none({ copies: copies.slice(0, 2) }, 'two stay while it is asked for')
  t.equal(of({ ...words, copies: copies.slice(0, 2) }, asked({ requests: 0 })).length, 1)
  none({ copies: copies.slice(0, 1) }, 'the last one stays', asked({ requests: 0 }))
  none({ policies: { [M]: { replicasMin: 3 } } }, 'its policy wants three')
  none({ policies: { [M]: { prefer: ['b', 'c'] } } }, 'where people prefer it')
  none({ copies: copies.map(one => ({ ...one, since: NOW - DAY_MS + 1 })) }, 'not there for long')
  none({ copies: copies.map(one => ({ ...one, state: 'resident' as const })) }, 'in memory')
  none({ copies: copies.map((one, i) => ({ ...one, digest: `${i}` })) }, 'they are not the same')
  none({ waiting: () => 1 }, 'somebody waits')
  none({ nodes: nodes.map(one => ({ ...one, since: NOW - CARE.graceMs + 1 })) }, 'all came just now')
  none({}, 'all were used', asked({ byNode: by('a', 'b', 'c') }))
})

t.test('waiting follows from how busy slots are, and the other way round', async t => {
  // M/M/1: the wait is S·ρ/(1-ρ).
  t.equal(Math.round(waitEachMs(0.5, 1, 1_000)), 1_000)
  // M/M/2 at 80 %: Erlang C says 1.78·S.
  t.ok(Math.abs(waitEachMs(0.8, 2, 1_000) - 1_778) < 100, `${waitEachMs(0.8, 2, 1_000)}`)
  for (const slots of [1, 2, 8])
    for (const busy of [0.1, 0.5, 0.9, 0.99])
      t.ok(Math.abs(busyFor(waitEachMs(busy, slots, 700), slots, 700) - busy) < 1e-6)
  t.equal(busyFor(0, 2, 700), 0)
  t.ok(busyFor(1e12, 2, 700) < 1)
})

t.test(
  'of many, those that help most, and no more than anybody reads; in whatever order things are told',
  async t => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
    t.comment(`SEED=${seed}`)
    const random = mulberry32(seed)
    const nodes = Array.from({ length: 30 }, (_, i) => node(`n${i}`, { residentMax: 99 }))
    const models = Array.from({ length: 40 }, (_, i) => `m${i}`)
    const copies = models.flatMap((model, i) => [
      copy(model, `n${i % 30}`, { since: 0 }),
      copy(model, `n${(i + 1) % 30}`, { since: 0 }),
      copy(model, `n${(i + 2) % 30}`, { since: 0, sizeBytes: (1 + random()) * 1e9 }),
    ])
    const demand = new Map(
      models.slice(0, 20).map(model => [model, asked({ waitMs: random() * 3_000_000 })] as const),
    )
    const told = optimize(scene({ nodes, copies, demand }))
    t.equal(told.length, PROPOSALS_MAX)
    const benefits = told.map(one => (one.do === 'add' ? one.benefitMs : -1))
    t.same(
      benefits,
      [...benefits].sort((a, b) => b - a),
    )
    const other = scene({
      nodes: [...nodes].reverse(),
      copies: [...copies].reverse(),
      demand: new Map([...demand].reverse()),
    })
    t.same(optimize({ ...other, nodes: new Map(nodes.map(one => [one.name, one])).values() }), told)
  },
)
