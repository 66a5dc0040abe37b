/** Answers about the fleet, and what any one node answers, in front of nodes that are scripted. */
import t from 'tap'
import { houseOf, type OddHandler, odd } from './odd.ts'

const json =
  (value: unknown, status = 200): OddHandler =>
  (_req, res) =>
    void res
      .writeHead(status, { 'Content-Type': 'application/json; charset=utf-8' })
      .end(JSON.stringify(value))

t.test('lists are those of all nodes, each row as its node wrote it', async t => {
  const row = {
    name: 'a:latest',
    model: 'a:latest',
    modified_at: '2026-01-02T00:00:00Z',
    size: 7,
    odd: ['<'],
  }
  const w = await houseOf(t, [
    await odd(t, json({}), { models: [], rows: [row] }),
    await odd(t, json({}), { models: [], rows: [{ name: 'B:latest', modified_at: '2026-01-03T00:00:00Z' }] }),
  ])
  const tags = await fetch(`${w.url}/api/tags`)
  t.equal(tags.headers.get('content-type'), 'application/json; charset=utf-8')
  const text = await tags.text()
  t.equal(
    text,
    `{"models":[{"name":"B:latest","modified_at":"2026-01-03T00:00:00Z"},${JSON.stringify(row).replace('<', '\\u003c')}]}`,
  )
  const head = await fetch(`${w.url}/api/tags`, { method: 'HEAD' })
  t.same([head.status, head.headers.get('content-length')], [200, String(text.length)])
  const models = await fetch(`${w.url}/v1/models`)
  t.equal(models.headers.get('content-type'), 'application/json')
  t.match(await models.json(), {
    object: 'list',
    data: [{ id: 'B:latest' }, { id: 'a:latest', created: 1_767_312_000 }],
  })
  t.match(await (await fetch(`${w.url}/v1/models/b`)).json(), {
    id: 'b',
    object: 'model',
    owned_by: 'library',
  })
  const absent = await fetch(`${w.url}/v1/models/nope`)
  t.equal(absent.status, 404)
  t.match(await absent.json(), {
    error: { message: "model 'nope:latest' not found", type: 'not_found_error' },
  })
  t.equal((await fetch(`${w.url}/v1/models/${'x'.repeat(300)}`)).status, 400)
  const ps = (await (await fetch(`${w.url}/api/ps`)).json()) as { models: object[] }
  t.equal(ps.models.length, 2)
  t.same(await (await fetch(`${w.url}/api/version`)).json(), { version: '0.33.0' })
  t.same(await (await fetch(`${w.url}/api/status`)).json(), { cloud: { disabled: true, source: 'config' } })
})

t.test('an empty house lists nothing, as an empty Ollama does', async t => {
  const w = await houseOf(t, [await odd(t, json({}), { models: [] })])
  t.equal(await (await fetch(`${w.url}/api/tags`)).text(), '{"models":[]}')
  t.equal(await (await fetch(`${w.url}/v1/models`)).text(), '{"object":"list","data":null}\n')
})

t.test('a long list goes out in chunks, and the head of one without a length', async t => {
  const models = Array.from({ length: 60 }, (_, i) => `model-${i}:latest`)
  const w = await houseOf(t, [await odd(t, json({}), { models })])
  const res = await fetch(`${w.url}/api/tags`)
  t.equal(res.headers.get('transfer-encoding'), 'chunked')
  t.equal(((await res.json()) as { models: object[] }).models.length, 60)
  const head = await fetch(`${w.url}/api/tags`, { method: 'HEAD' })
  t.equal(head.headers.get('content-length'), null)
})

t.test('a list does not wait for a node that hangs', async t => {
  const node = await odd(t, json({}))
  const hung = await odd(t, json({}), { models: ['other:latest'] })
  const w = await houseOf(t, [node, hung], { 'probe-every': '10s' })
  await hung.down()
  await new Promise(resolve => setTimeout(resolve, 1_100))
  await (await fetch(`${w.url}/api/tags`)).text()
  const began = performance.now()
  const { models } = (await (await fetch(`${w.url}/api/tags`)).json()) as { models: { name: string }[] }
  t.ok(performance.now() - began < 5_000)
  t.same(models.map(({ name }) => name).sort(), ['other:latest', 'tiny:latest'], 'its last words count')
})

t.test('a model is shown by a node that has it, in any form a client names it', async t => {
  const [n1, n2] = [
    await odd(t, json({ on: 'n1' }), { models: ['a:latest'] }),
    await odd(t, json({ on: 'n2' }), { models: ['b:latest'] }),
  ]
  const w = await houseOf(t, [n1, n2])
  for (const body of [
    '{"model":"b"}',
    '{"name":"B:latest","model":""}',
    '{"NAME":"library/b"}',
    '{"model":" b "}',
  ]) {
    const res = await fetch(`${w.url}/api/show`, {
      method: 'POST',
      body,
      headers: { 'User-Agent': 'GitHubCopilotChat/1' },
    })
    t.same(await res.json(), { on: 'n2' }, body)
    t.equal(res.headers.get('x-quipu-node'), 'n2')
  }
  t.equal(n2.asked[0]!.headers[n2.asked[0]!.headers.indexOf('user-agent') + 1], 'GitHubCopilotChat/1')
  t.equal(n1.asked.length, 0)
  t.equal((await w.facts('request.admitted')).length, 0, 'nothing waits, so nothing is written down')
})

t.test('a node that cannot show it is passed over, once something else can', async t => {
  for (const handle of [
    (req => req.socket.destroy()) as OddHandler,
    json({ error: 'bad gateway' }, 502),
    ((_req, res) => void res.writeHead(503).end()) as OddHandler,
  ]) {
    const w = await houseOf(t, [await odd(t, handle), await odd(t, json({ on: 'n2' }))])
    t.same(await (await w.post('/api/show', { model: 'tiny' })).json(), { on: 'n2' })
    await w.house.close()
  }
  const alone = await houseOf(t, [await odd(t, json({ error: 'its own words' }, 503))])
  const res = await alone.post('/api/show', { model: 'tiny' })
  t.same([res.status, await res.json()], [503, { error: 'its own words' }])
})

t.test('an unknown model is told of in a node’s words', async t => {
  const w = await houseOf(t, [await odd(t, json({ error: "model 'nope:latest' not found" }, 404))])
  const res = await w.post('/api/show', { model: 'nope' })
  t.same([res.status, await res.json()], [404, { error: "model 'nope:latest' not found" }])
})

t.test('the cloud is not asked of models, nor of anything else, unless the house lets it', async t => {
  const node = await odd(t, json({ ok: true }), {
    rows: [{ name: 'stub:latest', remote_host: 'https://ollama.com' }],
  })
  const w = await houseOf(t, [node])
  for (const [path, body, what] of [
    ['/api/show', { model: 'x:cloud' }, 'remote model details are unavailable'],
    ['/api/show', { name: 'stub' }, 'remote model details are unavailable'],
    ['/api/experimental/web_search', { query: 'x' }, 'web search is unavailable'],
    ['/api/experimental/web_fetch', { url: 'x' }, 'web fetch is unavailable'],
  ] as const) {
    const res = await w.post(path, body)
    t.equal(res.status, 403, path)
    t.same(await res.json(), { error: `ollama cloud is disabled: ${what}` })
  }
  t.equal((await fetch(`${w.url}/v1/models/x:cloud`)).status, 403)
  const { models } = (await (await fetch(`${w.url}/api/tags`)).json()) as { models: object[] }
  t.equal(models.length, 1)
  t.equal(node.asked.length, 0)
  const open = await houseOf(t, [node], { cloud: 'on' })
  t.equal((await open.post('/api/experimental/web_search', { query: 'x' })).status, 200)
  t.equal((await open.post('/api/show', { model: 'x:cloud' })).status, 200)
  t.match(await (await fetch(`${open.url}/api/status`)).json(), {
    cloud: { disabled: false, source: 'none' },
  })
})

t.test('questions about an account go to the same node each time, and to one only', async t => {
  const nodes = [await odd(t, json({ error: 'unauthorized' }, 401)), await odd(t, json({ name: 'me' }))]
  const w = await houseOf(t, nodes)
  for (const [method, path] of [
    ['POST', '/api/me'],
    ['POST', '/api/signout'],
    ['DELETE', '/api/user/keys/a%2Bb'],
  ] as const) {
    const res = await fetch(w.url + path, { method })
    t.same([res.status, await res.json()], [401, { error: 'unauthorized' }])
  }
  t.same(
    nodes[0]!.asked.map(({ url }) => url),
    ['/api/me', '/api/signout', '/api/user/keys/a%2Bb'],
  )
  t.equal(nodes[1]!.asked.length, 0)
})

t.test('a house without nodes says how to give it one', async t => {
  const w = await houseOf(t, [], { node: [] })
  for (const [path, body] of [
    ['/api/show', { model: 'a' }],
    ['/api/pull', { model: 'a' }],
    ['/api/copy', { source: 'a', destination: 'b' }],
    ['/api/generate', {}],
  ] as const) {
    const res = await w.post(path, body)
    t.equal(res.status, 503, path)
    t.match(await res.json(), { error: /quipu nodes add/ })
    t.equal(res.headers.get('retry-after'), '5')
  }
  t.equal(await (await fetch(`${w.url}/api/tags`)).text(), '{"models":[]}')
  t.same(await (await fetch(`${w.url}/api/version`)).json(), { version: '0.0.0' })
})
