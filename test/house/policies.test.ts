/** A whole house whose models have policies, in front of nodes that load anew when Ollama would. */
import t from 'tap'
import { type World, world } from './world.ts'

const put = async ({ url }: World, model: string, policy: object): Promise<void> => {
  const answer = await fetch(`${url}/quipu/policies/${model}`, {
    method: 'PUT',
    body: JSON.stringify(policy),
  })
  if (!answer.ok) throw new Error(await answer.text())
}
const chat = (w: World): Promise<Response> =>
  w.post('/v1/chat/completions', { model: 'tiny', messages: [{ role: 'user', content: 'hello' }] })
/** Milliseconds the copy on the first node stays, as it stands. */
const stay = ({ sims }: World): number => (sims[0]!.residents()[0]?.expiresAt ?? 0) - Date.now()
const ended = async (answer: Promise<Response>): Promise<number> => {
  const res = await answer
  await res.text()
  return res.status
}
const MINUTE = 60_000
const HUNDRED_YEARS = 100 * 365 * 24 * 60 * MINUTE

t.test('native clients get the length and the time of the policy, whatever they ask for', async t => {
  const w = await world(t)
  const [sim] = w.sims
  await put(w, 'tiny', { numCtx: 1_024, keepAliveS: '30m' })
  const ask = { stream: false, keep_alive: '1s' }
  t.equal(await ended(w.generate({ ...ask, options: { num_ctx: 512 } })), 200)
  t.equal(await ended(w.generate({ ...ask, options: { num_ctx: 2_048, temperature: 0 } })), 200)
  t.equal(
    await ended(w.post('/api/chat', { model: 'TINY', messages: [{ role: 'user', content: 'x' }] })),
    200,
  )
  t.equal(await ended(w.post('/api/generate', { model: 'tiny', keep_alive: -1 })), 200, 'a load')
  t.match(sim!.residents(), [{ contextLength: 1_024 }])
  t.same([sim!.loads.loads, sim!.loads.reloaded], [1, 0], 'one copy for all of them')
  t.ok(Math.abs(stay(w) - 30 * MINUTE) < MINUTE, `${stay(w)} ms`)
  t.match(await w.facts('request.admitted'), [
    { data: { variant: 'num_ctx=1024' } },
    { data: { variant: 'num_ctx=1024' } },
    { data: { variant: 'num_ctx=1024' } },
    { data: { variant: 'num_ctx=1024' } },
  ])
})

t.test('a longest length and time are not gone beyond, and what is shorter is granted', async t => {
  const w = await world(t)
  const [sim] = w.sims
  await put(w, 'tiny', { numCtxMax: 1_024, keepAliveMaxS: 600 })
  await ended(w.generate({ keep_alive: -1, options: { num_ctx: 100_000 } }))
  t.match(sim!.residents(), [{ contextLength: 1_024 }])
  t.ok(Math.abs(stay(w) - 10 * MINUTE) < MINUTE, `${stay(w)} ms`)
  await ended(w.generate({ keep_alive: '2m', options: { num_ctx: 512 } }))
  t.match(sim!.residents(), [{ contextLength: 512 }])
  t.ok(Math.abs(stay(w) - 2 * MINUTE) < MINUTE, `${stay(w)} ms`)
})

t.test('nobody unloads a model that a policy keeps; without it, anybody does', async t => {
  const w = await world(t)
  await put(w, 'tiny', { keepAliveS: -1 })
  await ended(w.generate())
  const refused = await w.post('/api/generate', { model: 'tiny', keep_alive: 0 })
  t.equal(refused.status, 403)
  t.match(await refused.json(), { error: /a policy of the house says how long this model stays/ })
  t.equal(w.sims[0]!.residents().length, 1)
  t.ok(stay(w) > HUNDRED_YEARS)
  t.equal((await w.generate({ keep_alive: 1, KEEP_ALIVE: 0 })).status, 400, 'it says it twice')
  await fetch(`${w.url}/quipu/policies/tiny`, { method: 'DELETE' })
  t.equal((await w.post('/api/generate', { model: 'tiny', keep_alive: 0 })).status, 200)
  t.equal(w.sims[0]!.residents().length, 0)
})

t.test('clients of /v1 have the policy’s time: on a copy of the house’s own from the start', async t => {
  const w = await world(t)
  await put(w, 'tiny', { keepAliveS: -1 })
  t.equal(await ended(chat(w)), 200)
  t.ok(stay(w) > HUNDRED_YEARS)
  t.equal(w.sims[0]!.loads.loads, 1)
})

t.test('… and on one that somebody else has loaded, after their first answer', async t => {
  const w = await world(t)
  const [sim] = w.sims
  const load = { method: 'POST', body: '{"model":"tiny","keep_alive":"1m"}' }
  await (await fetch(`${sim!.url}/api/generate`, load)).text()
  await w.fact('replica.loaded')
  await put(w, 'tiny', { keepAliveS: -1 })
  t.equal(await ended(chat(w)), 200)
  await w.fact('request.completed')
  while (stay(w) < HUNDRED_YEARS) await new Promise(resolve => setTimeout(resolve, 5))
  t.same([sim!.loads.loads, sim!.loads.reloaded], [1, 0], 'and it was not loaded anew for that')
})

t.test('a locked length is one copy with /v1 only where the node’s own is the same', async t => {
  for (const [numCtx, reloaded] of [
    [4_096, false],
    [1_024, true],
  ] as const) {
    // A node with OLLAMA_CONTEXT_LENGTH=4096 would say "not automatic"; what a request comes to is the same.
    const w = await world(t, { sims: [{ numCtx: 4_096 }] })
    const [sim] = w.sims
    await put(w, 'tiny', { numCtx })
    t.equal(await ended(w.generate()), 200)
    t.match(sim!.residents(), [{ contextLength: numCtx }])
    const body = '{"model":"tiny","messages":[{"role":"user","content":"x"}]}'
    await (await fetch(`${sim!.url}/v1/chat/completions`, { method: 'POST', body })).text()
    t.match(sim!.residents(), [{ contextLength: 4_096 }])
    t.equal(sim!.loads.reloaded > 0, reloaded, `numCtx ${numCtx}`)
  }
})
