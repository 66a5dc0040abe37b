import t from 'tap'
import type { ScrubFact } from '../../machines/scrub.ts'
import { scrub } from '../../machines/scrub.ts'
import { given } from './given.ts'

const report = (seq: number) =>
  ({ type: 'scrub.report', at: 1_000, data: { seq, code: 'journal.broken' } }) as const
const damaged = (seq: number): ScrubFact => ({ ...report(seq), type: 'scrub.damaged' })
const told = (seq: number) => ({ type: 'scrub.damaged', data: report(seq).data }) as const

t.test('a damaged place is told of once, however often it is found', async t => {
  given(t, scrub)
    .when(report(7))
    .answers([told(7)], 'damaged')
  given(t, scrub, damaged(7)).when(report(7)).answers([], 'damaged')
  given(t, scrub, damaged(7))
    .when(report(8))
    .answers([told(8)], 'damaged')
  given(t, scrub, damaged(7), damaged(8)).when(report(7)).answers([], 'damaged')
})

t.test('a table is a place, too', async t => {
  const data = { table: '000007.ldb', code: 'journal.broken' } as const
  given(t, scrub, damaged(7))
    .when({ type: 'scrub.report', at: 1_000, data })
    .answers([{ type: 'scrub.damaged', data }], 'damaged')
  given(t, scrub, { type: 'scrub.damaged', at: 1_000, data })
    .when({ type: 'scrub.report', at: 1_000, data })
    .answers([], 'damaged')
})

t.test('after many other places it is news again', async t => {
  const others = Array.from({ length: 16 }, (_, i) => damaged(100 + i))
  given(t, scrub, damaged(7), ...others)
    .when(report(7))
    .answers([told(7)], 'damaged')
})
