import t from 'tap'
import { systemClock, virtualClock } from '../src/clock.ts'

t.test('ids are 26 characters, sort by time, and are never the same', async t => {
  const ids = Array.from({ length: 5_000 }, () => systemClock.id())
  t.equal(new Set(ids).size, ids.length)
  for (const id of ids.slice(0, 20)) t.match(id, /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/)
  const clock = virtualClock()
  const first = clock.id()
  await clock.advance(1)
  t.ok(first < clock.id())
})

t.test('a virtual clock moves only when told, and rings its timers in order', async t => {
  const clock = virtualClock({ start: 0 })
  const rung: string[] = []
  clock.after(20, () => rung.push(`b at ${clock.now()}`))
  clock.after(10, () => {
    rung.push(`a at ${clock.now()}`)
    clock.after(5, () => rung.push(`c at ${clock.now()}`))
  })
  clock.after(15, () => rung.push('never')).cancel()
  await clock.advance(9)
  t.same(rung, [])
  await clock.advance(11)
  t.same(rung, ['a at 10', 'c at 15', 'b at 20'])
  t.equal(clock.monotonic(), 20)
})

t.test('the same seed gives the same chance and the same ids', async t => {
  const [a, b, c] = [virtualClock({ seed: 7 }), virtualClock({ seed: 7 }), virtualClock({ seed: 8 })]
  t.same([a.random(), a.id()], [b.random(), b.id()])
  t.not(a.random(), c.random())
})

t.test('a system timer rings once, and not when cancelled', async t => {
  let rung = 0
  const alive = setTimeout(() => {}, 1_000) // the clock's own timers do not keep a process
  systemClock.after(5, () => {
    rung += 1
  })
  systemClock
    .after(5, () => {
      rung += 10
    })
    .cancel()
  await new Promise(resolve => setTimeout(resolve, 30))
  clearTimeout(alive)
  t.equal(rung, 1)
})
