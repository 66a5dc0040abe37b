/** What was asked for of late, hour by hour, and which models were made here; fact by fact, and after a replay. */
import t from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { demand, labelsOf, lately } from '../../src/projections/demand.ts'
import { made } from '../../src/projections/made.ts'

const HOUR_MS = 3_600_000

t.test('who asked for what, and what that cost', async t => {
  const clock = virtualClock({ start: 100 * HOUR_MS })
  const journal = openMemoryJournal({ clock })
  const view = demand()
  const engine = new Engine(journal, clock, [view])
  const admit = (id: string, labels?: Record<string, string>): void => {
    const data = {
      path: '/',
      model: 'm',
      client: 'c',
      priority: 5,
      bodyBytes: 1,
      expiresAt: 9e15,
      attemptsMax: 2,
    }
    engine.commit('request', id, { type: 'request.admit', data: { ...data, ...(labels && { labels }) } })
  }
  const assign = (id: string): void => {
    engine.commit('request', id, { type: 'request.assign', data: { node: 'a', candidates: [] } })
  }
  const complete = (id: string): void => {
    engine.commit('request', id, { type: 'request.begin', data: { status: 200 } })
    engine.commit('request', id, { type: 'request.complete', data: { bytes: 1, chunks: 1 } })
  }
  admit('one', { rack: '1', gpu: 'x' })
  admit('two', { gpu: 'x', rack: '1' })
  admit('three')
  admit('gone')
  await clock.advance(500)
  assign('one')
  const busy = { reason: 'busy', retryable: true, status: 503, bytes: 0, chunks: 0 }
  engine.commit('request', 'one', { type: 'request.fail', data: busy })
  await clock.advance(500)
  assign('one')
  engine.commit('request', 'gone', { type: 'request.cancel', data: {} })
  await clock.advance(2_000)
  complete('one')
  engine.commit('replica', 'm@a', { type: 'replica.find', data: { digest: 'd', sizeBytes: 1 } })
  const load = { request: 'two', estimateMs: 7_000, evicts: 'other' }
  engine.commit('replica', 'm@a', { type: 'replica.load', data: load })
  const all = lately(view.state, clock.now())
  const m = all.get('m')!
  t.match(m, { requests: 4, waitMs: 500, runMs: 2_000, loads: 1, loadMs: 7_000, evictions: 0 })
  t.same([...m.byNode], [['a', { requests: 1, runMs: 2_000, lastAt: clock.now() }]])
  t.same(
    [...m.byLabels].map(([key, count]) => [labelsOf(key), count]),
    [
      [
        [
          ['gpu', 'x'],
          ['rack', '1'],
        ],
        2,
      ],
      [[], 2],
    ],
  )
  t.equal(all.get('other')!.evictions, 1)

  await clock.advance(2 * HOUR_MS)
  admit('later')
  t.equal(lately(view.state, clock.now()).get('m')!.requests, 5)
  t.equal(lately(view.state, clock.now(), 1).get('m')!.requests, 1)
  t.equal(m.requests, 4, 'sums are not what is summed')
  for (let i = 0; i < 30; i += 1) {
    await clock.advance(HOUR_MS)
    admit(`hour ${i}`)
  }
  t.equal(view.state.hours.size, 25, 'a day, and the hour under way')

  await engine.settled()
  const again = demand()
  await new Engine(journal, clock, [again]).replay()
  t.same(again.state, view.state, 'a replay says the same')
})

t.test('what was made here Ollama does not have, until it is pulled after all', async t => {
  const clock = virtualClock({ start: 1_000 })
  const view = made()
  const engine = new Engine(openMemoryJournal({ clock }), clock, [view])
  const nodes = ['a']
  engine.commit('model', 'own', { type: 'model.create', data: { nodes } })
  engine.commit('model', 'tiny', { type: 'model.copy', data: { nodes, to: 'twin' } })
  engine.commit('model', 'tiny', { type: 'model.pull', data: { nodes } })
  t.same([...view.state], ['own', 'twin'])
  engine.commit('model', 'own', { type: 'model.pull', data: { nodes } })
  t.same([...view.state], ['twin'])
  const data = {
    digest: 'd',
    sizeBytes: 1,
    family: '',
    parameterSize: '',
    quantization: '',
    capabilities: [],
  }
  engine.commit('model', 'twin', { type: 'model.find', data })
  engine.commit('model', 'twin', { type: 'model.lose', data: {} })
  t.same([...view.state], ['twin'], 'also when the last copy is gone')
  engine.commit('transfer', 'twin@a', { type: 'transfer.order', data: { cause: 'asked' } })
  engine.commit('transfer', 'twin@a', { type: 'transfer.begin', data: { command: 'c' } })
  engine.commit('transfer', 'twin@a', { type: 'transfer.complete', data: { command: 'c', ms: 1 } })
  t.same([...view.state], [])
  for (let i = 0; i < 10_001; i += 1) {
    engine.commit('model', `m${i}`, { type: 'model.create', data: { nodes } })
    if (i % 1_000 === 0) await engine.settled()
  }
  t.same([view.state.size, view.state.has('m0'), view.state.has('m1')], [10_000, false, true])
})
