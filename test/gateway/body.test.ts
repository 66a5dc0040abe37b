/** Bodies: how large, how slow, how many. The clients are real sockets, the clock is not. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { answer } from '../../src/gateway/answer.ts'
import { Bodies } from '../../src/gateway/body.ts'
import { dial, parsed, say } from './raw.ts'

async function listen(
  t: Test,
  handle: (req: IncomingMessage, res: ServerResponse) => unknown,
): Promise<string> {
  const server = createServer({ requestTimeout: 0 }, (req, res) => void handle(req, res)).listen(
    0,
    '127.0.0.1',
  )
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Answers with how long a body was, or the code it was refused with. */
const measuring =
  (bodies: Bodies, bytesMax: number) =>
  async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const said = await bodies.whole(req, res, bytesMax).then(
      body => `${body.length} ${body.subarray(-3)}`,
      ({ code }) => code,
    )
    answer(res, 200, {}, said)
  }

const POST = ['POST / HTTP/1.1', 'Host: a']

t.test('a body is read whole, with a length and in chunks', async t => {
  const url = await listen(t, measuring(new Bodies(virtualClock()), 1_000_000))
  const text = `${'x'.repeat(200_000)}end`
  t.equal((await say(url, [...POST, `Content-Length: ${text.length}`], text)).body, '200003 end')
  const chunk = (part: string): string => `${part.length.toString(16)}\r\n${part}\r\n`
  const chunks = `${chunk('x'.repeat(70_000))}${chunk('x'.repeat(70_000))}${chunk('end')}0\r\n\r\n`
  t.equal((await say(url, [...POST, 'Transfer-Encoding: chunked'], chunks)).body, '140003 end')
  t.equal((await say(url, [...POST, 'Transfer-Encoding: chunked'], '0\r\n\r\n')).body, '0 ')
  t.equal((await say(url, [...POST, 'Content-Length: 0'])).body, '0 ')
  t.equal((await say(url, POST)).body, '0 ')
})

t.test('chunks of one byte cost no more than their bytes', async t => {
  const url = await listen(t, measuring(new Bodies(virtualClock()), 1_000_000))
  const before = process.memoryUsage().arrayBuffers
  const told = await say(
    url,
    [...POST, 'Transfer-Encoding: chunked'],
    `${'1\r\nx\r\n'.repeat(50_000)}0\r\n\r\n`,
  )
  t.equal(told.body, '50000 xxx')
  t.ok(process.memoryUsage().arrayBuffers - before < 20e6)
})

t.test('one byte too many is refused, promised or not, and the client comes to read why', async t => {
  const url = await listen(t, measuring(new Bodies(virtualClock()), 1_000))
  t.equal((await say(url, [...POST, 'Content-Length: 1000'], 'x'.repeat(1_000))).body, '1000 xxx')
  t.equal((await say(url, [...POST, 'Content-Length: 1001'], 'x'.repeat(1_001))).body, 'request.too-large')
  const chunks = `3e8\r\n${'x'.repeat(1_000)}\r\n1\r\nx\r\n0\r\n\r\n`
  t.equal((await say(url, [...POST, 'Transfer-Encoding: chunked'], chunks)).body, 'request.too-large')
  const eager = Buffer.alloc(4_000_000, 'x')
  const told = await say(url, [...POST, `Content-Length: ${eager.length}`], eager)
  t.equal(told.body, 'request.too-large', 'even one that wants the connection closed')
})

t.test('a connection is good for more after a body was too large', async t => {
  const url = await listen(t, measuring(new Bodies(virtualClock()), 1_000))
  const client = await dial(url)
  client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n${'x'.repeat(50_000)}`)
  await client.until('too-large')
  client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
  await client.until('3 abc')
  client.socket.destroy()
})

t.test('who goes on for ever after a refusal is cut off', async t => {
  const url = await listen(t, measuring(new Bodies(virtualClock()), 1_000))
  const client = await dial(url)
  client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n\r\n')
  await client.until('too-large')
  const lump = Buffer.alloc(1024 * 1024)
  let sent = 0
  for (; !client.closed && sent < 80; sent += 1) {
    client.write(lump)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  t.ok(sent < 80, `after ${sent} MiB`)
})

t.test('bodies of all clients together have a limit, and count until they are answered', async t => {
  const bodies = new Bodies(virtualClock(), { heldBytesMax: 100_000 })
  let release = (): void => {}
  const url = await listen(t, async (req, res) => {
    if (req.url === '/') return measuring(bodies, 80_000)(req, res)
    const held = await bodies.whole(req, res, 80_000)
    await new Promise<void>(resolve => {
      release = resolve
    })
    answer(res, 200, {}, `held ${held.length}`)
  })
  const large = 'x'.repeat(70_000)
  const held = say(url, ['POST /held HTTP/1.1', 'Host: a', `Content-Length: ${large.length}`], large)
  await new Promise(resolve => setTimeout(resolve, 50))
  t.equal((await say(url, [...POST, 'Content-Length: 40000'], 'x'.repeat(40_000))).body, 'house.memory')
  t.equal((await say(url, [...POST, 'Content-Length: 20000'], 'x'.repeat(20_000))).body, '20000 xxx')
  release()
  t.equal((await held).body, 'held 70000')
  t.equal((await say(url, [...POST, 'Content-Length: 40000'], 'x'.repeat(40_000))).body, '40000 xxx')
})

t.test('a client that leaves in the middle of its body leaves nothing behind', async t => {
  const bodies = new Bodies(virtualClock(), { heldBytesMax: 100_000 })
  const codes: string[] = []
  const url = await listen(t, async (req, res) => {
    await bodies.whole(req, res, 80_000).catch(({ code }) => codes.push(code))
    answer(res, 200)
  })
  for (let i = 0; i < 5; i += 1) {
    const client = await dial(url)
    client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n${'x'.repeat(60_000)}`)
    await new Promise(resolve => setTimeout(resolve, 10))
    client.socket.destroy()
    await client.end()
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  t.same(codes, Array(5).fill('request.gone'), 'else the fourth would have found no room')
})

t.test('a body may be slow, but not that slow', async t => {
  const clock = virtualClock()
  const bodies = new Bodies(clock)
  const slow: string[] = []
  const url = await listen(t, async (req, res) => {
    bodies.pace(req, () => {
      slow.push(req.url!)
      answer(res, 408, { Connection: 'close' }, 'slow')
      req.socket.destroySoon()
    })
    await bodies.whole(req, res, 10_000_000).catch(() => {})
  })
  const steady = await dial(url)
  const idle = await dial(url)
  const head = (path: string): string => `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n`
  steady.write(head('/steady'))
  idle.write(head('/idle'))
  for (let s = 0; s < 12; s += 1) {
    steady.write(Buffer.alloc(5 * 40 * 1024))
    await new Promise(resolve => setTimeout(resolve, 15))
    await clock.advance(5_000)
  }
  t.same(slow, ['/idle'])
  t.match(parsed(await idle.end()), { status: 408, body: 'slow' })
  t.notOk(steady.closed, '40 KiB a second is enough')
  await clock.advance(100_000)
  t.same(slow, ['/idle', '/steady'])
  steady.socket.destroy()
})

t.test('an upload has no end of time, as long as something comes each minute', async t => {
  const clock = virtualClock()
  const bodies = new Bodies(clock)
  let received = 0
  const url = await listen(t, (req, res) => {
    bodies.stall(req)
    bodies.stream(req).on('data', chunk => {
      received += chunk.length
    })
    req.on('end', () => answer(res, 200))
  })
  const client = await dial(url)
  client.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
  for (let minutes = 0; minutes < 60; minutes += 1) {
    client.write('1\r\nx\r\n')
    await new Promise(resolve => setTimeout(resolve, 3))
    await clock.advance(50_000)
  }
  t.equal(received, 60)
  t.notOk(client.closed)
  await clock.advance(70_000)
  await client.end()
})

t.test('of an upload that nobody wants to the end, the rest is read and thrown away', async t => {
  const bodies = new Bodies(virtualClock())
  const url = await listen(t, (req, res) => {
    const body = bodies.stream(req)
    body.once('data', () => {
      body.destroy()
      answer(res, 200, {}, 'enough')
    })
  })
  const client = await dial(url)
  client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n')
  client.write(Buffer.alloc(100_000))
  await client.until('enough')
  client.write(Buffer.alloc(2_900_000))
  client.write('GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx')
  while (client.text.split('enough').length < 3) await once(client.socket, 'data')
  t.pass('the connection is good for more')
  client.socket.destroy()
})

t.test('an upload whose client leaves breaks off for the node too', async t => {
  const bodies = new Bodies(virtualClock())
  const { promise, resolve } = Promise.withResolvers<Error>()
  const url = await listen(t, req => void bodies.stream(req).on('error', resolve).resume())
  const client = await dial(url)
  client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\nx')
  await new Promise(resolve => setTimeout(resolve, 20))
  client.socket.destroy()
  t.match(await promise, { message: /went away/ })
})
