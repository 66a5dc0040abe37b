import t from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { endings, lastHour, lastMinute } from '../../src/projections/endings.ts'

const MINUTE_MS = 60_000
const NONE = { completed: 0, failed: 0, expired: 0, abandoned: 0, cancelled: 0 }

t.test('endings of the last hour, by model and by how they ended', async t => {
  const clock = virtualClock()
  const view = endings()
  const engine = new Engine(openMemoryJournal({ clock }), clock, [view])
  let n = 0
  const request = (model: string): string => {
    n += 1
    const id = `r${n}`
    const data = { path: '/', model, client: 'c', priority: 5, bodyBytes: 1, expiresAt: 9e15, attemptsMax: 1 }
    engine.commit('request', id, { type: 'request.admit', data })
    return id
  }
  const cancel = (id: string): void => {
    engine.commit('request', id, { type: 'request.cancel', data: {} })
  }
  const told = (): object => Object.fromEntries(lastHour(view.state, clock.now()))

  cancel(request('a'))
  await clock.advance(MINUTE_MS)
  cancel(request('a'))
  engine.commit('request', request('a'), { type: 'request.expire', data: {} })
  const trouble = { reason: 'busy', retryable: false, bytes: 0, chunks: 0 }
  engine.commit('request', request('b'), { type: 'request.fail', data: trouble })
  engine.commit('request', request('b'), { type: 'request.abandon', data: { bytes: 0, chunks: 0 } })
  request('c')
  t.same(told(), { a: { ...NONE, cancelled: 2, expired: 1 }, b: { ...NONE, failed: 1, abandoned: 1 } })

  await clock.advance(60 * MINUTE_MS)
  t.same(told(), { a: { ...NONE, cancelled: 1, expired: 1 }, b: { ...NONE, failed: 1, abandoned: 1 } })
  await clock.advance(MINUTE_MS)
  t.same(told(), {})

  const last = request('a')
  for (let i = 0; i < 100; i += 1) {
    cancel(request('a'))
    await clock.advance(MINUTE_MS)
  }
  t.equal(view.state.minutes.size, 61, 'no more are kept than are asked for')
  cancel(last)
  t.equal(view.state.models.size, 1, 'only c is not over')

  await clock.advance(10 * MINUTE_MS)
  t.equal(lastMinute(view.state, clock.now()), 0)
  for (let i = 0; i < 8; i += 1) cancel(request('a'))
  for (let i = 0; i < 4; i += 1) cancel(request('b'))
  t.equal(lastMinute(view.state, clock.now()), 12)
  await clock.advance(MINUTE_MS)
  t.equal(lastMinute(view.state, clock.now()), 12)
  await clock.advance(MINUTE_MS / 4)
  cancel(request('c'))
  t.equal(lastMinute(view.state, clock.now()), 10, 'three quarters of the minute before, and one of this')
  await clock.advance(MINUTE_MS)
  t.equal(lastMinute(view.state, clock.now()), 1)
  await clock.advance(MINUTE_MS)
  t.equal(lastMinute(view.state, clock.now()), 0)
})
