import t from 'tap'
import { refusals } from '../../machines/refusals.ts'
import { given } from './given.ts'

const count = (codes: Record<string, number>) =>
  ({ type: 'refusals.count', at: 60_000, data: { since: 0, codes } }) as const
const counted = { ...count({ 'house.untrusted': 3 }), type: 'refusals.counted' } as const

t.test('what was turned away is counted, again and again', async t => {
  given(t, refusals, counted)
    .when(count({ 'job.full': 1, 'http.404': 2 }))
    .answers(
      [{ type: 'refusals.counted', data: { since: 0, codes: { 'job.full': 1, 'http.404': 2 } } }],
      'counting',
    )
})

t.test('a minute in which nobody was turned away is no fact', async t => {
  given(t, refusals).when(count({})).answers([], 'counting')
})
