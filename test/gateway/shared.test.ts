/** X-Quipu-Coalesce: one execution for all who ask the very same at the same time. */
import { once } from 'node:events'
import t from 'tap'
import { LAST, line, NDJSON, patientNode } from '../house/work.ts'
import { storyOf, type World } from '../house/world.ts'
import { houseOf, odd } from './odd.ts'
import { dial } from './raw.ts'

const TOGETHER = { 'X-Quipu-Coalesce': '1' }
const FIXED = { options: { seed: 7 } }

const idOf = (res: Response): string => res.headers.get('x-quipu-request')!

/** So many, each once the one before it has joined. */
async function several(w: World, count: number, body: object = FIXED): Promise<Promise<Response>[]> {
  const first = w.generate(body, TOGETHER)
  await w.fact('request.admitted')
  const others = Array.from({ length: count - 1 }, () => w.generate(body, TOGETHER))
  await new Promise(resolve => setTimeout(resolve, 100))
  return [first, ...others]
}

t.test('who asks the same at the same time shares one execution, whoever comes when', async t => {
  const node = await patientNode(t)
  const w = await houseOf(t, [node])
  const waiting = await several(w, 3)
  const res = await node.next()
  res.writeHead(200, NDJSON).write(line('a'))
  const answers = await Promise.all(waiting)
  const late = await w.generate(FIXED, TOGETHER)
  res.end(LAST)
  for (const answer of [...answers, late]) {
    t.equal(await answer.text(), line('a') + LAST)
    t.equal(idOf(answer), idOf(late))
  }
  t.equal(node.asked.length, 1)
  t.same(await storyOf(w, idOf(late)), [
    ...['request.admitted', 'request.assigned', 'request.begun', 'request.completed'],
  ])
  const after = w.generate(FIXED, TOGETHER)
  ;(await node.next()).writeHead(200, NDJSON).end(LAST)
  t.not(idOf(await after), idOf(late), 'what is over is not repeated')
})

t.test(
  'it is for answers that leave nothing to chance, for the very same, and for who wishes it',
  async t => {
    const node = await odd(t, (_req, res) => setTimeout(() => res.writeHead(200, NDJSON).end(LAST), 100))
    const w = await houseOf(t, [node])
    const same = async (path: string, bodies: readonly object[], headers: readonly object[] = [TOGETHER]) => {
      const asks = bodies.flatMap(body => headers.map(more => w.post(path, body, { ...TOGETHER, ...more })))
      return new Set((await Promise.all(asks)).map(idOf)).size === 1
    }
    const chat = '/v1/chat/completions'
    for (const [path, body, shared] of [
      ['/api/generate', { model: 'tiny', options: { seed: 0 } }, true],
      ['/api/generate', { model: 'tiny', options: { temperature: 0 } }, true],
      ['/api/generate', { model: 'tiny', options: { temperature: 0.1 } }, false],
      ['/api/generate', { model: 'tiny', options: { seed: -1 } }, false],
      ['/api/generate', { model: 'tiny', seed: 1 }, false],
      ['/api/generate', { model: 'tiny' }, false],
      ['/api/embed', { model: 'tiny', input: 'a' }, true],
      [chat, { model: 'tiny', seed: 1 }, true],
      [chat, { model: 'tiny', temperature: 0 }, true],
      [chat, { model: 'tiny', options: { seed: 1 } }, false],
      ['/v1/responses', { model: 'tiny', seed: 1 }, false],
    ] as const) {
      t.equal(await same(path, [body, body]), shared, `${path} ${JSON.stringify(body)}`)
    }
    const one = { model: 'tiny', options: { seed: 1 } }
    t.notOk(await same('/api/generate', [one, { ...one, prompt: 'x' }]), 'another question')
    t.notOk(
      await same('/api/generate', [one], [{}, { 'User-Agent': 'another' }]),
      'another header for the node',
    )
    t.notOk(await same('/api/generate', [one], [{}, { 'X-Quipu-Coalesce': '0' }]), 'one that did not wish it')
  },
)

t.test('one that leaves takes nothing from the others; the last one calls the node off', async t => {
  const node = await patientNode(t)
  const w = await houseOf(t, [node])
  const leaving = new AbortController()
  const ask = (signal: AbortSignal | null = null) =>
    fetch(`${w.url}/api/generate`, {
      method: 'POST',
      body: JSON.stringify({ model: 'tiny', ...FIXED }),
      headers: TOGETHER,
      signal,
    })
  const first = ask(leaving.signal)
  const res = await node.next()
  res.writeHead(200, NDJSON).write(line('a'))
  await first
  const last = new AbortController()
  const second = await ask(last.signal)
  leaving.abort()
  const reader = second.body!.getReader()
  t.equal(Buffer.from((await reader.read()).value!).toString(), line('a'))
  res.write(line('b'))
  t.equal(Buffer.from((await reader.read()).value!).toString(), line('b'))
  const closed = once(res, 'close')
  last.abort()
  await closed
  t.match((await w.fact('request.abandoned')).data, { node: 'n1', chunks: 2 })
})

t.test('a no is said to all', async t => {
  const node = await patientNode(t)
  const w = await houseOf(t, [{ ...node, slots: 1 }], { 'wait-max': '300ms', grace: '0ms' })
  const busy = w.generate()
  await node.next()
  const waiting = [w.generate(FIXED, TOGETHER), w.generate(FIXED, TOGETHER)]
  for (const res of await Promise.all(waiting)) {
    t.equal(res.status, 503)
    t.match(await res.json(), { error: /server busy/ })
  }
  t.equal((await w.facts('request.expired')).length, 1)
  busy.catch(() => {})
})

t.test('a stream that breaks is broken off for all', async t => {
  const node = await patientNode(t)
  const w = await houseOf(t, [node])
  const waiting = await several(w, 2)
  const res = await node.next()
  res.writeHead(200, NDJSON).write(line('a'))
  const answers = await Promise.all(waiting)
  res.destroy()
  for (const answer of answers) await t.rejects(answer.text())
  t.equal((await w.facts('request.failed')).length, 1)
})

t.test(
  'a long answer takes nobody new, and one that does not read holds up the others only so far',
  async t => {
    const node = await patientNode(t)
    const w = await houseOf(t, [node])
    const body = JSON.stringify({ model: 'tiny', ...FIXED })
    const stuck = await dial(w.url)
    stuck.socket.pause()
    stuck.write(
      `POST /api/generate HTTP/1.1\r\nHost: localhost\r\nX-Quipu-Coalesce: 1\r\nAccept: */*\r\nUser-Agent: same\r\nContent-Type: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    const headers = { ...TOGETHER, Accept: '*/*', 'User-Agent': 'same', 'Content-Type': 'a' }
    const res = await node.next()
    const reading = fetch(`${w.url}/api/generate`, { method: 'POST', body, headers })
    await new Promise(resolve => setTimeout(resolve, 100))
    const lump = Buffer.alloc(256 * 1024, 'x')
    res.writeHead(200, NDJSON)
    for (let i = 0; i < 8; i += 1) res.write(lump)
    const reader = (await reading).body!.getReader()
    let seen = 0
    while (seen < 2 * 1024 * 1024) seen += (await reader.read()).value!.length
    t.equal(seen, 2 * 1024 * 1024, 'two MiB, though the other has not read one')
    const late = w.post('/api/generate', { model: 'tiny', ...FIXED }, headers)
    const own = await node.next()
    own.writeHead(200, NDJSON).end(LAST)
    t.equal(await (await late).text(), LAST)
    stuck.socket.destroy()
    res.end(LAST)
    let tail = ''
    for (let read = await reader.read(); !read.done; read = await reader.read())
      tail = Buffer.from(read.value).toString('latin1')
    t.ok(tail.endsWith(LAST))
  },
)
