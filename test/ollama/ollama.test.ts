/** The client of one node, against servers that are odd on purpose. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import type { Outgoing } from '../../src/call.ts'
import { Failure } from '../../src/failure.ts'
import { Ollama, Ollamas } from '../../src/ollama/ollama.ts'

async function serve(
  t: Test,
  handle: (req: IncomingMessage, res: ServerResponse) => unknown,
  prefix = '',
): Promise<Ollama> {
  const server = createServer((req, res) => void handle(req, res)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = new Ollama(`http://127.0.0.1:${(server.address() as AddressInfo).port}${prefix}`, {
    linkLocal: false,
  })
  t.teardown(async () => {
    await client.close()
    server.closeAllConnections()
    server.close()
  })
  return client
}

interface Heard {
  readonly status: number
  readonly headers: readonly string[]
  readonly text: string
  readonly failure?: Failure
}

function send(client: Ollama, out: Partial<Outgoing> = {}): Promise<Heard> {
  return new Promise(resolve => {
    const heard = { status: 0, headers: [] as readonly string[], text: '' }
    client.send(
      { method: 'POST', path: '/', headers: {}, body: null, ...out },
      {
        start(status, headers) {
          Object.assign(heard, { status, headers })
        },
        data(chunk) {
          heard.text += chunk.toString('latin1')
        },
        end: () => resolve(heard),
        fail: failure => resolve({ ...heard, failure }),
      },
    )
  })
}

const signal = () => AbortSignal.timeout(5_000)

t.test('bytes and headers pass as they are, and nothing is added but what HTTP needs', async t => {
  let seen: string[] = []
  const client = await serve(
    t,
    async (req, res) => {
      seen = req.rawHeaders
      const chunks: Buffer[] = []
      for await (const chunk of req) chunks.push(chunk)
      res.writeHead(200, ['X-ODD', 'caf\xe9', 'content-TYPE', 'a/b']).end(Buffer.concat(chunks))
    },
    '/prefix',
  )
  const { status, headers, text } = await send(client, {
    body: Buffer.from('a\xffb', 'latin1'),
    headers: { accept: 'x/y' },
  })
  t.same([status, text], [200, 'a\xffb'])
  t.equal(headers[headers.indexOf('X-ODD') + 1], 'caf\xe9')
  t.ok(headers.includes('content-TYPE'))
  t.same(
    seen
      .filter((_, i) => i % 2 === 0)
      .map(name => name.toLowerCase())
      .sort(),
    ['accept', 'connection', 'content-length', 'host'],
  )
})

t.test(
  'a path under the node’s own is kept, and a body is sent in chunks when its length is unknown',
  async t => {
    const client = await serve(
      t,
      async (req, res) => {
        let length = 0
        for await (const chunk of req) length += chunk.length
        res.end(`${req.method} ${req.url} ${req.headers['transfer-encoding']} ${length}`)
      },
      '/team-a/',
    )
    const body = new PassThrough()
    const answer = send(client, { path: '/api/blobs/x?a=b', body })
    body.write('abc')
    setTimeout(() => body.end('def'), 20)
    t.equal((await answer).text, 'POST /team-a/api/blobs/x?a=b chunked 6')
  },
)

t.test('nobody there is `refused`, somebody who goes away is `broken`', async t => {
  const client = await serve(t, (req, res) => {
    if (req.url === '/reset') return req.socket.resetAndDestroy()
    if (req.url === '/end') return req.socket.end()
    if (req.url === '/100') return req.socket.end('HTTP/1.1 100 Continue\r\n\r\n')
    if (req.url === '/nonsense') return req.socket.end('nonsense\r\n\r\n')
    res.writeHead(200, { 'Content-Length': 10 }).write('abc')
    return setTimeout(() => req.socket.destroy(), 10)
  })
  for (const path of ['/reset', '/end', '/100', '/nonsense']) {
    t.match(
      await send(client, { path }),
      { status: 0, failure: { code: 'ollama.broken', retryable: true } },
      path,
    )
  }
  t.match(await send(client, { path: '/half' }), {
    status: 200,
    text: 'abc',
    failure: { code: 'ollama.broken' },
  })
  for (const url of ['http://127.0.0.1:1', 'http://no-such-host.invalid:11434']) {
    const nobody = new Ollama(url, { linkLocal: false })
    t.match((await send(nobody)).failure, { code: 'ollama.refused', retryable: true }, url)
    await nobody.close()
  }
})

t.test('a request that cannot be written fails, and breaks nothing', async t => {
  const client = await serve(t, (_req, res) => res.end('ok'))
  t.match((await send(client, { path: '/a b' })).failure, { code: 'ollama.broken' })
  t.match((await send(client, { headers: { 'x-a': 'b\r\nx-evil: 1' } })).failure, { code: 'ollama.broken' })
  t.match((await send(client, { body: Buffer.from('abc'), headers: { 'content-length': '5' } })).failure, {
    code: 'ollama.broken',
  })
  t.equal((await send(client)).text, 'ok')
})

t.test('trouble of the house’s own, met while it listens, is not taken for the node’s', async t => {
  const client = await serve(t, (_req, res) => res.end('here'))
  const full = new Failure('journal.full', 'no room')
  for (const when of ['start', 'data', 'end'] as const) {
    const failure = await new Promise(resolve => {
      const receiver = { start() {}, data() {}, end() {}, fail: resolve }
      receiver[when] = () => {
        throw full
      }
      client.send({ method: 'GET', path: '/', headers: {}, body: null }, receiver)
    })
    t.equal(failure, full, when)
  }
})

t.test('interim answers are not answers, and redirects are', async t => {
  const client = await serve(t, (req, res) => {
    if (req.url === '/103') req.socket.write('HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n')
    if (req.url === '/302') res.writeHead(302, { Location: 'http://169.254.169.254/' })
    res.end('here')
  })
  t.match(await send(client, { path: '/103' }), { status: 200, text: 'here' })
  t.match(await send(client, { path: '/302' }), { status: 302, text: 'here' })
})

t.test('calling off breaks the connection at once, before the answer and in it', async t => {
  for (const late of [false, true]) {
    const { promise: gone, resolve } = Promise.withResolvers<void>()
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>()
    const client = await serve(t, (_req, res) => {
      res.on('close', resolve)
      if (late) res.write('x')
      ask()
    })
    const heard: string[] = []
    const call = client.send(
      { method: 'POST', path: '/', headers: {}, body: Buffer.from('x') },
      {
        start: () => void heard.push('start'),
        data: () => void heard.push('data'),
        end: () => void heard.push('end'),
        fail: () => void heard.push('fail'),
      },
    )
    await asked
    if (late) while (!heard.includes('data')) await new Promise(next => setTimeout(next, 1))
    const began = performance.now()
    call.abort()
    await gone
    t.ok(performance.now() - began < 5_000)
    t.same(heard, late ? ['start', 'data'] : [], 'nothing more is heard')
  }
})

t.test('a paused answer holds the node back', async t => {
  let written = 0
  const client = await serve(t, (_req, res) => {
    const lump = Buffer.alloc(64 * 1024)
    const fill = (): void => {
      while (written < 64e6) {
        written += lump.length
        if (!res.write(lump)) return void res.once('drain', fill)
      }
      res.end()
    }
    fill()
  })
  let received = 0
  const { promise: over, resolve } = Promise.withResolvers<void>()
  const call = client.send(
    { method: 'GET', path: '/', headers: {}, body: null },
    {
      start: () => call.pause(),
      data(chunk) {
        received += chunk.length
      },
      end: resolve,
      fail: () => resolve(),
    },
  )
  await new Promise(next => setTimeout(next, 200))
  t.ok(written < 32e6, `${written} bytes left the node`)
  t.ok(received < 1e6)
  call.resume()
  await over
  t.equal(received, written)
})

t.test('an answer may be silent for as long as it likes', async t => {
  const client = await serve(t, (_req, res) => {
    res.writeHead(200).flushHeaders()
    setTimeout(() => res.end('at last'), 1_200)
  })
  t.equal((await send(client)).text, 'at last')
})

t.test('an idle connection that the node closed is not used again', async t => {
  const client = await serve(t, (req, res) => {
    res.end('ok')
    setTimeout(() => req.socket.destroy(), 5)
  })
  for (let i = 0; i < 5; i += 1) {
    t.equal((await send(client, { body: Buffer.from('x') })).text, 'ok')
    await new Promise(resolve => setTimeout(resolve, 20))
  }
})

t.test('an address that became forbidden is not connected to', async t => {
  const ollamas = new Ollamas({ linkLocal: false })
  for (const url of ['http://169.254.169.254', 'http://[::ffff:169.254.169.254]:80'])
    t.match((await send(ollamas.at(url))).failure, { code: 'node.url' }, url)
  t.equal(ollamas.at('http://127.0.0.1:1'), ollamas.at('http://127.0.0.1:1'), 'one client an address')
  await ollamas.close()
})

t.test('looks read what Ollama says, and no more than they can hold', async t => {
  const client = await serve(t, (req, res) => {
    if (req.url === '/api/version') return res.end('{"version":"0.33.0"}')
    if (req.url === '/api/tags') return res.end('{"models":[{"name":"a"},null,5,{"name":7},{}]}')
    if (req.url === '/api/ps') return res.end('{"models":"none"}')
    if (req.url?.endsWith('a'.repeat(64))) return res.writeHead(200).end()
    if (req.method === 'HEAD') return res.writeHead(404).end()
    res.writeHead(500)
    return res.end('{"error":"out of memory"}')
  })
  t.equal(await client.version(signal()), '0.33.0')
  t.same(await client.tags(signal()), [{ name: 'a' }])
  t.same(await client.ps(signal()), [])
  t.equal(await client.hasBlob(`sha256:${'a'.repeat(64)}`, signal()), true)
  t.equal(await client.hasBlob(`sha256:${'b'.repeat(64)}`, signal()), false)
  await t.rejects(client.load('a', { embedding: false, signal: signal() }), {
    status: 500,
    message: 'out of memory',
  })
})

t.test(
  'a load that is to last for no time at all does not say so: that would be the wish to unload',
  async t => {
    const bodies: object[] = []
    const client = await serve(t, async (req, res) => {
      if (req.method === 'POST') bodies.push(JSON.parse((await buffer(req)).toString()))
      res.end('{}')
    })
    for (const keepAlive of [0, '0s', undefined, '5m', -1])
      await client.load('a', { embedding: false, keepAlive, signal: signal() })
    const bare = { model: 'a', stream: false }
    t.same(bodies, [bare, bare, bare, { ...bare, keep_alive: '5m' }, { ...bare, keep_alive: -1 }])
  },
)

t.test('what is not Ollama is told apart from what is gone', async t => {
  const client = await serve(t, (req, res) => {
    if (req.url === '/api/version') return res.end('{}')
    if (req.url === '/api/tags') return res.end('<html>')
    const lump = Buffer.alloc(1024 * 1024, ' ')
    const fill = (): void => {
      while (res.write(lump));
      res.once('drain', fill)
    }
    return fill()
  })
  await t.rejects(client.version(signal()), { code: 'ollama.answer' })
  await t.rejects(client.tags(signal()), { code: 'ollama.answer', message: /JSON/ })
  await t.rejects(client.ps(signal()), { code: 'ollama.answer', message: /without end/ })
})

t.test('a look has a time limit', async t => {
  const client = await serve(t, () => {})
  await t.rejects(client.version(AbortSignal.timeout(50)), { code: 'ollama.timeout', retryable: true })
  await t.rejects(client.version(AbortSignal.abort()), { code: 'ollama.timeout' })
})
