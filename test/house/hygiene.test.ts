/** The house as strangers, browsers and slow lines find it. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import t from 'tap'
import { Failure } from '../../src/failure.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { houseOf, type OddHandler, odd } from '../gateway/odd.ts'
import { dial, parsed, say } from '../gateway/raw.ts'
import { world } from './world.ts'

const good: OddHandler = (_req, res) =>
  void res.writeHead(200, { 'Content-Type': 'application/json' }).end('{"response":"good"}')
/** From beyond this machine, as a proxy on it would say. */
const STRANGER = { 'X-Forwarded-For': '203.0.113.9' }
const DIGEST = `sha256:${'a'.repeat(64)}`

const open = [
  ['GET', '/'],
  ['GET', '/api/version'],
  ['GET', '/api/tags'],
  ['GET', '/api/ps'],
  ['GET', '/api/status'],
  ['GET', '/v1/models'],
  ['GET', '/v1/models/tiny'],
  ['GET', '/healthz'],
  ['GET', '/readyz'],
  ['POST', '/api/show'],
  ['POST', '/api/generate'],
  ['POST', '/api/chat'],
  ['POST', '/api/embed'],
  ['POST', '/v1/chat/completions'],
  ['POST', '/v1/messages'],
] as const
const guarded = [
  ['POST', '/api/pull'],
  ['POST', '/api/push'],
  ['POST', '/api/create'],
  ['POST', '/api/copy'],
  ['DELETE', '/api/delete'],
  ['POST', `/api/blobs/${DIGEST}`],
  ['POST', '/api/me'],
  ['POST', '/api/signout'],
  ['DELETE', '/api/user/keys/a'],
  ['POST', '/api/experimental/web_search'],
  ['POST', '/api/experimental/web_fetch'],
  ['GET', '/quipu'],
  ['GET', '/quipu/nodes'],
  ['GET', '/quipu/nodes/a/status'],
  ['POST', '/quipu/nodes'],
  ['POST', '/quipu/models/pull'],
  ['POST', '/quipu/models/rm'],
  ['GET', '/quipu/models/status'],
  ['POST', '/quipu/models/sync'],
  ['POST', '/quipu/models/optimize'],
  ['GET', '/quipu/transfers'],
  ['DELETE', '/quipu/transfers/a'],
  ['POST', '/quipu/jobs'],
  ['GET', '/quipu/jobs'],
  ['POST', '/quipu/erase'],
  ['POST', '/quipu/forget'],
  ['GET', '/quipu/journal'],
  ['GET', '/quipu/agents'],
  ['POST', '/quipu/agents'],
  ['POST', '/quipu/agents/a/revoke'],
  ['GET', '/quipu/subscriptions'],
  ['POST', '/quipu/subscriptions'],
  ['POST', '/quipu/subscriptions/a/take'],
  ['DELETE', '/quipu/subscriptions/a'],
  ['GET', '/quipu/mirror'],
  ['GET', '/quipu/archive'],
  ['POST', '/quipu/archive'],
  ['POST', '/quipu/archive/trim'],
  ['GET', '/quipu/state?at=now'],
  ['GET', '/quipu/diff?from=0'],
  ['GET', '/quipu/config'],
  ['PUT', '/quipu/config/queue-max'],
  ['GET', '/quipu/stats/inference_queue'],
  ['GET', '/quipu/checkpoint'],
  ['GET', '/quipu/checkpoint/key'],
  ['POST', '/quipu/checkpoint/rotate'],
  ['GET', '/quipu/checkpoint/inclusion/1'],
  ['GET', '/quipu/checkpoint/consistency/1'],
  ['GET', '/quipu/events'],
  ['GET', '/metrics'],
] as const

t.test('a house is bound to loopback, and there everybody may do everything', async t => {
  const w = await houseOf(t, [await odd(t, good)], { cloud: 'on' })
  t.equal(w.house.address, '127.0.0.1')
  for (const [method, path] of guarded.filter(([, path]) => path !== '/quipu/events')) {
    const res = await fetch(w.url + path, {
      method,
      ...(method === 'GET' ? {} : { body: '{"model":"tiny"}' }),
    })
    t.not(res.status, 403, path)
    await res.body?.cancel()
  }
})

t.test(
  'bound wider, strangers may ask and list; what changes models or the house says how to allow it',
  async t => {
    const node = await odd(t, good)
    const w = await houseOf(t, [node], { host: '0.0.0.0' })
    const url = w.url.replace('0.0.0.0', '127.0.0.1')
    for (const [method, path] of open) {
      const body = method === 'POST' ? '{"model":"tiny","messages":[]}' : null
      t.equal((await fetch(url + path, { method, body, headers: STRANGER })).status, 200, path)
    }
    node.asked.length = 0
    for (const [method, path] of guarded) {
      const body = method === 'GET' ? null : '{"model":"tiny"}'
      const res = await fetch(url + path, { method, body, headers: STRANGER })
      t.equal(res.status, 403, path)
      t.match(((await res.json()) as { error: string }).error, /--trust .*QUIPU_TRUST=/, path)
    }
    t.equal(node.asked.length, 0)
    t.equal((await w.facts('model.failed', 'model.pulled')).length, 0)
    t.equal((await fetch(`${url}/quipu`)).status, 200, 'this machine itself is trusted')
    const proxied = await houseOf(t, [node], { host: '0.0.0.0', trust: ['127.0.0.1/32'] })
    const trusted = proxied.url.replace('0.0.0.0', '127.0.0.1')
    t.equal((await fetch(`${trusted}/quipu`, { headers: STRANGER })).status, 200)
  },
)

t.test('bound wider, a web page cannot use the browser of somebody who is trusted', async t => {
  const w = await houseOf(t, [await odd(t, good)], { host: '0.0.0.0', 'allow-host': ['house.example'] })
  const ask = (host: string, ...more: string[]) =>
    say(w.url.replace('0.0.0.0', '127.0.0.1'), ['GET /quipu/nodes HTTP/1.1', `Host: ${host}`, ...more])
  t.equal((await ask('rebound.example:11435')).status, 403)
  t.match((await ask('rebound.example')).body, /--allow-host/)
  t.equal((await ask('house.example:11435')).status, 200)
  t.equal((await ask('10.0.0.5:11435')).status, 200)
  t.equal((await ask('10.0.0.5', 'Origin: http://evil.example')).status, 403)
})

t.test('a stranger’s large upload is refused so that it can be read, and ends there', async t => {
  const node = await odd(t, good)
  const w = await houseOf(t, [node], { host: '0.0.0.0' })
  const client = await dial(w.url.replace('0.0.0.0', '127.0.0.1'))
  client.write(
    `POST /api/blobs/${DIGEST} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 1.2.3.4\r\nContent-Length: 50000000000\r\n\r\n`,
  )
  await client.until('--trust')
  t.equal(parsed(client.text).status, 403)
  const lump = Buffer.alloc(1024 * 1024)
  let sent = 0
  for (; !client.closed && sent < 100; sent += 1) {
    client.write(lump)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
  t.ok(sent < 100, `cut after ${sent} MiB`)
})

t.test('a browser’s preflight is answered by the house', async t => {
  const node = await odd(t, good)
  const w = await houseOf(t, [node])
  const ask = (...more: string[]) => say(w.url, ['OPTIONS /api/chat HTTP/1.1', 'Host: localhost:1', ...more])
  const allowed = await ask('Origin: http://localhost:3000', 'Access-Control-Request-Method: POST')
  t.equal(allowed.status, 204)
  t.match(allowed.head, /Access-Control-Allow-Origin: http:\/\/localhost:3000\r\n/)
  t.match(allowed.head, /Access-Control-Allow-Methods: GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS\r\n/)
  t.match(allowed.head, /Access-Control-Max-Age: 43200/)
  t.same([(await ask('Origin: http://evil.example')).status, (await ask()).status], [403, 204])
  const byAddress = await say(w.url, ['OPTIONS /api/chat HTTP/1.1', 'Host: 127.0.0.1'])
  t.same([byAddress.status, /Allow: POST/.test(byAddress.head)], [405, true])
  const page = await say(w.url, ['GET /api/tags HTTP/1.1', 'Host: localhost:1', 'Origin: app://obsidian.md'])
  t.match(page.head, /Access-Control-Allow-Origin: app:\/\/obsidian\.md\r\nVary: Origin/)
  t.equal(node.asked.length, 0)
})

t.test('the answer to a web page that may call carries CORS headers of the house only', async t => {
  const node = await odd(t, (_req, res) =>
    res
      .writeHead(200, { 'Access-Control-Allow-Origin': '*', 'access-control-expose-headers': 'x' })
      .end('{}'),
  )
  const w = await houseOf(t, [node])
  const res = await w.post('/api/generate', { model: 'tiny' }, { Origin: 'http://localhost:5173' })
  t.equal(res.headers.get('access-control-allow-origin'), 'http://localhost:5173')
  t.equal(res.headers.get('access-control-expose-headers'), null)
  const refused = await w.post('/api/generate', { model: 'x:cloud' }, { Origin: 'http://localhost:5173' })
  t.equal(
    refused.headers.get('access-control-allow-origin'),
    'http://localhost:5173',
    'refusals are read too',
  )
})

t.test(
  'an upload of 300 MB goes through at the pace of the node, and not through the memory of the house',
  async t => {
    const size = 300_000_000
    const sum = createHash('sha256')
    let received = 0
    const node = await odd(t, async (req, res) => {
      for await (const chunk of req) {
        received += chunk.length
        sum.update(chunk)
        if (received % 7 === 0) await new Promise(resolve => setTimeout(resolve, 1))
      }
      res.writeHead(201, { 'Content-Length': 0 }).end()
    })
    const w = await houseOf(t, [node])
    const lump = randomBytes(1_000_000)
    const expected = createHash('sha256')
    const client = await dial(w.url)
    const memory = (): number => process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed
    const before = memory()
    let most = 0
    client.write(`POST /api/blobs/${DIGEST} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${size}\r\n\r\n`)
    for (let sent = 0; sent < size; sent += lump.length) {
      expected.update(lump)
      if (!client.socket.write(lump)) await once(client.socket, 'drain')
      most = Math.max(most, memory() - before)
    }
    await client.until('201 Created')
    t.equal(received, size)
    t.equal(sum.digest('hex'), expected.digest('hex'))
    t.ok(most < 200_000_000, `at most ${Math.round(most / 1e6)} MB more in this process`)
    client.socket.destroy()
  },
)

t.test('an upload that the node has already ends when the node says so', async t => {
  const node = await odd(t, (_req, res) => res.writeHead(200, { 'Content-Length': 0 }).end())
  const w = await houseOf(t, [node])
  const client = await dial(w.url)
  client.write(`POST /api/blobs/${DIGEST} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`)
  const piece = `10000\r\n${'x'.repeat(65_536)}\r\n`
  client.write(piece)
  await client.until('200 OK')
  for (let i = 0; i < 20; i += 1) client.write(piece)
  client.write('0\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await client.until('Ollama is running')
  client.socket.destroy()
})

t.test('a client that leaves in the middle of an upload leaves the node at once', async t => {
  const { promise: gone, resolve } = Promise.withResolvers<void>()
  const node = await odd(t, req => void req.on('close', resolve).resume())
  const w = await houseOf(t, [node])
  const client = await dial(w.url)
  client.write(`POST /api/blobs/${DIGEST} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n`)
  client.write(Buffer.alloc(1_000_000))
  while (node.asked.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
  client.socket.destroy()
  await gone
  t.equal((await fetch(w.url)).status, 200)
})

t.test('a node that dies in the middle of an upload is told of', async t => {
  const node = await odd(t, req => void req.once('data', () => req.socket.destroy()))
  const w = await houseOf(t, [node])
  const res = await fetch(`${w.url}/api/blobs/${DIGEST}`, { method: 'POST', body: Buffer.alloc(3_000_000) })
  t.same([res.status, await res.json()], [502, { error: 'node n1 could not be asked: the connection broke' }])
})

t.test('64 MiB of questions come through whole while others are answered at once', async t => {
  const w = await houseOf(t, [await odd(t, (_req, res, body) => void res.end(`{"length":${body.length}}`))])
  const body = Buffer.from(`{"model":"tiny","images":["${'A'.repeat(66_000_000)}"]}`)
  let slowest = 0
  let over = false
  const others = (async () => {
    while (!over) {
      const began = performance.now()
      await (await fetch(`${w.url}/api/version`)).text()
      slowest = Math.max(slowest, performance.now() - began)
    }
  })()
  const res = await fetch(`${w.url}/api/generate`, { method: 'POST', body })
  t.same(await res.json(), { length: body.length })
  over = true
  await others
  t.ok(
    slowest < 1_000,
    `others waited ${slowest.toFixed(0)} ms at most (client, node and house are one process here)`,
  )
})

t.test('while nothing can be written down, models are not changed', async t => {
  let full = false
  const fault = (): void => {
    if (full) throw new Failure('journal.unwritable', 'no space left', { retryable: true })
  }
  const w = await world(t, { journal: openMemoryJournal({ fault }) })
  t.teardown(() => {
    full = false
  })
  full = true
  t.equal((await w.generate()).status, 503)
  for (const [method, path] of guarded.slice(0, 5)) {
    const res = await fetch(w.url + path, {
      method,
      body: '{"model":"tiny","source":"tiny","destination":"b"}',
    })
    t.equal(res.status, 503, path)
    t.match(await res.json(), { error: /cannot write its journal/ })
  }
  t.same(w.sims[0]!.models(), ['tiny:latest', 'embed:latest'])
})
