/** Jobs over a restart of the house, and their streams over it, too. */
import { once } from 'node:events'
import t from 'tap'
import { houseOf, odd } from '../gateway/odd.ts'
import {
  ended,
  follow,
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
  type Told,
  until,
} from './work.ts'
import { dataFolder, storyOf } from './world.ts'

// ── over a restart ───────────────────────────────────────────────────────────────────────────────────────────────

t.test('queued jobs stay in their order, and what ran runs again', async t => {
  const data = dataFolder(t)
  const node = await patientNode(t)
  const nodes = [{ ...node, slots: 1 }]
  const before = await houseOf(t, nodes, { data, grace: '0ms' })
  const ids: string[] = []
  for (let i = 0; i < 4; i += 1)
    ids.push((await submit(before, { body: { model: 'tiny', prompt: `${i}` } })).id)
  const cut = await node.next()
  cut.writeHead(200, NDJSON).write(line('half'))
  await before.fact('request.begun')
  const gone = once(cut, 'close')
  await before.house.close()
  await gone

  const w = await houseOf(t, nodes, { data })
  t.same(
    ((await (await fetch(`${w.url}/quipu/jobs?state=open`)).json()) as JobView[])
      .map(({ id }) => id)
      .reverse(),
    ids,
  )
  for (const [i] of ids.entries()) (await node.next()).writeHead(200, NDJSON).end(line(`${i}`) + LAST)
  for (const id of ids) await ended(w, id)
  t.same(
    node.asked.map(({ body }) => (JSON.parse(body) as { prompt: string }).prompt),
    ['0', '0', '1', '2', '3'],
  )
  t.same(await storyOf(w, ids[0]!), [
    ...['request.admitted', 'request.assigned', 'request.begun', 'request.retried'],
    ...['request.assigned', 'request.begun', 'request.completed'],
  ])
  const [retried] = await w.facts('request.retried')
  t.equal(retried!.data.reason, 'restart')
  t.equal(await (await result(w, ids[0]!)).text(), line('0') + LAST)
})

t.test('a result is there after a restart, and so is its key', async t => {
  const data = dataFolder(t)
  const nodes = [await odd(t, good)]
  const before = await houseOf(t, nodes, { data })
  const { id } = await submit(before, { idempotencyKey: 'once' })
  const job = await ended(before, id)
  const plain = await before.generate({}, { 'Idempotency-Key': 'twice' })
  const first = await plain.text()
  await before.house.close()
  const w = await houseOf(t, nodes, { data })
  t.same(await look(w, id), job)
  t.equal(await (await result(w, id)).text(), line('good') + LAST)
  t.equal((await submit(w, { idempotencyKey: 'once' })).id, id)
  const again = await w.generate({}, { 'Idempotency-Key': 'twice' })
  t.equal(await again.text(), first)
  t.equal(again.headers.get('x-quipu-request'), plain.headers.get('x-quipu-request'))
  t.equal(nodes[0]!.asked.length, 2)
})

// ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────

t.test('a stream tells the output so far and on, and who comes back goes on at the byte', async t => {
  const node = await patientNode(t)
  const w = await houseOf(t, [node])
  const { id } = await submit(w)
  const stream = follow(w, id)
  const res = await node.next()
  res.writeHead(200, NDJSON).write(line('é1'))
  t.match(await until(stream, 'attempt'), { id: '1.0', attempt: 1, node: 'n1', status: 200 })
  const first = await until(stream, 'output')
  t.same(first, { event: 'output', id: `1.${Buffer.byteLength(line('é1'))}`, text: line('é1') })
  const late = follow(w, id)
  t.equal((await until(late, 'output')).text, line('é1'), 'who comes later has it all')
  const resumed = follow(w, id, first.id)
  res.write(line('2'))
  t.equal((await until(stream, 'output')).text, line('2'))
  t.same((await resumed.next()).value.text, line('2'), 'without what it had')
  res.end(LAST)
  const end = await until(stream, 'end')
  t.match(end, { id: '1.end', state: 'completed', status: 200 })
  t.same(await until(late, 'end'), end)
  t.same(await until(resumed, 'end'), end)
  const after = await fetch(`${w.url}/quipu/jobs/${id}/stream`, { headers: { 'Last-Event-ID': end.id! } })
  t.equal(after.status, 204, 'a browser stays away')
  const bad = await fetch(`${w.url}/quipu/jobs/${id}/stream`, { headers: { 'Last-Event-ID': '7' } })
  t.equal(bad.status, 400)
})

t.test('a stream over a restart: what is begun again says so and starts over', async t => {
  const data = dataFolder(t)
  const node = await patientNode(t)
  const before = await houseOf(t, [node], { data, grace: '0ms' })
  const { id } = await submit(before)
  const stream = follow(before, id)
  const res = await node.next()
  res.writeHead(200, NDJSON).write(line('one'))
  const mark = (await until(stream, 'output')).id!
  const over = stream.next().catch(() => ({ done: true }))
  await before.house.close()
  t.ok((await over).done)

  const w = await houseOf(t, [node], { data })
  const again = follow(w, id, mark)
  const second = await node.next()
  second.writeHead(200, NDJSON).write(line('two'))
  t.match(await until(again, 'attempt'), { id: '2.0', attempt: 2 })
  t.match(await until(again, 'output'), { text: line('two') })
  second.end(LAST)
  t.match(await until(again, 'end'), { state: 'completed', digest: sha256(line('two') + LAST) })
  await w.house.close()

  const last = await houseOf(t, [node], { data })
  const whole: Told[] = []
  for await (const told of follow(last, id, `2.${line('two').length}`)) whole.push(told)
  t.match(whole, [{ event: 'output', text: LAST }, { event: 'end' }], 'and from a file at rest')
  t.equal(whole.length, 2)
})

t.test('a stream speaks to browsers as server-sent events', async t => {
  const w = await houseOf(t, [await odd(t, good)])
  const { id } = await submit(w)
  await ended(w, id)
  const res = await fetch(`${w.url}/quipu/jobs/${id}/stream`)
  t.match(res.headers.get('content-type'), 'text/event-stream')
  const text = await res.text()
  const output = JSON.stringify({ text: line('good') + LAST })
  t.match(text, `id: 1.${(line('good') + LAST).length}\nevent: output\ndata: ${output}\n\n`)
  t.match(text, /\nid: 1\.end\nevent: end\ndata: \{"state":"completed".*\}\n\n$/)
})
