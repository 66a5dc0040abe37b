/** Inference in front of nodes that misbehave on the wire. */
import { createServer } from 'node:net'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { storyOf } from '../house/world.ts'
import { houseOf, type OddHandler, odd } from './odd.ts'
import { dial, parsed, say } from './raw.ts'

const BODY = '{"model":"tiny","prompt":"x"}'
const ASK = ['POST /api/generate HTTP/1.1', 'Host: localhost', `Content-Length: ${BODY.length}`]
const good: OddHandler = (_req, res) =>
  void res.writeHead(200, { 'Content-Type': 'application/json' }).end('{"response":"good"}')
const idOf = (head: string): string => /X-Quipu-Request: (\w+)/.exec(head)![1]!
const nodeOf = (head: string): string => /X-Quipu-Node: (\w+)/.exec(head)![1]!

t.test('whatever goes wrong before the first byte, another node answers', async t => {
  for (const [what, handle] of Object.entries<OddHandler>({
    'a reset': req => req.socket.resetAndDestroy(),
    'an end': req => req.socket.end(),
    'no HTTP': req => req.socket.end('hello\r\n\r\n'),
    'headers, then an end': (req, res) => {
      res.writeHead(200, { 'Content-Type': 'application/x-ndjson' }).flushHeaders()
      setTimeout(() => req.socket.destroy(), 10)
    },
    'headers with a length, then an end': (req, res) => {
      res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': 50 }).flushHeaders()
      setTimeout(() => req.socket.destroy(), 10)
    },
    'a status that means nothing': req =>
      req.socket.end('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n'),
    '500': (_req, res) => void res.writeHead(500).end('{"error":"llama-server process has terminated"}'),
    '502': (_req, res) => void res.writeHead(502).end('<html>'),
    '503': (_req, res) => void res.writeHead(503).end('{"error":"server busy"}'),
    '504': (_req, res) => void res.writeHead(504).end(),
  })) {
    const w = await houseOf(t, [await odd(t, handle), await odd(t, good)])
    const told = await say(w.url, ASK, BODY)
    t.equal(told.status, 200, what)
    t.match(told.body, /good/, what)
    t.equal(nodeOf(told.head), 'n2', what)
    await w.fact('request.completed')
    t.same(
      await storyOf(w, idOf(told.head)),
      [
        'request.admitted',
        'request.assigned',
        'request.retried',
        'request.assigned',
        'request.begun',
        'request.completed',
      ],
      what,
    )
    await w.house.close()
  }
})

t.test('what is the client’s mistake, or says never, is told at once', async t => {
  for (const status of [400, 401, 403, 404, 413, 429, 501]) {
    const body = `{"error":"it is ${status}"}`
    const first = await odd(
      t,
      (_req, res) => void res.writeHead(status, { 'Content-Length': body.length }).end(body),
    )
    const w = await houseOf(t, [first, await odd(t, good)])
    const told = await say(w.url, ASK, BODY)
    t.same([told.status, told.body], [status, body])
    t.equal((await w.facts('request.retried')).length, 0)
    await w.house.close()
  }
})

t.test('when tries are used up, the last node’s own words are passed on', async t => {
  const body = '{"error":"no luck"}'
  const node = await odd(
    t,
    (_req, res) => void res.writeHead(500, { 'Content-Length': body.length, 'X-Own': '1' }).end(body),
  )
  const w = await houseOf(t, [node], { 'attempts-max': '2' })
  const told = await say(w.url, ASK, BODY)
  t.same([told.status, told.body], [500, body])
  t.match(told.head, /X-Own: 1/)
  t.equal(node.asked.length, 2)
  await w.fact('request.failed')
  t.same(await storyOf(w, idOf(told.head)), [
    ...['request.admitted', 'request.assigned', 'request.retried', 'request.assigned', 'request.failed'],
  ])
})

t.test('a node that dies with all its slots taken loses nothing that no client has seen', async t => {
  const silent = await odd(t, () => {})
  const w = await houseOf(t, [silent])
  const asked = Array.from({ length: 4 }, () => say(w.url, ASK, BODY))
  while (silent.asked.length < 4) await new Promise(resolve => setTimeout(resolve, 5))
  const other = await odd(t, good)
  await w.post('/quipu/nodes', { url: other.url, name: 'other', slots: 4 })
  await silent.down()
  for (const { status, head } of await Promise.all(asked)) t.same([status, nodeOf(head)], [200, 'other'])
  for (const { data } of await w.facts('request.retried')) t.match(data, { node: 'n1', reason: 'broken' })
})

t.test('when the retry budget is spent, the first node’s own words are passed on', async t => {
  const body = '{"error":"no luck"}'
  const handle: OddHandler = (_req, res) =>
    void res.writeHead(502, { 'Content-Length': body.length }).end(body)
  const nodes = [await odd(t, handle), await odd(t, handle), await odd(t, handle)]
  const w = await houseOf(t, nodes, { 'attempts-max': '20' })
  const remaining = async (): Promise<number> => {
    const text = await (await fetch(`${w.url}/metrics`)).text()
    return Number(/^quipu_retry_budget_remaining (\d+)$/m.exec(text)![1])
  }
  t.equal(await remaining(), 12, 'a node has 4 slots and 3 models in memory')
  const told = await Promise.all(Array.from({ length: 5 }, () => say(w.url, ASK, BODY)))
  for (const { status, body: words } of told) t.same([status, words], [502, body])
  t.equal(await remaining(), 0)
  t.equal((await w.facts('request.retried')).length, 12)
  const failed = await w.facts('request.failed')
  for (const { data } of failed) t.match(data, { reason: 'error', status: 502, unretried: 'budget' })
  const why = await (await fetch(`${w.url}/quipu/requests/${failed[0]!.id}/why`)).json()
  t.match(why, { sentence: /: the node answered 502, and the retry budget was spent\.$/ })
  const shown = await (await fetch(`${w.url}/quipu/requests/${failed[0]!.id}`)).json()
  t.match(shown, { state: 'failed', unretried: 'budget' })
})

t.test(
  'when nobody could be reached, the house says so, in the client’s dialect and without addresses',
  async t => {
    const node = await odd(t, req => req.socket.destroy())
    const w = await houseOf(t, [node])
    const native = await say(w.url, ASK, BODY)
    t.equal(native.status, 502)
    t.equal(native.body, '{"error":"node n1 could not answer for tiny:latest: the connection broke"}')
    const other = await houseOf(t, [node])
    const openai = await other.post('/v1/chat/completions', { model: 'tiny', messages: [] })
    t.match(await openai.json(), { error: { type: 'api_error', message: /^node n1 could not answer/ } })
  },
)

t.test('a wait that is over is not begun anew', async t => {
  const node = await odd(t, (_req, res) => setTimeout(() => res.writeHead(503).end('{"error":"busy"}'), 150))
  const w = await houseOf(t, [node], { 'wait-max': '100ms', 'attempts-max': '20' })
  const told = await say(w.url, ASK, BODY)
  t.same([told.status, told.body.includes('busy')], [503, true])
  t.equal(node.asked.length, 1)
})

t.test('after the first byte nothing is tried again, and the client is told that it is not all', async t => {
  for (const [what, handle, ends] of [
    [
      'chunks',
      (req, res) => {
        res.writeHead(200, { 'Content-Type': 'application/x-ndjson' }).write('{"response":"a"}\n')
        setTimeout(() => req.socket.destroy(), 20)
      },
      /\{"error":"node n1 went away in the middle of its answer: the connection broke"\}\n\r\n$/,
    ],
    [
      'fewer bytes than promised',
      (req, res) => {
        res
          .writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': 100 })
          .write('{"response":"a"}')
        setTimeout(() => req.socket.end(), 20)
      },
      /"a"\}$/,
    ],
  ] as const satisfies [string, OddHandler, RegExp][]) {
    const second = await odd(t, good)
    const w = await houseOf(t, [await odd(t, handle), second])
    const told = parsed(await (await ask(w.url)).end())
    t.equal(told.status, 200, what)
    t.match(told.body, ends, what)
    t.equal(second.asked.length, 0, what)
    const failed = await w.fact('request.failed')
    t.match(failed.data, { node: 'n1', reason: 'broken', chunks: 1, bytes: /^1[67]$/ }, what)
    await w.house.close()
  }
})

t.test('more bytes than promised are not passed on', async t => {
  const node = await odd(t, req => {
    const head = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n'
    req.socket.end(`${head}trueHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged`)
  })
  const w = await houseOf(t, [node])
  for (let i = 0; i < 3; i += 1) {
    const told = await say(w.url, ASK, BODY)
    t.notMatch(told.body, 'forged')
  }
})

t.test('redirects, packed answers, interim answers and odd headers are passed on as they are', async t => {
  const packed = gzipSync('{"response":"packed"}')
  for (const [what, handle, expected] of [
    [
      'a redirect',
      (_req, res) => void res.writeHead(307, { Location: 'http://169.254.169.254/' }).end(),
      /^HTTP\/1\.1 307 .*Location: http:\/\/169\.254\.169\.254\/\r\n/s,
    ],
    [
      'gzip',
      (_req, res) =>
        void res.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': packed.length }).end(packed),
      /Content-Encoding: gzip\r\n/,
    ],
    [
      '103',
      (req, res) => {
        req.socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n')
        good(req, res, '')
      },
      /^HTTP\/1\.1 200 .*"good"/s,
    ],
    [
      'latin1',
      req =>
        req.socket.end(
          'HTTP/1.1 200 OK\r\nX-caf\xe9: no\r\nx-ODD: caf\xe9\r\nContent-Length: 2\r\n\r\n{}',
          'latin1',
        ),
      /x-ODD: caf\xe9\r\n|^HTTP\/1\.1 502/,
    ],
    ['no body', (_req, res) => void res.writeHead(204).end(), /^HTTP\/1\.1 204 /],
  ] as const satisfies [string, OddHandler, RegExp][]) {
    const w = await houseOf(t, [await odd(t, handle)])
    const { head, body } = await say(w.url, ASK, BODY)
    t.match(`${head}\r\n\r\n${body}`, expected, what)
    if (what === 'gzip') t.ok(body.includes(packed.toString('latin1').slice(0, 30)))
    await w.house.close()
  }
})

t.test('a node that answers in silence for long is waited for', async t => {
  const node = await odd(t, (_req, res) => {
    res.writeHead(200, { 'Content-Type': 'application/x-ndjson' }).flushHeaders()
    setTimeout(() => res.end('{"done":true}\n'), 1_500)
  })
  const w = await houseOf(t, [node])
  t.match((await say(w.url, ASK, BODY)).body, /"done":true/)
})

t.test('a restarted node’s old connections cost a try, as the law says, and not the request', async t => {
  const first = await odd(t, good)
  const w = await houseOf(t, [first])
  await say(w.url, ASK, BODY)
  await first.down()
  const again = createServer(socket => {
    socket.on('error', () => {})
    socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"again"'))
  }).listen(first.port, '127.0.0.1')
  t.teardown(() => again.close())
  const told = await say(w.url, ASK, BODY)
  t.same([told.status, told.body], [200, '"again"'])
})

t.test('a client that leaves frees the node at once, with one fact', async t => {
  const { promise: began, resolve: begin } = Promise.withResolvers<void>()
  const { promise: freed, resolve: free } = Promise.withResolvers<number>()
  const node = await odd(t, (_req, res) => {
    res.writeHead(200, { 'Content-Type': 'application/x-ndjson' }).write('{"response":"a"}\n')
    res.on('close', () => free(performance.now()))
    begin()
  })
  const w = await houseOf(t, [node])
  const client = await ask(w.url)
  await began
  await client.until('"a"')
  const left = performance.now()
  client.socket.destroy()
  t.ok((await freed) - left < 5_000)
  const abandoned = await w.fact('request.abandoned')
  t.match(abandoned.data, { node: 'n1', bytes: 17, chunks: 1 })
  t.same(await storyOf(w, abandoned.id), [
    ...['request.admitted', 'request.assigned', 'request.begun', 'request.abandoned'],
  ])
})

t.test('a client that half-closes has left, as for Ollama', async t => {
  const w = await houseOf(t, [await odd(t, () => {})])
  const client = await ask(w.url)
  await w.fact('request.assigned')
  client.socket.end()
  await w.fact('request.abandoned')
})

t.test('a model’s name cannot reach a header, and nonsense reaches no fact', async t => {
  const node = await odd(t, (_req, res) => void res.writeHead(400).end('{"error":"invalid model name"}'))
  const w = await houseOf(t, [node])
  for (const model of [
    'a\r\nX-Evil: 1',
    'a b',
    '-a',
    'x'.repeat(5_000),
    'a/b/c/d',
    '../..',
    'a@sha256:b',
    '\0',
    'é',
  ]) {
    const res = await w.post('/api/generate', { model })
    t.equal(res.status, 400, JSON.stringify(model.slice(0, 20)))
    t.notOk(res.headers.has('x-evil'))
  }
  t.equal((await w.facts('request.admitted')).length, 0)
  t.equal(node.asked.length, 9, 'each for the node’s own words')
})

t.test('cloud models are refused in every disguise, unless the house lets them through', async t => {
  const node = await odd(t, good, {
    rows: [{ name: 'disguised:latest', remote_host: 'https://ollama.com:443', remote_model: 'gpt-oss:120b' }],
  })
  const w = await houseOf(t, [node])
  const off = { error: 'ollama cloud is disabled: remote model is unavailable' }
  for (const [path, body] of [
    ['/api/generate', '{"model":"x:cloud"}'],
    ['/api/chat', '{"model":"x:120b-cloud"}'],
    ['/api/embed', '{"model":" x:cloud "}'],
    ['/api/chat', '{"model":"x: cloud"}'],
    ['/v1/chat/completions', '{"model":"x:cloud","MODEL":"tiny"}'],
    ['/v1/chat/completions', '{"MODEL":"x:cloud"}'],
    ['/v1/messages', '{"model":"x:\\u0063loud"}'],
    ['/api/generate', '{"model":"x:20b:cloud"}'],
    ['/api/generate', '{"model":"disguised"}'],
    ['/v1/responses', '{"model":"Disguised:latest"}'],
  ] as const) {
    const res = await fetch(w.url + path, { method: 'POST', body })
    t.equal(res.status, 403, body)
    t.same(await res.json(), off, body)
  }
  const form = new FormData()
  form.set('model', 'x:cloud')
  t.equal((await fetch(`${w.url}/v1/audio/transcriptions`, { method: 'POST', body: form })).status, 403)
  const both = await w.post('/api/chat', { model: 'x:cloud:local' })
  t.same(
    [both.status, await both.json()],
    [...[400, { error: 'use either :local or :cloud, not both: "x:cloud:local"' }]],
  )
  t.equal(node.asked.length, 0)

  const open = await houseOf(t, [node], { cloud: 'on' })
  t.equal((await open.post('/api/generate', { model: 'x:cloud' })).status, 200)
  t.equal((await open.post('/api/generate', { model: 'disguised' })).status, 200)
})

t.test('a form is routed by its model, and its query goes nowhere', async t => {
  const node = await odd(t, good)
  const w = await houseOf(t, [node])
  const form = new FormData()
  form.set('file', new Blob(['RIFF']), 'a.wav')
  form.set('model', 'tiny')
  const res = await fetch(`${w.url}/v1/audio/transcriptions?model=x:cloud`, { method: 'POST', body: form })
  t.equal(res.status, 200)
  t.equal(node.asked[0]!.url, '/v1/audio/transcriptions')
  t.equal((await w.facts('request.admitted'))[0]!.data.model, 'tiny:latest')
  const bad = await fetch(`${w.url}/v1/audio/transcriptions`, { method: 'POST', body: '{"model":"tiny"}' })
  t.match(await bad.json(), {
    error: { message: /^failed to parse multipart form/, type: 'invalid_request_error' },
  })
})

async function ask(url: string) {
  const client = await dial(url)
  client.write(`${ASK.join('\r\n')}\r\n\r\n${BODY}`)
  return client
}
