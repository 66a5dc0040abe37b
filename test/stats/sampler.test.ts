import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { writeRings } from '../../src/stats/files.ts'
import { ServerStats } from '../../src/stats/sampler.ts'
import { Ring, STEPS } from '../../src/stats/series.ts'
import { yard } from '../scheduler/yard.ts'

const HOUR_MS = 3_600_000

/** Two nodes under a virtual clock; `a` has a request running, `b` has never answered. */
async function sampled(dir?: string) {
  const y = yard()
  y.start()
  await y.node('a', ['m'], { resident: ['m'] })
  const data = { url: 'http://b', slots: 1, residentMax: 1, labels: {}, origin: 'api' } as const
  await y.engine.dispatch('node', 'b', { type: 'node.register', data })
  await y.ask('r', 'm')
  const vitals = new Map<string, { seenAt: number; answerMs: number }>()
  const gauges = new Map<string, object>()
  const agents = { gauges: (node: string) => gauges.get(node) }
  const warnings: string[] = []
  const stats = new ServerStats({ ...y, vitals, agents, dir, warn: message => void warnings.push(message) })
  await stats.open()
  const rows = (wanted: object = {}) =>
    stats
      .rows({ sinceAt: y.clock.now() - HOUR_MS, limit: 1_000, ...wanted })
      .map(
        ({ server, at, type, value }) =>
          `${new Date(at).toISOString().slice(11, 19)} ${server} ${type} ${value}`,
      )
  return { ...y, stats, vitals, agents, gauges, warnings, rows }
}

t.test('each server is sampled in step with the clock; an old answer to a look is no new sample', async t => {
  const { clock, stats, vitals, rows } = await sampled()
  await clock.advance(3_000)
  stats.start()
  vitals.set('a', { seenAt: clock.now(), answerMs: 12 })
  await clock.advance(7_000)
  t.same(rows(), [
    '00:00:10 http://a health 1',
    '00:00:10 http://a load 1',
    '00:00:10 http://a latency 12',
    '00:00:10 http://b health 0',
    '00:00:10 http://b load 0',
  ])
  await clock.advance(10_000)
  t.same(rows({ limit: 3 }), [
    '00:00:20 http://a health 1',
    '00:00:20 http://a load 1',
    '00:00:20 http://b health 0',
  ])
})

t.test('a server is not healthy while its breaker is open', async t => {
  const { clock, engine, stats, rows } = await sampled()
  stats.start()
  await clock.advance(9_900)
  engine.commit('breaker', 'a', { type: 'breaker.trip', data: { reason: 'busy', failures: 3, chance: 0.9 } })
  await clock.advance(10_100)
  t.same(rows({ servers: ['http://a'], types: ['health'] }), [
    '00:00:20 http://a health 1',
    '00:00:10 http://a health 0',
  ])
})

t.test(
  'the steps are as fine as what is asked for goes back, and servers and types are filtered',
  async t => {
    const { clock, stats, rows } = await sampled()
    stats.start()
    await clock.advance(2 * HOUR_MS)
    const of = { servers: ['http://a'], types: ['load'] }
    t.same(rows({ ...of, limit: 2 }), ['02:00:00 http://a load 1', '01:59:50 http://a load 1'])
    const since = (ms: number) => rows({ ...of, sinceAt: clock.now() - ms })
    t.equal(since(HOUR_MS).length, 361 - 1, 'an hour of ten seconds')
    t.same(since(HOUR_MS + 1).slice(0, 2), ['02:00:00 http://a load 1', '01:55:00 http://a load 1'])
    t.same(since(8 * 24 * HOUR_MS), [
      '02:00:00 http://a load 1',
      '01:00:00 http://a load 1',
      '00:00:00 http://a load 1',
    ])
    t.same(rows({ ...of, step: '1h', sinceAt: clock.now() }), ['02:00:00 http://a load 1'])
    t.same(rows({ servers: ['http://c'] }), [])
  },
)

t.test('closed and opened again, it knows what it knew', async t => {
  const dir = join(t.testdir(), 'stats')
  const first = await sampled(dir)
  first.stats.start()
  await first.clock.advance(2 * HOUR_MS)
  await first.stats.close()
  t.same(readdirSync(dir).sort(), ['10s', '1h', '5m'])
  const again = await sampled(dir)
  await again.clock.advance(2 * HOUR_MS)
  for (const step of ['10s', '5m', '1h']) {
    t.same(again.rows({ sinceAt: 0, step }), first.rows({ sinceAt: 0, step }), step)
  }
  t.same(again.warnings, [])
  await again.stats.close()

  const years = yard()
  await years.clock.advance(91 * 24 * HOUR_MS)
  const agents = { gauges: () => undefined }
  const late = new ServerStats({ ...years, vitals: new Map(), agents, dir, warn: message => t.fail(message) })
  await late.open()
  t.same(late.rows({ sinceAt: 0, step: '1h', limit: 10 }), [], 'but nothing of a server long gone')
})

t.test(
  'what an agent tells is sampled while it is heard, and what it does not tell is no sample',
  async t => {
    const dir = join(t.testdir(), 'stats')
    const { clock, gauges, stats, rows } = await sampled(dir)
    stats.start()
    gauges.set('b', { cpu: 0.25, diskFreeBytes: 5e11, memoryFreeBytes: 0, vramUsedBytes: 16e9, gpus: ['x'] })
    await clock.advance(10_000)
    gauges.set('b', { gpu: 0.5, temperatureC: 71, powerW: 300.25 })
    await clock.advance(10_000)
    gauges.delete('b')
    await clock.advance(10_000)
    const told = {
      types: ['cpu', 'memory_free', 'disk_free', 'gpu', 'gpu_memory', 'gpu_temperature', 'gpu_power'],
    }
    const expected = [
      '00:00:20 http://b gpu 0.5',
      '00:00:20 http://b gpu_temperature 71',
      '00:00:20 http://b gpu_power 300.25',
      '00:00:10 http://b cpu 0.25',
      '00:00:10 http://b memory_free 0',
      `00:00:10 http://b disk_free ${Math.fround(5e11)}`,
      '00:00:10 http://b gpu_memory 16000000000',
    ]
    t.same(rows(told), expected)
    await stats.close()
    const again = await sampled(dir)
    await again.clock.advance(30_000)
    t.same(again.rows(told), expected, 'the files keep them')
    t.same(again.warnings, [])
  },
)

t.test(
  'a file of another release is read: what is not known there is left out, what is not in it begins',
  async t => {
    const dir = t.testdir()
    const step = STEPS[0]!
    const ring = new Ring(step)
    ring.put(Math.floor(virtualClock().now() / step.ms), 3)
    const server = 'http://a'
    await writeRings(join(dir, step.name), step, [
      { server, type: 'health', ring },
      { server, type: 'load', ring },
      { server, type: 'weather', ring },
    ])
    const { clock, stats, rows, gauges, warnings } = await sampled(dir)
    stats.start()
    gauges.set('a', { cpu: 1 })
    await clock.advance(10_000)
    t.same(rows({ servers: [server], types: ['load', 'cpu', 'weather'] }), [
      '00:00:10 http://a load 1',
      '00:00:10 http://a cpu 1',
      '00:00:00 http://a load 3',
    ])
    await stats.close()
    t.same(warnings, [])
  },
)

t.test('a house that dies loses little: the files are written while it lives', async t => {
  const dir = join(t.testdir(), 'stats')
  const first = await sampled(dir)
  first.stats.start()
  await first.clock.advance(HOUR_MS)
  const after = first.clock.now()
  // The clock is virtual and the disk is not: samples go on until a file that has this hour is there.
  for (;;) {
    const again = await sampled(dir)
    await again.clock.advance(first.clock.now() - again.clock.now())
    const newest = (step: string): number => again.stats.rows({ sinceAt: 0, step, limit: 1 })[0]?.at ?? 0
    if (newest('10s') > after) {
      t.equal(newest('1h'), after, 'and the coarser steps are made up from the finest')
      break
    }
    await first.clock.advance(10_000)
  }
  await first.stats.close()
})

t.test('a file that cannot be read is left out with a warning, and the others are not', async t => {
  const dir = join(t.testdir(), 'stats')
  const first = await sampled(dir)
  first.stats.start()
  await first.clock.advance(HOUR_MS)
  await first.stats.close()
  writeFileSync(join(dir, '10s'), 'nonsense')
  const again = await sampled(dir)
  await again.clock.advance(HOUR_MS)
  t.match(again.warnings, [/10s cannot be read, and begins anew/])
  t.same(again.rows({ sinceAt: 0, step: '10s' }), [])
  t.same(again.rows({ sinceAt: 0, step: '5m' }), first.rows({ sinceAt: 0, step: '5m' }))
})

t.test('a folder that cannot be written is warned of once, and the samples stay in memory', async t => {
  const file = join(t.testdir({ taken: '' }), 'taken')
  const { clock, stats, warnings, rows } = await sampled(join(file, 'stats'))
  stats.start()
  await clock.advance(300_000)
  t.equal(rows({ servers: ['http://a'], types: ['load'] }).length, 30)
  await stats.close()
  t.equal(warnings.filter(warning => warning.startsWith('the samples cannot be written')).length, 1)
})

t.test('of too many servers, the one that has gone is forgotten, and those that are there stay', async t => {
  const { clock, engine, stats, rows } = await sampled()
  const enter = (name: string): void => {
    const data = { url: `http://${name}`, slots: 1, residentMax: 1, labels: {}, origin: 'api' } as const
    engine.commit('node', name, { type: 'node.register', data })
  }
  const of = (name: string) => rows({ servers: [`http://${name}`], types: ['health'], sinceAt: 0 }).length
  stats.start()
  await clock.advance(10_000)
  engine.commit('node', 'b', { type: 'node.remove', data: {} })
  for (let i = 0; i < 1_998; i += 1) enter(`x${i}`)
  await clock.advance(10_000)
  t.same([of('a'), of('b'), of('x1997')], [1, 1, 1])
  enter('one')
  enter('more')
  await clock.advance(10_000)
  t.same([of('a'), of('b'), of('one'), of('more')], [1, 0, 1, 0], 'none that is there makes room for another')
})
