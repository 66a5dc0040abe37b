/** The main job, end to end: an answer through the house, and the story in the journal. */
import t from 'tap'
import { storyOf, world } from './world.ts'

t.test('a streamed answer comes as the node gave it, and the journal tells how', async t => {
  const w = await world(t)
  const res = await w.generate()
  t.equal(res.status, 200)
  t.equal(res.headers.get('content-type'), 'application/x-ndjson')
  t.equal(res.headers.get('x-quipu-node'), 'n1')
  const lines = (await res.text())
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  t.equal(lines.length, 9)
  t.equal(lines.at(-1).done, true)
  await w.fact('request.completed')
  const id = res.headers.get('x-quipu-request')
  t.same(await storyOf(w, id), ['request.admitted', 'request.assigned', 'request.begun', 'request.completed'])
  const [completed] = await w.facts('request.completed')
  t.match(completed!.data, {
    node: 'n1',
    model: 'tiny:latest',
    status: 200,
    outputTokens: 8,
    doneReason: 'stop',
    chunks: Number,
    bytes: Number,
    promptTokens: Number,
    outputMs: Number,
  })
  const [assigned] = await w.facts('request.assigned')
  t.match(assigned!.data, {
    attempt: 1,
    candidates: [{ node: 'n1', resident: true, idle: 1, estimateMs: 0 }],
  })
})

t.test('the house loads the model itself, once, and the request waits for that', async t => {
  const w = await world(t)
  await Promise.all([w.generate(), w.generate(), w.generate()].map(async res => (await res).text()))
  t.equal((await w.facts('replica.loading')).length, 1)
  const [loaded] = await w.facts('replica.loaded')
  t.ok(loaded!.data.ms! >= 25)
  t.equal(w.sims[0]!.counters.inFlightMax, 1, 'the node never had more than its one slot')
})

t.test('a load outlives the client that caused it', async t => {
  const w = await world(t, { sims: [{ loadMs: 300 }] })
  const abort = new AbortController()
  const body = JSON.stringify({ model: 'tiny', prompt: 'x' })
  const gone = fetch(`${w.url}/api/generate`, { method: 'POST', body, signal: abort.signal }).catch(() => {})
  await w.fact('replica.loading')
  abort.abort()
  await gone
  await w.fact('request.abandoned')
  await w.fact('replica.loaded')
  t.same(
    w.sims[0]!.residents().map(({ model }) => model.name.model),
    ['tiny'],
  )
})

t.test('requests spread over idle nodes that have the model loaded', async t => {
  const w = await world(t, { sims: [{}, {}, {}] })
  const used = new Set<string | null>()
  for (let round = 0; round < 3; round += 1) {
    const all = await Promise.all(Array.from({ length: 12 }, () => w.generate()))
    for (const res of all) {
      used.add(res.headers.get('x-quipu-node'))
      await res.text()
    }
  }
  t.ok(used.size > 1, `used ${[...used].join()}`)
  for (const sim of w.sims) t.ok(sim.counters.inFlightMax <= 1)
})

t.test('OpenAI and Anthropic clients are answered in their own dialect', async t => {
  const w = await world(t)
  const messages = [{ role: 'user', content: 'hi' }]
  const chat = await w.post('/v1/chat/completions', { model: 'tiny', messages, stream: true })
  t.equal(chat.headers.get('content-type'), 'text/event-stream')
  t.match(await chat.text(), /data: \[DONE\]\n\n$/)
  const anthropic = await w.post('/v1/messages', { model: 'tiny', messages, max_tokens: 3 })
  t.match(await anthropic.json(), { type: 'message', stop_reason: 'max_tokens' })
  const completed = await w.facts('request.completed')
  t.match(
    completed.at(-1)?.data ??
      (await w.fact('request.completed', ({ data }) => data.doneReason === 'max_tokens')).data,
    { node: 'n1' },
  )
})

t.test('a model nobody has is answered in the words of a node', async t => {
  const w = await world(t)
  const res = await w.generate({ model: 'nope' })
  t.equal(res.status, 404)
  t.same(await res.json(), { error: "model 'nope' not found" })
  const completed = await w.fact('request.completed')
  t.equal(completed.data.status, 404)
})

t.test('a body that names no model goes to any node, for its own words, and leaves no fact', async t => {
  const w = await world(t)
  const res = await w.post('/api/generate', {})
  t.equal(res.status, 404)
  t.same(await res.json(), { error: "model '' not found" })
  t.equal((await w.facts('request.admitted')).length, 0)
})

t.test('cloud names are refused unless the house lets them through', async t => {
  const w = await world(t)
  const res = await w.post('/v1/chat/completions', { model: 'big:cloud', messages: [] })
  t.equal(res.status, 403)
  t.same(await res.json(), { error: 'ollama cloud is disabled: remote model is unavailable' })
})

t.test('stop unloads the model wherever it is', async t => {
  const w = await world(t, { sims: [{}, {}] })
  await Promise.all(
    w.sims.map(sim => fetch(`${sim.url}/api/generate`, { method: 'POST', body: '{"model":"tiny"}' })),
  )
  await w.fact('replica.loaded', ({ id }) => id.endsWith('n1'))
  await w.fact('replica.loaded', ({ id }) => id.endsWith('n2'))
  const res = await w.generate({ prompt: '', keep_alive: 0 })
  t.match(await res.json(), { done_reason: 'unload' })
  for (const sim of w.sims) t.same(sim.residents(), [])
  t.equal((await w.facts('replica.unloaded')).length, 2)
})

t.test('the embedding model is loaded by an embedding call', async t => {
  const w = await world(t)
  const res = await w.post('/api/embed', { model: 'embed', input: 'a' })
  t.equal(res.status, 200)
  t.equal((await w.facts('replica.failed')).length, 0)
})
