import t from 'tap'
import { replica, replicaId, replicaParts } from '../../machines/replica.ts'
import { given } from './given.ts'

const at = 1_000
const found = { type: 'replica.found', at, data: { digest: 'd1', sizeBytes: 9 } } as const
const loading = { type: 'replica.loading', at, data: { request: 'r', estimateMs: 5 } } as const
const loaded = { type: 'replica.loaded', at, data: { ms: 300 } } as const

t.test('a replica is found once per digest, whatever it is doing', async t => {
  const find = (digest: string) => ({ type: 'replica.find', at, data: { digest, sizeBytes: 9 } }) as const
  given(t, replica)
    .when(find('d1'))
    .answers([{ type: 'replica.found', data: found.data }], 'present')
  given(t, replica, found).when(find('d1')).answers([], 'present')
  given(t, replica, found, loaded)
    .when(find('d2'))
    .answers([{ type: 'replica.found', data: { digest: 'd2', sizeBytes: 9 } }], 'resident')
})

t.test('the house loads what is present', async t => {
  const load = { type: 'replica.load', at, data: { request: 'r', estimateMs: 5 } } as const
  given(t, replica, found)
    .when(load)
    .answers([{ type: 'replica.loading', data: load.data }], 'loading')
  given(t, replica, found, loading).when(load).answers([], 'loading')
  given(t, replica, found, loaded).when(load).answers([], 'resident')
  given(t, replica).when(load).refuses('replica.absent')
})

t.test('a load ends in memory or not', async t => {
  given(t, replica, found, loading)
    .when({ type: 'replica.confirm', at, data: { ms: 300 } })
    .answers([{ type: 'replica.loaded', data: { ms: 300 } }], 'resident')
  const failure = { reason: 'ollama.answer', status: 500 }
  given(t, replica, found, loading)
    .when({ type: 'replica.fail', at, data: failure })
    .answers([{ type: 'replica.failed', data: failure }], 'present')
  given(t, replica, found).when({ type: 'replica.fail', at, data: failure }).answers([], 'present')
})

t.test('somebody else may have loaded it, and it may go again', async t => {
  const residence = { sizeBytes: 9, vramBytes: 9, contextLength: 4_096 }
  given(t, replica, found)
    .when({ type: 'replica.confirm', at, data: { residence } })
    .answers([{ type: 'replica.loaded', data: { residence } }], 'resident')
  given(t, replica, found, loaded).when({ type: 'replica.confirm', at, data: {} }).answers([], 'resident')
  given(t, replica, found, loaded)
    .when({ type: 'replica.unload', at, data: {} })
    .answers([{ type: 'replica.unloaded', data: {} }], 'present')
  given(t, replica, found).when({ type: 'replica.unload', at, data: {} }).answers([], 'present')
})

t.test('it may be removed at any time', async t => {
  for (const facts of [[found], [found, loading], [found, loaded]]) {
    given(t, replica, ...facts)
      .when({ type: 'replica.remove', at, data: {} })
      .answers([{ type: 'replica.removed', data: {} }], 'absent')
  }
  given(t, replica).when({ type: 'replica.remove', at, data: {} }).answers([], 'absent')
})

t.test('its id is the model at the node', async t => {
  t.equal(replicaId('host:80/ns/m:tag', 'gpu-1:11434'), 'host:80/ns/m:tag@gpu-1:11434')
  t.same(replicaParts('host:80/ns/m:tag@gpu-1:11434'), { model: 'host:80/ns/m:tag', node: 'gpu-1:11434' })
})

t.test('a resident copy is loaded again only to be loaded otherwise', async t => {
  const wide = { request: 'r', estimateMs: 5, variant: 'num_ctx=8192' } as const
  const load = { type: 'replica.load', at, data: wide } as const
  const widely = { type: 'replica.loading', at, data: wide } as const
  given(t, replica, found, loaded)
    .when(load)
    .answers([{ type: 'replica.loading', data: wide }], 'loading')
  given(t, replica, found, widely)
    .when({ type: 'replica.confirm', at, data: { ms: 300 } })
    .answers([{ type: 'replica.loaded', data: { ms: 300, variant: 'num_ctx=8192' } }], 'resident')
  given(t, replica, found, widely, loaded).when(load).answers([], 'resident')
  given(t, replica, found, widely, loaded)
    .when({ type: 'replica.load', at, data: { request: 'r', estimateMs: 5 } })
    .answers(
      [loading].map(({ type, data }) => ({ type, data })),
      'loading',
    )
})
