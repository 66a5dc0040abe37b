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

t.test(
  'timers that are due at once ring as they were set; those set meanwhile for a time gone by ring now',
  async t => {
    const clock = virtualClock({ start: 0 })
    const rung: string[] = []
    const ring = (name: string) => () => void rung.push(`${name} at ${clock.now()}`)
    for (const name of ['a', 'b', 'c']) clock.after(5, ring(name))
    const late = clock.after(7, ring('cancelled by the one before it'))
    clock.after(6, () => {
      late.cancel()
      clock.after(-3, ring('d'))
    })
    await clock.advance(100)
    t.same(rung, ['a at 5', 'b at 5', 'c at 5', 'd at 6'])
  },
)

t.test(
  'what a timer sets going comes to rest before time moves on: promises, and turns of the event loop',
  async t => {
    const clock = virtualClock({ start: 0 })
    const seen: number[] = []
    const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
    const rung = new Promise<void>(resolve => clock.after(5, resolve))
    const deeds = rung.then(async () => {
      for (let i = 0; i < 2; i += 1) {
        await Promise.resolve()
        await turn()
        seen.push(clock.now())
      }
    })
    clock.after(6, () => {})
    await clock.advance(10)
    await deeds
    t.same(seen, [5, 5])
  },
)

t.test('thousands of timers, set and cancelled in any order, ring in theirs', async t => {
  const seed = 42
  const clock = virtualClock({ seed, start: 0 })
  const wanted: { at: number; n: number }[] = []
  const rung: { at: number; n: number }[] = []
  for (let n = 0; n < 3_000; n += 1) {
    const at = Math.floor(clock.random() * 500)
    const timer = clock.after(at, () => rung.push({ at: clock.now(), n }))
    if (clock.random() < 0.4) timer.cancel()
    else wanted.push({ at, n })
  }
  for (let i = 0; i < 50; i += 1) await clock.advance(10)
  t.same(
    rung,
    wanted.sort((a, b) => a.at - b.at || a.n - b.n),
    `seed ${seed}`,
  )
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

t.test('a timer for ten years neither rings at once nor warns', async t => {
  const warned = t.capture(process, 'emitWarning')
  let rang = 0
  const timers = Array.from({ length: 100 }, () =>
    systemClock.after(10 * 365 * 86_400_000, () => {
      rang += 1
    }),
  )
  await new Promise(resolve => setTimeout(resolve, 20))
  for (const timer of timers) timer.cancel()
  t.same([rang, warned().length], [0, 0])
})
