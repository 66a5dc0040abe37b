import t from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { Turns } from '../../src/journal/turns.ts'
import { failure } from './facts.ts'

const { signal } = new AbortController()

function line() {
  const clock = virtualClock()
  const turns = new Turns({ clock, atOnceMax: 2, waitingMax: 2, waitMs: 1_000, what: 'for a desk' })
  const order: string[] = []
  const take = async (name: string, gone = signal) => {
    const done = await turns.take(gone)
    order.push(name)
    return done
  }
  return { clock, turns, order, take }
}

t.test('so many at once; others in the order they came; beyond that nobody', async t => {
  const { clock, turns, order, take } = line()
  const [first, second] = await Promise.all([take('a'), take('b')])
  const third = take('c')
  const fourth = take('d')
  t.equal(turns.full, true)
  t.match(await failure(() => take('e')), {
    code: 'house.busy',
    retryable: true,
    message: 'too many wait for a desk, and 2 at once may; try again',
  })
  second()
  second()
  await clock.advance(0)
  t.same(order, ['a', 'b', 'c'], 'a turn that is given back twice is given back once')
  first()
  await fourth
  t.same(order, ['a', 'b', 'c', 'd'])
  ;(await third)()
  const fifth = await take('f')
  t.same(order.at(-1), 'f')
  fifth()
})

t.test('who waits too long is sent away, and who leaves makes room', async t => {
  const { clock, turns, take } = line()
  const done = await take('a')
  await take('b')
  const late = failure(() => take('c'))
  const leaving = new AbortController()
  const left = take('d', leaving.signal)
  leaving.abort()
  ;(await left)()
  t.equal(turns.full, false)
  await clock.advance(1_000)
  t.match(await late, { code: 'house.busy' })
  done()
  const next = await take('e')
  next()
})
