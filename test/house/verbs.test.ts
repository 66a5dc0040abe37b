/** The verbs that change models, end to end in front of simulated nodes: where they go, what is told, which facts stay. */
import { createHash } from 'node:crypto'
import t from 'tap'
import type { Fact } from '../../machines/index.ts'
import { houseOf, type OddHandler, odd } from '../gateway/odd.ts'
import { type World, world } from './world.ts'

const FAST = { pullBytesPerSec: 1e12 }
const lines = async (res: Response): Promise<any[]> =>
  (await res.text())
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
const on = (w: World, n: number): string[] => w.sims[n - 1]!.models().sort()
const remove = (w: World, model: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${w.url}/api/delete`, { method: 'DELETE', body: JSON.stringify({ model }), headers })
const listed = async (w: World): Promise<string[]> => {
  const { models } = (await (await fetch(`${w.url}/api/tags`)).json()) as { models: { name: string }[] }
  return models.map(({ name }) => name).sort()
}
/** Who, what, where: of the facts of one kind about models. */
const told = async (w: World, ...types: Fact['type'][]) =>
  (await w.facts(...types)).map(({ id, by, data }) => ({ id, by, ...(data as object) }))

t.test('a pull goes to one node, and may be used at once, by any road', async t => {
  const w = await world(t, { sims: [FAST, { ...FAST, models: 'tiny:latest' }] })
  const res = await w.post('/api/pull', { model: 'new' })
  t.equal(res.headers.get('content-type'), 'application/x-ndjson')
  t.equal(res.headers.get('x-quipu-node'), 'n2', 'the one with the fewest bytes')
  const steps = await lines(res)
  t.match(steps[0], { status: 'pulling manifest' })
  t.same(steps.at(-1), { status: 'success' })
  t.same(await listed(w), ['embed:latest', 'new:latest', 'tiny:latest'])
  t.equal((await w.generate({ model: 'new' })).headers.get('x-quipu-node'), 'n2')
  t.equal((await w.post('/api/show', { model: 'new' })).status, 200)
  t.same(await told(w, 'model.pulled'), [{ id: 'new:latest', by: '127.0.0.1', nodes: ['n2'] }])
})

t.test('a model pulled behind the house’s back is found when it is asked for', async t => {
  const w = await world(t, { sims: [FAST, FAST], flags: { 'probe-every': '60s' } })
  await new Promise(resolve => setTimeout(resolve, 1_050))
  await (await fetch(`${w.sims[1]!.url}/api/pull`, { method: 'POST', body: '{"model":"new"}' })).text()
  const res = await w.generate({ model: 'new' })
  t.same([res.status, res.headers.get('x-quipu-node')], [200, 'n2'])
})

t.test('a pull to several nodes is told as one', async t => {
  const w = await world(t, { sims: [FAST, FAST, FAST] })
  const steps = await lines(await w.post('/api/pull', { name: 'new' }, { 'X-Quipu-Nodes': 'n1, n3,n1' }))
  t.same(
    steps.filter(({ digest }) => digest === undefined).map(({ status }) => status),
    ['pulling manifest', 'verifying sha256 digest', 'writing manifest', 'success'],
  )
  t.same(
    [1, 2, 3].map(n => on(w, n).includes('new:latest')),
    [true, false, true],
  )
  const all = await w.post('/api/pull', { model: 'other', stream: false }, { 'X-Quipu-Nodes': 'all' })
  t.equal(all.headers.get('content-type'), 'application/json')
  t.same(await all.json(), { status: 'success' })
  t.same(
    [1, 2, 3].map(n => on(w, n).includes('other:latest')),
    [true, true, true],
  )
  t.same(
    (await told(w, 'model.pulled')).map(({ id, nodes }: any) => [id, nodes]),
    [
      ['new:latest', ['n1', 'n3']],
      ['other:latest', ['n1', 'n2', 'n3']],
    ],
  )
})

t.test('bytes of a pull to several nodes are those of all of them', async t => {
  const w = await world(t, { sims: [{ pullBytesPerSec: 8e9 }, { pullBytesPerSec: 8e9 }] })
  const steps = await lines(await w.post('/api/pull', { model: 'new:1b' }, { 'X-Quipu-Nodes': 'all' }))
  const bars = steps.filter(({ digest, completed }) => digest !== undefined && completed > 0)
  const [alone] = await lines(
    await fetch(`${w.sims[0]!.url}/api/pull`, { method: 'POST', body: '{"model":"new:1b"}' }),
  ).then(all => all.filter(({ total }) => total > 1e6))
  t.ok(bars.some(({ digest, total }) => digest === alone.digest && total === 2 * alone.total))
  t.ok(bars.every(({ total, completed }) => completed <= total))
})

t.test('of a pull to several nodes, one that fails is named, and the others go on', async t => {
  const failing: OddHandler = (_req, res) =>
    void res
      .writeHead(200, { 'Content-Type': 'application/x-ndjson' })
      .end('{"status":"pulling manifest"}\n{"error":"no space left"}\n')
  const dying: OddHandler = (req, res) => {
    res.write('{"status":"pulling manifest"}\n')
    setTimeout(() => req.socket.destroy(), 10)
  }
  const hostile: OddHandler = (_req, res) => void res.end('x'.repeat(1_000_000))
  const fine: OddHandler = (_req, res) =>
    void res.end('{"status":"pulling manifest"}\n{"status":"success"}\n')
  const nodes = await Promise.all([failing, dying, hostile, fine].map(handle => odd(t, handle)))
  const w = await houseOf(t, nodes)
  const steps = await lines(await w.post('/api/pull', { model: 'new' }, { 'X-Quipu-Nodes': 'all' }))
  t.match(
    steps.at(-1)!.error,
    /^(?=.*n1: no space left)(?=.*n2: the connection broke)(?=.*n3: the node answered)/,
  )
  t.equal(steps.filter(({ error }) => error !== undefined).length, 1)
  const whole = await w.post('/api/pull', { model: 'new', stream: false }, { 'X-Quipu-Nodes': 'n1,n4' })
  t.same([whole.status, await whole.json()], [500, { error: 'n1: no space left' }])
  t.match(await told(w, 'model.failed'), [
    { id: 'new:latest', by: '127.0.0.1', verb: 'pull', nodes: ['n1', 'n2', 'n3'], status: 500 },
    { nodes: ['n1'] },
  ])
  t.match(await told(w, 'model.pulled'), [{ nodes: ['n4'] }, { nodes: ['n4'] }])
  for (const { asked } of nodes) t.match(JSON.parse(asked[0]!.body), { model: 'new', stream: true })
})

t.test('a client that leaves calls a pull off everywhere', async t => {
  const { promise: freed, resolve: free } = Promise.withResolvers<void>()
  let open = 0
  const slow: OddHandler = (_req, res) => {
    open += 1
    res.write('{"status":"pulling manifest"}\n')
    res.on('close', () => {
      open -= 1
      if (open === 0) free()
    })
  }
  const w = await houseOf(t, [await odd(t, slow), await odd(t, slow)])
  const abort = new AbortController()
  const res = await fetch(`${w.url}/api/pull`, {
    method: 'POST',
    body: '{"model":"new"}',
    headers: { 'X-Quipu-Nodes': 'all' },
    signal: abort.signal,
  })
  await res.body!.getReader().read()
  abort.abort()
  await freed
  const failed = await w.fact('model.failed')
  t.match(failed.data, { verb: 'pull', nodes: ['n1', 'n2'], status: 499 })
})

t.test('a pull may go to many nodes', async t => {
  const fine: OddHandler = (_req, res) => void res.end('{"status":"success"}\n')
  const w = await houseOf(t, await Promise.all(Array.from({ length: 14 }, () => odd(t, fine))))
  const warnings: Error[] = []
  const warned = (warning: Error): void => void warnings.push(warning)
  process.on('warning', warned)
  t.teardown(() => void process.off('warning', warned))
  t.same(await lines(await w.post('/api/pull', { model: 'new' }, { 'X-Quipu-Nodes': 'all' })), [
    { status: 'success' },
  ])
  t.equal((await w.fact('model.pulled')).data.nodes.length, 14)
  t.same(warnings, [])
})

t.test('what the registry says is passed on, and a failure leaves a fact', async t => {
  const w = await world(t, { sims: [FAST] })
  const steps = await lines(await w.post('/api/pull', { model: 'absent' }))
  t.same(steps, [{ status: 'pulling manifest' }, { error: 'pull model manifest: file does not exist' }])
  const whole = await w.post('/api/pull', { model: 'absent', stream: false })
  t.equal(whole.status, 500)
  t.match(await told(w, 'model.failed'), [
    { id: 'absent:latest', verb: 'pull', nodes: ['n1'], status: 500, by: '127.0.0.1' },
    { status: 500 },
  ])
  const nameless = await w.post('/api/pull', {})
  t.same([nameless.status, await nameless.json()], [400, { error: 'invalid model name' }])
  t.equal((await w.facts('model.failed')).length, 2, 'a name no model can have leaves none')
})

t.test('a pull nobody was told to do goes to another node when the first takes no connection', async t => {
  const w = await world(t, {
    sims: [{ ...FAST, models: 'tiny:latest' }, FAST],
    flags: { 'probe-every': '60s' },
  })
  await w.sims[0]!.down()
  const res = await w.post('/api/pull', { model: 'new', stream: false })
  t.same([res.status, res.headers.get('x-quipu-node')], [200, 'n2'])
  const named = await w.post('/api/pull', { model: 'new' }, { 'X-Quipu-Nodes': 'n1' })
  t.same(
    [named.status, await named.json()],
    [502, { error: 'node n1 could not be asked: it takes no connections' }],
  )
})

t.test('nodes that are not there are refused by name, and those that are told', async t => {
  const w = await world(t, { sims: [FAST, FAST] })
  for (const [header, message] of [
    ['n9', /no node is called n9; there are: n1, n2, or say all/],
    ['n1,n9', /n9/],
    [',', /""/],
  ] as const) {
    const res = await w.post('/api/pull', { model: 'new' }, { 'X-Quipu-Nodes': header })
    t.equal(res.status, 400)
    t.match(((await res.json()) as { error: string }).error, message)
  }
  const push = await w.post('/api/push', { model: 'tiny' }, { 'X-Quipu-Nodes': 'n1,n2' })
  t.match(await push.json(), { error: /one node/ })
})

t.test('delete and copy reach every node that has the model, and no other', async t => {
  const w = await world(t, { sims: [{}, {}, { models: 'other:latest' }] })
  const copy = await w.post('/api/copy', { source: 'Tiny', destination: 'TWIN' })
  t.same([copy.status, await copy.text(), copy.headers.get('content-length')], [200, '', '0'])
  t.equal(copy.headers.get('content-type'), null)
  t.equal(copy.headers.get('x-quipu-node'), 'n1,n2')
  t.same(
    [1, 2, 3].map(n => on(w, n).includes('TWIN:latest')),
    [true, true, false],
  )
  t.equal((await w.generate({ model: 'twin' })).status, 200)
  const deleted = await remove(w, 'twin')
  t.same([deleted.status, await deleted.text()], [200, ''])
  t.same(await listed(w), ['embed:latest', 'other:latest', 'tiny:latest'])
  t.same(await told(w, 'model.copied', 'model.deleted'), [
    { id: 'tiny:latest', by: '127.0.0.1', nodes: ['n1', 'n2'], to: 'twin:latest' },
    { id: 'twin:latest', by: '127.0.0.1', nodes: ['n1', 'n2'] },
  ])
})

t.test('errors of delete and copy are Ollama’s own', async t => {
  const w = await world(t, { sims: [{}, {}] })
  for (const [source, destination, status, error] of [
    ['nope', 'x', 404, 'model "nope" not found'],
    ['', 'x', 400, 'source "" is invalid'],
    ['tiny', '', 400, 'destination "" is invalid'],
    ['a b', 'x', 400, 'source "a b" is invalid'],
    ['tiny', `${'x'.repeat(200)}\r\n`, 400, /^destination ".*" is invalid$/],
  ] as const) {
    const res = await w.post('/api/copy', { source, destination })
    t.equal(res.status, status)
    t.match(((await res.json()) as { error: string }).error, error)
  }
  const nope = await remove(w, 'nope')
  t.same([nope.status, await nope.json()], [404, { error: "model 'nope' not found" }])
  const bad = await remove(w, 'a b')
  t.same([bad.status, await bad.json()], [400, { error: 'name "a b" is invalid' }])
  const failed = await told(w, 'model.failed')
  t.match(failed, [
    { id: 'nope:latest', verb: 'copy', status: 404, nodes: ['n1'] },
    { id: 'tiny:latest', verb: 'copy', status: 400, nodes: ['n1', 'n2'] },
    { id: 'tiny:latest', verb: 'copy', status: 400 },
    { id: 'nope:latest', verb: 'delete', status: 404 },
  ])
  t.equal(failed.length, 4)
  t.equal((await w.facts('model.copied')).length, 0)
})

t.test('a node that is down keeps its copy, and the client is told', async t => {
  const w = await world(t, { sims: [{}, {}], flags: { 'probe-every': '50ms', 'lost-after': '1' } })
  await w.sims[1]!.down()
  await w.fact('node.lost')
  const res = await remove(w, 'tiny')
  t.equal(res.status, 503)
  t.same(await res.json(), { error: 'done on n1; not on n2: it is not up' })
  t.same(await told(w, 'model.deleted', 'model.failed'), [
    { id: 'tiny:latest', by: '127.0.0.1', nodes: ['n1'] },
    { id: 'tiny:latest', by: '127.0.0.1', verb: 'delete', nodes: ['n2'], status: 503 },
  ])
  const again = await remove(w, 'tiny')
  t.same([again.status, await again.json()], [503, { error: 'not on n2: it is not up' }])
  await w.sims[1]!.up()
  await w.fact('node.returned')
  t.equal((await remove(w, 'tiny')).status, 200)
  t.same(on(w, 2), ['embed:latest'])
})

t.test(
  'a delete that one of two nodes refuses says which, with its words; one that lost it already is no failure',
  async t => {
    const answering =
      (status: number, body: string): OddHandler =>
      (_req, res) =>
        void res.writeHead(status, { 'Content-Length': body.length }).end(body)
    const done = answering(200, '')
    const w = await houseOf(t, [
      await odd(t, done),
      await odd(t, answering(500, '{"error":"disk is read-only"}')),
    ])
    const partly = await remove(w, 'tiny')
    t.same([partly.status, await partly.json()], [500, { error: 'done on n1; not on n2: disk is read-only' }])
    const other = await houseOf(t, [
      await odd(t, done),
      await odd(t, answering(404, '{"error":"not found"}')),
    ])
    t.equal((await remove(other, 'tiny')).status, 200)
    t.match(await told(other, 'model.deleted', 'model.failed'), [{ nodes: ['n1'] }])
  },
)

t.test('a delete may be kept to the nodes that are named', async t => {
  const w = await world(t, { sims: [{}, {}] })
  t.equal((await remove(w, 'tiny', { 'X-Quipu-Nodes': 'n2' })).status, 200)
  t.same([on(w, 1), on(w, 2)], [['embed:latest', 'tiny:latest'], ['embed:latest']])
  const nowhere = await remove(w, 'tiny', { 'X-Quipu-Nodes': 'n2' })
  t.same([nowhere.status, await nowhere.json()], [404, { error: "model 'tiny' not found" }])
  t.same(on(w, 1), ['embed:latest', 'tiny:latest'])
})

t.test('a push goes to a node that has the model, with its progress', async t => {
  const w = await world(t, {
    sims: [
      { ...FAST, models: 'tiny:latest' },
      { ...FAST, models: 'me/own:latest' },
    ],
  })
  const res = await w.post('/api/push', { name: 'me/own', model: '' })
  t.equal(res.headers.get('x-quipu-node'), 'n2')
  const steps = await lines(res)
  t.match(steps[0], { status: 'retrieving manifest' })
  t.same(steps.at(-1), { status: 'success' })
  const unknown = await lines(await w.post('/api/push', { model: 'nope' }))
  t.match(unknown.at(-1), { error: /no such file/ })
  t.match(await told(w, 'model.pushed', 'model.failed'), [
    { id: 'me/own:latest', nodes: ['n2'] },
    { id: 'nope:latest', verb: 'push', status: 500 },
  ])
})

t.test('an upload and its create reach the same node, whatever else there is', async t => {
  const w = await world(t, { sims: [FAST, FAST, FAST, FAST] })
  const gguf = Buffer.concat([Buffer.from('GGUF'), Buffer.alloc(300_000, 7)])
  const digest = `sha256:${createHash('sha256').update(gguf).digest('hex')}`
  const blob = `${w.url}/api/blobs/${digest}`
  t.equal((await fetch(blob, { method: 'HEAD' })).status, 404)
  const upload = await fetch(blob, {
    method: 'POST',
    body: new Blob([gguf]).stream(),
    headers: { 'Content-Type': 'application/json' },
    duplex: 'half',
  } as RequestInit)
  t.same([upload.status, await upload.text()], [201, ''])
  const home = upload.headers.get('x-quipu-node')
  const head = await fetch(blob, { method: 'HEAD' })
  t.same([head.status, head.headers.get('x-quipu-node')], [200, home])
  const res = await w.post('/api/create', { model: 'mine', files: { 'a.gguf': digest } })
  t.equal(res.headers.get('x-quipu-node'), home)
  t.same((await lines(res)).at(-1), { status: 'success' })
  t.equal((await w.generate({ model: 'mine' })).headers.get('x-quipu-node'), home)
  t.same(await told(w, 'model.created'), [{ id: 'mine:latest', by: '127.0.0.1', nodes: [home] }])
})

t.test('uploads that are elsewhere are found there, and a base with them', async t => {
  const gguf = Buffer.from('GGUF and so on')
  const digest = `sha256:${createHash('sha256').update(gguf).digest('hex')}`
  const w = await world(t, { sims: [FAST, FAST, FAST] })
  for (const sim of w.sims.slice(1)) {
    await fetch(`${sim.url}/api/blobs/${digest}`, { method: 'POST', body: gguf })
  }
  await (
    await fetch(`${w.sims[2]!.url}/api/copy`, {
      method: 'POST',
      body: '{"source":"tiny","destination":"base"}',
    })
  ).text()
  await w.fact('replica.found', ({ id }) => id === 'base:latest@n3')
  const made = await w.post('/api/create', { model: 'a', files: { 'a.gguf': digest } })
  t.match(made.headers.get('x-quipu-node'), /n[23]/)
  await made.text()
  const based = await w.post('/api/create', { model: 'b', from: 'base', adapters: { 'b.gguf': digest } })
  t.equal(based.headers.get('x-quipu-node'), 'n3')
  await based.text()
})

t.test('errors of uploads and creates are Ollama’s own', async t => {
  const w = await world(t, { sims: [FAST] })
  for (const path of ['sha256:abc', '..%2f..%2fdelete', `sha256:${'g'.repeat(64)}`]) {
    const res = await fetch(`${w.url}/api/blobs/${path}`, { method: 'POST', body: 'x' })
    if (path.includes('%2f')) t.equal(res.status, 404)
    else t.same([res.status, await res.json()], [400, { error: 'invalid digest format' }])
  }
  const wrong = await fetch(`${w.url}/api/blobs/sha256:${'0'.repeat(64)}`, { method: 'POST', body: 'x' })
  t.equal(wrong.status, 400)
  t.match(await wrong.json(), { error: /^digest mismatch, expected "sha256:0+", got "sha256:/ })
  const none = await w.post('/api/create', { model: 'x' })
  t.same([none.status, await none.json()], [400, { error: "neither 'from' or 'files' was specified" }])
  t.match(await told(w, 'model.failed'), [{ id: 'x:latest', verb: 'create', status: 400, nodes: ['n1'] }])
})

t.test('stopping a model reaches every node that has it in memory, and is no request of its own', async t => {
  const w = await world(t, { sims: [{}, {}, {}] })
  for (const sim of w.sims.slice(0, 2)) {
    await fetch(`${sim.url}/api/generate`, { method: 'POST', body: '{"model":"tiny"}' })
    await w.fact('replica.loaded', ({ id }) => id === `tiny:latest@${sim.name}`)
  }
  const res = await w.post('/api/chat', { model: 'tiny', messages: [], keep_alive: '0s' })
  t.match(await res.json(), { done_reason: 'unload', message: { role: 'assistant', content: '' } })
  t.equal(res.headers.get('x-quipu-node'), 'n1,n2')
  for (const sim of w.sims) t.same(sim.residents(), [])
  t.equal((await w.facts('request.admitted')).length, 0)
  t.same(((await (await fetch(`${w.url}/api/ps`)).json()) as { models: object[] }).models, [])
})
