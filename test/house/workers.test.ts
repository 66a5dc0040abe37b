/** Workers from outside at a whole house: they take jobs, bring answers, and come too late. */
import t from 'tap'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { dataFolder, storyOf, type World, world } from './world.ts'

const ask = async (w: World, method: string, path: string, body?: object) => {
  const res = await fetch(w.url + path, { method, ...(body && { body: JSON.stringify(body) }) })
  return { status: res.status, told: (await res.json()) as any }
}
const submit = async (w: World, more: object = {}): Promise<string> => {
  const job = { path: '/api/generate', body: { model: 'tiny', prompt: 'hello', stream: false }, ...more }
  return (await ask(w, 'POST', '/quipu/jobs', job)).told.id
}

t.test('where no node is, workers do the work', async t => {
  const w = await world(t, { sims: [] })
  const [a, b] = [await submit(w), await submit(w, { priority: 9 })]
  const take = await ask(w, 'POST', '/quipu/queue/take', { worker: 'attic', batchSize: 9 })
  t.equal(take.status, 200)
  t.match(take.told, [
    { id: b, attempt: 1, path: '/api/generate', model: 'tiny:latest', body: { prompt: 'hello' } },
    { id: a },
  ])
  t.match(await ask(w, 'POST', '/quipu/queue/take', { worker: 'attic' }), { status: 200, told: [] })
  t.match((await ask(w, 'GET', '/quipu/queue/stats')).told, { leased: 2, waiting: 0 })

  const answer = { response: 'hi', done: true }
  const brought = { worker: 'attic', attempt: 1, body: answer }
  t.same(await ask(w, 'POST', `/quipu/queue/${a}/complete`, brought), {
    status: 200,
    told: { id: a, state: 'completed' },
  })
  const result = await fetch(`${w.url}/quipu/jobs/${a}/result`)
  t.same(
    [result.status, result.headers.get('content-type'), result.headers.get('x-quipu-node')],
    [200, 'application/json; charset=utf-8', 'attic'],
  )
  t.same(await result.json(), answer)

  const stream = await (await fetch(`${w.url}/quipu/jobs/${a}/stream`)).text()
  t.match(stream, /event: attempt\n.*"node":"attic".*\n\n.*\nevent: output\n.*hi.*\n\n.*\nevent: end\n/s)

  const { told } = await ask(w, 'POST', `/quipu/queue/${b}/extend`, { attempt: 1, leaseMs: 3_600_000 })
  t.ok(told.until > take.told[0].until)
  const up = { worker: 'attic', attempt: 1, reason: 'memory', retryable: false }
  t.same((await ask(w, 'POST', `/quipu/queue/${b}/fail`, up)).told, { id: b, state: 'failed' })
  t.match(await ask(w, 'GET', `/quipu/jobs/${b}/result`), { status: 502, told: { code: 'job.failed' } })
  t.match((await ask(w, 'GET', '/quipu/queue/stats')).told, {
    leased: 0,
    perMinute: Number,
    lastHour: { completed: 1, failed: 1 },
    models: [{ model: 'tiny:latest', lastHour: { completed: 1, failed: 1 } }],
  })
})

t.test('bytes are kept as they were brought, with their status and type', async t => {
  const w = await world(t, { sims: [] })
  const bring = async (answer: object) => {
    const id = await submit(w)
    await ask(w, 'POST', '/quipu/queue/take', { worker: 'attic' })
    await ask(w, 'POST', `/quipu/queue/${id}/complete`, { worker: 'attic', attempt: 1, ...answer })
    const res = await fetch(`${w.url}/quipu/jobs/${id}/result`)
    return [res.status, res.headers.get('content-type'), Buffer.from(await res.arrayBuffer()).toString('hex')]
  }
  t.same(await bring({ bodyBase64: '/wA=' }), [200, 'application/octet-stream', 'ff00'])
  t.same(await bring({ body: 'ä', status: 404, contentType: 'text/html' }), [404, 'text/html', 'c3a4'])
  t.same(await bring({ body: 'a' }), [200, 'text/plain; charset=utf-8', '61'])
})

t.test('a job that was called off meanwhile is one whose lease is lost', async t => {
  const w = await world(t, { sims: [] })
  const id = await submit(w)
  await ask(w, 'POST', '/quipu/queue/take', { worker: 'attic' })
  t.match(await ask(w, 'DELETE', `/quipu/jobs/${id}`), { status: 200, told: { state: 'cancelled' } })
  const late = { status: 409, told: { code: 'request.lease-lost' } }
  const brought = { worker: 'attic', attempt: 1, body: 'x' }
  t.match(await ask(w, 'POST', `/quipu/queue/${id}/complete`, brought), late)
  t.match(await ask(w, 'POST', `/quipu/queue/${id}/extend`, { attempt: 1, leaseMs: 1_000 }), late)
  t.same(await storyOf(w, id), ['request.admitted', 'request.leased', 'request.cancelled', 'request.late'])
})

t.test('a lease outlives the house that gave it', async t => {
  const records: string[] = []
  const data = dataFolder(t)
  const house = () =>
    world(t, { sims: [], flags: { data }, journal: openMemoryJournal({ id: 'one', records }) })
  const first = await house()
  const id = await submit(first)
  await ask(first, 'POST', '/quipu/queue/take', { worker: 'attic', leaseMs: 3_600_000 })
  await first.house.close()

  const second = await house()
  t.match(await ask(second, 'GET', `/quipu/jobs/${id}`), { told: { state: 'leased', node: 'attic' } })
  const brought = { worker: 'attic', attempt: 1, body: 'x' }
  t.equal((await ask(second, 'POST', `/quipu/queue/${id}/complete`, brought)).status, 200)
  t.same(await storyOf(second, id), ['request.admitted', 'request.leased', 'request.completed'])
})

t.test('what is wrong with what a worker sends is said', async t => {
  const w = await world(t, { sims: [] })
  const id = await submit(w)
  await ask(w, 'POST', '/quipu/queue/take', { worker: 'attic' })
  const wrong = { status: 400, told: { code: 'request.invalid' } }
  for (const [path, body] of [
    ['take', {}],
    ['take', { worker: 'a b' }],
    ['take', { worker: 'a', batchSize: 0 }],
    ['take', { worker: 'a', leaseMs: 1 }],
    [`${id}/complete`, { worker: 'attic', attempt: 1 }],
    [`${id}/complete`, { worker: 'attic', attempt: 1, body: 'a', bodyBase64: 'YQ==' }],
    [`${id}/complete`, { worker: 'attic', attempt: 1, body: 'a', contentType: 'a\r\nb' }],
    [`${id}/complete`, { worker: 'attic', attempt: 1, body: 'a', status: 99 }],
    [`${id}/fail`, { worker: 'attic', attempt: 1, reason: 'it has said: no' }],
    [`${id}/extend`, { attempt: 1 }],
  ] as const) {
    t.match(await ask(w, 'POST', `/quipu/queue/${path}`, body), wrong, `${path} ${JSON.stringify(body)}`)
  }
  t.match(await ask(w, 'DELETE', '/quipu/queue/finished?olderThan=yesterday'), wrong)
  t.match(await ask(w, 'POST', '/quipu/queue/nobody/extend', { attempt: 1, leaseMs: 1_000 }), { status: 404 })
})

t.test('what is over is cleared away when somebody asks', async t => {
  const w = await world(t, { sims: [] })
  const [done, open] = [await submit(w), await submit(w)]
  await ask(w, 'POST', '/quipu/queue/take', { worker: 'attic' })
  await ask(w, 'POST', `/quipu/queue/${done}/complete`, { worker: 'attic', attempt: 1, body: 'x' })
  t.same((await ask(w, 'DELETE', '/quipu/queue/finished')).told, { erased: 0, bytes: 0 }, 'not before a day')
  t.match((await ask(w, 'DELETE', '/quipu/queue/finished?olderThan=0s')).told, { erased: 1, bytes: Number })
  t.match(await ask(w, 'GET', `/quipu/jobs/${done}/result`), { status: 410, told: { code: 'job.erased' } })
  t.match(await ask(w, 'GET', `/quipu/jobs/${open}`), { status: 200, told: { state: 'queued' } })
  t.match((await w.fact('spool.erased')).data, { why: 'asked' })
})
