/** How no is said over gRPC, and heard. */
import { Metadata, status } from '@grpc/grpc-js'
import t from 'tap'
import { Failure } from '../../src/failure.ts'
import { heardNo, saidNo } from '../../src/rpc/errors.ts'

t.test('a Failure crosses with its code, its words, and whether it may succeed later', async t => {
  const said = saidNo(new Failure('agent.busy', 'ask again later', { retryable: true }), {
    'agent.busy': 503,
  })
  t.equal(said.code, status.UNAVAILABLE)
  const heard = heardNo({ metadata: new Metadata(), ...said })
  t.match(heard, { code: 'agent.busy', message: 'ask again later', retryable: true })
})

t.test('a bug crosses as nothing but that there is one', async t => {
  const said = saidNo(new TypeError('secret'), {})
  t.same(said, { code: status.INTERNAL, details: 'internal error' })
  t.match(heardNo({ metadata: new Metadata(), ...said }), { code: 'rpc.answer', retryable: false })
})

t.test('what went wrong on a line is told without the words that the library puts around it', async t => {
  const details =
    'No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:9. Resolution note: '
  const heard = heardNo({ code: status.UNAVAILABLE, details, metadata: new Metadata() })
  t.match(heard, { code: 'rpc.broken', message: 'connect ECONNREFUSED 127.0.0.1:9', retryable: true })
  const other = heardNo({ code: status.UNAVAILABLE, details: 'gone', metadata: new Metadata() })
  t.equal(other.message, 'gone')
})
