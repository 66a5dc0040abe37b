/** What a worker from outside does says nothing of any node. */
import t from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { views } from '../../src/projections/views.ts'

t.test(
  'a worker neither opens a breaker, nor is learnt from, nor counts as a node that was tried',
  async t => {
    const clock = virtualClock()
    const { breakers, estimates, requests, retries, ...others } = views()
    const engine = new Engine(openMemoryJournal({ clock }), clock, [
      breakers,
      estimates,
      requests,
      retries,
      ...Object.values(others),
    ])
    const data = { path: '/', model: 'm', client: 'c', priority: 5, bodyBytes: 1, expiresAt: 9e15 }
    engine.commit('request', 'j', {
      type: 'request.admit',
      data: { ...data, attemptsMax: 9, job: true },
    })
    const lease = (): void => {
      const until = clock.now() + 1_000
      engine.commit('request', 'j', { type: 'request.lease', data: { worker: 'w', until } })
    }
    for (let i = 0; i < 4; i += 1) {
      lease()
      engine.commit('request', 'j', { type: 'request.lapse', data: {} })
    }
    lease()
    const trouble = { reason: 'worker.memory', retryable: true, bytes: 0, chunks: 0 }
    engine.commit('request', 'j', { type: 'request.fail', data: { ...trouble, attempt: 5, worker: 'w' } })
    t.equal(breakers.state.nodes.size, 0)
    const spent = [...retries.state.seconds.values()].filter(({ retried }) => retried > 0)
    t.same(spent, [], 'nor is it a retry of the budget')
    const open = requests.state.open.get('j')!
    t.same([open.state, open.tried.size, requests.state.queue.count], ['queued', 0, 1])
    t.equal(requests.state.running.size, 0)

    lease()
    await clock.advance(500)
    const answer = { bytes: 1, chunks: 1, attempt: 6, worker: 'w', status: 200 }
    engine.commit('request', 'j', { type: 'request.complete', data: answer })
    t.equal(estimates.state.replicas.size, 0)
    t.equal(requests.state.open.size, 0)
  },
)

t.test('a restart blames no node', async t => {
  const clock = virtualClock()
  const { breakers, ...others } = views()
  const engine = new Engine(openMemoryJournal({ clock }), clock, [breakers, ...Object.values(others)])
  const data = { path: '/', model: 'm', client: 'c', priority: 5, bodyBytes: 1, expiresAt: 9e15 }
  engine.commit('request', 'j', { type: 'request.admit', data: { ...data, attemptsMax: 9, job: true } })
  engine.commit('request', 'j', { type: 'request.assign', data: { node: 'n', candidates: [] } })
  engine.commit('request', 'j', { type: 'request.restart', data: {} })
  t.equal(breakers.state.nodes.get('n')?.failures ?? 0, 0)
})
