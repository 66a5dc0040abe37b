import t from 'tap'
import { type Sim, startSim, startSims } from '../../src/sim/sim.ts'
import { ask, INSTANTLY, quickSim } from './ask.ts'

const messages = [{ role: 'user', content: 'hi' }]
const chat = { model: 'tiny', messages }
const shortly = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(80) })

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise(resolve => setImmediate(resolve))
}

t.test('error refuses inference with 500 and nothing else', async t => {
  const sim = await quickSim(t)
  sim.setMode('error')
  t.equal((await ask(sim, '/api/chat', { body: chat })).status, 500)
  t.match((await ask(sim, '/v1/chat/completions', { body: chat })).json.error, { type: 'api_error' })
  t.equal((await ask(sim, '/api/embed', { body: { model: 'embed', input: 'a' } })).status, 500)
  t.equal((await ask(sim, '/api/tags')).status, 200)
  sim.setMode('ok')
  t.equal((await ask(sim, '/api/chat', { body: chat })).status, 200)
})

t.test('busy refuses inference as a full queue does', async t => {
  const sim = await quickSim(t)
  sim.setMode('busy')
  const reply = await ask(sim, '/v1/messages', { body: { ...chat, max_tokens: 1 } })
  t.equal(reply.status, 503)
  t.equal(reply.json.error.type, 'overloaded_error')
})

t.test('hang takes inference in and never answers, while everything else does', async t => {
  const sim = await quickSim(t)
  sim.setMode('hang')
  await t.rejects(ask(sim, '/api/chat', { body: chat, ...shortly() }))
  for (const path of ['/', '/api/version', '/api/tags', '/api/ps'])
    t.equal((await ask(sim, path)).status, 200, path)
  await until(() => sim.counters.inFlight === 0)
  t.equal(sim.counters.abandoned, 1)
})

t.test('slow stretches every wait', async t => {
  const sim = await quickSim(t, { loadMs: 20 })
  sim.setMode('slow', { factor: 5 })
  const started = performance.now()
  const { json } = await ask(sim, '/api/generate', { body: { model: 'tiny', prompt: 'a', stream: false } })
  t.ok(performance.now() - started >= 99)
  t.ok(json.load_duration >= 99e6)
})

t.test('a pull becomes slow with its node, and goes on when it is well again', async t => {
  const sim = await quickSim(t, { pullBytesPerSec: 20e9 })
  sim.setMode('slow', { factor: 1e6 })
  const pull = ask(sim, '/api/pull', { body: { model: 'large:8b' } })
  t.equal(await Promise.race([pull, new Promise(resolve => setTimeout(resolve, 300, 'slow'))]), 'slow')
  sim.setMode('ok')
  const { lines } = await pull
  t.ok(lines.length > 5, 'it was told all along')
  t.equal(lines.at(-1).status, 'success')
})

t.test('flaky refuses every second one', async t => {
  const sim = await quickSim(t)
  sim.setMode('flaky')
  const statuses: number[] = []
  for (let i = 0; i < 4; i += 1) statuses.push((await ask(sim, '/api/chat', { body: chat })).status)
  t.same(statuses, [200, 500, 200, 500])
})

t.test('die-midstream cuts the connection after some tokens', async t => {
  const sim = await quickSim(t)
  sim.setMode('die-midstream', { afterTokens: 2 })
  const reply = await fetch(`${sim.url}/api/chat`, { method: 'POST', body: JSON.stringify(chat) })
  let text = ''
  await t.rejects(async () => {
    for await (const part of reply.body!) text += Buffer.from(part)
  })
  t.equal(text.trim().split('\n').length, 2)
  t.notMatch(text, /"done":true/)
  await t.rejects(ask(sim, '/api/chat', { body: { ...chat, stream: false } }))
  await until(() => sim.counters.inFlight === 0)
  sim.setMode('ok')
  t.equal((await ask(sim, '/api/chat', { body: chat })).status, 200, 'and the slot is free')
})

t.test('half-open falls silent after some tokens and keeps the connection', async t => {
  const sim = await quickSim(t)
  sim.setMode('half-open', { afterTokens: 2 })
  const leaving = new AbortController()
  const body = JSON.stringify(chat)
  const reply = await fetch(`${sim.url}/api/chat`, { method: 'POST', body, signal: leaving.signal })
  const reader = reply.body!.getReader()
  let text = ''
  while (text.split('\n').length < 3) text += Buffer.from((await reader.read()).value!)
  const silence = await Promise.race([
    reader.read(),
    new Promise(resolve => setTimeout(resolve, 60, 'silence')),
  ])
  t.equal(silence, 'silence')
  t.equal(sim.counters.inFlight, 1)
  leaving.abort()
  await until(() => sim.counters.inFlight === 0)
})

t.test('runner-dies ends each stream with the face it has there', async t => {
  const sim = await quickSim(t)
  sim.setMode('runner-dies', { afterTokens: 1 })
  const died = 'an error was encountered while running the model: unexpected EOF'
  const native = await ask(sim, '/api/chat', { body: chat })
  t.equal(native.status, 200)
  t.same(native.lines.at(-1), { error: died })
  t.ok(native.text.endsWith('}\n'))
  const openai = await ask(sim, '/v1/chat/completions', { body: { ...chat, stream: true } })
  t.equal(openai.lines.length, 2)
  t.match(openai.lines[1], { model: '', choices: [{ delta: { content: '' }, finish_reason: null }] })
  t.notMatch(openai.text, /\[DONE\]/)
  const claude = await ask(sim, '/v1/messages', { body: { ...chat, max_tokens: 9, stream: true } })
  t.equal(claude.lines.at(-1).type, 'content_block_delta', 'a silent end')
  const responses = await ask(sim, '/v1/responses', { body: { model: 'tiny', input: 'hi', stream: true } })
  t.equal(responses.lines.at(-1).type, 'response.output_text.delta', 'a silent end')
  const whole = await ask(sim, '/api/chat', { body: { ...chat, stream: false } })
  t.same([whole.status, whole.json], [500, { error: died }])
  t.ok(sim.loads.reloaded >= 4, 'each death costs a load')
})

t.test('a client that leaves frees its slot at once', async t => {
  const sim = await quickSim(t, { decodeTps: 20, models: 'tiny' })
  const leaving = new AbortController()
  const first = ask(sim, '/api/chat', { body: chat, signal: leaving.signal })
  await until(() => sim.counters.inFlight === 1)
  const second = ask(sim, '/api/chat', { body: { ...chat, options: { num_predict: 1 } } })
  await until(() => sim.counters.inFlight === 2)
  leaving.abort()
  await t.rejects(first)
  t.equal((await second).status, 200)
  t.match(sim.counters, { inFlight: 0, inFlightMax: 2, abandoned: 1, requests: { 'POST /api/chat': 2 } })
})

t.test(
  'a client that leaves while its model loads takes the load with it, and the next one begins anew',
  async t => {
    const sim = await quickSim(t, { loadMs: 60 })
    const leaving = new AbortController()
    const owner = ask(sim, '/api/chat', { body: chat, signal: leaving.signal })
    await until(() => sim.counters.inFlight === 1)
    const other = ask(sim, '/api/chat', { body: chat })
    await until(() => sim.loads.waiting === 1)
    leaving.abort()
    await t.rejects(owner)
    t.equal((await other).status, 200)
    t.match(sim.loads, { loads: 1, aborted: 1 })
  },
)

t.test('the mode is set over HTTP too', async t => {
  const sim = await quickSim(t)
  t.same((await ask(sim, '/sim/mode')).json, { mode: 'ok', afterTokens: 3, factor: 10, every: 2 })
  const set = await ask(sim, '/sim/mode', { body: { mode: 'flaky', every: 3 } })
  t.match(set.json, { mode: 'flaky', every: 3 })
  t.equal(sim.mode, 'flaky')
  for (const body of [{ mode: 'odd' }, { mode: 'slow', factor: 'x' }, { mode: 'flaky', every: 0 }, 'no'])
    t.equal((await ask(sim, '/sim/mode', { body })).status, 400)
  t.match((await ask(sim, '/sim/stats')).json, { name: 'sim-1', mode: 'flaky', inFlight: 0, loads: 0 })
})

t.test('a node that is down refuses connections, and comes back with an empty memory', async t => {
  const sim = await quickSim(t, { decodeTps: 10 })
  const cut = t.rejects(ask(sim, '/api/chat', { body: chat }))
  await until(() => sim.residents().length === 1)
  await sim.down()
  await cut
  await t.rejects(ask(sim, '/'), { code: 'ECONNREFUSED' })
  await sim.up()
  t.same((await ask(sim, '/api/ps')).json, { models: [] })
  t.equal((await ask(sim, '/api/tags')).json.models.length, 2)
  await until(() => sim.counters.inFlight === 0)
})

t.test('several nodes hold equal models under their own names, each on its port', async t => {
  const each = (i: number) => (i === 2 ? { models: 'other' } : {})
  const sims = await startSims({ ...INSTANTLY, nodes: 3, models: 'tiny,embed', each })
  t.teardown(() => Promise.all(sims.map(sim => sim.close())))
  t.same(
    sims.map(sim => sim.name),
    ['sim-1', 'sim-2', 'sim-3'],
  )
  t.equal(new Set(sims.map(sim => sim.port)).size, 3)
  const digests = async (sim: Sim): Promise<string[]> =>
    (await ask(sim, '/api/tags')).json.models.map((model: { digest: string }) => model.digest)
  t.same(await digests(sims[0]!), await digests(sims[1]!))
  t.same(sims[2]!.models(), ['other:latest'])
  await t.rejects(startSim({ port: sims[0]!.port }), { code: 'EADDRINUSE' })
})
