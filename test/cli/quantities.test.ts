/** Sizes, durations and counts as people read them; and what they meant who typed something else. */
import t from 'tap'
import { nearest } from '../../src/cli/nearest.ts'
import { countOf, durationOf, sizeOf, timeOf } from '../../src/cli/quantities.ts'

t.test('sizes are decimal, with a figure after the point while they are small', async t => {
  const sizes = [0, 999, 1_000, 9_949, 9_950, 999_499, 999_500, 4_406_642_652, 26e9, 3.2e15]
  t.same(sizes.map(sizeOf), [
    '0 B',
    '999 B',
    '1.0 KB',
    '9.9 KB',
    '10 KB',
    '999 KB',
    '1.0 MB',
    '4.4 GB',
    '26 GB',
    '3200 TB',
  ])
})

t.test('durations have two units at most', async t => {
  const durations = [0, 0.4, 999, 1_000, 59_949, 59_950, 3_599_499, 3_600_000, 86_399_000, 90_000_000]
  t.same(durations.map(durationOf), [
    '0 ms',
    '0 ms',
    '999 ms',
    '1.0 s',
    '59.9 s',
    '1 m 0 s',
    '59 m 59 s',
    '1 h 0 m',
    '23 h 59 m',
    '1 d 1 h',
  ])
})

t.test('counts agree with their nouns', async t => {
  t.same([countOf(1, 'fact'), countOf(0, 'fact'), countOf(1_234_567)], ['1 fact', '0 facts', '1,234,567'])
})

t.test('a time that is none is shown as it is', async t => {
  t.match(timeOf(0), /^(1970-01-01|1969-12-31) \d\d:\d\d:00\.000$/)
  t.equal(timeOf(Number.MAX_VALUE), String(Number.MAX_VALUE))
})

t.test('the nearest word is offered where it is near, and none where it is not', async t => {
  const known = ['drain', 'resume', 'requests', 'ls', 'rm']
  t.same(
    ['drian', 'DRAIN', 'drai', 'requ', 'request', 'rn', 'ls', 'x', 'weather', ''].map(word =>
      nearest(word, known),
    ),
    ['drain', 'drain', 'drain', 'requests', 'requests', 'rm', 'ls', undefined, undefined, undefined],
  )
})
