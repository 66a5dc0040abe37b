/** What clients see when nodes misbehave, and what the journal says of it. */
import t from 'tap'
import { rawPost, storyOf, world } from './world.ts'

t.test('a node that answers 503 at once does not attract traffic', async t => {
  const w = await world(t, { sims: [{ slots: 4 }, { slots: 4 }, { slots: 4 }] })
  for (const sim of w.sims)
    await fetch(`${sim.url}/api/generate`, { method: 'POST', body: '{"model":"tiny"}' })
  for (const sim of w.sims) await w.fact('replica.loaded', ({ id }) => id.endsWith(sim.name))
  w.sims[0]!.setMode('busy')
  for (let i = 0; i < 12; i += 1) {
    const res = await w.generate()
    t.equal(res.status, 200)
    await res.text()
  }
  const [tripped] = await w.facts('breaker.tripped')
  t.match(tripped, { id: 'n1', data: { reason: 'busy', failures: 3 } })
  const before = (await w.facts('request.retried')).filter(({ seq }) => seq < tripped!.seq)
  t.equal(before.length, 3, 'its breaker opened within three requests')
})

t.test('when every node is busy, the client hears it in their words', async t => {
  const w = await world(t, { sims: [{}, {}] })
  await (await w.generate()).text()
  for (const sim of w.sims) sim.setMode('busy')
  const res = await w.generate()
  t.equal(res.status, 503)
  t.same(await res.json(), { error: 'server busy, please try again.  maximum pending requests exceeded' })
  t.match(await storyOf(w, res.headers.get('x-quipu-request')), [
    'request.admitted',
    'request.assigned',
    'request.retried',
    'request.assigned',
    'request.retried',
    'request.assigned',
    'request.failed',
  ])
})

t.test('a mistake of the client is its own, on every node, and opens no breaker', async t => {
  const w = await world(t, { sims: [{}, {}, {}] })
  await (await w.generate()).text()
  for (let i = 0; i < 4; i += 1) {
    const res = await w.generate({ options: { num_ctx: 'abc' } })
    t.equal(res.status, 500)
    t.same(await res.json(), { error: 'option "num_ctx" must be of type integer' })
  }
  t.equal((await w.facts('breaker.tripped')).length, 0)
})

t.test('killing a node under load loses no queued request', async t => {
  const w = await world(t, { sims: [{}, {}, {}] })
  await Promise.all(Array.from({ length: 6 }, async () => (await w.generate()).text()))
  const answers = Array.from({ length: 60 }, () => w.generate({ stream: false }))
  await w.fact('request.begun', ({ data }) => data.node === 'n2')
  await w.sims[1]!.down()
  const statuses = await Promise.all(
    answers.map(async answer => {
      const res = await answer
      await res.text()
      return res.status
    }),
  )
  t.same(new Set(statuses), new Set([200]))
  t.equal((await w.facts('request.admitted')).length, (await w.facts('request.completed')).length)
})

t.test('a node that dies in the middle: NDJSON gets an error line, and the stream is broken off', async t => {
  const w = await world(t)
  await (await w.generate()).text()
  w.sims[0]!.setMode('die-midstream')
  const { head, text, ended } = await rawPost(w.url, '/api/generate', { model: 'tiny', prompt: 'x' })
  t.match(head, /^HTTP\/1.1 200 OK/)
  t.match(text, /\{"error":"node n1 went away in the middle of its answer: [^"]+"\}\n\r\n$/)
  t.notOk(ended, 'the transfer did not end as if it were complete')
  const failed = await w.fact('request.failed')
  t.match(failed.data, { node: 'n1', reason: 'broken', chunks: Number, bytes: Number })
})

t.test('a node that dies in the middle: SSE gets an error event, in each dialect', async t => {
  const w = await world(t)
  await (await w.generate()).text()
  w.sims[0]!.setMode('die-midstream')
  const ask = { model: 'tiny', messages: [{ role: 'user', content: 'x' }], max_tokens: 9, stream: true }
  const chat = await rawPost(w.url, '/v1/chat/completions', ask)
  t.match(chat.text, /data: \{"error":\{"message":"node n1 went away[^}]+"type":"api_error"[^}]+\}\}\n\n/)
  t.notMatch(chat.text, 'data: [DONE]')
  t.notOk(chat.ended)
  const messages = await rawPost(w.url, '/v1/messages', ask)
  t.match(messages.text, /event: error\ndata: \{"type":"error","error":\{"type":"api_error"/)
  t.notOk(messages.ended)
})

t.test('a runner that dies under a living node is passed on as it is, and recorded', async t => {
  const w = await world(t)
  await (await w.generate()).text()
  w.sims[0]!.setMode('runner-dies')
  const res = await w.generate()
  t.match(
    await res.text(),
    /\{"error":"an error was encountered while running the model: unexpected EOF"\}\n$/,
  )
  t.match((await w.fact('request.failed')).data, { reason: 'error-line', node: 'n1' })
})

t.test('a client that leaves frees the node at once', async t => {
  const w = await world(t, { sims: [{ decodeTps: 20, words: 1_000 }] })
  const abort = new AbortController()
  const body = JSON.stringify({ model: 'tiny', prompt: 'x' })
  const res = await fetch(`${w.url}/api/generate`, { method: 'POST', body, signal: abort.signal })
  await res.body!.getReader().read()
  t.equal(w.sims[0]!.counters.inFlight, 1)
  const left = performance.now()
  abort.abort()
  while (w.sims[0]!.counters.inFlight > 0) await new Promise(resolve => setTimeout(resolve, 2))
  t.comment(`the node was free after ${Math.round(performance.now() - left)} ms`)
  const abandoned = await w.fact('request.abandoned')
  t.match(abandoned.data, { node: 'n1', chunks: Number })
  t.same((await storyOf(w, abandoned.id)).slice(-2), ['request.begun', 'request.abandoned'])
})

t.test('a client that leaves the queue is forgotten there', async t => {
  const w = await world(t, { sims: [{ decodeTps: 20, words: 1_000 }] })
  const first = new AbortController()
  const busy = fetch(`${w.url}/api/generate`, {
    method: 'POST',
    body: '{"model":"tiny","prompt":"x"}',
    signal: first.signal,
  })
  await busy
  const second = new AbortController()
  const queued = fetch(`${w.url}/api/generate`, {
    method: 'POST',
    body: '{"model":"tiny","prompt":"y"}',
    signal: second.signal,
  })
  const admitted = await w.fact('request.admitted', ({ data }) => data.bodyBytes > 0 && data.priority === 5)
  t.ok(admitted)
  await new Promise(resolve => setTimeout(resolve, 50))
  second.abort()
  await queued.catch(() => {})
  const abandoned = await w.fact('request.abandoned')
  t.same(await storyOf(w, abandoned.id), ['request.admitted', 'request.abandoned'])
  first.abort()
})

t.test('a full queue answers with Ollama’s own words, and when to come back', async t => {
  const w = await world(t, { sims: [{ decodeTps: 20, words: 20 }], flags: { 'queue-max': '2' } })
  const all = await Promise.all(Array.from({ length: 5 }, () => w.generate({ stream: false })))
  const refused = all.filter(({ status }) => status === 503)
  t.equal(refused.length, 3, 'the model was cold, so two wait and the others are refused')
  t.same(await refused[0]!.json(), {
    error: 'server busy, please try again.  maximum pending requests exceeded',
  })
  t.match(refused[0]!.headers.get('retry-after'), /^[1-9][0-9]?$/)
})

t.test('who waits too long is told so, and the journal too', async t => {
  const w = await world(t, { sims: [{ decodeTps: 10, words: 50 }], flags: { 'wait-max': '300ms' } })
  const first = w.generate()
  await w.fact('request.assigned')
  const res = await w.generate()
  t.equal(res.status, 503)
  t.ok(res.headers.get('retry-after'))
  const expired = await w.fact('request.expired')
  t.ok(expired.data.waitedMs >= 290, 'about the 300 ms it may wait; clocks round')
  await (await first).body?.cancel()
})

t.test('higher priority goes first, then the older', async t => {
  const w = await world(t, { sims: [{ decodeTps: 100, words: 20 }] })
  await (await w.generate({ options: { num_predict: 1 } })).text()
  const busy = w.generate()
  await w.fact('request.begun', ({ seq }) => seq > 5)
  const order: string[] = []
  const ask = async (name: string, priority?: string): Promise<void> => {
    const res = await w.generate(
      { options: { num_predict: 1 } },
      priority === undefined ? {} : { 'X-Quipu-Priority': priority },
    )
    await res.text()
    order.push(name)
  }
  const asks: Promise<void>[] = []
  for (const [name, priority] of [
    ['low', '1'],
    ['first', undefined],
    ['second', undefined],
    ['high', '9'],
  ] as const) {
    asks.push(ask(name, priority))
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  await (await busy).text()
  await Promise.all(asks)
  t.same(order, ['high', 'first', 'second', 'low'])
  t.equal((await w.generate({}, { 'X-Quipu-Priority': '10' })).status, 400)
})

t.test('a wedged node is found by its running requests, and they go elsewhere', async t => {
  const w = await world(t, { sims: [{}, {}], flags: { 'suspect-after': '200ms' } })
  for (const sim of w.sims)
    await fetch(`${sim.url}/api/generate`, { method: 'POST', body: '{"model":"tiny"}' })
  for (const sim of w.sims) await w.fact('replica.loaded', ({ id }) => id.endsWith(sim.name))
  w.sims[0]!.setMode('hang')
  const res = await w.generate()
  t.equal(res.status, 200)
  t.equal(res.headers.get('x-quipu-node'), 'n2')
  await res.text()
  const lost = await w.fact('node.lost')
  t.match(lost, { id: 'n1', data: { reason: 'wedged', model: 'tiny:latest' } })
  w.sims[0]!.setMode('ok')
  await w.fact('node.returned', ({ id }) => id === 'n1')
})

t.test('a node that is gone is lost after so many looks, and returns when it answers', async t => {
  const w = await world(t, { sims: [{}, {}], flags: { 'probe-every': '50ms', 'lost-after': '2' } })
  await w.sims[0]!.down()
  t.match(await w.fact('node.lost'), { id: 'n1', data: { reason: 'refused' } })
  const tags = (await (await fetch(`${w.url}/api/tags`)).json()) as { models: object[] }
  t.equal(tags.models.length, 2)
  await w.sims[0]!.up()
  t.match(await w.fact('node.returned'), { id: 'n1', data: { awayMs: Number } })
})

t.test('two models on a node for one take turns without starving each other', async t => {
  const w = await world(t, {
    sims: [
      {
        models: [
          { name: 'a', sizeBytes: 1e6 },
          { name: 'b', sizeBytes: 1e6 },
        ],
        loadMs: 20,
        decodeTps: 2_000,
      },
    ],
  })
  const ask = (model: string) => w.generate({ model, options: { num_predict: 2 } })
  let done = false
  const flood = Array.from({ length: 3 }, async () => {
    while (!done) await (await ask('a')).text()
  })
  await w.fact('request.completed')
  const res = await ask('b')
  t.equal(res.status, 200)
  await res.text()
  done = true
  await Promise.all(flood)
  const story = await w.facts('replica.loading')
  t.ok(story.some(({ id }) => id.startsWith('b:')))
})
