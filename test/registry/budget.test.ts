import t from 'tap'
import { mulberry32 } from '../../src/clock.ts'
import { ACTIONS_MAX } from '../../src/projections/transfers.ts'
import { allowance, BUDGET } from '../../src/registry/budget.ts'

const three = { actionsMax: 3, windowMs: 100 }

t.test('so many in a window, and the next when the oldest leaves it', async t => {
  t.same(allowance([], 1_000, three), { count: 3 })
  t.same(allowance([950], 1_000, three), { count: 2 })
  t.same(allowance([900], 1_000, three), { count: 3 }, 'as long ago as the window is long')
  t.same(allowance([901, 950, 990], 1_000, three), { count: 0, at: 1_001 })
  t.same(allowance([901, 950, 990, 995], 1_000, three), { count: 0, at: 1_050 }, 'one too many')
  t.same(allowance([5_000, 5_000, 5_000], 1_000, three), { count: 3 }, 'a clock that was set back')
  t.same(allowance([1_010, 1_010, 1_010], 1_000, three), { count: 0, at: 1_090 }, 'by a little')
  t.ok(BUDGET.actionsMax <= ACTIONS_MAX, 'the projection remembers enough of them')
})

t.test('whoever asks whenever, no window has more', async t => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
  t.comment(`SEED=${seed}`)
  const random = mulberry32(seed)
  const begun: number[] = []
  let now = 0
  for (let i = 0; i < 2_000; i += 1) {
    const { count, at } = allowance(begun, now, three)
    if (at !== undefined) t.ok(at > now && allowance(begun, at, three).count > 0, 'and then there is one')
    for (let k = 0; k < count && random() < 0.8; k += 1) begun.push(now)
    now += Math.floor(random() * 60)
  }
  const worst = Math.max(...begun.map(at => begun.filter(other => other > at - 100 && other <= at).length))
  t.equal(worst, 3)
})
