/** What clients are told when the house says no, in each dialect. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { Failure } from '../../src/failure.ts'
import { goJson } from '../../src/gateway/answer.ts'
import { dialectOf, lastWords, plainly, type Refused, refuse, statuses } from '../../src/gateway/refusals.ts'

async function told(t: Test, path: string, refused: Refused): Promise<Response> {
  const server = createServer((req, res) => refuse(res, dialectOf(req.url!), refused)).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await new Promise(resolve => server.once('listening', resolve))
  return fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`)
}

t.test('the path says who the client thinks it is talking to', async t => {
  t.equal(dialectOf('/api/chat'), 'ollama')
  t.equal(dialectOf('/v1/chat/completions'), 'openai')
  t.equal(dialectOf('/v1/messages'), 'anthropic')
  t.equal(dialectOf('/quipu/nodes'), 'control')
})

t.test('a refusal in the shape of each', async t => {
  const refused = { status: 404, message: 'no <b>', code: 'node.unknown' }
  const native = await told(t, '/api/chat', refused)
  t.equal(native.headers.get('content-type'), 'application/json; charset=utf-8')
  t.equal(await native.text(), '{"error":"no \\u003cb\\u003e"}')
  const openai = await told(t, '/v1/chat/completions', refused)
  t.equal(openai.headers.get('content-type'), 'application/json')
  t.equal(
    await openai.text(),
    '{"error":{"message":"no \\u003cb\\u003e","type":"not_found_error","param":null,"code":null}}\n',
  )
  const anthropic = await told(t, '/v1/messages', { ...refused, status: 503 })
  t.match(await anthropic.json(), {
    type: 'error',
    error: { type: 'overloaded_error', message: 'no <b>' },
    request_id: /^req_[0-9a-f]{24}$/,
  })
  t.same(await (await told(t, '/quipu', refused)).json(), { error: 'no <b>', code: 'node.unknown' })
})

t.test('the last words of a broken stream are in its own framing', async t => {
  t.equal(lastWords('ollama', '/api/chat', 'application/x-ndjson', 'gone'), '{"error":"gone"}\n')
  const sse = 'text/event-stream'
  t.equal(
    lastWords('openai', '/v1/chat/completions', sse, 'gone'),
    'data: {"error":{"message":"gone","type":"api_error","param":null,"code":null}}\n\n',
  )
  t.match(
    lastWords('openai', '/v1/responses', sse, 'gone'),
    /^event: error\ndata: \{"type":"error",.*"gone".*\}\n\n$/,
  )
  t.match(
    lastWords('anthropic', '/v1/messages', sse, 'gone'),
    /^event: error\ndata: \{"type":"error".*\}\n\n$/,
  )
  t.equal(
    lastWords('ollama', '/api/show', 'application/json', 'gone'),
    '',
    'what has a length can only be cut',
  )
})

t.test('a failure is told without the addresses of the fleet', async t => {
  const failure = new Failure('ollama.refused', 'connect ECONNREFUSED 10.0.0.7:11434')
  t.notMatch(plainly(failure), /\d/)
  t.notMatch(plainly(new Failure('ollama.new', 'http://10.0.0.7')), /\d/)
})

t.test('every status is one', async t => {
  for (const [code, status] of Object.entries(statuses)) t.ok(status >= 400 && status < 600, code)
})

t.test('JSON is escaped as Go escapes it', async t => {
  t.equal(goJson({ a: '<&>\u2028\u2029"é' }), '{"a":"\\u003c\\u0026\\u003e\\u2028\\u2029\\"é"}')
})
