import t from 'tap'
import { Periods } from '../../src/report/periods.ts'

const MINUTE = 60_000
const DAY = 86_400_000

function told(...times: readonly number[]) {
  const periods = new Periods()
  for (const at of times) periods.count(at, 'completed')
  const { all, lengthMs } = periods
  return { all, lengthMs, sum: all.reduce((sum, { counts }) => sum + (counts.get('completed') ?? 0), 0) }
}

t.test('an hour is told by minutes, the empty ones among them', async t => {
  const { all, lengthMs } = told(0, 10, 3 * MINUTE)
  t.equal(lengthMs, MINUTE)
  t.same(
    all.map(({ startAt, counts }) => [startAt, counts.get('completed') ?? 0]),
    [
      [0, 2],
      [MINUTE, 0],
      [2 * MINUTE, 0],
      [3 * MINUTE, 1],
    ],
  )
})

t.test(
  'the longer it was, the longer a period; nothing is lost on the way, wherever clocks jump',
  async t => {
    for (const [span, lengthMin] of [
      [4 * 3_600_000, 5],
      [DAY, 15],
      [29 * DAY, 180],
      [365 * DAY, 10_080],
      [3_650 * DAY, 40_320],
      [400_000 * DAY, 40_320 * 64],
    ] as const) {
      const times = Array.from({ length: 1_000 }, (_, i) => Math.floor((((i * 7_919) % 1_000) / 999) * span))
      const { all, lengthMs, sum } = told(...times)
      t.equal(lengthMs, lengthMin * MINUTE, `${span / DAY} days`)
      t.equal(sum, 1_000)
      t.ok(all.length <= 240, String(all.length))
    }
  },
)

t.test('the order in which facts come does not matter', async t => {
  const times = Array.from({ length: 300 }, (_, i) => i * i * 1_000_003)
  t.same(told(...times.toReversed()), told(...times))
})

t.test('where nothing ended, there is no period', async t => {
  t.same(told(), { all: [], lengthMs: MINUTE, sum: 0 })
})
