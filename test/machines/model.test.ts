import t from 'tap'
import { model } from '../../machines/model.ts'
import { given } from './given.ts'

const at = 1_000
const data = {
  digest: 'd1',
  sizeBytes: 9,
  family: 'llama',
  parameterSize: '1B',
  quantization: 'Q4_0',
  capabilities: ['completion'],
}
const found = { type: 'model.found', at, data } as const

t.test('a model is known from its first replica to its last', async t => {
  given(t, model)
    .when({ type: 'model.find', at, data })
    .answers([{ type: 'model.found', data }], 'known')
  given(t, model, found).when({ type: 'model.find', at, data }).answers([], 'known')
  given(t, model, found)
    .when({ type: 'model.lose', at, data: {} })
    .answers([{ type: 'model.gone', data: {} }], 'absent')
  given(t, model).when({ type: 'model.lose', at, data: {} }).answers([], 'absent')
})

t.test('another digest is news', async t => {
  const other = { ...data, digest: 'd2' }
  given(t, model, found)
    .when({ type: 'model.find', at, data: other })
    .answers([{ type: 'model.found', data: other }], 'known')
})

t.test('what people do to it is written down in any state', async t => {
  const nodes = ['a', 'b']
  given(t, model)
    .when({ type: 'model.pull', at, data: { nodes } })
    .answers([{ type: 'model.pulled', data: { nodes } }], 'absent')
  given(t, model, found)
    .when({ type: 'model.delete', at, data: { nodes } })
    .answers([{ type: 'model.deleted', data: { nodes } }], 'known')
  given(t, model, found)
    .when({ type: 'model.copy', at, data: { nodes, to: 'x' } })
    .answers([{ type: 'model.copied', data: { nodes, to: 'x' } }], 'known')
  given(t, model, found)
    .when({ type: 'model.push', at, data: { nodes } })
    .answers([{ type: 'model.pushed', data: { nodes } }], 'known')
  given(t, model)
    .when({ type: 'model.create', at, data: { nodes } })
    .answers([{ type: 'model.created', data: { nodes } }], 'absent')
  const failed = { verb: 'pull', nodes, status: 500 } as const
  given(t, model)
    .when({ type: 'model.fail', at, data: failed })
    .answers([{ type: 'model.failed', data: failed }], 'absent')
})
