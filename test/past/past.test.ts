/** The past, asked of a journal: what it was like, what is different since, and from where it is read. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { mulberry32 } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { Past, type PastNeeds } from '../../src/past/past.ts'
import { views } from '../../src/projections/views.ts'
import { Snapshots } from '../../src/snapshots/snapshots.ts'
import { handClock, lives } from '../snapshots/lives.ts'

const START = Date.UTC(2026, 10, 1)
const signal = new AbortController().signal

/** A journal whose facts are said by hand or made up, and its past. */
async function stage(t: Test, more: Partial<PastNeeds> = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'quipu-past-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const time = { now: START }
  const clock = handClock(time)
  const records: string[] = []
  const journal = openMemoryJournal({ records })
  const answers = views()
  const engine = new Engine(journal, clock, Object.values(answers))
  const warn = (message: string): void => void t.fail(message)
  const snapshots = new Snapshots({ dir, journal, clock, everyFacts: 1e9, warn })
  snapshots.start(engine, answers)
  const needs = { journal, clock, starveMs: () => 120_000, zone: 'UTC', ...more } as const
  const past = new Past({ ...needs, snapshots })
  /** The same, but that all is read. */
  const slowly = new Past({ ...needs, snapshots: { newest: async () => undefined } })
  const live = async (facts: number, seed: number): Promise<void> => {
    const step = lives({ engine, time, seed })
    for (const end = journal.head.seq + facts; journal.head.seq < end; ) {
      for (let i = 0; i < 50; i += 1) step()
      await engine.settled()
    }
  }
  const node = async (type: string, data: object = {}, by?: string): Promise<void> => {
    engine.commit('node', 'a', { type, data, ...(by && { by }) } as never)
    await engine.settled()
  }
  const spec = { url: 'http://a', slots: 2, residentMax: 1, labels: {}, origin: 'api' }
  return { time, journal, engine, snapshots, past, slowly, live, node, spec }
}

t.test(
  'a time means all facts before the first that is dated later, also where the clock was set back',
  async t => {
    const { time, past, node, spec } = await stage(t)
    const say = async (at: number, type: string, data?: object): Promise<void> => {
      time.now = START + at
      await node(type, data)
    }
    await say(1_000, 'node.register', spec)
    await say(2_000, 'node.answer', { version: '1' })
    await say(5_000, 'node.drain')
    await say(3_000, 'node.resume')
    await say(6_000, 'node.remove')
    time.now = START + 9_000
    const at = async (ms: number) => {
      const { moment, nodes } = await past.state(String(START + ms), signal)
      return [moment.seq, nodes[0]?.standing]
    }
    t.same(await at(999), [0, undefined])
    t.same(await at(1_000), [1, 'joining'])
    t.same(await at(2_500), [2, 'up'])
    t.same(await at(4_000), [2, 'up'], 'what was dated 3,000 came after 5,000, and so is not yet')
    t.same(await at(5_000), [4, 'up'])
    t.same(await at(6_000), [5, undefined])
    t.same((await past.state('3', signal)).moment, { seq: 3, factAt: START + 5_000, from: 0 })
    t.same((await past.state('now', signal)).moment.seq, 5)
  },
)

t.test('from a snapshot it is as from the first fact', async t => {
  const seed = Math.floor(Math.random() * 2 ** 32)
  t.comment(`seed ${seed}`)
  const random = mulberry32(seed)
  const { time, journal, snapshots, past, slowly, live } = await stage(t)
  await live(500, seed)
  await snapshots.take()
  await live(500, seed + 1)
  await snapshots.take()
  await live(300, seed + 2)
  // Lives set the clock back, too.
  time.now = Math.max(time.now, START)
  const last = time.now
  let used = 0
  const moments = Array.from({ length: 30 }, (_, i) =>
    i % 2 === 0
      ? String(Math.floor(random() * (journal.durable + 1)))
      : String(Math.floor(START + random() * (last - START))),
  )
  for (const moment of moments) {
    const [quick, whole] = [await past.state(moment, signal), await slowly.state(moment, signal)]
    if (quick.moment.from > 0) used += 1
    t.same({ ...quick, moment: { ...quick.moment, from: 0 } }, whole, moment)
  }
  t.ok(used > 0, `${used} of them from a snapshot`)
  const [a, b] = [moments[0]!, moments[2]!].sort((x, y) => Number(x) - Number(y)) as [string, string]
  const [quick, whole] = [await past.difference(b, a, signal), await slowly.difference(a, b, signal)]
  t.same({ ...quick, from: { ...quick.from, from: 0 }, to: { ...quick.to, from: 0 } }, whole)
  t.equal(whole.facts, Number(b) - Number(a))
})

t.test('what is different is told with the last fact that touched it, and who stood behind it', async t => {
  const { time, past, engine, node, spec } = await stage(t)
  await node('node.register', spec, 'cli')
  await node('node.answer', { version: '1' })
  const found = {
    digest: 'd',
    sizeBytes: 5,
    family: '',
    parameterSize: '',
    quantization: '',
    capabilities: [],
  }
  engine.commit('model', 'm', { type: 'model.find', data: found })
  engine.commit('replica', 'm@a', { type: 'replica.find', data: { digest: 'd', sizeBytes: 5 } })
  engine.commit('setting', 'queue-max', { type: 'setting.set', data: { value: '5', start: '9' }, by: 'cli' })
  engine.commit('setting', 'wait-max', { type: 'setting.set', data: { value: '1m', start: '9' }, by: 'cli' })
  await engine.settled()
  const from = String(engine.position.seq)
  time.now += 60_000
  await node('node.register', { ...spec, slots: 4 }, '10.0.0.9')
  await node('node.answer', { version: '1' })
  await node('node.drain', {}, '10.0.0.9')
  engine.commit('setting', 'queue-max', {
    type: 'setting.set',
    data: { value: '7', start: '9' },
    by: '10.0.0.9',
  })
  engine.commit('setting', 'wait-max', { type: 'setting.set', data: { value: '2m', start: '9' } })
  engine.commit('setting', 'wait-max', { type: 'setting.set', data: { value: '1m', start: '9' } })
  engine.commit('policy', 'm', { type: 'policy.set', data: { avoid: ['a'] }, by: 'cli' })
  await engine.settled()
  const { changes } = await past.difference(from, 'now', signal)
  const told = (all: typeof changes) =>
    all.map(({ kind, id, as, properties, last }) => [
      `${kind} ${id} ${as}`,
      properties.map(({ name, before, after }) => `${name} ${before}>${after}`).join(),
      `${last?.type} ${last?.by}`,
    ])
  t.same(told(changes), [
    ['node a different', 'standing up>draining,slots 2>4', 'node.drained 10.0.0.9'],
    ['policy m new', 'avoid >a', 'policy.set cli'],
    ['setting queue-max different', 'value 5>7', 'setting.set 10.0.0.9'],
  ])
  await node('node.empty')
  const [emptied] = (await past.difference(from, 'now', signal)).changes
  t.match(emptied, { last: { type: 'node.emptied' }, asked: { type: 'node.drained', by: '10.0.0.9' } })
  const way = { type: 'transfer.order', data: { cause: 'policy' }, by: 'registry' } as const
  engine.commit('transfer', 'n@a', way)
  engine.commit('replica', 'n@a', { type: 'replica.find', data: { digest: 'd', sizeBytes: 5 } })
  engine.commit('transfer', 'n@a', { type: 'transfer.complete', data: { ms: 0 } })
  await engine.settled()
  const come = (await past.difference(from, 'now', signal)).changes.find(({ id }) => id === 'n@a')
  t.match(come, { last: { type: 'replica.found' }, asked: { type: 'transfer.ordered', by: 'registry' } })
  await node('node.remove', {}, 'cli')
  const gone = await past.difference(from, 'now', signal)
  t.same(told(gone.changes).slice(0, 2), [
    [
      'node a gone',
      gone.changes[0]!.properties.map(({ name, before }) => `${name} ${before}>`).join(),
      'node.removed cli',
    ],
    ['replica m@a gone', 'state present>', 'node.removed cli'],
  ])
})

t.test('another machine, and what slows it down, are different, too', async t => {
  const { past, engine, node, spec } = await stage(t)
  await node('node.register', spec, 'cli')
  await node('node.answer', { version: '1' })
  await engine.settled()
  const from = String(engine.position.seq)
  const card = { vendor: 'nvidia', model: 'a card', memoryBytes: 24e9 }
  const machine = { gpus: [card, card], gpusKnown: true, container: false, memoryBytes: 64e9 }
  await node('node.equip', machine, 'agent')
  await node('node.throttle', { cause: 'heat', since: 1 }, 'agent')
  await engine.settled()
  const { changes } = await past.difference(from, 'now', signal)
  t.same(changes[0]?.properties, [
    { name: 'throttled', before: '', after: 'heat' },
    { name: 'memory', before: '', after: '64 GB' },
    { name: 'gpus', before: '', after: 'a card, 24 GB; a card, 24 GB' },
  ])
  t.match((await past.state('now', signal)).nodes, [
    { name: 'a', throttled: 'heat', memoryBytes: 64e9, gpus: ['a card, 24 GB', 'a card, 24 GB'] },
  ])
})

t.test('one looks at a time, and not for ever', async t => {
  const { past, live } = await stage(t)
  await live(1_500, 1)
  const first = past.state('1200', signal)
  await t.rejects(past.state('1', signal), { code: 'house.busy' })
  t.equal((await first).moment.seq, 1_200)
  t.equal((await past.state('1', signal)).moment.seq, 1, 'and the next may')

  const late = await stage(t, { deadlineMs: 0 })
  await late.live(1_500, 1)
  await t.rejects(late.past.state('1400', signal), { code: 'past.slow', message: /up to fact 1000 of \d+/ })
  const gone = AbortSignal.abort()
  await t.rejects(past.state('1400', gone), { code: 'request.gone' })
  t.equal((await past.state('2', signal)).moment.seq, 2, 'what was broken off leaves nobody waiting')
})

t.test('a house in use is rested as long as it is read', async t => {
  const rests: number[] = []
  const clock = {
    ...handClock({ now: START + 1e9 }),
    after: (ms: number, run: () => void) => {
      rests.push(ms)
      run()
      return { cancel: () => {} }
    },
  }
  const { live, past } = await stage(t, { clock, deadlineMs: 60_000 })
  await live(2_500, 1)
  await past.state('2400', signal)
  t.equal(rests.length, 2)
  t.ok(rests.every(ms => ms > 0))
})

t.test('facts that come while somebody looks do not keep them', async t => {
  const { past, live, journal } = await stage(t)
  await live(1_100, 1)
  const last = journal.durable
  const looking = past.state('now', signal)
  await live(500, 2)
  t.equal((await looking).moment.seq, last)
})
