import t from 'tap'
import { awayOf } from '../../src/backtest/calendar.ts'

/** January 2026 begins on a Thursday; times are this machine's, as the rules are. */
const on = (day: number, hour = 0, minute = 0): number => new Date(2026, 0, day, hour, minute).getTime()

/** In days and hours of January 2026. */
function told(rules: readonly string[], from = on(1), until = on(8)): string[] {
  const text = (at: number): string => {
    const date = new Date(at)
    return `${date.getDate()} ${String(date.getHours()).padStart(2, '0')}:${String(date.getMinutes()).padStart(2, '0')}`
  }
  return awayOf(rules, from, until).map(({ from, until }) => `${text(from)} - ${text(until)}`)
}

t.test('days are whole days, and days in a row are one time', async t => {
  t.same(told(['sat,sun']), ['3 00:00 - 5 00:00'])
  t.same(told(['Thu']), ['1 00:00 - 2 00:00'])
})

t.test('hours are those of every day, over midnight where they end before they begin', async t => {
  t.same(told(['18:00-08:00'], on(1, 12), on(3, 12)), ['1 18:00 - 2 08:00', '2 18:00 - 3 08:00'])
  t.same(told(['18:00-08:00'], on(1, 3), on(1, 20)), ['1 03:00 - 1 08:00', '1 18:00 - 1 20:00'])
  t.same(told(['12:00-13:30'], on(1), on(2)), ['1 12:00 - 1 13:30'])
  t.same(told(['00:00-24:00'], on(1), on(3)), ['1 00:00 - 3 00:00'])
})

t.test('both together are these hours of these days', async t => {
  t.same(told(['sat,sun 12:00-14:00']), ['3 12:00 - 3 14:00', '4 12:00 - 4 14:00'])
  t.same(told(['sun 22:00-06:00']), ['4 22:00 - 5 06:00'])
})

t.test('a time from and until is once', async t => {
  t.same(told(['2026-01-02T09:05/2026-01-02T10:00']), ['2 09:05 - 2 10:00'])
  const [away] = awayOf(['2026-01-02T09:05:00.000Z/2026-01-02T10:00:00.000Z'], on(1), on(8))
  t.same(away, { from: Date.UTC(2026, 0, 2, 9, 5), until: Date.UTC(2026, 0, 2, 10) })
})

t.test('several rules are joined where they touch', async t => {
  t.same(told(['sat', 'fri 20:00-24:00', 'sat 10:00-11:00', 'mon 01:00-02:00']), [
    '2 20:00 - 4 00:00',
    '5 01:00 - 5 02:00',
  ])
})

t.test('what is no rule is refused', async t => {
  for (const rule of [
    '',
    'weekend',
    'sat-sun',
    '18-8',
    '25:00-26:00',
    '10:00-11:75',
    'x/y',
    '2026-01-02/2026-01-01',
  ]) {
    t.throws(() => awayOf([rule], on(1), on(2)), { code: 'fleet.off' }, rule)
  }
})
