import t from 'tap'
import { forgetting } from '../../machines/forgetting.ts'
import { given } from './given.ts'

const data = { facts: 3, until: 90, digest: 'd', kept: 1 }
const order = { type: 'forgetting.order', at: 1_000, data } as const
const ordered = { ...order, type: 'forgetting.ordered' } as const
const end = { type: 'forgetting.end', at: 2_000, data: {} } as const

t.test('a forgetting is ordered, then done, and says nowhere whose name it was', async t => {
  given(t, forgetting)
    .when(order)
    .answers([{ type: 'forgetting.ordered', data }], 'ordered')
  given(t, forgetting, ordered)
    .when(end)
    .answers([{ type: 'forgetting.done', data: {} }], 'done')
})

t.test('what was not ordered cannot end', async t => {
  given(t, forgetting).when(end).isOutOfTurn()
})
