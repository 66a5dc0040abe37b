import { createHash } from 'node:crypto'
import t from 'tap'
import { ask, quickSim } from './ask.ts'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const EMPTY = { 'content-length': '0' }

t.test('tags lists what there is, the newest first', async t => {
  const sim = await quickSim(t, { models: 'tiny,embed,big:70b' })
  const { models } = (await ask(sim, '/api/tags')).json
  t.same(
    models.map((model: any) => model.name),
    ['tiny:latest', 'embed:latest', 'big:70b'],
  )
  t.same(Object.keys(models[0]), [
    'name',
    'model',
    'modified_at',
    'size',
    'digest',
    'details',
    'capabilities',
  ])
  t.match(models[0].digest, /^[0-9a-f]{64}$/)
  t.same(
    models.map((model: any) => model.capabilities),
    [['completion'], ['embedding'], ['completion']],
  )
  t.equal(models[2].details.parameter_size, '70B')
  t.ok(models[0].modified_at > models[1].modified_at)
})

t.test('ps lists what is in memory', async t => {
  const sim = await quickSim(t, { resident: 2 })
  await ask(sim, '/api/generate', { body: { model: 'tiny', keep_alive: -1 } })
  await ask(sim, '/api/embed', { body: { model: 'embed', options: { num_ctx: 128 } } })
  const { models } = (await ask(sim, '/api/ps')).json
  t.same(Object.keys(models[0]), [
    'name',
    'model',
    'size',
    'digest',
    'details',
    'expires_at',
    'size_vram',
    'context_length',
  ])
  t.match(models, [
    { name: 'tiny:latest', context_length: 4096, expires_at: /^23\d\d-/ },
    { name: 'embed:latest', context_length: 128 },
  ])
  t.notOk('context_length' in models[0].details)
})

t.test('show tells all, in any letter case and with junk behind', async t => {
  const sim = await quickSim(t)
  const shown = await ask(sim, '/api/show', { body: '{"NAME":"TINY"}junk' })
  t.equal(shown.status, 200)
  const details = shown.json
  t.match(details.modelfile, /\nFROM \/.*\/blobs\/sha256-[0-9a-f]{64}\n/)
  t.match(details.model_info, { 'general.architecture': String, 'tokenizer.ggml.tokens': [] })
  t.same(details.capabilities, ['completion'])
  const copilot = { 'user-agent': 'GitHubCopilotChat/1.0' }
  const named = await ask(sim, '/api/show', { body: { model: 'Tiny' }, headers: copilot })
  t.equal(named.json.model_info['general.basename'], 'Tiny')
})

t.test('a copy is the same model under another name, and comes first', async t => {
  const sim = await quickSim(t)
  const copied = await ask(sim, '/api/copy', { body: { source: 'TINY', destination: 'me/twin:x' } })
  t.same([copied.status, copied.text, copied.headers], [200, '', EMPTY])
  const { models } = (await ask(sim, '/api/tags')).json
  t.equal(models[0].name, 'me/twin:x')
  t.equal(models[0].digest, models[1].digest)
  const say = async (model: string): Promise<string> =>
    (await ask(sim, '/api/generate', { body: { model, prompt: 'a', stream: false } })).json.response
  t.equal(await say('tiny'), await say('me/twin:x'))
  t.equal(sim.loads.loads, 1, 'and shares its runner')
  for (const status of [200, 404]) {
    const gone = await ask(sim, '/api/delete', { method: 'DELETE', body: { name: 'me/TWIN:x' } })
    t.equal(gone.status, status)
  }
  t.same(sim.models(), ['tiny:latest', 'embed:latest'])
})

t.test('a blob is hashed as it comes, and kept under its own digest', async t => {
  const sim = await quickSim(t)
  const file = `GGUF${'x'.repeat(100_000)}`
  const path = `/api/blobs/sha256:${sha256(file)}`
  const absent = await ask(sim, path, { method: 'HEAD' })
  t.match({ ...absent }, { status: 404, text: '', headers: { 'content-length': '102' } })
  t.equal(
    (await ask(sim, `/api/blobs/sha256:${'1'.repeat(64)}`, { body: file })).status,
    400,
    'a wrong promise',
  )
  t.match({ ...(await ask(sim, path, { method: 'HEAD' })) }, { status: 200, text: '' })
  t.equal((await ask(sim, path, { body: file })).status, 200, 'is there already')
  const other = await ask(sim, `/api/blobs/sha256:${sha256('GGUF')}`, {
    body: 'GGUF',
    headers: { 'transfer-encoding': 'chunked' },
  })
  t.same([other.status, other.text, other.headers], [201, '', EMPTY])
  t.match({ ...(await ask(sim, path)) }, { status: 405, headers: { allow: 'HEAD, POST' } })
})

t.test('a model is made of another one, or of an upload', async t => {
  const sim = await quickSim(t)
  const from = await ask(sim, '/api/create', {
    body: { model: 'child', from: 'tiny', system: 'be brief', parameters: { num_predict: 2 } },
  })
  t.match(
    from.lines.map(line => line.status),
    [
      /^using existing layer sha256:/,
      /^using existing/,
      /^creating new layer/,
      /^creating/,
      'writing manifest',
      'success',
    ],
  )
  const child = (await ask(sim, '/api/show', { body: { model: 'child' } })).json
  t.match(child, {
    system: 'be brief',
    details: { parent_model: 'tiny:latest' },
    parameters: /num_predict +2/,
  })
  const short = await ask(sim, '/api/generate', { body: { model: 'child', prompt: 'a', stream: false } })
  t.equal(short.json.eval_count, 2)

  const digest = `sha256:${sha256('GGUF file')}`
  const files = { 'model.gguf': digest }
  const unsent = await ask(sim, '/api/create', { body: { model: 'mine', files, stream: false } })
  t.match({ ...unsent }, { status: 500, text: /no such file or directory/ })
  await ask(sim, `/api/blobs/${digest}`, { body: 'GGUF file' })
  const made = await ask(sim, '/api/create', { body: { model: 'mine', files } })
  t.equal(made.lines[0].status, 'parsing GGUF')
  t.equal(made.lines.at(-1).status, 'success')
  const { modelfile } = (await ask(sim, '/api/show', { body: { model: 'mine' } })).json
  t.notMatch(modelfile, digest.slice(7), 'what is stored is not what was uploaded')
  t.equal(sim.models()[0], 'mine:latest')
})

t.test('a pull tells how far it is, and brings what every other node has', async t => {
  const sim = await quickSim(t, { models: 'tiny', pullBytesPerSec: 1e9, speed: 20 })
  const pulled = await ask(sim, '/api/pull', { body: { name: 'small:4b' } })
  t.same(pulled.headers, { 'content-type': 'application/x-ndjson', 'transfer-encoding': 'chunked' })
  const statuses = pulled.lines.map(line => line.status)
  t.equal(statuses[0], 'pulling manifest')
  t.match(pulled.lines[1], {
    status: /^pulling [0-9a-f]{12}$/,
    digest: /^sha256:/,
    total: Number,
    completed: Number,
  })
  t.ok(pulled.lines[1].completed < pulled.lines[1].total)
  t.same(statuses.slice(-3), ['verifying sha256 digest', 'writing manifest', 'success'])
  const shipped = await quickSim(t, { models: 'small:4b' })
  const digest = async (of: typeof sim): Promise<string> => (await ask(of, '/api/tags')).json.models[0].digest
  t.equal(await digest(sim), await digest(shipped))
  const again = await ask(sim, '/api/pull', { body: { name: 'small:4b' } })
  t.ok(
    again.lines.filter(line => line.total).every(line => line.completed === line.total),
    'every layer is there',
  )
})

t.test('a broken-off pull goes on where it was', async t => {
  const sim = await quickSim(t, { models: 'tiny', pullBytesPerSec: 1e9, speed: 20 })
  const signal = AbortSignal.timeout(120)
  await t.rejects(ask(sim, '/api/pull', { body: { name: 'large:8b' }, signal }))
  const { lines } = await ask(sim, '/api/pull', { body: { name: 'large:8b' } })
  // A fresh one says 60 ms' worth first.
  t.ok(lines[1].completed > 1.5 * 60 * 20e6, `${lines[1].completed}`)
})

t.test('with stream false only the end is told', async t => {
  const sim = await quickSim(t, { pullBytesPerSec: Number.POSITIVE_INFINITY })
  for (const [path, body] of [
    ['pull', { name: 'x' }],
    ['push', { name: 'x' }],
    ['create', { model: 'y', from: 'x' }],
  ] as const) {
    const reply = await ask(sim, `/api/${path}`, { body: { ...body, stream: false } })
    t.equal(reply.text, '{"status":"success"}', path)
    t.equal(reply.headers['content-type'], 'application/json')
  }
})

t.test('what no registry has fails within the stream', async t => {
  const sim = await quickSim(t)
  const pull = await ask(sim, '/api/pull', { body: { model: 'absent' } })
  t.equal(pull.status, 200)
  t.equal(pull.text, '{"status":"pulling manifest"}\n{"error":"pull model manifest: file does not exist"}\n')
  const push = await ask(sim, '/api/push', { body: { model: 'nope' } })
  t.equal(push.status, 200)
  t.match(push.lines, [
    { status: 'retrieving manifest' },
    { status: "couldn't retrieve manifest" },
    { error: /^open / },
  ])
  const bad = await ask(sim, '/api/push', { body: { model: 'a b' } })
  t.same(bad.lines.at(-1), { error: 'unqualified name: registry.ollama.ai/library/a b:latest' })
})

t.test('models on /v1 have an owner, and an empty store has no list', async t => {
  const sim = await quickSim(t, { models: 'tiny,me/tiny' })
  const list = await ask(sim, '/v1/models')
  t.equal(list.headers['content-type'], 'application/json')
  t.ok(list.text.endsWith('}\n'))
  t.match(list.json.data, [
    { id: 'tiny:latest', object: 'model', created: Number, owned_by: 'library' },
    { owned_by: 'me' },
  ])
  t.match((await ask(sim, '/v1/models/tiny')).json, { id: 'tiny', owned_by: 'library' })
  const empty = await quickSim(t, { models: '' })
  t.equal((await ask(empty, '/v1/models')).text, '{"object":"list","data":null}\n')
  t.equal((await ask(empty, '/api/tags')).text, '{"models":[]}')
})
