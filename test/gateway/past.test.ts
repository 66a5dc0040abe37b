/** The doors into the past. */
import t from 'tap'
import { openDoors } from './doors.ts'

t.test('the house tells what it looked like, and what is different since', async t => {
  const house = await openDoors(t)
  house.join('a')
  house.put('tiny:latest', 'a')
  await house.engine.settled()
  const before = house.journal.durable
  await house.clock.advance(60_000)
  house.admit('r1')
  house.engine.commit('node', 'a', { type: 'node.drain', data: {}, by: '10.0.0.9' })

  const now = (await house.get('/quipu/state?at=now')).json()
  t.match(now, {
    moment: { seq: house.journal.head.seq, from: 0 },
    nodes: [{ name: 'a', standing: 'draining', resident: ['tiny:latest'] }],
    queue: { waiting: 1, running: 0, requests: [{ id: 'r1', state: 'queued', position: 1 }] },
  })
  const then = (await house.get('/quipu/state?at=-1m')).json()
  t.match(then, { moment: { seq: before }, nodes: [{ standing: 'up' }], queue: { waiting: 0, requests: [] } })
  const diff = (await house.get(`/quipu/diff?from=${before}`)).json()
  t.match(diff, {
    from: { seq: before },
    changes: [{ kind: 'node', id: 'a', as: 'different', last: { type: 'node.drained', by: '10.0.0.9' } }],
    requests: { admitted: 1, completed: 0 },
    queue: { waiting: { before: 0, after: 1 } },
  })
  t.equal(diff.changes.length, 1)
  const swapped = (await house.get(`/quipu/diff?from=${house.journal.durable}&to=${before}`)).json()
  t.same(swapped.changes, diff.changes, 'whichever is said first')
})

t.test('what is no moment, and what is still to come, is refused', async t => {
  const house = await openDoors(t)
  house.join('a')
  for (const [path, status, code] of [
    ['/quipu/diff?to=soon', 400, 'request.invalid'],
    ['/quipu/state?at=soon', 400, 'request.invalid'],
    ['/quipu/state?at=99', 400, 'past.future'],
    [`/quipu/diff?from=0&to=${house.clock.now() + 1}`, 400, 'past.future'],
  ] as const) {
    const res = await house.get(path)
    t.same([res.statusCode, res.json().code], [status, code], path)
  }
})

t.test('it waits for the disk: what is decided now is part of now', async t => {
  const house = await openDoors(t)
  house.join('a')
  const { moment, nodes } = (await house.get('/quipu/state?at=now')).json()
  t.same([moment.seq, nodes.length], [house.journal.head.seq, 1])
})
