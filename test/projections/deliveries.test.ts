/** What the house remembers of calls, fact by fact, and after a replay. */
import t from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { deliveries } from '../../src/projections/deliveries.ts'

t.test('who is to be called, and how far that is', async t => {
  const clock = virtualClock({ start: 1_000 })
  const journal = openMemoryJournal({ clock })
  const view = deliveries()
  const engine = new Engine(journal, clock, [view])
  const { open, settled } = view.state
  const admit = (id: string, callback: object): void => {
    const data = { path: '/', model: 'm', client: 'c', priority: 5, bodyBytes: 1, expiresAt: 9e9 }
    engine.commit('request', id, { type: 'request.admit', data: { ...data, attemptsMax: 1, ...callback } })
  }
  admit('plain', {})
  for (const id of ['failed', 'expired', 'cancelled', 'awaited']) admit(id, { callback: true })
  const trouble = { reason: 'busy', retryable: false, status: 503, bytes: 0, chunks: 0 }
  engine.commit('request', 'failed', { type: 'request.fail', data: trouble })
  engine.commit('request', 'expired', { type: 'request.expire', data: {} })
  for (const id of ['plain', 'cancelled']) engine.commit('request', id, { type: 'request.cancel', data: {} })
  t.same(
    [...open.values()].map(({ id, state, report, endedAt }) => [id, state, report, endedAt]),
    [
      ['failed', 'unordered', { state: 'failed', reason: 'busy', status: 503 }, 1_000],
      ['expired', 'unordered', { state: 'expired' }, 1_000],
      ['cancelled', 'unordered', { state: 'cancelled' }, 1_000],
      ['awaited', 'awaited', undefined, undefined],
    ],
  )
  for (const id of ['failed', 'expired', 'cancelled'])
    engine.commit('delivery', id, { type: 'delivery.order', data: open.get(id)!.report! })
  const miss = { reason: 'status', retryable: true, status: 500, chance: 0.5 }
  engine.commit('delivery', 'failed', { type: 'delivery.fail', data: miss })
  t.match(open.get('failed'), { state: 'waiting', attempt: 1, until: 31_000, reason: 'status', status: 500 })
  engine.commit('delivery', 'failed', { type: 'delivery.retry', data: {} })
  t.match(open.get('failed'), { state: 'due', attempt: 2, until: undefined })
  engine.commit('delivery', 'failed', { type: 'delivery.deliver', data: { status: 204 } })
  engine.commit('delivery', 'expired', { type: 'delivery.fail', data: { ...miss, retryable: false } })
  t.match(settled.get('failed'), { state: 'delivered', attempt: 2, status: 204, reason: undefined })
  t.match(settled.get('expired'), { state: 'abandoned', attempt: 1, reason: 'status' })
  t.same([...open.keys()], ['cancelled', 'awaited'])

  // What is erased is forgotten: settled at once, open once it is settled.
  for (const id of ['failed', 'cancelled'])
    engine.commit('spool', id, { type: 'spool.erase', data: { why: 'asked', bytes: 0 } })
  t.equal(open.get('cancelled')?.state, 'due')
  const gone = { reason: 'erased', retryable: false, chance: 0.5 }
  engine.commit('delivery', 'cancelled', { type: 'delivery.fail', data: gone })
  t.same([[...settled.keys()], [...open.keys()]], [['expired'], ['awaited']])

  await engine.settled()
  const again = deliveries()
  await new Engine(journal, clock, [again]).replay()
  t.same(again.state, view.state, 'a replay says the same')
})
