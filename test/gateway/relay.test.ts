/** Bytes from a node to a client, and what happens when either goes away. The node is scripted, the client is real. */
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import type { Receiver } from '../../src/call.ts'
import { type VirtualClock, virtualClock } from '../../src/clock.ts'
import { Failure } from '../../src/failure.ts'
import { Client as Socket } from '../../src/gateway/client.ts'
import { type Ending, headersForNode, type Relay, relay, type Tally } from '../../src/gateway/relay.ts'
import { type Client, dial } from './raw.ts'

interface Stage {
  readonly client: Client
  readonly clock: VirtualClock
  /** Speaks for the node. */
  readonly node: Receiver
  readonly call: { paused: boolean; aborted: boolean }
  readonly res: ServerResponse
  readonly ending: Promise<Ending>
}

const NDJSON = ['Content-Type', 'application/x-ndjson']
const broken = new Failure('ollama.broken', 'other side closed')

async function stage(t: Test, more: Partial<Relay> = {}): Promise<Stage> {
  const { clock = virtualClock() } = more as { clock?: VirtualClock }
  const call = { paused: false, aborted: false }
  const { promise, resolve } = Promise.withResolvers<Omit<Stage, 'client' | 'clock' | 'call'>>()
  const server = createServer((_req, res) => {
    res.removeHeader('Connection')
    let node!: Receiver
    const ending = relay({
      sink: new Socket(res, clock),
      out: { method: 'POST', path: '/', headers: {}, body: null },
      headers: { 'X-Quipu-Node': 'n1' },
      lastWords: (_type, { message }) => `{"error":"${message}"}\n`,
      upstream: {
        url: '',
        send(_out, receiver) {
          node = receiver
          return {
            pause: () => {
              call.paused = true
            },
            resume: () => {
              call.paused = false
            },
            abort: () => {
              call.aborted = true
            },
          }
        },
      },
      ...more,
    })
    resolve({ node, res, ending })
  }).listen(0, '127.0.0.1')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  await once(server, 'listening')
  const client = await dial(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  t.teardown(() => client.socket.destroy())
  client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')
  return { client, clock, call, ...(await promise) }
}

t.test('what the node writes arrives as it was written, headers in their case', async t => {
  const { client, node, ending } = await stage(t)
  node.start(200, [
    ...['content-TYPE', 'text/plain', 'X-Odd', 'caf\xe9', 'Date', 'yesterday', 'Content-Length', '5'],
    ...['Connection', 'close, X-Secret', 'X-Secret', '1', 'Keep-Alive', 'timeout=5'],
    ...['Access-Control-Allow-Origin', '*', 'X-Quipu-Node', 'forged', 'Set-Cookie', 'a', 'Set-Cookie', 'b'],
  ])
  node.data(Buffer.from('he'))
  node.data(Buffer.from('llo'))
  node.end()
  await client.until('hello')
  const [head] = client.text.split('\r\n\r\n')
  t.match(
    head,
    /\r\ncontent-TYPE: text\/plain\r\nX-Odd: caf\xe9\r\nContent-Length: 5\r\nSet-Cookie: a\r\nSet-Cookie: b/,
  )
  t.match(head, /\r\nX-Quipu-Node: n1(\r\n|$)/)
  t.notMatch(head, /forged|X-Secret|Keep-Alive|Access-Control|yesterday|Connection/)
  t.equal(head!.match(/\r\nDate: /g)?.length, 1)
  t.match(await ending, { as: 'ended', status: 200, bytes: 5, chunks: 2, contentType: 'text/plain' })
})

t.test('each chunk goes out when it comes, and the head with the first', async t => {
  const { client, node, ending } = await stage(t)
  node.start(200, NDJSON)
  await new Promise(resolve => setTimeout(resolve, 20))
  t.equal(client.text, '', 'until then another node may answer')
  node.data(Buffer.from('{"a":1}\n'))
  await client.until('{"a":1}\n')
  node.data(Buffer.from('{"a":2}\n'))
  await client.until('{"a":2}\n')
  node.end()
  await client.until('0\r\n\r\n')
  t.match(await ending, { as: 'ended', chunks: 2, bytes: 16 })
})

t.test('an answer that never began can come from another node', async t => {
  for (const started of [false, true]) {
    const { client, node, call, res, ending } = await stage(t)
    if (started) node.start(200, NDJSON)
    node.fail(broken)
    t.same(await ending, { as: 'unreached', failure: broken })
    t.notOk(res.headersSent)
    t.equal(client.text, '')
    t.ok(call.aborted)
  }
})

t.test('an answer that is declined is called off, unseen', async t => {
  const { node, call, res, ending } = await stage(t, { decline: status => status === 503 })
  node.start(503, NDJSON)
  t.same(await ending, { as: 'declined', status: 503 })
  t.ok(call.aborted)
  t.notOk(res.headersSent)
})

t.test('headers that cannot be written are an answer that never began', async t => {
  const { node, res, ending } = await stage(t)
  node.start(200, ['X-Bad', 'a\0b'])
  node.data(Buffer.from('x'))
  t.match(await ending, { as: 'unreached', failure: { code: 'ollama.answer' } })
  t.notOk(res.headersSent)
})

t.test('a stream that breaks ends with an error line of its own, and without an end', async t => {
  for (const [last, gap] of [
    ['{"a":1}\n', ''],
    ['{"a":1}\n{"b"', '\n'],
  ] as const) {
    const { client, node, ending } = await stage(t)
    node.start(200, NDJSON)
    node.data(Buffer.from(last))
    node.fail(broken)
    const text = await client.end()
    t.ok(text.includes(`${gap}{"error":"other side closed"}\n\r\n`), text)
    t.notOk(text.endsWith('0\r\n\r\n'), 'not as if it were complete')
    t.match(await ending, { as: 'broken', bytes: last.length, chunks: 1, failure: broken })
  }
})

t.test('an event that was begun is closed before the last one', async t => {
  const { client, node } = await stage(t, { lastWords: () => 'data: {"error":1}\n\n' })
  node.start(200, ['Content-Type', 'text/event-stream'])
  node.data(Buffer.from('data: {"a":1}\n\ndata: {"b"'))
  node.fail(broken)
  t.match(await client.end(), /data: \{"b"\r\n[0-9a-f]+\r\n\n\ndata: \{"error":1\}\n\n/)
})

t.test('an answer with a length, or an encoding, is only cut', async t => {
  for (const headers of [
    ['Content-Type', 'application/json', 'Content-Length', '100'],
    [...NDJSON, 'Content-Encoding', 'gzip'],
  ]) {
    const { client, node } = await stage(t, {
      lastWords: type => (type.includes('ndjson') ? '{"error":1}\n' : ''),
    })
    node.start(200, headers)
    node.data(Buffer.from('{"half'))
    await client.until('half')
    node.fail(broken)
    t.notMatch(await client.end(), /error/)
  }
})

t.test('who keeps the line open after the last words is hung up on', async t => {
  const { client, clock, node, res } = await stage(t)
  client.socket.allowHalfOpen = true
  node.start(200, NDJSON)
  node.data(Buffer.from('{}\n'))
  node.fail(broken)
  await client.until('error')
  await clock.advance(1_999)
  t.notOk(res.destroyed)
  await clock.advance(1)
  t.ok(res.destroyed)
})

t.test('a client that leaves is noticed at once, and the node is called off', async t => {
  const { client, node, call, ending } = await stage(t)
  node.start(200, NDJSON)
  node.data(Buffer.from('{}\n'))
  await client.until('{}')
  const left = performance.now()
  client.socket.destroy()
  t.match(await ending, { as: 'left', bytes: 3, chunks: 1 })
  t.ok(performance.now() - left < 5_000)
  t.ok(call.aborted)
  node.data(Buffer.from('late'))
  node.end()
})

t.test('a client that leaves before the first byte is noticed too', async t => {
  const { client, call, ending } = await stage(t)
  client.socket.destroy()
  t.match(await ending, { as: 'left', status: 0, bytes: 0 })
  t.ok(call.aborted)
})

t.test('a slow reader pauses the node; one that stalls for a minute is let go', async t => {
  const { client, clock, node, call, ending } = await stage(t)
  const lump = Buffer.alloc(1024 * 1024, 'x')
  /** Until no buffer on the way has room. */
  const fill = async (): Promise<void> => {
    for (let i = 0; i < 64 && !call.paused; i += 1) {
      node.data(lump)
      if (call.paused) await new Promise(resolve => setTimeout(resolve, 50))
    }
    t.ok(call.paused)
  }
  client.socket.pause()
  node.start(200, NDJSON)
  await fill()
  await clock.advance(59_000)
  client.socket.resume()
  while (call.paused) await new Promise(resolve => setTimeout(resolve, 5))
  client.socket.pause()
  await clock.advance(30_000)
  await fill()
  await clock.advance(59_000)
  t.notOk(call.aborted, 'the minute began anew')
  await clock.advance(1_000)
  t.match(await ending, { as: 'left' })
  t.ok(call.aborted)
})

t.test('who stalls when all was said is let go as well', async t => {
  const { client, clock, node, ending, res } = await stage(t)
  client.socket.pause()
  node.start(200, ['Content-Type', 'application/json'])
  node.data(Buffer.alloc(32 * 1024 * 1024, 'x'))
  node.end()
  t.match(await ending, { as: 'ended' })
  await clock.advance(59_000)
  t.notOk(res.destroyed)
  await clock.advance(1_000)
  t.ok(res.destroyed)
})

t.test('a call can be broken from outside', async t => {
  let cut!: (failure: Failure) => void
  const { node, call, ending } = await stage(t, {
    cut: by => {
      cut = by
    },
  })
  node.start(200, NDJSON)
  node.data(Buffer.from('{}\n'))
  cut(new Failure('ollama.lost', 'lost'))
  t.match(await ending, { as: 'broken', failure: { code: 'ollama.lost' } })
  t.ok(call.aborted)
})

// ── an answer that is held ───────────────────────────────────────────────────────────────────────────────────────

/** Enough is three chunks; what to do at the end of the window is the test's. */
const holding = (moves: boolean, clock = virtualClock()) => {
  let seen = 0
  return {
    clock,
    hold: () => ({
      wait: (run: () => void) => clock.after(2_000, run),
      enough: () => {
        seen += 1
        return seen >= 3
      },
      giveUp: () => moves,
    }),
  }
}

t.test('an answer that is held goes out with what makes it enough, piece by piece as it came', async t => {
  let begun = 0
  const { client, clock, node, ending } = await stage(t, {
    ...holding(true),
    begun: () => {
      begun += 1
    },
  })
  node.start(200, NDJSON)
  node.data(Buffer.from('{"a":1}\n'))
  await clock.advance(1_999)
  node.data(Buffer.from('{"a":2}\n'))
  t.equal(begun, 0)
  node.data(Buffer.from('{"a":3}\n'))
  t.equal(begun, 1)
  await client.until('{"a":3}\n')
  await clock.advance(10_000)
  node.data(Buffer.from('{"a":4}\n'))
  node.end()
  await client.until('0\r\n\r\n')
  t.match(client.text, /\{"a":1\}\n.*\{"a":2\}\n.*\{"a":3\}\n.*\{"a":4\}\n/s)
  t.match(await ending, { as: 'ended', chunks: 4, bytes: 32 })
})

t.test('at the end of the window it is called off, unseen, or goes out all the same', async t => {
  const moved = await stage(t, holding(true))
  moved.node.start(200, NDJSON)
  await moved.clock.advance(60_000)
  moved.node.data(Buffer.from('{"a":1}\n'))
  await moved.clock.advance(1_999)
  t.notOk(moved.call.aborted, 'the window begins with the first byte')
  await moved.clock.advance(1)
  t.same(await moved.ending, { as: 'declined', status: 200 })
  t.ok(moved.call.aborted)
  t.notOk(moved.res.headersSent)
  moved.node.data(Buffer.from('{"a":2}\n'))
  t.equal(moved.client.text, '')

  const kept = await stage(t, holding(false))
  kept.node.start(200, NDJSON)
  kept.node.data(Buffer.from('{"a":1}\n'))
  await kept.clock.advance(2_000)
  await kept.client.until('{"a":1}\n')
  kept.node.data(Buffer.from('{"a":2}\n'))
  await kept.client.until('{"a":2}\n')
})

t.test(
  'one that ends while it is held is whole; one that breaks then can come from another node',
  async t => {
    const short = await stage(t, holding(true))
    short.node.start(200, NDJSON)
    short.node.data(Buffer.from('{"a":1}\n'))
    short.node.end()
    await short.client.until('0\r\n\r\n')
    t.match(await short.ending, { as: 'ended', bytes: 8, chunks: 1 })
    await short.clock.advance(2_000)
    t.notOk(short.call.aborted)

    const cut = await stage(t, holding(true))
    cut.node.start(200, NDJSON)
    cut.node.data(Buffer.from('{"a":1}\n'))
    cut.node.fail(broken)
    t.same(await cut.ending, { as: 'unreached', failure: broken })
    t.equal(cut.client.text, '')
  },
)

t.test('a client that leaves while its answer is held has had nothing', async t => {
  const { client, clock, node, call, ending } = await stage(t, holding(true))
  node.start(200, NDJSON)
  node.data(Buffer.from('{"a":1}\n'))
  client.socket.destroy()
  t.match(await ending, { as: 'left', bytes: 0, chunks: 0 })
  t.ok(call.aborted)
  await clock.advance(2_000)
})

t.test('what cannot be read is not held, and nothing is held beyond a quarter of a megabyte', async t => {
  const packed = await stage(t, holding(true))
  packed.node.start(200, [...NDJSON, 'Content-Encoding', 'gzip'])
  packed.node.data(Buffer.from('packed'))
  await packed.client.until('packed')
  const large = await stage(t, holding(true))
  large.node.start(200, NDJSON)
  large.node.data(Buffer.alloc(256 * 1024, 'x'))
  t.notOk(large.res.headersSent)
  large.node.data(Buffer.from('y'))
  await large.client.until('y')
})

t.test('only the end of a long answer is kept for its figures', async t => {
  const { client, node, ending } = await stage(t)
  client.socket.resume()
  node.start(200, ['Content-Type', 'application/json'])
  for (let i = 0; i < 3_000; i += 1) node.data(Buffer.from(`${String(i).padStart(99)}\n`))
  node.end()
  const { tail, bytes } = (await ending) as Tally
  t.equal(bytes, 300_000)
  t.equal(tail.length, 64 * 1024)
  t.match(tail.toString(), /2999\n$/)
})

t.test('a node sees how to read the body and who asks, and nothing else', async t => {
  t.same(
    headersForNode({
      host: 'house',
      origin: 'http://evil.example',
      authorization: 'Bearer secret',
      cookie: 'a=b',
      'x-api-key': 'secret',
      'x-quipu-priority': '9',
      'x-forwarded-for': '1.2.3.4',
      connection: 'close',
      'transfer-encoding': 'chunked',
      'accept-encoding': 'gzip',
      'content-type': 'application/json',
      'content-encoding': 'zstd',
      accept: '*/*',
      'user-agent': 'GitHubCopilotChat/1',
      'anthropic-version': '2023-06-01',
    }),
    {
      'content-type': 'application/json',
      'content-encoding': 'zstd',
      accept: '*/*',
      'user-agent': 'GitHubCopilotChat/1',
      'anthropic-version': '2023-06-01',
    },
  )
})
