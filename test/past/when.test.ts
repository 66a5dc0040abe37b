/** How people say when. */
import t from 'tap'
import { placeOf } from '../../src/past/when.ts'

const now = Date.UTC(2026, 10, 21, 14, 3, 30)
const of = (text: string): unknown => placeOf(text, { now, last: 5_000, zone: 'UTC' })

t.test('a moment is a time, a while ago, a fact, or now', async t => {
  for (const [text, place] of [
    ['now', { seq: 5_000 }],
    ['1290', { seq: 1_290 }],
    ['0', { seq: 0 }],
    ['2026-11-21 14:03', { at: Date.UTC(2026, 10, 21, 14, 3) }],
    ['2026-11-21T14:03:29.250', { at: Date.UTC(2026, 10, 21, 14, 3, 29, 250) }],
    ['2026-11-21', { at: Date.UTC(2026, 10, 21) }],
    ['2026-11-21T14:03:00Z', { at: Date.UTC(2026, 10, 21, 14, 3) }],
    ['2026-11-21 14:03+01:00', { at: Date.UTC(2026, 10, 21, 13, 3) }],
    [String(now - 5), { at: now - 5 }],
    ['14:03', { at: Date.UTC(2026, 10, 21, 14, 3) }],
    ['9:30', { at: Date.UTC(2026, 10, 21, 9, 30) }],
    ['14:04', { at: Date.UTC(2026, 10, 20, 14, 4) }],
    ['-10m', { at: now - 600_000 }],
    ['-1.5h', { at: now - 5_400_000 }],
    ['10 minutes ago', { at: now - 600_000 }],
    ['1 day ago', { at: now - 86_400_000 }],
    ['90s ago', { at: now - 90_000 }],
  ] as const) {
    t.same(of(text), place, text)
  }
})

t.test('without a zone it is in the zone that is meant', async t => {
  const local = placeOf('2026-11-21 14:03', { now, last: 0, zone: 'local' }) as { at: number }
  const date = new Date(local.at)
  t.same([date.getDate(), date.getHours(), date.getMinutes()], [21, 14, 3])
})

t.test('what is no moment is refused with those that are; what is still to come, too', async t => {
  for (const text of ['', 'soon', '25:00', '2026-13-01', '-10', '10 parsecs ago', '2026-11-21 14'])
    t.throws(() => of(text), { code: 'request.invalid', message: /is not a moment such as/ }, text)
  t.throws(() => of('5001'), { code: 'past.future', message: /the journal ends at 5000/ })
  t.throws(() => of('2026-11-21 14:04'), { code: 'past.future' })
})
