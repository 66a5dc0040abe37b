import t from 'tap'
import { spool } from '../../machines/spool.ts'
import { given } from './given.ts'

const erase = { type: 'spool.erase', at: 1_000, data: { why: 'age', bytes: 70 } } as const

t.test('what is kept is erased once, and for a reason', async t => {
  given(t, spool)
    .when(erase)
    .answers([{ type: 'spool.erased', data: { why: 'age', bytes: 70 } }], 'erased')
  given(t, spool, { ...erase, type: 'spool.erased' })
    .when(erase)
    .isOutOfTurn()
})
