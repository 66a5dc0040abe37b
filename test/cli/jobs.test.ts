/** `quipu jobs`: what it asks of a house, and what it makes of the answers. */
import { writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { type Asked, fakeHouse, json } from './house.ts'
import * as recorded from './recorded.ts'
import { run, start } from './terminal.ts'

const [done, waiting] = recorded.jobs
const taken = (_asked: Asked, res: ServerResponse): void => json(res, 202, waiting)

t.test('jobs prints a table, and with --json what the house said', async t => {
  const house = await fakeHouse(t, { 'GET /quipu/jobs': recorded.jobs })
  const [text, json, named] = await Promise.all([
    run(t, ['jobs'], house.env),
    run(t, ['jobs', '--json'], house.env),
    run(t, ['jobs', 'ls'], house.env),
  ])
  t.same([text.code, text.err, json.code, json.err], [0, '', 0, ''])
  t.matchSnapshot(text.out)
  t.equal(named.out, text.out)
  t.same(JSON.parse(json.out), recorded.jobs)
})

t.test('filters are handed on', async t => {
  const house = await fakeHouse(t, { 'GET /quipu/jobs': [] })
  const filters = ['--state', 'open,failed', '--model', 'a b', '--client', 'lab', '--limit', '7']
  const { out } = await run(t, ['jobs', 'ls', ...filters], house.env)
  t.equal(house.asked[0]!.url, '/quipu/jobs?state=open%2Cfailed&model=a+b&client=lab&limit=7')
  t.match(out, /^No such job\./)
})

t.test('jobs show tells how one stands', async t => {
  const house = await fakeHouse(t, {
    [`GET /quipu/jobs/${done.id}`]: done,
    [`GET /quipu/jobs/${waiting.id}`]: waiting,
  })
  const [first, second] = await Promise.all(
    [done, waiting].map(({ id }) => run(t, ['jobs', 'show', id], house.env)),
  )
  t.same([first!.code, second!.code], [0, 0])
  t.matchSnapshot(first!.out)
  t.matchSnapshot(second!.out)
  t.same(JSON.parse((await run(t, ['jobs', 'show', done.id, '--json'], house.env)).out), done)
})

t.test('jobs submit sends what a file holds, and prints ids for other programs', async t => {
  const house = await fakeHouse(t, { 'POST /quipu/jobs': taken })
  const dir = t.testdir({
    job: '{\n  "path": "/api/chat",\n  "body": {"model": "tiny"},\n  "priority": 1\n}\n',
    lines: '{"path":"/api/chat","body":{"n":1}}\n\n{"path":"/api/chat","body":{"n":2}}\n',
    body: '{"model":"tiny","prompt":"hi"}',
    secret: 'hush\n',
  })
  t.same(await run(t, ['jobs', 'submit', join(dir, 'job')], house.env), {
    code: 0,
    out: `${waiting.id}\n`,
    err: '',
  })
  t.same(JSON.parse(house.asked[0]!.body), { path: '/api/chat', body: { model: 'tiny' }, priority: 1 })

  const lines = await run(t, ['jobs', 'submit', join(dir, 'lines'), '--priority', '9'], house.env)
  t.equal(lines.out, `${waiting.id}\n${waiting.id}\n`)
  t.same(
    house.asked.slice(1).map(({ body }) => JSON.parse(body)),
    [1, 2].map(n => ({ path: '/api/chat', body: { n }, priority: 9 })),
  )

  const wishes = ['--class', 'interactive', '--deadline', '2h', '--client', 'lab', '--key', 'k']
  const call = ['--callback', 'https://hooks.example/x', '--secret-file', join(dir, 'secret')]
  const args = ['jobs', 'submit', join(dir, 'body'), '--path', '/api/generate', ...wishes, ...call]
  const { out } = await run(t, [...args, '--json'], house.env)
  t.same(JSON.parse(out), [waiting])
  t.same(JSON.parse(house.asked.at(-1)!.body), {
    path: '/api/generate',
    body: { model: 'tiny', prompt: 'hi' },
    class: 'interactive',
    deadline: '2h',
    client: 'lab',
    idempotencyKey: 'k',
    callback: { url: 'https://hooks.example/x', secret: 'hush' },
  })
})

t.test('jobs submit - reads stdin', async t => {
  const house = await fakeHouse(t, { 'POST /quipu/jobs': taken })
  const { child, ended } = start(t, ['jobs', 'submit', '-', '--path', '/api/embed'], house.env)
  child.stdin!.end('{"model":"embed","input":"x"}')
  t.equal((await ended).code, 0)
  t.same(JSON.parse(house.asked[0]!.body), {
    path: '/api/embed',
    body: { model: 'embed', input: 'x' },
  })
})

t.test('of several, the one that the house refuses is named, and those before it are told', async t => {
  let n = 0
  const house = await fakeHouse(t, {
    'POST /quipu/jobs': (_: Asked, res: ServerResponse) => {
      n += 1
      if (n === 1) json(res, 202, waiting)
      else json(res, 400, { error: 'body names no model', code: 'request.invalid' })
    },
  })
  const file = join(t.testdir(), 'lines')
  writeFileSync(file, '{"n":1}\n{"n":2}\n{"n":3}\n')
  t.same(await run(t, ['jobs', 'submit', file], house.env), {
    code: 1,
    out: `${waiting.id}\n`,
    err: 'quipu: job 2 of 3: body names no model\n',
  })
})

t.test('what cannot be submitted is exit code 2', async t => {
  const dir = t.testdir({ none: '\n', list: '[1]', broken: '{"a":1}\n{"b":', two: '{"a":1}\n{"b":1}' })
  for (const [args, said] of [
    [[join(dir, 'none')], /there is no job in it/],
    [[join(dir, 'list')], /line 1 is not a JSON object/],
    [[join(dir, 'broken')], /line 2 is not JSON/],
    [[join(dir, 'two'), '--key', 'k'], /--key is for one job/],
    [[join(dir, 'absent')], /cannot be read/],
    [[join(dir, 'two'), '--secret-file', join(dir, 'none')], /--secret-file goes with --callback/],
    [[join(dir, 'two'), '--class', 'bath'], /did you mean batch\?/],
    [[join(dir, 'two'), '--limit', '3'], /--limit goes with jobs ls/],
  ] as const) {
    t.match(await run(t, ['jobs', 'submit', ...args]), { code: 2, out: '', err: said })
  }
})

t.test('jobs result prints the bytes as they came, and fails where they are an error', async t => {
  const answer = Buffer.from([0x7b, 0xff, 0x0a, 0x00])
  const kept =
    (status: number) =>
    (_: Asked, res: ServerResponse): void => {
      res.writeHead(status, { 'Content-Type': 'application/x-ndjson', 'X-Quipu-Node': 'gpu-a' }).end(answer)
    }
  const open = { error: 'it is queued, and has no result yet', code: 'job.open' }
  const house = await fakeHouse(t, {
    'GET /quipu/jobs/good/result': kept(200),
    'GET /quipu/jobs/bad/result': kept(404),
    'GET /quipu/jobs/open/result': (_: Asked, res: ServerResponse) => json(res, 409, open),
  })
  const read = async (id: string) => {
    const { child, ended } = start(t, ['jobs', 'result', id], house.env)
    const chunks: Buffer[] = []
    child.stdout!.setEncoding('latin1').on('data', (text: string) => chunks.push(Buffer.from(text, 'latin1')))
    const { code, err } = await ended
    return { code, err, bytes: Buffer.concat(chunks) }
  }
  t.same(await read('good'), { code: 0, err: '', bytes: answer })
  t.same(await read('bad'), {
    code: 1,
    err: 'quipu: the answer is an error of the node: 404\n',
    bytes: answer,
  })
  t.same(await read('open'), { code: 1, err: `quipu: ${open.error}\n`, bytes: Buffer.alloc(0) })
})

t.test('jobs cancel calls one off', async t => {
  const house = await fakeHouse(t, {
    [`DELETE /quipu/jobs/${waiting.id}`]: { ...waiting, state: 'cancelled' },
  })
  t.same(await run(t, ['jobs', 'cancel', waiting.id], house.env), {
    code: 0,
    out: `${waiting.id} is cancelled\n`,
    err: '',
  })
})
