import t from 'tap'
import { Ring, Series, STEPS, type Step } from '../../src/stats/series.ts'

const [FINE, COARSE, COARSEST] = STEPS as readonly [Step, Step, Step]
const AT = Date.UTC(2026, 0, 1, 12)

/** Values of a ring from the newest back, `null` where there is none. */
function back(ring: Ring, count: number): (number | null)[] {
  return Array.from({ length: count }, (_, i) => {
    const value = ring.at(ring.latest - i)
    return Number.isNaN(value) ? null : value
  })
}

t.test(
  'each step is a multiple of the one before, and the finer ring holds a whole coarser step',
  async t => {
    for (const [i, coarse] of STEPS.entries()) {
      const fine = STEPS[i - 1]
      if (fine === undefined) continue
      t.equal(coarse.ms % fine.ms, 0)
      t.ok(fine.ms * fine.kept >= coarse.ms)
    }
  },
)

t.test('a coarser value is the mean of the finer ones so far', async t => {
  const series = new Series()
  const [fine, coarse, coarsest] = series.rings
  series.add(AT, 1)
  series.add(AT + 10_000, 3)
  t.same([back(fine!, 2), back(coarse!, 1), back(coarsest!, 1)], [[3, 1], [2], [2]])
  series.add(AT + 300_000, 10)
  t.same([back(coarse!, 2), back(coarsest!, 1)], [[10, 2], [6]])
  series.add(AT + 3_600_000, 0)
  t.same(back(coarsest!, 2), [0, 6])
  t.equal(series.latestAt, AT + 3_600_000)
})

t.test('where nothing was sampled there is no value, and what is older than the ring is gone', async t => {
  const ring = new Ring(FINE)
  ring.put(1_000, 1)
  ring.put(1_003, 4)
  t.same(back(ring, 5), [4, null, null, 1, null])
  ring.put(1_000 + FINE.kept, 9)
  t.same([ring.at(1_000), ring.at(1_003), ring.at(1_000 + FINE.kept)], [Number.NaN, 4, 9])
  ring.put(9_999, 5)
  t.same(back(ring, FINE.kept), [5, ...Array(FINE.kept - 1).fill(null)])
})

t.test(
  'a clock that steps back a little writes over; one that was far ahead is not believed for ever',
  async t => {
    const ring = new Ring(FINE)
    ring.put(1_000, 1)
    ring.put(1_002, 3)
    ring.put(1_001, 2)
    t.same(back(ring, 3), [3, 2, 1])
    ring.put(9_000_000, 7)
    ring.put(1_003, 4)
    t.same(back(ring, 4), [4, null, null, null])
  },
)

t.test('rings that lag behind are made up from the finer one, but only where that one is whole', async t => {
  const fine = new Ring(FINE)
  const first = AT / FINE.ms + 10 // in the middle of a step of 5 minutes
  for (let i = 0; i < FINE.kept; i += 1) fine.put(first + i, 2)
  const coarse = new Ring(COARSE)
  coarse.put(AT / COARSE.ms - 1, 8)
  coarse.put(AT / COARSE.ms, 8)
  const [, made, coarsest] = new Series(
    new Map([
      [FINE, fine],
      [COARSE, coarse],
    ]),
  ).rings
  t.same(back(made!, 14), [...Array(12).fill(2), 8, 8])
  t.equal(coarsest!.at(AT / COARSEST.ms), (8 + 11 * 2) / 12)
})
