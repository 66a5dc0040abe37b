/** The verbs that talk to a running house: what they ask of it, and what they make of its answers. */
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { fakeHouse, json } from './house.ts'
import * as recorded from './recorded.ts'
import { run } from './terminal.ts'
import * as pictures from './top/pictures.ts'

const ANSWERS: Readonly<Record<string, unknown>> = {
  'GET /quipu': recorded.index,
  'GET /quipu/nodes': recorded.nodes,
  'GET /quipu/models': recorded.models,
  'GET /quipu/policies': recorded.policies,
  'GET /quipu/queue': recorded.queue,
  'GET /quipu/requests': recorded.requests,
  'GET /quipu/state': recorded.state,
  'GET /quipu/diff': recorded.diff,
  [`GET /quipu/requests/${recorded.ID}`]: recorded.request,
  [`GET /quipu/requests/${recorded.ID}/why`]: recorded.why,
  [`GET /quipu/requests/${recorded.ID}/hindsight`]: recorded.hindsight,
}

const TABLES: readonly (readonly string[])[] = [
  ['nodes'],
  ['models'],
  ['policy'],
  ['ps'],
  ['queue'],
  ['requests'],
  ['explain', recorded.ID],
  ['at', '1290'],
  ['diff', '1104', '1290'],
]

for (const args of TABLES) {
  t.test(`${args[0]} prints a table, and with --json what the house said`, async t => {
    const house = await fakeHouse(t, ANSWERS)
    const [text, json] = await Promise.all([run(t, args, house.env), run(t, [...args, '--json'], house.env)])
    t.same([text.code, text.err, json.code, json.err], [0, '', 0, ''])
    t.matchSnapshot(text.out)
    const parsed = JSON.parse(json.out)
    if (args[0] === 'explain') {
      const { why, request, hindsight } = recorded
      t.same(parsed, { ...why, request, hindsight })
    } else if (args[0] === 'ps')
      t.match(parsed, [{ model: 'embed:latest' }, { model: 'tiny:latest', node: 'gpu-a' }])
    else if (args[0] === 'at') t.same(parsed, recorded.state)
    else t.same(parsed, ANSWERS[`GET /quipu/${args[0] === 'policy' ? 'policies' : args[0]}`])
  })
}

t.test('where there is nothing, that is said', async t => {
  const none = Object.fromEntries(Object.keys(ANSWERS).map(key => [key, []]))
  const house = await fakeHouse(t, none)
  const said = await Promise.all(
    ['nodes', 'models', 'policy', 'ps', 'queue', 'requests'].map(verb => run(t, [verb], house.env)),
  )
  t.matchSnapshot(said.map(({ out }) => out).join(''))
  t.match(await run(t, ['explain', 'last'], house.env), { code: 1, err: /there is no request yet/ })
})

t.test('filters are handed on', async t => {
  const house = await fakeHouse(t, ANSWERS)
  const filters = [
    '--state',
    'open,failed',
    '--model',
    'a b',
    '--node',
    'n',
    '--client',
    '::1',
    '--limit',
    '7',
  ]
  await run(t, ['requests', ...filters], house.env)
  await run(t, ['queue', '--model', 'tiny', '--limit', '3'], house.env)
  t.same(
    house.asked.map(({ url }) => url),
    [
      '/quipu/requests?state=open%2Cfailed&model=a+b&node=n&client=%3A%3A1&limit=7',
      '/quipu/queue?model=tiny&limit=3',
    ],
  )
})

const busy = (_asked: unknown, res: ServerResponse) =>
  json(res, 503, { error: 'somebody else looks back', code: 'house.busy' })

t.test('explain last takes the newest request, and a waiting one is told of as it stands now', async t => {
  const id = recorded.requests[0]!.id
  const house = await fakeHouse(t, {
    ...ANSWERS,
    [`GET /quipu/requests/${id}`]: { ...recorded.request, id, facts: recorded.facts.slice(0, 1) },
    [`GET /quipu/requests/${id}/why`]: recorded.waitingWhy,
    [`GET /quipu/requests/${id}/hindsight`]: busy,
  })
  const { code, out, err } = await run(t, ['explain', 'last'], house.env)
  t.equal(code, 0)
  t.equal(house.asked[0]!.url, '/quipu/requests?limit=1')
  t.match(err, /who was ahead of it is not told: somebody else looks back/)
  t.matchSnapshot(out)
})

t.test('what explain compares with is handed on, and a file of settings is read', async t => {
  const house = await fakeHouse(t, ANSWERS)
  const file = join(t.testdir({ settings: 'swap-cost = 1   # cheaper\n\nprefer=a+b\n' }), 'settings')
  const args = ['explain', recorded.ID, '--compare', 'least-connections', '--compare', file]
  const { code, err } = await run(t, args, house.env)
  t.same([code, err], [0, ''])
  const asked = house.asked.find(({ url }) => url.includes('/hindsight'))!
  t.equal(
    new URL(asked.url, house.url).searchParams.get('compare'),
    'least-connections;swap-cost=1,prefer=a+b',
  )
  t.match(await run(t, ['explain', recorded.ID, '--compare', './nowhere'], house.env), {
    code: 2,
    err: /ENOENT/,
  })
  t.match(await run(t, ['explain', recorded.ID, '--compare', 'eta', '--brief'], house.env), { code: 2 })
  const other = await fakeHouse(t, { ...ANSWERS, [`GET /quipu/requests/${recorded.ID}/hindsight`]: busy })
  t.match(await run(t, ['explain', recorded.ID, '--compare', 'eta'], other.env), {
    code: 1,
    err: /somebody else/,
  })
})

t.test('nodes add sends what --node of serve would read, and options win', async t => {
  const house = await fakeHouse(t, { 'POST /quipu/nodes': recorded.nodeInFull })
  const args = [
    'nodes',
    'add',
    '10.0.0.5:11434,name=x,slots=2,weight=0.5,hours=sat-sun,label.room=attic',
    '--name',
    'gpu-a',
    '--label',
    'floor=2',
    '--hours',
    '20:00-08:00',
  ]
  const { code, out } = await run(t, args, house.env)
  t.equal(code, 0)
  t.equal(out, 'gpu-a is up: Ollama 0.33.0, 12 models\n')
  const [asked] = house.asked
  t.equal(asked!.headers['content-type'], 'application/json')
  t.same(JSON.parse(asked!.body), {
    url: 'http://10.0.0.5:11434',
    name: 'gpu-a',
    slots: 2,
    weight: 0.5,
    hours: '20:00-08:00',
    labels: { room: 'attic', floor: '2' },
  })
})

t.test('nodes add says when the node does not answer yet', async t => {
  const house = await fakeHouse(t, { 'POST /quipu/nodes': recorded.nodeThatIsSilent })
  const { code, out } = await run(t, ['nodes', 'add', 'http://10.0.0.6:11434'], house.env)
  t.equal(code, 0)
  t.match(out, /^gpu-b is registered, but has not answered yet \(connect ECONNREFUSED 10\.0\.0\.6:11434\)/)
})

t.test('nodes show tells all about one node, and the models on it', async t => {
  const house = await fakeHouse(t, {
    'GET /quipu/nodes/gpu-a': recorded.nodeInFull,
    'GET /quipu/nodes/gpu-b': recorded.nodeThatIsSilent,
  })
  const told = await Promise.all(['gpu-a', 'gpu-b'].map(name => run(t, ['nodes', 'show', name], house.env)))
  t.matchSnapshot(told.map(({ out }) => out).join('\n'))
  const { out } = await run(t, ['nodes', 'show', 'gpu-a', '--json'], house.env)
  t.same(JSON.parse(out), recorded.nodeInFull)
})

t.test('policy set adds to what holds, and takes back what stands empty', async t => {
  const [old, other] = recorded.policies
  const house = await fakeHouse(t, {
    'GET /quipu/policies/hf.co%2Fns%2Fbig%3Aq4': old,
    'PUT /quipu/policies/hf.co%2Fns%2Fbig%3Aq4': old,
    'GET /quipu/policies/tiny': (_: unknown, res: never) =>
      json(res, 404, { error: 'there is no policy for tiny:latest', code: 'policy.unknown' }),
    'PUT /quipu/policies/tiny': other,
    'DELETE /quipu/policies/tiny': { model: 'tiny:latest', cleared: true },
  })
  const policy = (...words: string[]) => run(t, ['policy', ...words], house.env)
  const changes = ['nodes=', 'avoid=a, b', 'label.gpu=', 'label.floor=2', 'numCtxMax=4096', 'keepAliveMax=']
  t.matchSnapshot((await policy('set', 'hf.co/ns/big:q4', ...changes, 'keepAlive=1h30m')).out)
  t.same(JSON.parse(house.asked.at(-1)!.body), {
    avoid: ['a', 'b'],
    labels: { room: 'attic', floor: '2' },
    numCtxMax: 4_096,
    keepAliveS: '1h30m',
    replicasMin: 1,
    replicasMax: 3,
  })
  for (const [word, copies] of [
    ['2', { replicasMin: 2, replicasMax: 2 }],
    ['0-4', { replicasMin: 0, replicasMax: 4 }],
    ['2-', { replicasMin: 2 }],
    ['-3', { replicasMax: 3 }],
    ['', {}],
  ] as const) {
    await policy('set', 'hf.co/ns/big:q4', `replicas=${word}`)
    const { replicasMin, replicasMax } = JSON.parse(house.asked.at(-1)!.body)
    t.same(JSON.parse(JSON.stringify({ replicasMin, replicasMax })), copies, word)
  }
  for (const word of ['many', '-', '1-2-3', '12345'])
    t.match(await policy('set', 'tiny', `replicas=${word}`), { code: 2, err: /is no number of copies/ }, word)
  t.equal(
    (await policy('set', 'tiny', 'keepAlive=-1', 'prefer=gpu-a')).out,
    'tiny:latest  prefer=gpu-a numCtx=8192 keepAlive=-1\n',
  )
  t.same(JSON.parse(house.asked.at(-1)!.body), { keepAliveS: -1, prefer: ['gpu-a'] })
  t.match(await policy('set', 'tiny', 'numCtx='), {
    code: 2,
    err: /to take it back: quipu policy clear tiny/,
  })
  t.equal((await policy('clear', 'tiny')).out, 'tiny:latest has no policy any more\n')
  t.matchSnapshot((await policy('show', 'hf.co/ns/big:q4')).out)
  t.match(await policy('show', 'tiny'), { code: 1, err: 'quipu: there is no policy for tiny:latest\n' })
})

t.test('nodes tell of their hardware where agents told of any', async t => {
  const house = await fakeHouse(t, {
    ...ANSWERS,
    'GET /quipu/nodes': pictures.busy.nodes,
    'GET /quipu/nodes/gpu-a': { ...pictures.busy.nodes[0], replicas: recorded.nodeInFull.replicas },
    'GET /quipu/nodes/gpu-a/status': pictures.heard,
    'GET /quipu/nodes/closet': { ...pictures.busy.nodes[2], replicas: [] },
    'GET /quipu/nodes/closet/status': pictures.mute,
  })
  const env = { ...house.env, LANG: 'C.UTF-8' }
  const ages = (text: string): string => text.replace(/throttled {2}heat, for .*/, 'throttled  heat, for AGE')
  t.matchSnapshot(ages((await run(t, ['nodes'], env)).out))
  t.matchSnapshot(ages((await run(t, ['nodes', 'show', 'gpu-a'], env)).out))
  const { out } = await run(t, ['nodes', 'show', 'closet'], env)
  t.matchSnapshot(out)
  t.notMatch(out, / 0 %|NaN|undefined/, 'what is not known is not nothing')
  t.match(JSON.parse((await run(t, ['nodes', 'show', 'gpu-a', '--json'], env)).out), {
    name: 'gpu-a',
    heard: pictures.heard,
  })
})

t.test('nodes drain, resume and rm do what they say', async t => {
  const house = await fakeHouse(t, {
    'POST /quipu/nodes/a%2Fb/drain': { ...recorded.nodeInFull, standing: 'draining' },
    'POST /quipu/nodes/gpu-a/drain': { ...recorded.nodeInFull, standing: 'drained', running: 0 },
    'POST /quipu/nodes/gpu-a/resume': recorded.nodeInFull,
    'DELETE /quipu/nodes/gpu-a': { name: 'gpu-a', standing: 'removed' },
  })
  t.match(await run(t, ['nodes', 'drain', 'a/b'], house.env), {
    code: 0,
    out: 'a/b gets nothing new; 2 requests still run there\n',
  })
  t.equal((await run(t, ['nodes', 'drain', 'gpu-a'], house.env)).out, 'gpu-a is drained\n')
  t.equal((await run(t, ['nodes', 'resume', 'gpu-a'], house.env)).out, 'gpu-a gets work again\n')
  t.equal((await run(t, ['nodes', 'rm', 'gpu-a'], house.env)).out, 'gpu-a is forgotten\n')
  t.same(JSON.parse((await run(t, ['nodes', 'rm', 'gpu-a', '--json'], house.env)).out), {
    name: 'gpu-a',
    standing: 'removed',
  })
})

t.test('what the house refuses is said in its words, and is exit code 1', async t => {
  const refusal = { error: 'no node of that name; `quipu nodes ls` lists them', code: 'node.unknown' }
  const house = await fakeHouse(t, {
    'DELETE /quipu/nodes/x': (_: unknown, res: never) => json(res, 404, refusal),
  })
  t.same(await run(t, ['nodes', 'rm', 'x'], house.env), {
    code: 1,
    out: '',
    err: `quipu: ${refusal.error}\n`,
  })
})

t.test('nobody there: how to start a house', async t => {
  const { code, out, err } = await run(t, ['ps', '--host', '127.0.0.1:9', '--port', '9999'])
  t.equal(code, 1)
  t.equal(out, '')
  t.match(err, /^quipu: no house answers at http:\/\/127\.0\.0\.1:9999; start one with: quipu serve /)
})

t.test('somebody else there: not a house', async t => {
  const house = await fakeHouse(t, {})
  t.match(await run(t, ['ps'], house.env), {
    code: 1,
    err: /answers, but not as a house does \(an Ollama, perhaps\?\)/,
  })
  const html = await fakeHouse(t, { 'GET /quipu/models': (_: unknown, res: any) => res.end('<html>') })
  t.match(await run(t, ['ps'], html.env), { code: 1, err: /not as a house does/ })
})

t.test('a house that turns the name away says how to be called', async t => {
  const house = await fakeHouse(t, {
    'GET /quipu/models': (_: unknown, res: any) => res.writeHead(403).end(),
  })
  t.match(await run(t, ['ps'], house.env), { code: 1, err: /answered 403.*--allow-host/ })
})

t.test('an answer from a house that cannot write comes with a warning', async t => {
  const house = await fakeHouse(t, {
    'GET /quipu/queue': (_: unknown, res: any) => {
      res.setHeader('X-Quipu-Unwritten', '12')
      json(res, 200, [])
    },
  })
  t.match(await run(t, ['queue'], house.env), {
    code: 0,
    out: 'Nobody waits.\n',
    err: /12 facts behind this/,
  })
})

t.test('nothing that comes from elsewhere can steer the terminal', async t => {
  const name = 'evil\u001b[2J\u001b]0;title\u0007\r\nroot:latest'
  const house = await fakeHouse(t, { 'GET /quipu/models': [{ ...recorded.models[0], name }] })
  const { out } = await run(t, ['models'], house.env)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: none of them may be there
  t.notMatch(out.replaceAll('\n', ''), /[\u0000-\u001f\u007f-\u009f]/)
  t.equal(out.split('\n').length, 3)
})

t.test('a moment is handed on as the house understands it; a section is all that is shown', async t => {
  const house = await fakeHouse(t, ANSWERS)
  await run(t, ['at', '2026-11-21 14:03+01:00'], house.env)
  await run(t, ['diff', '7'], house.env)
  t.same(
    house.asked.map(({ url }) => url),
    [`/quipu/state?at=${Date.UTC(2026, 10, 21, 13, 3)}`, '/quipu/diff?from=7&to=now'],
  )
  const { out } = await run(t, ['at', '1290', 'config'], house.env)
  t.match(out, /queue-max/)
  t.notMatch(out, /gpu-a/)
  t.match(await run(t, ['at', '1290', 'nods'], house.env), {
    code: 2,
    err: /there are nodes, models, queue, config/,
  })
  t.match(await run(t, ['at', 'soon'], house.env), { code: 1, err: /is not a moment such as/ })
  t.match(await run(t, ['at'], house.env), { code: 2, err: /at needs a moment/ })
})
