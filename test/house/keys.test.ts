/** Idempotency-Keys through a whole house: the same again, however often it is asked. */
import t from 'tap'
import { houseOf, type OddHandler, odd } from '../gateway/odd.ts'
import { good, LAST, line, NDJSON, patientNode } from './work.ts'
import { dataFolder } from './world.ts'

const KEY = { 'Idempotency-Key': 'k1' }

t.test('the same key brings the same answer, as it was: status, headers and bytes', async t => {
  const body = '{"error":"model \\"gone\\" not found"}'
  for (const handle of [
    good,
    (_req, res) => void res.writeHead(404, { 'Content-Length': body.length, 'X-Own': 'é' }).end(body),
    (_req, res) => void res.writeHead(200, { 'Content-Type': 'text/event-stream' }).end('data: [DONE]\n\n'),
  ] as const satisfies OddHandler[]) {
    const node = await odd(t, handle)
    const w = await houseOf(t, [node])
    const heads: [string, string][][] = []
    const bodies: Buffer[] = []
    const path = handle === good ? '/api/generate' : '/v1/chat/completions'
    for (const headers of [{}, KEY, KEY]) {
      const res = await w.post(path, { model: 'tiny' }, headers as Record<string, string>)
      const kept = [...res.headers].filter(
        ([name]) => !/^(date|x-quipu-request|idempotent-replayed)$/.test(name),
      )
      heads.push([['status', String(res.status)], ...kept])
      bodies.push(Buffer.from(await res.arrayBuffer()))
      t.equal(res.headers.get('idempotent-replayed'), bodies.length === 3 ? 'true' : null)
    }
    t.same(heads[1], heads[0], 'as without a key')
    t.same(heads[2], heads[0])
    t.same(bodies[1], bodies[0])
    t.same(bodies[2], bodies[0])
    t.equal(node.asked.length, 2)
    await w.house.close()
  }
})

t.test('while the first is under way, the others with its key read along', async t => {
  const node = await patientNode(t)
  const w = await houseOf(t, [node])
  const first = w.generate({}, KEY)
  const res = await node.next()
  res.writeHead(200, NDJSON).write(line('a'))
  const second = await w.generate({}, KEY)
  const reader = second.body!.getReader()
  t.equal(Buffer.from((await reader.read()).value!).toString(), line('a'), 'before its end')
  res.end(LAST)
  t.equal(Buffer.from((await reader.read()).value!).toString(), LAST)
  t.equal(await (await first).text(), line('a') + LAST)
  t.equal((await w.facts('request.admitted')).length, 1)
})

t.test('many at once with one key are one', async t => {
  const node = await odd(t, good)
  const w = await houseOf(t, [node])
  const answers = await Promise.all(Array.from({ length: 20 }, () => w.generate({}, KEY)))
  const texts = new Set(await Promise.all(answers.map(res => res.text())))
  t.equal(texts.size, 1)
  t.equal(new Set(answers.map(res => res.headers.get('x-quipu-request'))).size, 1)
  t.equal(node.asked.length, 1)
})

t.test('a key with another body is a mistake, and each client’s key its own', async t => {
  const w = await houseOf(t, [await odd(t, good)])
  await (await w.generate({}, KEY)).text()
  const other = await w.generate({ prompt: 'other' }, KEY)
  t.equal(other.status, 422)
  t.match(await other.json(), { error: /another body/ })
  const openai = await w.post('/v1/chat/completions', { model: 'tiny', messages: [] }, KEY)
  t.equal(openai.status, 422)
  t.match(await openai.json(), { error: { message: /another body/, type: 'api_error' } })
  for (const mine of [{ 'X-Quipu-Client': 'b' }, { Authorization: 'Bearer b' }, { 'X-Api-Key': 'b' }]) {
    const res = await w.generate({ prompt: 'other' }, { ...KEY, ...mine } as Record<string, string>)
    t.equal(res.status, 200, JSON.stringify(mine))
    await res.text()
  }
  t.equal((await w.generate({}, { 'Idempotency-Key': 'x'.repeat(256) })).status, 400)
})

t.test('a client that leaves does not stop what has a key; it may come back', async t => {
  const node = await patientNode(t)
  const w = await houseOf(t, [node])
  const leaving = new AbortController()
  const body = '{"model":"tiny"}'
  const ask = { method: 'POST', body, headers: KEY }
  const first = fetch(`${w.url}/api/generate`, { ...ask, signal: leaving.signal })
  const res = await node.next()
  res.writeHead(200, NDJSON).write(line('a'))
  await first
  leaving.abort()
  res.end(LAST)
  await w.fact('request.completed')
  t.equal(await (await fetch(`${w.url}/api/generate`, ask)).text(), line('a') + LAST)
  t.equal(node.asked.length, 1)
})

t.test('what ended without an answer that stands frees its key', async t => {
  let count = 0
  const node = await odd(t, (req, res) => {
    count += 1
    if (count > 3) return good(req, res, '')
    return void res.writeHead(503).end('{"error":"busy"}')
  })
  const w = await houseOf(t, [node])
  const first = await w.generate({}, KEY)
  t.same(
    [first.status, await first.text()],
    [503, '{"error":"busy"}'],
    'the node’s own words, as without a key',
  )
  const second = await w.generate({}, KEY)
  t.same([second.status, await second.text()], [200, line('good') + LAST])
})

t.test('who reads along when the node dies is told, and finds the whole answer later', async t => {
  let count = 0
  const node = await odd(t, (req, res) => {
    count += 1
    if (count > 1) return good(req, res, '')
    res.writeHead(200, NDJSON).write(line('half'))
    setTimeout(() => req.socket.destroy(), 50)
    return undefined
  })
  const w = await houseOf(t, [node])
  const broken = await w.generate({}, KEY)
  const reader = broken.body!.getReader()
  let text = ''
  await t.rejects(async () => {
    for (let read = await reader.read(); !read.done; read = await reader.read())
      text += Buffer.from(read.value).toString()
  }, 'it does not end as if it were whole')
  t.match(text, /half.*\n\{"error":"the node went away .* same key"\}\n$/)
  t.equal(await (await w.generate({}, KEY)).text(), line('good') + LAST)
})

t.test('a house that stops sends away who reads along, and the job stays', async t => {
  const data = dataFolder(t)
  const node = await patientNode(t)
  const before = await houseOf(t, [node], { data, grace: '0ms' })
  const waiting = before.generate({}, KEY)
  await node.next()
  await before.house.close()
  const res = await waiting
  t.equal(res.status, 503)
  t.match(await res.json(), { error: /stopping/ })
  const w = await houseOf(t, [node], { data })
  ;(await node.next()).writeHead(200, NDJSON).end(LAST)
  t.equal(await (await w.generate({}, KEY)).text(), LAST)
})
