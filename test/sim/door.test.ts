import { connect } from 'node:net'
import t from 'tap'
import { type Sim, startSim } from '../../src/sim/sim.ts'
import { ask, quickSim } from './ask.ts'

/** What really comes over the wire, without the date. */
function raw(sim: Sim, sent: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(sim.port, '127.0.0.1', () => socket.write(sent))
    let text = ''
    socket.on('data', part => {
      text += part
    })
    socket.on('end', () => resolve(text.replace(/Date: [^\r]*\r\n/g, '')))
    socket.on('error', reject)
  })
}

t.test('a reply has no header that was not asked for', async t => {
  const sim = await quickSim(t)
  const close = 'Host: localhost\r\nConnection: close\r\n\r\n'
  t.equal(
    await raw(sim, `GET / HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD / HTTP/1.1\r\n${close}`),
    'HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 17\r\n\r\nOllama is running' +
      'HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 17\r\n\r\n',
  )
  const body = '{"model":"tiny","prompt":"a","options":{"num_predict":0}}'
  const stream = await raw(
    sim,
    `POST /api/generate HTTP/1.1\r\nContent-Length: ${body.length}\r\n${close}${body}`,
  )
  t.match(
    stream,
    /^HTTP\/1\.1 200 OK\r\nContent-Type: application\/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n/,
  )
})

t.test('bodies above 2 KiB come in chunks, and the head of one has no length', async t => {
  const models = Array.from({ length: 12 }, (_, i) => `m${i}`).join(',')
  const [few, many] = [await quickSim(t), await quickSim(t, { models })]
  const small = await ask(few, '/api/tags')
  t.equal(small.headers['content-length'], String(small.text.length))
  t.same((await ask(few, '/api/tags', { method: 'HEAD' })).headers, small.headers)
  const large = await ask(many, '/api/tags')
  t.ok(large.text.length > 2048)
  t.equal(large.headers['transfer-encoding'], 'chunked')
  t.same((await ask(many, '/api/tags', { method: 'HEAD' })).headers, {
    'content-type': large.headers['content-type'],
  })
})

t.test('paths and methods that are not quite right', async t => {
  const sim = await quickSim(t)
  const plain = { 'content-type': 'text/plain' }
  const absent = { status: 404, text: '404 page not found', headers: plain }
  const wrong = (allow: string) => ({
    status: 405,
    text: '405 method not allowed',
    headers: { ...plain, allow },
  })
  const moved = (status: number, location: string, text: string) => ({ status, text, headers: { location } })
  const table: [method: string, path: string, expected: object][] = [
    ['GET', '/api/nope', absent],
    ['GET', '/nope', absent],
    ['GET', '/metrics', absent],
    ['POST', '/v1/messages/count_tokens', absent],
    ['POST', '/v1/images/generations', absent],
    ['GET', '/v1/models/library/tiny', absent],
    ['GET', '/v1/models/library%2Ftiny', absent],
    ['GET', '/api/generate', wrong('POST')],
    ['DELETE', '/api/tags', wrong('HEAD, GET')],
    ['GET', `/api/blobs/sha256:${'0'.repeat(64)}`, wrong('HEAD, POST')],
    ['PUT', '/api/delete', wrong('DELETE')],
    ['HEAD', '/api/ps', { ...wrong('GET'), text: '' }],
    ['HEAD', '/v1/models', { ...wrong('GET'), text: '' }],
    ['GET', '/api/tags/', moved(301, '/api/tags', '<a href="/api/tags">Moved Permanently</a>.\n\n')],
    [
      'GET',
      '/api/tags/?a=1',
      moved(301, '/api/tags?a=1', '<a href="/api/tags?a=1">Moved Permanently</a>.\n\n'),
    ],
    ['POST', '/api/generate/', moved(307, '/api/generate', '')],
    ['GET', '//api/tags', moved(307, '/api/tags', '<a href="/api/tags">Temporary Redirect</a>.\n\n')],
    ['GET', '/api/../api//tags', moved(307, '/api/tags', '<a href="/api/tags">Temporary Redirect</a>.\n\n')],
    ['GET', '/api/version?x=1', { status: 200, text: '{"version":"0.33.0"}' }],
    ['GET', '/api/status', { text: '{"cloud":{"disabled":true,"source":"env"}}' }],
    [
      'GET',
      '/api/experimental/model-recommendations',
      { status: 200, text: /^\{"recommendations":\[\{"model":/ },
    ],
  ]
  for (const [method, path, expected] of table)
    t.match({ ...(await ask(sim, path, { method })) }, expected, `${method} ${path}`)
})

t.test('a stranger is turned away by Origin, and a friend told so', async t => {
  const sim = await quickSim(t)
  const from = (origin: string, method = 'GET', path = '/api/version') =>
    ask(sim, path, { method, headers: { origin } })
  for (const origin of [
    'http://evil.example',
    'null',
    'chrome-extension://abc',
    'http://localhost.evil.example',
  ]) {
    const reply = await from(origin)
    t.match({ ...reply }, { status: 403, text: '', headers: { 'content-length': '0' } }, origin)
  }
  for (const origin of [
    'http://localhost:3000',
    'https://127.0.0.1',
    'vscode-webview://abc',
    'app://x',
    'tauri://y',
  ]) {
    const { status, headers } = await from(origin)
    t.match(
      { status, headers },
      { status: 200, headers: { 'access-control-allow-origin': origin, vary: 'Origin' } },
    )
  }
  const own = await from(`http://127.0.0.1:${sim.port}`)
  t.notOk(own.headers['vary'], 'its own origin is none of its business')
  const preflight = await from('http://localhost:3000', 'OPTIONS', '/api/generate')
  t.match(
    { ...preflight },
    {
      status: 204,
      text: '',
      headers: {
        'access-control-allow-methods': 'GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS',
        'access-control-allow-headers': /^Authorization,Content-Type,.*,X-Stainless-Timeout$/,
        'access-control-max-age': '43200',
        allow: 'POST',
      },
    },
  )
  t.equal((await from('http://evil.example', 'OPTIONS', '/api/generate')).status, 403)
})

t.test('a node on a loopback address looks at Host', async t => {
  const sim = await quickSim(t)
  const as = async (host: string, method = 'GET'): Promise<number> =>
    (await ask(sim, '/api/version', { method, headers: { host } })).status
  for (const host of [
    'localhost',
    'localhost:11434',
    '127.0.0.1',
    '192.168.1.5:80',
    '10.0.0.1',
    '[::1]:80',
    'x.local',
    'x.internal',
  ])
    t.equal(await as(host), 200, host)
  for (const host of ['evil.example', '8.8.8.8', 'localhost.evil.example']) t.equal(await as(host), 403, host)
  t.equal(await as('localhost', 'OPTIONS'), 204)
  t.equal(await as('127.0.0.1', 'OPTIONS'), 405)
  const open = await startSim({ host: '0.0.0.0', models: '' })
  t.teardown(() => open.close())
  t.equal((await ask(open, '/', { headers: { host: 'evil.example' } })).status, 200, 'and on others does not')
})
