/** Jobs through a whole house: taken, run, begun again, fetched, called off, and erased. */
import { once } from 'node:events'
import t from 'tap'
import { houseOf, type OddHandler, odd } from '../gateway/odd.ts'
import {
  cancel,
  ended,
  good,
  type JobView,
  LAST,
  line,
  look,
  NDJSON,
  patientNode,
  result,
  sha256,
  submit,
} from './work.ts'
import { dataFolder, storyOf, world } from './world.ts'

t.test('a job is taken, run, and its answer fetched, whatever the dialect', async t => {
  const w = await world(t)
  for (const [path, body, type] of [
    ['/api/generate', { model: 'tiny', prompt: 'x' }, 'application/x-ndjson'],
    ['/api/chat', { model: 'tiny', messages: [{ role: 'user', content: 'x' }], stream: false }, /json/],
    ['/api/embed', { model: 'embed', input: ['a', 'b'] }, /json/],
    ['/v1/chat/completions', { model: 'tiny', messages: [{ role: 'user', content: 'x' }] }, /json/],
    ['/v1/messages', { model: 'tiny', max_tokens: 8, messages: [{ role: 'user', content: 'x' }] }, /json/],
  ] as const) {
    const taken = await w.post('/quipu/jobs', { path, body })
    t.equal(taken.status, 202, path)
    const { id } = (await taken.json()) as JobView
    t.equal(taken.headers.get('location'), `/quipu/jobs/${id}`)
    const job = await ended(w, id)
    const answer = await result(w, id)
    const bytes = Buffer.from(await answer.arrayBuffer())
    t.match(
      [answer.status, answer.headers.get('content-type')],
      [job.status, type],
      `${path}: ${bytes.toString().slice(0, 99)}`,
    )
    t.match(job, { state: 'completed', path, bytes: bytes.length, digest: sha256(bytes), class: 'batch' })
    t.equal(answer.headers.get('x-quipu-request'), id)
    t.equal(answer.headers.get('x-quipu-node'), 'n1')
  }
})

t.test('the question goes to the node byte for byte, and stands in no fact', async t => {
  const node = await odd(t, good)
  const w = await houseOf(t, [node])
  const body =
    '{ "model":"tiny", "prompt":"s\\u00e9cret", "options":{"seed":12345678901234567890, "temperature":1e0} }'
  const text = `{"body": ${body} ,"client":"night","path":"/api/generate","idempotencyKey":"my-key"}`
  const { id } = (await (
    await fetch(`${w.url}/quipu/jobs`, { method: 'POST', body: text })
  ).json()) as JobView
  await ended(w, id)
  t.equal(node.asked[0]!.body, body)
  const facts = JSON.stringify(await w.facts())
  t.match(facts, '"client":"night"')
  t.notMatch(facts, /cret|my-key|good/)
})

t.test('what cannot be a job is refused, and leaves nothing', async t => {
  const w = await houseOf(t, [await odd(t, good)])
  const body = { model: 'tiny' }
  for (const [job, message] of [
    ['[]', /must be a JSON object/],
    ['{"path":"/api/generate"}', /body is missing/],
    [{ path: '/api/tags', body }, /path must be one of/],
    [{ path: '/api/generate', body: 'x' }, /body must be object/],
    [{ path: '/api/generate', body: {} }, /names no model/],
    [{ path: '/api/generate', body: { model: 'tiny', keep_alive: 0 } }, /unload/],
    [{ path: '/api/generate', body: { model: 'x:cloud' } }, /cloud is disabled/],
    [{ path: '/api/generate', body, priority: 12 }, /priority/],
    [{ path: '/api/generate', body, deadline: 'soon' }, /deadline must be/],
    [{ path: '/api/generate', body, class: 'urgent' }, /class/],
    [{ path: '/api/generate', body, labels: { gpu: 'a,b' } }, /labels must be/],
    [{ path: '/api/generate', body, client: '' }, /client must be/],
    [{ path: '/api/generate', body, idempotencyKey: 'a b' }, /Idempotency-Key/],
    [{ path: '/api/generate', body, prio: 1 }, /unknown property "prio"/],
    [{ path: '/v1/audio/transcriptions', body }, /multipart/],
  ] as const) {
    const text = typeof job === 'string' ? job : JSON.stringify(job)
    const res = await fetch(`${w.url}/quipu/jobs`, { method: 'POST', body: text })
    t.ok(res.status === 400 || res.status === 403, text)
    t.match(((await res.json()) as { error: string }).error, message, text)
  }
  t.equal((await w.facts('request.admitted')).length, 0)
})

t.test('the node’s mistakes are answers, too; of a 500 the last one is kept', async t => {
  for (const [status, tries] of [
    [404, 1],
    [501, 1],
    [500, 3],
    [503, 3],
  ] as const) {
    const body = `{"error":"it is ${status}"}`
    const node = await odd(t, (_req, res) => void res.writeHead(status, { 'X-Own': '1' }).end(body))
    const w = await houseOf(t, [node], { 'job-attempts-max': '3' })
    const { id } = await submit(w)
    const job = await ended(w, id)
    t.match(job, { state: status < 500 || status === 501 ? 'completed' : 'failed', status, attempts: tries })
    const answer = await result(w, id)
    t.same([answer.status, await answer.text(), answer.headers.get('x-own')], [status, body, '1'])
    t.equal(node.asked.length, tries)
    await w.house.close()
  }
})

t.test('a node that dies in mid-answer is no end of a job, and its half answer goes', async t => {
  let count = 0
  const node = await odd(t, (req, res) => {
    count += 1
    if (count > 1) return good(req, res, '')
    res.writeHead(200, NDJSON).write(line('half'))
    setTimeout(() => req.socket.destroy(), 20)
    return undefined
  })
  const w = await houseOf(t, [node])
  const { id } = await submit(w)
  t.match(await ended(w, id), { state: 'completed', attempts: 2 })
  t.equal(await (await result(w, id)).text(), line('good') + LAST)
  t.same(await storyOf(w, id), [
    ...['request.admitted', 'request.assigned', 'request.begun', 'request.retried'],
    ...['request.assigned', 'request.begun', 'request.completed'],
  ])
})

t.test('a stream that ends with an error is tried elsewhere; at last it is kept as it is', async t => {
  const bad = `${line('a')}{"error":"llama-server process has terminated"}\n`
  const node = await odd(t, (_req, res) => void res.writeHead(200, NDJSON).end(bad))
  const w = await houseOf(t, [node], { 'job-attempts-max': '2' })
  const { id } = await submit(w)
  t.match(await ended(w, id), { state: 'failed', reason: 'error-line', attempts: 2, digest: sha256(bad) })
  t.equal(await (await result(w, id)).text(), bad)
})

t.test('two nodes that die of the same job end it', async t => {
  const dying: OddHandler = req => req.socket.destroy()
  const nodes = [await odd(t, dying), await odd(t, dying), await odd(t, good)]
  const w = await houseOf(t, nodes)
  const { id } = await submit(w)
  t.match(await ended(w, id), { state: 'failed', reason: 'poison', attempts: 2 })
  const answer = await result(w, id)
  t.equal(answer.status, 502)
  t.match(await answer.json(), { code: 'job.failed', error: /poison/ })
})

t.test('before its end a job has no result, and says when to come back', async t => {
  const node = await patientNode(t)
  const w = await houseOf(t, [node])
  const { id } = await submit(w)
  const res = await node.next()
  const early = await result(w, id)
  t.equal(early.status, 409)
  t.match(await early.json(), { code: 'job.open' })
  t.match(early.headers.get('retry-after'), /^\d+$/)
  res.writeHead(200, NDJSON).end(LAST)
  t.match(await ended(w, id), { state: 'completed' })
})

t.test('a job is called off wherever it is; the node hears of it at once', async t => {
  const node = await patientNode(t)
  const w = await houseOf(t, [{ ...node, slots: 1 }])
  const first = await submit(w)
  const res = await node.next()
  res.writeHead(200, NDJSON).write(line('a'))
  await w.fact('request.begun')
  const second = await submit(w)
  const waiting = await cancel(w, second.id)
  t.same([waiting.status, ((await waiting.json()) as JobView).state], [200, 'cancelled'], 'in the queue')
  const closed = once(res, 'close')
  t.equal((await cancel(w, first.id)).status, 200, 'in mid-answer')
  await closed
  t.equal((await cancel(w, first.id)).status, 200, 'again is no mistake')
  const answer = await result(w, first.id)
  t.same([answer.status, ((await answer.json()) as { code: string }).code], [410, 'job.cancelled'])
  for (const { id } of [first, second]) t.equal((await storyOf(w, id)).at(-1), 'request.cancelled')
  t.equal((await fetch(`${w.url}/quipu/jobs/01NONE`, { method: 'DELETE' })).status, 404)
  const third = await submit(w)
  ;(await node.next()).writeHead(200, NDJSON).end(LAST)
  await ended(w, third.id)
  const late = await cancel(w, third.id)
  t.same([late.status, ((await late.json()) as { code: string }).code], [409, 'job.over'])
})

t.test('a job that waits too long, or past its deadline, is given up', async t => {
  const node = await patientNode(t)
  const w = await houseOf(t, [{ ...node, slots: 1 }], { 'job-wait-max': '300ms' })
  const running = await submit(w)
  await node.next()
  const waits = await submit(w)
  const hurried = await submit(w, { deadline: 100 })
  const [a, b] = [await ended(w, hurried.id), await ended(w, waits.id)]
  t.same([a.state, b.state], ['expired', 'expired'])
  t.ok(Number(a.endedAt) < Number(b.endedAt))
  const answer = await result(w, waits.id)
  t.same([answer.status, ((await answer.json()) as { code: string }).code], [504, 'job.expired'])
  await cancel(w, running.id)
})

t.test('jobs wait beside the queue of those who wait themselves, and have a limit of their own', async t => {
  const node = await patientNode(t)
  const w = await houseOf(t, [{ ...node, slots: 1 }], {
    'queue-max': '1',
    'jobs-max': '3',
    grace: '0ms',
  })
  for (let i = 0; i < 3; i += 1) await submit(w)
  const full = await w.post('/quipu/jobs', { path: '/api/generate', body: { model: 'tiny' } })
  t.same([full.status, ((await full.json()) as { code: string }).code], [503, 'job.full'])
  t.match(full.headers.get('retry-after'), /^\d+$/)
  const live = w.generate()
  ;(await node.next()).writeHead(200, NDJSON).end(LAST)
  const first = await node.next() // interactive goes before batch
  first.writeHead(200, NDJSON).end(line('live') + LAST)
  t.match(await (await live).text(), 'live')
})

t.test('who would rather not wait says so, and finds the job; a stranger is answered as ever', async t => {
  const node = await odd(t, good)
  const w = await houseOf(t, [node], { host: '0.0.0.0' })
  const url = w.url.replace('0.0.0.0', '127.0.0.1')
  const ask = (headers: Record<string, string>) =>
    fetch(`${url}/api/generate`, { method: 'POST', body: '{"model":"tiny"}', headers })
  const taken = await ask({ Prefer: 'handling=lenient, respond-async; wait=10' })
  t.equal(taken.status, 202)
  t.equal(taken.headers.get('preference-applied'), 'respond-async')
  const { id, priority } = (await taken.json()) as JobView
  t.equal(taken.headers.get('location'), `/quipu/jobs/${id}`)
  t.equal(priority, 5)
  await ended({ ...w, url }, id)
  t.equal(await (await result({ ...w, url }, id)).text(), line('good') + LAST)
  const form = new FormData()
  form.set('file', new Blob(['RIFF']), 'a.wav')
  form.set('model', 'tiny')
  const speech = await fetch(`${url}/v1/audio/transcriptions`, {
    method: 'POST',
    body: form,
    headers: { Prefer: 'respond-async' },
  })
  t.equal(speech.status, 202)
  await ended({ ...w, url }, ((await speech.json()) as JobView).id)
  t.match(node.asked.at(-1), { url: '/v1/audio/transcriptions', body: /RIFF/ })
  const stranger = await ask({ Prefer: 'respond-async', 'X-Forwarded-For': '203.0.113.9' })
  t.equal(stranger.status, 200)
  t.notOk(stranger.headers.has('preference-applied'))
})

// ── what is kept, and for how long ───────────────────────────────────────────────────────────────────────────────

t.test('what is old is erased, and the job is still known', async t => {
  const w = await houseOf(t, [await odd(t, good)], { 'keep-finished': '0ms' })
  const { id } = await submit(w)
  const erased = await w.fact('spool.erased', fact => fact.id === id)
  t.equal(erased.data.why, 'age')
  t.ok(erased.data.bytes > 0)
  const gone = await result(w, id)
  t.same([gone.status, ((await gone.json()) as { code: string }).code], [410, 'job.erased'])
  t.match(await look(w, id), { state: 'completed', erased: true })
  t.equal((await fetch(`${w.url}/quipu/jobs/${id}/stream`)).status, 410)
  t.same(await (await fetch(`${w.url}/quipu/jobs`)).json(), [])
})

t.test('without room, what ended first goes first; what is open stays', async t => {
  const big = 'x'.repeat(300_000)
  const node = await patientNode(t)
  const w = await houseOf(t, [node], { 'spool-max': '1M' })
  const open = await submit(w, { body: { model: 'tiny', prompt: big } })
  const held = await node.next()
  const ids: string[] = []
  for (let i = 0; i < 3; i += 1) {
    const { id } = await submit(w, { body: { model: 'tiny', prompt: big } })
    ids.push(id)
    ;(await node.next()).writeHead(200, NDJSON).end(LAST)
    await ended(w, id)
  }
  const erased = await w.facts('spool.erased')
  t.same(
    erased.map(({ id, data }) => [id, data.why]),
    [[ids[0], 'room']],
  )
  const tooMuch = await w.post('/quipu/jobs', {
    path: '/api/generate',
    body: { model: 'tiny', prompt: 'x'.repeat(700_000) },
  })
  t.same([tooMuch.status, ((await tooMuch.json()) as { code: string }).code], [503, 'spool.full'])
  t.equal((await w.facts('spool.erased')).length, 3, 'all that had ended was tried')
  held.writeHead(200, NDJSON).end(LAST)
  t.match(await ended(w, open.id), { state: 'completed' })
})

t.test('erasing proves that nothing is left, and calls off what is open', async t => {
  const node = await patientNode(t)
  const data = dataFolder(t)
  const w = await houseOf(t, [{ ...node, slots: 2 }], { data })
  const theirs = await submit(w, { client: 'them' })
  ;(await node.next()).writeHead(200, NDJSON).end(LAST)
  await ended(w, theirs.id)
  const running = await submit(w, { client: 'us' })
  const res = await node.next()
  res.writeHead(200, NDJSON).write(line('a'))
  await w.fact('request.begun', ({ id }) => id === running.id)
  const closed = once(res, 'close')
  const proofs = (await (await w.post('/quipu/erase', { client: 'us' })).json()) as JobView[]
  await closed
  t.match(proofs, [{ id: running.id, slot: 'zero', files: [], readable: [], keyFoundIn: [], proved: true }])
  t.same(await (await w.post('/quipu/erase', { request: running.id })).json(), [], 'once')
  t.match(await look(w, running.id), { state: 'cancelled', erased: true })
  t.equal((await result(w, theirs.id)).status, 200, 'others keep theirs')
  t.match(await (await w.post('/quipu/erase', { request: theirs.id })).json(), [{ proved: true }])
  t.equal((await w.post('/quipu/erase', {})).status, 400)
  t.equal((await w.post('/quipu/erase', { client: 'a', request: 'b' })).status, 400)
})
