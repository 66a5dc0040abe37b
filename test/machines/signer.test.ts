import t from 'tap'
import { signer } from '../../machines/signer.ts'
import { given } from './given.ts'

const at = 1_000
const create = (vkey: string) => ({ type: 'signer.create', at, data: { vkey } }) as const
const created = { type: 'signer.created', at, data: { vkey: 'a' } } as const
const rotate = { type: 'signer.rotate', at, data: { vkey: 'b', endorsement: 's' } } as const

t.test('a journal gets its key once', async t => {
  given(t, signer)
    .when(create('a'))
    .answers([{ type: 'signer.created', data: { vkey: 'a' } }], 'signing')
  given(t, signer, created).when(create('a')).answers([], 'signing')
  given(t, signer, created).when(create('b')).isOutOfTurn()
})

t.test('a rotation names both keys, and who was lost endorses nothing', async t => {
  given(t, signer, created)
    .when(rotate)
    .answers([{ type: 'signer.rotated', data: { vkey: 'b', before: 'a', endorsement: 's' } }], 'signing')
  given(t, signer, created)
    .when({ ...rotate, data: { vkey: 'b' } })
    .answers([{ type: 'signer.rotated', data: { vkey: 'b', before: 'a' } }], 'signing')
  given(t, signer).when(rotate).isOutOfTurn()
})

t.test('the key that signs already takes no place', async t => {
  const rotated = { type: 'signer.rotated', at, data: { vkey: 'b', before: 'a' } } as const
  given(t, signer, created, rotated).when(rotate).answers([], 'signing')
})
