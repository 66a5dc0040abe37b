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

t.test('how many copies there are is a range that can be', async t => {
  const when = (data: object) => given(t, policy).when({ type: 'policy.set', at, data })
  for (const data of [
    { replicasMin: 0 },
    { replicasMin: 2 },
    { replicasMax: 1 },
    { replicasMin: 2, replicasMax: 2 },
    { replicasMin: 2, nodes: ['a', 'b'] },
  ])
    when(data).answers([{ type: 'policy.set', data }], 'inForce')
  when({ replicasMin: 3, replicasMax: 2 }).refuses('policy.contradicts')
  when({ replicasMin: 2, nodes: ['a', 'a'] }).refuses('policy.contradicts')
  when({ replicasMax: 0 }).refuses('policy.copies')
  when({ replicasMax: 1.5 }).refuses('policy.copies')
  when({ replicasMin: -1 }).refuses('policy.copies')
  when({ replicasMin: 0.5 }).refuses('policy.copies')
})
