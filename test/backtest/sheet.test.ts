import t from 'tap'
import { paceOn } from '../../src/backtest/fleet.ts'
import { presets } from '../../src/backtest/presets.ts'
import { readFleet, writeFleet } from '../../src/backtest/sheet.ts'

t.test('a fleet says what is special, and the rest is as Ollama has it', async t => {
  const fleet = readFleet(`
models:
  - name: Quill
    sizeGb: 10
  - { name: amber:8b, loadMs: 4000, prefillTps: 900, decodeTps: 20 }
nodes:
  - name: gpu
    count: 2
    speed: 2
  - name: desk
    slots: 3
    resident: 1
    loadMs: 9000
    labels: { room: attic }
    off: sat,sun
    models: { amber:8b: { decodeTps: 7 } }
`)
  t.equal(fleet.keepAliveMs, 300_000)
  t.match(fleet.models, [
    { name: 'quill:latest', sizeBytes: 1e10, loadMs: 21_500, prefillTps: 1_500, decodeTps: 40 },
    { name: 'amber:8b', sizeBytes: 5e9, loadMs: 4_000 },
  ])
  const [first, second, desk] = fleet.nodes
  t.match(first, { name: 'gpu-1', slots: 1, resident: 3, off: [] })
  t.equal(second!.name, 'gpu-2')
  t.match(desk, {
    name: 'desk',
    slots: 3,
    resident: 1,
    off: ['sat,sun'],
    terms: { labels: { room: 'attic' } },
  })
  t.same(paceOn(fleet, first!, 'amber:8b'), { loadMs: 4_000, prefillTps: 1_800, decodeTps: 40 })
  t.same(paceOn(fleet, desk!, 'amber:8b'), { loadMs: 9_000, prefillTps: 900, decodeTps: 7 })
  t.equal(paceOn(fleet, desk!, 'quill:latest'), undefined)
})

t.test('what is written reads as the same fleet', async t => {
  const edited = readFleet(`
keepAlive: forever
models: [{ name: m, sizeGb: 2 }, { name: n, sizeGb: 3, decodeTps: 12.5 }]
nodes:
  - { name: a, weight: 2, hours: "18:00-08:00", speed: 0.5, models: [n], memoryGb: 24 }
  - { name: c, memoryGb: 11.5, agent: false }
  - { name: b, models: { m: { loadMs: 10 }, n: {} }, off: [sat, "2026-01-01T00:00/2026-01-02T00:00"] }
`)
  for (const fleet of [edited, ...Object.values(presets).map(({ fleet }) => fleet)]) {
    t.same(readFleet(writeFleet(fleet)), fleet)
  }
})

const WRONG: readonly (readonly [sheet: string, said: RegExp])[] = [
  ['', /the fleet: not a mapping/],
  ['models: [', /flow/i],
  ['nodes: []', /models: there must be at least one/],
  ['models: [{ name: m }]', /nodes: there must be at least one/],
  ['models: m', /models: "m" is not a list/],
  ['models: [{ sizeGb: 1 }]', /models\[0\]\.name: nothing is not the name of a model/],
  ['models: [{ name: m, speed: 2 }]', /models\[0\]: there is no "speed"; known are name/],
  ['models: [{ name: m, decodeTps: 0 }]', /models\[0\]\.decodeTps: 0 is not more than 0/],
  [
    'models: [{ name: m }, { name: "m:latest" }]\nnodes: [{ name: a }]',
    /models: "m:latest" stands there twice/,
  ],
  [
    'models: [{ name: m }]\nnodes: [{ name: a, slots: 1.5 }]',
    /nodes\[0\]\.slots: 1\.5 is not a whole number/,
  ],
  [
    'models: [{ name: m }]\nnodes: [{ name: a, models: [n] }]',
    /nodes\[0\]\.models: "n" does not stand under models/,
  ],
  ['models: [{ name: m }]\nnodes: [{ name: a, models: { m: { tps: 1 } } }]', /models\.m: there is no "tps"/],
  ['models: [{ name: m }]\nnodes: [{ name: a }]\nkeepAlive: soon', /keepAlive: "soon" is not a duration/],
  ['models: [{ name: m }]\nnodes: [{ name: "no way" }]', /nodes\[0\]\.name: "no way" is not a name/],
]

t.test('what cannot be read is named by its place', async t => {
  for (const [sheet, said] of WRONG)
    t.throws(() => readFleet(sheet), { code: 'fleet.unreadable', message: said }, sheet)
  const off = 'models: [{ name: m }]\nnodes: [{ name: a, off: weekend }]'
  t.throws(() => readFleet(off), { code: 'fleet.off', message: /"weekend"/ })
})
