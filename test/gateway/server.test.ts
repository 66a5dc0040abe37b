/** The doors over bare sockets: what comes in, in which order, how large, and what is told to those who err. */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { openDoors } from './doors.ts'
import { houseOf, odd } from './odd.ts'
import { dial, parsed, say } from './raw.ts'

const json = (res: ServerResponse, value: unknown): void =>
  void res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))
const POST = (path: string, body: string, ...more: string[]): string =>
  [
    `POST ${path} HTTP/1.1`,
    'Host: localhost',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...more,
    '',
    body,
  ].join('\r\n')
const TINY = '{"model":"tiny","prompt":"x"}'

t.test('Content-Type means nothing, however it is written', async t => {
  const node = await odd(t, (_req, res) => json(res, { ok: true }))
  const w = await houseOf(t, [node])
  for (const type of [
    'text/plain',
    'application/json;charset=',
    'garbage',
    'a/b; c',
    ' /',
    'multipart/form-data',
    ';',
  ])
    t.equal(
      (
        await say(
          w.url,
          POST('/api/generate', TINY, `Content-Type: ${type}`).split('\r\n').slice(0, -2),
          TINY,
        )
      ).status,
      200,
      type,
    )
  t.equal(
    (await say(w.url, ['POST /api/generate HTTP/1.1', 'Host: localhost', 'Content-Length: 29'], TINY)).status,
    200,
  )
  for (const { body } of node.asked) t.equal(body, TINY)
})

t.test('a node sees the bytes of the body, its own Host, and nothing of the client’s secrets', async t => {
  const node = await odd(t, (_req, res) => json(res, {}))
  const w = await houseOf(t, [node])
  const body = '{"MODEL" :"tiny","x":1e2,"x":"\\u003c",\n"seed":18446744073709551615}trailing'
  await say(
    w.url,
    [
      ...['POST /api/generate?a=%20b HTTP/1.1', 'Host: localhost', `Content-Length: ${body.length}`],
      ...[
        'Authorization: Bearer secret',
        'Cookie: a=b',
        'Origin: http://localhost:3000',
        'X-Quipu-Priority: 7',
      ],
      ...['User-Agent: Test/1', 'X-Api-Key: secret', 'X-Forwarded-For: 1.2.3.4', 'Expect: 100-continue'],
    ],
    body,
  )
  const [seen] = node.asked
  t.equal(seen!.body, body)
  t.equal(seen!.url, '/api/generate?a=%20b')
  const headers = seen!.headers.map(text => text.toLowerCase())
  t.equal(headers[headers.indexOf('host') + 1], `127.0.0.1:${node.port}`)
  t.equal(headers[headers.indexOf('user-agent') + 1], 'test/1')
  t.notMatch(headers.join(), /secret|origin|quipu|cookie|forwarded|expect/)
})

t.test('a header Ollama does not send is not sent', async t => {
  const w = await houseOf(t, [await odd(t, (_req, res) => json(res, {}))])
  const client = await dial(w.url)
  client.write('GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await client.until('0.33.0')
  t.notMatch(client.text, /Keep-Alive|Connection|Server|X-Powered-By|Access-Control/i)
  client.write('GET /api/nope HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await client.until('404 page not found')
  t.notOk(client.closed, 'and the connection stays')
  client.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  t.match(await client.end(), /Connection: close\r\n.*Ollama is running$/s)
})

t.test('paths are read as Ollama reads them', async t => {
  const node = await odd(t, (_req, res) => json(res, { path: 'seen' }))
  const w = await houseOf(t, [node])
  const ask = (method: string, path: string) => say(w.url, [`${method} ${path} HTTP/1.1`, 'Host: localhost'])
  for (const [method, path, status, body, header] of [
    ['GET', '/api/nope', 404, '404 page not found', /Content-Type: text\/plain\r\n/],
    ['GET', '/API/tags', 404, '404 page not found', /./],
    ['GET', '/api/tags;x', 404, '404 page not found', /./],
    ['GET', '/api/generate', 405, '405 method not allowed', /Allow: POST\r\n/],
    ['PUT', '/api/tags', 405, '405 method not allowed', /Allow: HEAD, GET\r\n/],
    ['HEAD', '/api/ps', 405, '', /Allow: GET\r\n.*Content-Length: 22/s],
    [
      'GET',
      '/api/tags/?a=b',
      301,
      '<a href="/api/tags?a=b">Moved Permanently</a>.\n\n',
      /Location: \/api\/tags\?a=b\r\n/,
    ],
    ['POST', '/api/chat/', 307, '', /Location: \/api\/chat\r\n/],
    [
      'GET',
      '//api/tags',
      307,
      '<a href="/api/tags">Temporary Redirect</a>.\n\n',
      /Location: \/api\/tags\r\n/,
    ],
    ['GET', '/api/../api/./tags', 307, '<a href="/api/tags">Temporary Redirect</a>.\n\n', /./],
    ['GET', '///evil.example/', 307, /href="\/evil\.example\/"/, /Location: \/evil\.example\/\r\n/],
    ['GET', '/v1/models/a/b', 404, '404 page not found', /./],
    ['GET', '/v1/models/a%2Fb', 404, '404 page not found', /./],
    ['GET', '/%61pi/version', 200, /version/, /./],
    ['GET', '/api/%zz', 400, '400 Bad Request', /Connection: close/],
    ['HEAD', '/', 200, '', /Content-Length: 17/],
    ['GET', '/', 200, 'Ollama is running', /Content-Type: text\/plain; charset=utf-8/],
    ['DELETE', '/', 405, '405 method not allowed', /Allow: HEAD, GET/],
  ] as const) {
    const told = await ask(method, path)
    t.equal(told.status, status, `${method} ${path}`)
    t.match(told.body, body, `${method} ${path}`)
    t.match(told.head, header, `${method} ${path}`)
  }
})

t.test('an encoded path is the same door, and goes to the node as it is usually written', async t => {
  const node = await odd(t, (_req, res) => json(res, {}))
  const w = await houseOf(t, [node])
  t.equal(
    (await say(w.url, ['POST /api/%67enerate HTTP/1.1', 'Host: localhost', 'Content-Length: 29'], TINY))
      .status,
    200,
  )
  t.equal(node.asked[0]!.url, '/api/generate')
  const [admitted] = await w.facts('request.admitted')
  t.equal(admitted!.data.path, '/api/generate')
})

t.test('a request must say to whom it is, once', async t => {
  const w = await houseOf(t, [await odd(t, (_req, res) => json(res, {}))])
  const lines = (...more: string[]): string[] => ['GET /api/version HTTP/1.1', ...more]
  t.equal((await say(w.url, lines('Host: localhost', 'Host: evil.example'))).status, 400)
  t.equal((await say(w.url, lines())).status, 400)
  t.equal((await say(w.url, ['GET http://localhost/api/version HTTP/1.1', 'Host: localhost'])).status, 400)
  t.equal((await say(w.url, lines('Host: evil.example'))).status, 403)
  const origin = await say(w.url, lines('Host: localhost', 'Origin: http://evil.example'))
  t.same([origin.status, origin.body], [403, ''])
  const cors = await say(w.url, lines('Host: localhost', 'Origin: http://localhost:3000'))
  t.match(cors.head, /Access-Control-Allow-Origin: http:\/\/localhost:3000\r\nVary: Origin/)
})

t.test('what proxies read differently is not read at all', async t => {
  const node = await odd(t, (_req, res) => json(res, {}))
  const w = await houseOf(t, [node])
  for (const [what, text] of Object.entries({
    'two lengths':
      'POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd',
    'length and chunks':
      'POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'a blank before the colon': 'GET / HTTP/1.1\r\nHost : localhost\r\n\r\n',
    'a folded header': 'GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n',
    'no HTTP': 'hello\r\n\r\n',
    'a bad chunk':
      'POST /api/generate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  })) {
    const client = await dial(w.url)
    client.write(text)
    t.match(await client.end(), /^(HTTP\/1\.1 400 Bad Request\r\n|$)/, what)
  }
  t.equal(node.asked.length, 0)
  const large = await say(w.url, ['GET / HTTP/1.1', 'Host: localhost', `X: ${'x'.repeat(20_000)}`])
  t.equal(large.status, 431)
  const many = Array.from({ length: 150 }, (_, i) => `X-${i}: a`)
  t.equal((await say(w.url, ['GET / HTTP/1.1', 'Host: localhost', ...many])).status, 431)
  t.equal((await say(w.url, ['GET / HTTP/1.1', 'Host: localhost', 'Expect: wonders'])).status, 417)
  const tunnel = await dial(w.url)
  tunnel.write('CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n')
  t.equal(await tunnel.end(), '')
})

t.test('an upgrade is not done', async t => {
  const w = await houseOf(t, [await odd(t, (_req, res) => json(res, {}))])
  const told = await say(w.url, ['GET / HTTP/1.1', 'Host: localhost', 'Upgrade: websocket'])
  t.same([told.status, told.body], [200, 'Ollama is running'])
})

t.test(
  'a body too large is refused in the client’s dialect; a verb’s may be 8 MiB, a chat’s what the house says',
  async t => {
    const node = await odd(t, (_req, res) => json(res, {}))
    const w = await houseOf(t, [node], { 'body-max': '20M' })
    const ask = (path: string, length: number) =>
      say(
        w.url,
        [`POST ${path} HTTP/1.1`, 'Host: localhost', `Content-Length: ${length}`],
        Buffer.alloc(length, ' '),
      )
    const chat = await ask('/v1/chat/completions', 21 * 1024 ** 2)
    t.equal(chat.status, 413)
    t.match(JSON.parse(chat.body), { error: { message: /--body-max/, type: 'api_error' } })
    t.equal((await ask('/api/show', 9 * 1024 ** 2)).status, 413)
    t.equal((await ask('/api/chat', 9 * 1024 ** 2)).status, 200)
  },
)

t.test('an empty body reaches the node, and a GET’s body reaches nobody', async t => {
  const node = await odd(t, (_req, res) => {
    const text = '{"error":"missing request body"}'
    res.writeHead(400, { 'Content-Length': text.length }).end(text)
  })
  const w = await houseOf(t, [node])
  for (const path of ['/api/generate', '/api/chat', '/api/show', '/api/pull', '/api/create', '/api/copy']) {
    const told = await say(w.url, [`POST ${path} HTTP/1.1`, 'Host: localhost', 'Content-Length: 0'])
    t.same([told.status, told.body], [400, '{"error":"missing request body"}'], path)
  }
  t.equal((await say(w.url, ['DELETE /api/delete HTTP/1.1', 'Host: localhost'])).status, 400)
  const client = await dial(w.url)
  client.write('GET /api/version HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello')
  await client.until('0.33.0')
  client.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await client.until('Ollama is running')
  client.socket.destroy()
})

t.test('a client of HTTP/1.0 gets a stream too, ended by the end of the connection', async t => {
  const node = await odd(t, (_req, res) => {
    res.writeHead(200, { 'Content-Type': 'application/x-ndjson' }).write('{"a":1}\n')
    setTimeout(() => res.end('{"done":true}\n'), 20)
  })
  const w = await houseOf(t, [node])
  const client = await dial(w.url)
  client.write(`POST /api/generate HTTP/1.0\r\nContent-Length: ${TINY.length}\r\n\r\n${TINY}`)
  const text = await client.end()
  t.match(text, /^HTTP\/1\.1 200 OK\r\n/)
  t.notMatch(text, /transfer-encoding/i)
  t.ok(text.endsWith('\r\n\r\n{"a":1}\n{"done":true}\n'))
})

t.test('requests sent without waiting are answered one after the other', async t => {
  const order: string[] = []
  const node = await odd(t, (_req, res, body) => {
    order.push(`${body.at(-2)} asked`)
    setTimeout(() => {
      order.push(`${body.at(-2)} answered`)
      json(res, { said: body.at(-2) })
    }, 20)
  })
  const w = await houseOf(t, [node])
  const client = await dial(w.url)
  for (const n of [1, 2, 3]) client.write(POST('/api/generate', `{"model":"tiny","n":${n}}`))
  await client.until('{"said":"3"}')
  t.match(client.text, /"said":"1".*"said":"2".*"said":"3"/s)
  t.same(order, ['1 asked', '1 answered', '2 asked', '2 answered', '3 asked', '3 answered'])
  client.socket.destroy()
})

t.test('who sends many without waiting is hung up on, and what waits is forgotten', async t => {
  const node = await odd(t, () => {})
  const w = await houseOf(t, [node])
  const client = await dial(w.url)
  client.write(POST('/api/generate', TINY).repeat(20))
  await client.end()
  const abandoned = await w.fact('request.abandoned')
  t.equal((await w.facts('request.admitted')).length, 1)
  t.ok(abandoned)
})

t.test('headers must come within ten seconds, also the first byte of them', async t => {
  const { app } = await openDoors(t)
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.equal(app.server.headersTimeout, 10_000)
  t.equal(app.server.requestTimeout, 0, 'else an upload would have an end of time')
  app.server.headersTimeout = 500 // the test has less patience
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  const [silent, slow] = [await dial(url), await dial(url)]
  slow.write('GET / HTTP/1.1\r\nHost: loc')
  const trickle = setInterval(() => slow.closed || slow.write('a'), 100)
  const [, told] = await Promise.all([silent.end(), slow.end()])
  clearInterval(trickle)
  t.match(parsed(told), { status: 408 })
})

t.test('there is a most of connections', async t => {
  const w = await houseOf(t, [await odd(t, (_req, res) => json(res, {}))], { 'connections-max': '3' })
  const clients = [await dial(w.url), await dial(w.url), await dial(w.url)]
  const fourth = await dial(w.url)
  t.equal(await fourth.end(), '')
  clients[0]!.socket.destroy()
  await once(clients[0]!.socket, 'close')
  await new Promise(resolve => setTimeout(resolve, 50))
  const fifth = await dial(w.url)
  fifth.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await fifth.until('Ollama is running')
  for (const { socket } of [...clients, fifth]) socket.destroy()
})
