/** Digests of what may not stand in a fact. */
import t from 'tap'
import { checkedKey, Digests, keyIn, scopeOf } from '../../../src/gateway/jobs/digests.ts'

const digests = new Digests(Buffer.alloc(32, 1))

t.test(
  'a digest depends on all of its fields, where each begins, what it is for, and the secret',
  async t => {
    const all = [
      digests.of('key', 'a', 'b'),
      digests.of('key', 'ab', ''),
      digests.of('key', '', 'ab'),
      digests.of('key', 'a', 'b', ''),
      digests.of('body', 'a', 'b'),
      new Digests(Buffer.alloc(32, 2)).of('key', 'a', 'b'),
    ]
    t.equal(new Set(all).size, all.length)
    t.equal(digests.of('key', 'a', Buffer.from('b')), all[0])
    for (const digest of all) t.match(digest, /^[0-9a-f]{64}$/)
  },
)

t.test('a key is its client’s, and of what the client logs in with', async t => {
  const scopes = [
    scopeOf('a', {}),
    scopeOf('b', {}),
    scopeOf('a', { authorization: 'Bearer 1' }),
    scopeOf('a', { 'x-api-key': 'Bearer 1' }),
  ]
  t.equal(new Set(scopes.map(scope => digests.of('key', ...scope, 'k'))).size, scopes.length)
})

t.test('a key that cannot be used is refused', async t => {
  t.equal(keyIn({}), undefined)
  t.equal(keyIn({ 'idempotency-key': 'a-1' }), 'a-1')
  t.equal(checkedKey('x'.repeat(255)).length, 255)
  for (const key of ['', 'a b', 'é', 'x'.repeat(256), 'a\n'])
    t.throws(() => checkedKey(key), { code: 'request.invalid' }, JSON.stringify(key))
})
