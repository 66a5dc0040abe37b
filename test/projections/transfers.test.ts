/** What the house remembers of transfers, fact by fact, and after a replay. */
import t from 'tap'
import type { Destination } from '../../machines/transfer.ts'
import { virtualClock } from '../../src/clock.ts'
import { type Ask, Engine } from '../../src/engine/engine.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { inLine, transfers } from '../../src/projections/transfers.ts'

t.test('what is on its way, and how it ended', async t => {
  const clock = virtualClock({ start: 1_000 })
  const journal = openMemoryJournal({ clock })
  const view = transfers()
  const engine = new Engine(journal, clock, [view])
  engine.start()
  const { open, ended, abandoned } = view.state
  const say = (id: string, ask: Ask<any>) => engine.attempt('transfer', id, ask as never)
  const table: readonly Destination[] = [{ node: 'a', freeBytes: null, fit: null, load: 0, demand: 0 }]
  const order = { type: 'transfer.order', data: { cause: 'policy', lost: ['c'], candidates: table } }
  for (const id of ['m:latest@a', 'm:latest@b', 'n:latest@a']) say(id, order)
  say('n:latest@a', { type: 'transfer.order', data: { cause: 'asked' }, by: 'ann' })
  t.same(
    inLine(view.state).map(({ id, by, seq }) => [id, by, seq]),
    [
      ['n:latest@a', 'ann', 3],
      ['m:latest@a', undefined, 1],
      ['m:latest@b', undefined, 2],
    ],
    'people first, then in order',
  )
  t.match(open.get('m:latest@a'), { model: 'm:latest', node: 'a', lost: ['c'], state: 'waiting', attempt: 1 })
  t.notOk('candidates' in open.get('m:latest@a')!, 'the table is in the fact')

  say('m:latest@a', { type: 'transfer.begin', data: { command: 'c1' } })
  say('m:latest@a', { type: 'transfer.order', data: { cause: 'sync' } })
  t.match(open.get('m:latest@a'), { state: 'running', command: 'c1', cause: 'sync' })
  const miss = { command: 'c1', reason: 'full', status: 500, retryable: true, chance: 0.5 }
  say('m:latest@a', { type: 'transfer.fail', data: miss })
  t.match(open.get('m:latest@a'), { state: 'resting', until: 31_000, reason: 'full', command: undefined })
  t.same(inLine(view.state).length, 2, 'what rests is not in line')
  await clock.advance(30_000)
  t.match(open.get('m:latest@a'), { state: 'waiting', attempt: 2, reason: 'full', since: 31_000 })
  say('m:latest@a', { type: 'transfer.begin', data: { command: 'c2' } })
  say('m:latest@a', { type: 'transfer.complete', data: { command: 'c2', ms: 5 } })
  say('m:latest@b', { type: 'transfer.cancel', data: { why: 'policy' } })
  say('n:latest@a', { type: 'transfer.begin', data: { command: 'c3' } })
  say('n:latest@a', {
    type: 'transfer.fail',
    data: { ...miss, command: 'c3', reason: 'unknown', retryable: false },
  })
  t.equal(open.size, 0)
  t.match(ended, [
    { id: 'm:latest@a', state: 'completed', ms: 5 },
    { id: 'm:latest@b', state: 'cancelled', why: 'policy' },
    { id: 'n:latest@a', state: 'abandoned', reason: 'unknown', since: 31_000 },
  ])
  t.same([...abandoned.keys()], ['n:latest@a'])
  t.same(view.state.actions, [1_000, 1_000, 1_000])
  say('n:latest@a', { type: 'transfer.order', data: { cause: 'asked' } })
  t.equal(abandoned.size, 0, 'until it is ordered again')
  for (const cause of [undefined, 'optimize', 'policy'] as const)
    engine.attempt('model', 'm:latest', {
      type: 'model.delete',
      data: { nodes: ['a'], ...(cause && { cause }) },
    })
  t.same(view.state.actions, [1_000, 1_000, 1_000, 31_000], 'only what policies did by themselves')

  await engine.settled()
  const again = transfers()
  await new Engine(journal, clock, [again]).replay()
  t.same(again.state, view.state, 'a replay says the same')
  engine.close()
})

t.test('of what ended the last two hundred are remembered', async t => {
  const clock = virtualClock({ start: 1_000 })
  const view = transfers()
  const engine = new Engine(openMemoryJournal({ clock }), clock, [view])
  for (let i = 0; i < 210; i += 1) {
    engine.commit('transfer', `m:${i}@a`, { type: 'transfer.order', data: { cause: 'asked' } })
    engine.commit('transfer', `m:${i}@a`, { type: 'transfer.cancel', data: { why: 'asked' } })
  }
  t.equal(view.state.ended.length, 200)
  t.equal(view.state.ended[0]!.id, 'm:10@a')
  engine.close()
})
