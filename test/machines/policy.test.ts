import t from 'tap'
import { policy } from '../../machines/policy.ts'
import { given } from './given.ts'

const at = 1_000
const set = { type: 'policy.set', at, data: { numCtx: 8_192 } } as const

t.test('a policy is set once, and cleared once', async t => {
  given(t, policy)
    .when(set)
    .answers([{ type: 'policy.set', data: set.data }], 'inForce')
  given(t, policy, set).when(set).answers([], 'inForce')
  given(t, policy, set)
    .when({ type: 'policy.set', at, data: { avoid: ['old'] } })
    .answers([{ type: 'policy.set', data: { avoid: ['old'] } }], 'inForce')
  const clear = { type: 'policy.clear', at, data: {} } as const
  given(t, policy, set)
    .when(clear)
    .answers([{ type: 'policy.cleared', data: {} }], 'none')
  given(t, policy).when(clear).answers([], 'none')
})

t.test('it says something, and not two things at once', async t => {
  given(t, policy).when({ type: 'policy.set', at, data: {} }).refuses('policy.empty')
  const contexts = { numCtx: 1, numCtxMax: 2 }
  given(t, policy).when({ type: 'policy.set', at, data: contexts }).refuses('policy.contradicts')
  const times = { keepAliveS: 1, keepAliveMaxS: 2 }
  given(t, policy).when({ type: 'policy.set', at, data: times }).refuses('policy.contradicts')
  const places = { nodes: ['a', 'b'], avoid: ['b'] }
  given(t, policy).when({ type: 'policy.set', at, data: places }).refuses('policy.contradicts')
})
