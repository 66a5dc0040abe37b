/** A whole house calls back: a receiver that fails twice, and one that must not be called. */
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { world } from './world.ts'

async function receiver(t: Test, ...statuses: readonly number[]) {
  const calls: { readonly headers: IncomingHttpHeaders; readonly body: string }[] = []
  const server = createServer(async (req, res) => {
    calls.push({ headers: req.headers, body: (await buffer(req)).toString() })
    res.writeHead(statuses[calls.length - 1] ?? 200).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { calls, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=hush` }
}

const question = { path: '/api/generate', body: { model: 'tiny', prompt: 'hello' } }

t.test('who asked is called when the job is over, and can tell that it was the house', async t => {
  const { calls, url } = await receiver(t, 200)
  const w = await world(t, { flags: { 'allow-callback': ['127.0.0.1'] } })
  const res = await w.post('/quipu/jobs', { ...question, callback: { url, secret: 'shh' } })
  t.equal(res.status, 202)
  const { id, callback } = (await res.json()) as { id: string; callback: object }
  t.match(callback, { state: /awaited|due/, attempts: Number })
  await w.fact('delivery.delivered')
  const [{ headers, body }] = calls as [(typeof calls)[0]]
  const [, at, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(headers['x-quipu-signature'] as string) ?? []
  t.equal(createHmac('sha256', 'shh').update(`${at}.${body}`).digest('hex'), v1)

  const told = JSON.parse(body)
  const { ok, ...answer } = await fetch(w.url + told.resultUrl).then(async res => ({
    ok: res.ok,
    bytes: (await res.arrayBuffer()).byteLength,
    status: res.status,
  }))
  t.ok(ok)
  t.match(told, { id, state: 'completed', ...answer })
  const job = await (await fetch(`${w.url}/quipu/jobs/${id}`)).json()
  t.match(job, { digest: told.digest, callback: { state: 'delivered', attempts: 1, status: 200 } })
  // But for the hash, in which three letters may come together by chance.
  for (const fact of await w.facts()) t.notMatch(JSON.stringify({ ...fact, hash: '' }), /hush|shh/)
})

t.test('a call that fails is told of, and one that was called off is told, too', async t => {
  const { calls, url } = await receiver(t, 500)
  const w = await world(t, { sims: [], flags: { 'allow-callback': ['127.0.0.1'] } })
  const res = await w.post('/quipu/jobs', { ...question, callback: { url } })
  const { id } = (await res.json()) as { id: string }
  await fetch(`${w.url}/quipu/jobs/${id}`, { method: 'DELETE' })
  const { data } = await w.fact('delivery.failed')
  t.match(data, { attempt: 1, reason: 'status', status: 500 })
  t.match(JSON.parse(calls[0]!.body), { id, state: 'cancelled' })
  t.match(await (await fetch(`${w.url}/quipu/jobs/${id}`)).json(), {
    callback: { state: 'waiting', attempts: 1, until: Number, status: 500 },
  })
})

t.test('a job whose receiver may not be called is not taken', async t => {
  const { calls, url } = await receiver(t)
  const w = await world(t)
  for (const [target, code] of [
    [url, 'callback.address'],
    ['ftp://hooks.example', 'callback.url'],
  ]) {
    const res = await w.post('/quipu/jobs', { ...question, callback: { url: target } })
    t.equal(res.status, 400)
    t.match(await res.json(), { code })
  }
  t.same(await w.facts('request.admitted'), [])
  t.equal(calls.length, 0)
})

t.test('where to call goes with the job, and then nobody is called', async t => {
  const { calls, url } = await receiver(t, 503)
  const w = await world(t, { flags: { 'allow-callback': ['127.0.0.1'] } })
  const { id } = (await (await w.post('/quipu/jobs', { ...question, callback: { url } })).json()) as {
    id: string
  }
  await w.fact('delivery.failed')
  const erased = await (await w.post('/quipu/erase', { request: id })).json()
  t.match(erased, [{ id, proved: true }])
  // Not waited for: the next try is half a minute away.
  w.house.engine.commit('delivery', id, { type: 'delivery.retry', data: {} })
  t.match((await w.fact('delivery.abandoned')).data, { attempt: 2, reason: 'erased' })
  t.equal(calls.length, 1)
})
