/** Lists of single nodes, put together. */
import t from 'tap'
import { lowestVersion, mergePs, mergeTags, modelEntry, modelList } from '../../src/gateway/merged.ts'

const tag = (name: string, modified_at: string, more: object = {}) => ({ name, modified_at, ...more })

t.test('tags: one row a model, the newest there is, newest first', async t => {
  const old = tag('a:latest', '2026-01-01T00:00:00.123456789Z')
  const young = tag('A:latest', '2026-01-01T02:00:00.1+01:00', { digest: 'x' })
  const other = tag('b:latest', '2026-01-01T00:30:00Z')
  t.same(mergeTags([[old], [young, other]], { cloud: false }), [young, other])
  t.same(mergeTags([[young], [old]], { cloud: false }), [young])
  t.same(mergeTags([], { cloud: false }), [])
})

t.test('tags: models that run elsewhere are listed only where they may be used', async t => {
  const row = tag('a:cloud', '2026-01-01T00:00:00Z', { remote_host: 'https://ollama.com' })
  t.same(mergeTags([[row]], { cloud: false }), [])
  t.same(mergeTags([[row]], { cloud: true }), [row])
})

t.test('ps: one row a model, that which stays longest, longest first', async t => {
  const soon = { name: 'a:latest', expires_at: '2026-01-01T00:05:00+00:00' }
  const never = { name: 'a:latest', expires_at: '2318-01-01T00:05:00+00:00' }
  const other = { name: 'b:latest', expires_at: '2026-01-01T00:10:00+00:00' }
  t.same(mergePs([[soon, other], [never]]), [never, other])
  t.same(mergePs([[{ name: 'c:latest' }]]), [{ name: 'c:latest' }], 'rows without a time are kept')
})

t.test('the OpenAI list is made of the same rows, and null when there are none', async t => {
  t.same(modelList([]), { object: 'list', data: null })
  t.same(modelList([tag('me/a:1', '2026-01-01T00:00:01.9Z')]), {
    object: 'list',
    data: [{ id: 'me/a:1', object: 'model', created: 1_767_225_601, owned_by: 'me' }],
  })
  t.match(modelEntry('A', tag('a:latest', 'nonsense')), { id: 'A', created: 0, owned_by: 'library' })
})

t.test('the version is the oldest of the fleet', async t => {
  t.equal(lowestVersion(['0.33.1', '0.9.12', '0.33.0']), '0.9.12')
  t.equal(lowestVersion(['0.33.0', '0.33.0-rc2']), '0.33.0-rc2')
  t.equal(lowestVersion([]), undefined)
})
