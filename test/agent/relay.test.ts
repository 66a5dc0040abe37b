/** Calls of Ollama's API through an agent, whichever side dialled. One suite for both ways. */
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PassThrough, Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Relay } from '../../src/agent/relay.ts'
import type { Outgoing, Receiver } from '../../src/call.ts'
import { Failure } from '../../src/failure.ts'
import type { Ears } from '../../src/rpc/exchange.ts'
import type { RelayRequest, RelayResponse } from '../../src/rpc/messages.ts'
import { houseSide, taking, ways } from './stand.ts'

const MIB = 1024 * 1024

/** Whatever the test likes to be Ollama. */
async function server(t: Test, handle: RequestListener): Promise<string> {
  const server = createServer(handle).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const get = (path: string): Outgoing => ({ method: 'GET', path, headers: {}, body: null })
const post = (path: string, body: Outgoing['body'], headers = {}): Outgoing => ({
  method: 'POST',
  path,
  headers,
  body,
})

function memory(): number {
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return arrayBuffers + heapUsed
}

for (const [way, open] of Object.entries(ways)) {
  const line = async (t: Test, handle: RequestListener) => {
    const house = await houseSide(t)
    const agent = await open(t, house, { ollama: await server(t, handle) })
    return { house, agent, link: await house.link('n1') }
  }

  t.test(`${way}: bytes, headers and their order come as they were written`, async t => {
    const seen: { url?: string | undefined; headers: string[]; body: string } = { headers: [], body: '' }
    const { link } = await line(t, async (req, res) => {
      seen.url = req.url
      seen.headers = req.rawHeaders
      for await (const chunk of req) seen.body += chunk.toString('latin1')
      res.setHeader('X-Odd', Buffer.from('caf\u00e9', 'latin1').toString('latin1'))
      res.setHeader('Set-Cookie', ['a=1', 'b=2'])
      res.writeHead(418, { 'Content-Type': 'text/x' })
      res.end(Buffer.from([0, 255, 10, 13, 128]))
    })
    const receiver = taking()
    link.send(
      post('/api/x?y=%20z', Buffer.from([1, 254, 0]), {
        'content-type': 'a/b',
        'user-agent': 'me',
        constructor: 'x',
      }),
      receiver,
    )
    const { status, headers, body, failure } = await receiver.answer
    t.same([failure, status, [...body]], [undefined, 418, [0, 255, 10, 13, 128]])
    const pairs = headers.flatMap((name, i) => (i % 2 === 0 ? [[name, headers[i + 1]]] : []))
    t.match(pairs, [
      ['X-Odd', 'caf\u00e9'],
      ['Set-Cookie', 'a=1'],
      ['Set-Cookie', 'b=2'],
      ['Content-Type', 'text/x'],
    ])
    t.equal(seen.url, '/api/x?y=%20z')
    t.equal(seen.body, '\u0001\u00fe\u0000')
    const sent = seen.headers.join(' ')
    t.match(sent, /content-type a\/b/)
    t.match(sent, /user-agent me/)
    t.match(sent, /constructor x( |$)/)
    t.match(sent, /content-length 3/)
  })

  t.test(
    `${way}: an answer begins while the question is still being asked, and either may end first`,
    async t => {
      const { link } = await line(t, (req, res) => {
        res.writeHead(200)
        res.flushHeaders()
        if (req.url === '/api/echo') req.pipe(res)
        else res.end('enough')
      })
      const body = new PassThrough()
      const receiver = taking()
      link.send(post('/api/echo', body), receiver)
      body.write('one ')
      while (receiver.bytes() < 4) await sleep(2)
      body.write('two ')
      while (receiver.bytes() < 8) await sleep(2)
      body.end('three')
      t.equal((await receiver.answer).body.toString(), 'one two three')

      const endless = new PassThrough()
      const early = taking()
      link.send(post('/api/enough', endless), early)
      endless.write('the beginning')
      t.equal((await early.answer).body.toString(), 'enough')
      await once(endless, 'close')
      t.ok(endless.destroyed, 'the rest of the question is not waited for')
    },
  )

  t.test(
    `${way}: a call that is called off breaks the connection to Ollama, whatever it is doing`,
    async t => {
      const gone: string[] = []
      const begun: string[] = []
      const { link } = await line(t, (req, res) => {
        begun.push(req.url!)
        res.on('close', () => gone.push(req.url!))
        if (req.url === '/api/talks') {
          res.writeHead(200)
          const timer = setInterval(() => res.write('token '), 5)
          res.on('close', () => clearInterval(timer))
        }
        // A socket that nobody reads from does not tell that it was closed; and by then all that was sent fills it.
        if (req.url === '/api/deaf') setTimeout(() => req.resume(), 600)
      })
      const until = async (list: string[], path: string): Promise<number> => {
        const began = performance.now()
        while (!list.includes(path)) await sleep(1)
        return performance.now() - began
      }
      for (const path of ['/api/silent', '/api/talks', '/api/deaf']) {
        const endless = Readable.from(
          (async function* () {
            for (;;) yield Buffer.alloc(65_536)
          })(),
        )
        const call = link.send(path === '/api/deaf' ? post(path, endless) : get(path), taking())
        await until(begun, path)
        await sleep(path === '/api/deaf' ? 300 : 30)
        call.abort()
        t.ok((await until(gone, path)) < 5_000, `${path} hears of it at once`)
      }
    },
  )

  t.test(`${way}: whoever reads slowly slows Ollama down, and memory stays what it is`, async t => {
    const total = 128 * MIB
    const lump = Buffer.alloc(MIB, 'x')
    let sent = 0
    const { link } = await line(t, async (_req, res) => {
      res.writeHead(200, { 'Content-Length': total })
      for (; sent < total && !res.destroyed; sent += lump.length) {
        if (!res.write(lump)) await once(res, 'drain')
      }
      res.end()
    })
    let received = 0
    let most = 0
    const before = memory()
    const { promise: over, resolve } = Promise.withResolvers<unknown>()
    const call = link.send(get('/api/huge'), {
      start() {},
      data(chunk) {
        received += chunk.length
        call.pause()
        most = Math.max(most, memory() - before)
        if (received < 8 * MIB) setTimeout(() => call.resume(), 3)
        else setImmediate(() => call.resume())
      },
      end: () => resolve(undefined),
      fail: resolve,
    })
    await sleep(150)
    t.ok(sent - received < 24 * MIB, `${(sent - received) / MIB} MiB are on their way`)
    t.equal(await over, undefined)
    t.equal(received, total)
    t.ok(most < 160 * MIB, `at most ${Math.round(most / MIB)} MiB more in this process, which is all three`)
  })

  const uploadMiB = way === 'attached' ? 1024 : 128
  t.test(`${way}: an upload of ${uploadMiB} MiB goes through at the pace of Ollama`, async t => {
    const total = uploadMiB * MIB
    const lump = Buffer.alloc(256 * 1024, 'y')
    let received = 0
    const { link } = await line(t, async (req, res) => {
      for await (const chunk of req) received += chunk.length
      res.writeHead(201).end()
    })
    let given = 0
    let most = 0
    let behind = 0
    const before = memory()
    const body = new Readable({
      highWaterMark: lump.length,
      read() {
        most = Math.max(most, memory() - before)
        behind = Math.max(behind, given - received)
        given += lump.length
        this.push(given > total ? null : lump)
      },
    })
    const receiver = taking()
    link.send(post('/api/blobs/sha256:0', body, { 'content-length': String(total) }), receiver)
    const { status, failure } = await receiver.answer
    t.same([failure, status, received], [undefined, 201, total])
    t.ok(behind < 48 * MIB, `at most ${Math.round(behind / MIB)} MiB are on their way`)
    t.ok(most < 200 * MIB, `at most ${Math.round(most / MIB)} MiB more in this process, which is all three`)
  })

  t.test(`${way}: what Ollama does not do is told as over HTTP`, async t => {
    const { link } = await line(t, (req, res) => {
      if (req.url === '/api/half') {
        res.writeHead(200, { 'Content-Length': 100 })
        res.write('half')
        setTimeout(() => req.socket.destroy(), 20)
      } else req.socket.destroy()
    })
    const half = taking()
    link.send(get('/api/half'), half)
    const answer = await half.answer
    t.equal(answer.body.toString(), 'half')
    t.match(answer.failure, { code: 'ollama.broken', retryable: true })
    const none = taking()
    link.send(get('/api/none'), none)
    t.match((await none.answer).failure, { code: 'ollama.broken', retryable: true })

    const house = await houseSide(t)
    await open(t, house, { ollama: 'http://127.0.0.1:1' })
    const nobody = taking()
    ;(await house.link('n1')).send(get('/api/tags'), nobody)
    t.match((await nobody.answer).failure, { code: 'ollama.refused', retryable: true })
  })

  t.test(`${way}: only Ollama's own API is asked for, whatever the house says`, async t => {
    const asked: string[] = []
    const { link } = await line(t, (req, res) => {
      asked.push(req.url!)
      res.end()
    })
    const outside = [
      '/metrics',
      '/apix',
      '/api',
      '/api/../metrics',
      '/api/%2e%2E/x',
      '/v1/a/..',
      '//api/x',
      'http://b/api/x',
    ]
    for (const path of outside) {
      const receiver = taking()
      link.send(get(path), receiver)
      t.match((await receiver.answer).failure, { code: /^ollama\./, message: /Ollama’s API only/ }, path)
    }
    t.same(asked, [])
    for (const path of ['/', '/api/tags', '/v1/models/a..b', '/api/show?x=..']) {
      const receiver = taking()
      link.send(get(path), receiver)
      t.equal((await receiver.answer).status, 200, path)
    }
    t.equal(asked.length, 4)
  })

  t.test(`${way}: an agent that ends lets what it carries end, and takes nothing more`, async t => {
    const { agent, house, link } = await line(t, (_req, res) => {
      res.writeHead(200)
      res.write('a')
      setTimeout(() => res.end('z'), 300)
    })
    const receiver = taking()
    link.send(get('/api/x'), receiver)
    while (receiver.bytes() === 0) await sleep(2)
    const closed = agent.close(5_000)
    t.equal((await receiver.answer).body.toString(), 'az')
    await closed
    while (house.agents.of('n1') !== undefined) await sleep(5)
    const late = taking()
    link.send(get('/api/x'), late)
    t.match((await late.answer).failure, { code: /^ollama\.(refused|broken)$/, retryable: true })
  })
}

t.test('what was held back until Ollama reads on is let go by once Ollama has answered', async t => {
  let receiver: Receiver | undefined
  const deaf = {
    url: 'http://ollama',
    send(_out: Outgoing, given: Receiver) {
      receiver = given
      return { pause() {}, resume() {}, abort() {} }
    },
  }
  for (const outcome of ['answered', 'failed'] as const) {
    let ears: Ears<RelayRequest> | undefined
    let paused = false
    const said: RelayResponse[] = []
    new Relay({ ollama: deaf }).relay({
      put: part => said.push(part) > 0,
      end() {},
      refuse() {},
      cancel() {},
      pause() {
        paused = true
      },
      resume() {
        paused = false
      },
      hear(given) {
        ears = given
      },
    })
    ears!.message({ head: { method: 'POST', path: '/api/blobs/sha256:0', headers: [], body: true } })
    for (let i = 0; i < 64 && !paused; i += 1) ears!.message({ data: Buffer.alloc(65_536) })
    t.ok(paused, 'nobody reads it')
    if (outcome === 'answered') {
      receiver!.start(200, [])
      receiver!.end()
    } else receiver!.fail(new Failure('ollama.broken', 'it went away'))
    t.match(said.at(-1), outcome === 'answered' ? { end: true } : { failure: { refused: false } })
    t.notOk(paused, `${outcome}: the stream can come to its end`)
  }
})
