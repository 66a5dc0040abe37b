import t from 'tap'
import { archive } from '../../machines/archive.ts'
import { given } from './given.ts'

const file = (first: number, last: number) => ({
  first,
  last,
  firstAt: 1,
  lastAt: 2,
  hash: `hash of ${last}`,
  file: 'f',
  bytes: 10,
  sha256: 's',
})
const sealed = (first: number, last: number) =>
  ({ type: 'archive.sealed', at: 1, data: file(first, last) }) as const
const seal = (first: number, last: number) =>
  ({ type: 'archive.seal', at: 2, data: file(first, last) }) as const
const trim = (until: number, proven: number) =>
  ({ type: 'archive.trim', at: 3, data: { until, proven } }) as const
const trimmed = (until: number, proven: number) =>
  ({ type: 'archive.trimmed', at: 3, data: { until, hash: `hash of ${until}`, proven } }) as const

t.test('files follow one another from the first fact on', async t => {
  given(t, archive)
    .when(seal(1, 10))
    .answers([{ type: 'archive.sealed', data: file(1, 10) }], 'keeping')
  given(t, archive, sealed(1, 10))
    .when(seal(11, 11))
    .answers([{ type: 'archive.sealed', data: file(11, 11) }], 'keeping')
  given(t, archive).when(seal(2, 10)).refuses('archive.order')
  given(t, archive, sealed(1, 10)).when(seal(12, 20)).refuses('archive.order')
  given(t, archive, sealed(1, 10)).when(seal(11, 10)).refuses('archive.order')
})

const anew = { bytes: 9, sha256: 'other', forgetting: 'f1' }

t.test('a file that there is may be written anew, as often as somebody is forgotten', async t => {
  const two = given(t, archive, sealed(1, 10), sealed(11, 20), trimmed(10, 12))
  for (const [first, last] of [
    [1, 10],
    [11, 20],
  ] as const) {
    const data = { first, last, ...anew }
    two
      .when({ type: 'archive.rewrite', at: 4, data })
      .answers([{ type: 'archive.rewritten', data }], 'keeping')
  }
  for (const [first, last] of [
    [1, 20],
    [11, 19],
    [21, 30],
    [2, 10],
  ] as const)
    two.when({ type: 'archive.rewrite', at: 4, data: { first, last, ...anew } }).refuses('archive.unsealed')
  const data = { first: 1, last: 10, ...anew }
  given(t, archive, sealed(1, 10), { type: 'archive.rewritten', at: 2, data })
    .when(trim(10, 10))
    .answers([{ type: 'archive.trimmed', data: { until: 10, hash: 'hash of 10', proven: 10 } }], 'keeping')
})

t.test('whole files may go, under a signed checkpoint, each once', async t => {
  const two = given(t, archive, sealed(1, 10), sealed(11, 20))
  two
    .when(trim(10, 10))
    .answers([{ type: 'archive.trimmed', data: { until: 10, hash: 'hash of 10', proven: 10 } }], 'keeping')
  two
    .when(trim(20, 99))
    .answers([{ type: 'archive.trimmed', data: { until: 20, hash: 'hash of 20', proven: 99 } }], 'keeping')
  two.when(trim(15, 99)).refuses('archive.unsealed')
  two.when(trim(30, 99)).refuses('archive.unsealed')
  two.when(trim(20, 19)).refuses('archive.unproven')
  two.when(trim(10, 0)).refuses('archive.unproven')
  const once = given(t, archive, sealed(1, 10), sealed(11, 20), trimmed(10, 12))
  once.when(trim(10, 0)).answers([], 'keeping')
  once
    .when(trim(20, 20))
    .answers([{ type: 'archive.trimmed', data: { until: 20, hash: 'hash of 20', proven: 20 } }], 'keeping')
})
