import t from 'tap'
import { parseHours } from '../../machines/hours.ts'

const ALL = [0, 1, 2, 3, 4, 5, 6]
const read = (text: string) => parseHours(text)?.map(({ days, from, to }) => [[...days], from / 60, to / 60])

t.test('hours are a time from and a time to, days, or days with times', async t => {
  for (const [text, ...windows] of [
    ['18:00-08:00', [ALL, 18, 8]],
    ['00:00-24:00', [ALL, 0, 24]],
    ['09:30-17:45', [ALL, 9.5, 17.75]],
    ['sat-sun', [[6, 0], 0, 24]],
    ['wed', [[3], 0, 24]],
    ['Fri-Mon', [[5, 6, 0, 1], 0, 24]],
    ['mon-sun', [[1, 2, 3, 4, 5, 6, 0], 0, 24]],
    ['mon-fri@18:00-08:00+sat-sun', [[1, 2, 3, 4, 5], 18, 8], [[6, 0], 0, 24]],
    ['08:00-12:00+13:00-17:00', [ALL, 8, 12], [ALL, 13, 17]],
  ] as const)
    t.same(read(text), windows, text)
})

t.test('anything else is none', async t => {
  for (const text of [
    ...[
      '',
      '+',
      'sat+',
      '18-08',
      '8:00-9:00',
      '18:00',
      '18:00-',
      '18:00-24:01',
      '24:00-08:00',
      '25:00-26:00',
    ],
    ...[
      '18:60-19:00',
      '18:00-18:00',
      '00:00-08:00-09:00',
      'mon-',
      'mon-tue-wed',
      'montag',
      'mon@',
      'mon@tue',
    ],
    ...[
      '@18:00-19:00',
      '18:00-19:00@mon',
      'mon@18:00-19:00@tue',
      'mon18:00-19:00',
      '@',
      '08:00-09:00-x',
      'mon-tue-x',
      'mon,tue',
      'mon 18:00-19:00',
      ' 18:00-19:00',
    ],
  ])
    t.equal(parseHours(text), undefined, JSON.stringify(text))
})
