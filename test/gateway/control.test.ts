import t from 'tap'
import { Failure } from '../../src/failure.ts'
import { type Door, doors as table } from '../../src/gateway/doors.ts'
import { misfits } from '../../src/gateway/schema/check.ts'
import { openDoors, row } from './doors.ts'

t.test('a node is shown as it stands: its work, its models, its breaker, what it last said', async t => {
  const house = await openDoors(t)
  house.join('gpu-1', { slots: 2, labels: { rack: 'b' } })
  house.put('tiny:latest', 'gpu-1')
  house.put('big:latest', 'gpu-1', 'present')
  house.admit('r1')
  house.assign('r1', 'gpu-1')
  house.vitals.set('gpu-1', { seenAt: 5, answerMs: 12, misses: 0 })
  house.engine.commit('breaker', 'gpu-1', {
    type: 'breaker.trip',
    data: { reason: 'broken', failures: 3, chance: 0.5 },
  })

  const nodes = await house.get('/quipu/nodes')
  t.equal(nodes.statusCode, 200)
  t.equal(nodes.headers['cache-control'], 'no-store')
  const at = house.clock.now()
  t.same(nodes.json(), [
    {
      name: 'gpu-1',
      url: 'http://gpu-1:11434',
      standing: 'up',
      simulated: false,
      origin: 'api',
      version: '0.33.0',
      slots: 2,
      residentMax: 3,
      weight: 1,
      labels: { rack: 'b' },
      breaker: { state: 'open', failures: 0, round: 1, until: at + 1_000, reason: 'broken' },
      running: 1,
      models: { present: 2, loading: 0, resident: 1 },
      resident: ['tiny:latest'],
      since: at,
      seenAt: 5,
      answerMs: 12,
      misses: 0,
    },
  ])
  const one = (await house.get('/quipu/nodes/gpu-1')).json()
  t.match(one, {
    name: 'gpu-1',
    replicas: [
      { model: 'big:latest', state: 'present', running: 0 },
      { model: 'tiny:latest', state: 'resident', vramBytes: 1_100, contextLength: 4_096, running: 1 },
    ],
  })
})

t.test('standing is one word for where a node is between joining and drained', async t => {
  const house = await openDoors(t)
  const standing = async (): Promise<unknown> => (await house.get('/quipu/nodes/a')).json().standing
  const data = { url: 'http://a:1', slots: 1, residentMax: 3, labels: {}, origin: 'embedded' } as const
  house.engine.commit('node', 'a', { type: 'node.register', data })
  t.equal(await standing(), 'joining')
  house.engine.commit('node', 'a', { type: 'node.answer', data: { version: '1' } })
  t.equal(await standing(), 'up')
  house.engine.commit('node', 'a', { type: 'node.drain', data: {} })
  t.equal(await standing(), 'draining')
  house.engine.commit('node', 'a', { type: 'node.empty', data: {} })
  t.equal(await standing(), 'drained')
  house.vitals.set('a', { seenAt: 1, answerMs: 1, misses: 3, error: 'no answer' })
  house.engine.commit('node', 'a', { type: 'node.lose', data: { reason: 'silence' } })
  t.match((await house.get('/quipu/nodes/a')).json(), {
    standing: 'down',
    simulated: true,
    loss: { reason: 'silence' },
    error: 'no answer',
    misses: 3,
  })
})

t.test(
  'what the agent of a node says is told with its age; without one, what is known all the same',
  async t => {
    const house = await openDoors(t)
    house.join('a')
    house.put('tiny:latest', 'a')
    const status = async () => (await house.get('/quipu/nodes/a/status')).json()
    const none = await status()
    t.match(none, { node: 'a', agent: 'none', version: '0.33.0', replicas: [{ model: 'tiny:latest' }] })
    t.match(none.sentence, /no agent that is heard/)
    t.notOk('status' in none)
    t.equal((await house.get('/quipu/nodes/b/status')).statusCode, 404)

    const equipment = { gpus: [], gpusKnown: true, container: false, memoryBytes: 64e9 }
    const load = { cores: [0.5], gpus: [], inFlight: 1, cpu: 0.5, memoryFreeBytes: 32e9 }
    const machine = { type: 'node.equip', data: { gpus: [], gpusKnown: true, container: false } } as const
    house.engine.commit('node', 'a', machine)
    house.engine.commit('node', 'a', { type: 'node.throttle', data: { cause: 'memory', since: 7 } })
    house.tell('a', { equipment, load })
    const up = await status()
    t.match(up, { agent: 'up', ageMs: 40, heardAt: house.clock.now() - 40 })
    t.same(up.status, { at: 1, equipment, load })
    t.same(up.equipment, machine.data)
    t.same(up.throttled, { cause: 'memory', since: 7 })
    t.same((await house.get('/quipu/nodes/a')).json().equipment, machine.data)
    const [row] = (await house.get('/quipu/nodes')).json()
    t.same(row.hardware, { cpu: 0.5, memoryBytes: 64e9, memoryFreeBytes: 32e9, gpus: [], ageMs: 40 })
    t.same(row.throttled, { cause: 'memory', since: 7 })

    house.tell('a', { equipment, load }, { fresh: false, ageMs: 90_000 })
    const silent = await status()
    t.equal(silent.agent, 'silent')
    t.match(silent.sentence, /last heard 1 min 30 s ago; what it said may no longer hold/)
    t.same(silent.status.load, load, 'what it said last is still told, and that it is old')
    t.notOk(
      'hardware' in (await house.get('/quipu/nodes')).json()[0],
      'but not where nobody sees how old it is',
    )
    house.tell('a', { load }, { line: false })
    t.match((await status()).sentence, /no line to it is up/)
  },
)

t.test('a node is registered over HTTP, looked at once, and the journal says who did it', async t => {
  const looked: string[] = []
  const house = await openDoors(t, { look: async name => void looked.push(name) })
  const added = await house.post('/quipu/nodes', {
    url: 'http://10.1.2.3:11434/',
    name: 'gpu-1',
    labels: { rack: 'b' },
    weight: 2.5,
    hours: 'sat-sun',
  })
  t.equal(added.statusCode, 201)
  t.equal(added.headers.location, '/quipu/nodes/gpu-1')
  t.match(added.json(), {
    name: 'gpu-1',
    url: 'http://10.1.2.3:11434',
    standing: 'joining',
    slots: 1,
    weight: 2.5,
    hours: 'sat-sun',
    replicas: [],
  })
  t.same(looked, ['gpu-1'])
  t.match(house.journal.recent(0), [{ type: 'node.registered', id: 'gpu-1', by: '127.0.0.1' }])

  const typed = await house.app.inject({
    method: 'POST',
    url: '/quipu/nodes',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: '{"url":"http://10.1.2.4:11434"}',
  })
  t.equal(typed.statusCode, 201, 'curl -d without a content type will do')
  const twin = await house.post('/quipu/nodes', { url: 'http://10.1.2.3:11434', name: 'gpu-9' })
  t.equal(twin.statusCode, 409)
  t.equal(twin.json().code, 'node.taken')
})

t.test('whoever registers a node that does not answer is not kept waiting for it', async t => {
  const house = await openDoors(t, { look: () => new Promise(() => {}) })
  const adding = house.post('/quipu/nodes', { url: 'http://10.1.2.3:11434', name: 'far' })
  for (let i = 0; i < 5; i += 1) await house.clock.advance(500)
  t.match((await adding).json(), { name: 'far', standing: 'joining' })
})

t.test(
  'what is wrong with a body is said by name, and nothing is dropped or turned into something else',
  async t => {
    const house = await openDoors(t)
    const url = 'http://10.0.0.1:11434'
    for (const [body, status, code, said] of [
      [
        { url, slot: 2 },
        400,
        'request.invalid',
        /unknown property "slot"; known are url, name, slots, residentMax, weight, hours, labels/,
      ],
      [{ name: 'a' }, 400, 'request.invalid', /body: url is missing/],
      [{ url, slots: '2' }, 400, 'request.invalid', /slots must be integer/],
      [{ url, slots: 0 }, 400, 'request.invalid', /slots must be >= 1/],
      [{ url, weight: 0 }, 400, 'request.invalid', /weight must be > 0/],
      [{ url, weight: 101 }, 400, 'request.invalid', /weight must be <= 100/],
      [{ url, hours: '18-8' }, 400, 'node.hours', /"18-8": hours are written as 18:00-08:00/],
      [{ url, labels: { 'a b': 'x' } }, 400, 'request.invalid', /labels may not have "a b"/],
      [
        `{"url":"${url}","labels":{"__proto__":"x"}}`,
        400,
        'request.invalid',
        /labels may not have "__proto__"/,
      ],
      [{ url, labels: { a: 1 } }, 400, 'request.invalid', /labels.a must be string/],
      ['[]', 400, 'request.invalid', /must be a JSON object/],
      ['', 400, 'request.invalid', /must be a JSON object/],
      ['{"url":', 400, 'request.invalid', /the body is not JSON/],
      [`{"url":"${'x'.repeat(70_000)}"}`, 413, 'request.too-large', /larger/],
      [{ url: 'ftp://a' }, 400, 'node.url', /neither http nor https/],
      [{ url: 'http://169.254.169.254/' }, 400, 'node.url', /link-local/],
      [{ url, name: '-x' }, 400, 'node.name', /begins with a letter/],
    ] as const) {
      const answer = await house.post('/quipu/nodes', body)
      t.equal(answer.statusCode, status, JSON.stringify(body).slice(0, 60))
      t.equal(answer.json().code, code)
      t.match(answer.json().error, said)
    }
    t.equal(house.journal.head.seq, 0)
  },
)

t.test('a query that is misspelt, out of range or no number is refused by name', async t => {
  const house = await openDoors(t)
  for (const [url, said] of [
    [
      '/quipu/requests?stat=open',
      /query: unknown property "stat"; known are state, model, node, client, limit/,
    ],
    ['/quipu/requests?state=done', /state must match pattern/],
    ['/quipu/requests?limit=0', /limit must be >= 1/],
    ['/quipu/requests?limit=', /limit must be integer/],
    ['/quipu/requests?limit=0x10', /limit must be integer/],
    ['/quipu/requests?limit=1.5', /limit must be integer/],
    ['/quipu/requests?limit=10001', /limit must be <= 10000/],
    ['/quipu/requests?model=a&model=b', /model must be string/],
    ['/quipu/journal?after=-1', /after must be integer/],
  ] as const) {
    const answer = await house.get(url)
    t.equal(answer.statusCode, 400, url)
    t.equal(answer.json().code, 'request.invalid')
    t.match(answer.json().error, said)
  }
})

t.test('a node is drained, resumed and removed by name; one that is not there is not found', async t => {
  const house = await openDoors(t)
  house.join('a:1')
  t.match((await house.post('/quipu/nodes/a:1/drain')).json(), { name: 'a:1', standing: 'draining' })
  t.equal((await house.post('/quipu/nodes/a%3A1/drain')).statusCode, 200, 'twice is once')
  t.match((await house.post('/quipu/nodes/a:1/resume')).json(), { standing: 'up' })
  const removed = await house.app.inject({ method: 'DELETE', url: '/quipu/nodes/a:1' })
  t.same([removed.statusCode, removed.json()], [200, { name: 'a:1', standing: 'removed' }])
  t.match(house.journal.recent(2), [
    { type: 'node.drained', by: '127.0.0.1' },
    { type: 'node.resumed', by: '127.0.0.1' },
    { type: 'node.removed', by: '127.0.0.1' },
  ])
  for (const answer of [
    await house.get('/quipu/nodes/a:1'),
    await house.post('/quipu/nodes/a:1/drain'),
    await house.post('/quipu/nodes/a:1/resume'),
    await house.app.inject({ method: 'DELETE', url: '/quipu/nodes/a:1' }),
  ]) {
    t.same([answer.statusCode, answer.json().code], [404, 'node.unknown'])
  }
})

t.test('a model is shown with every place it is in', async t => {
  const house = await openDoors(t)
  house.join('b')
  house.join('a')
  house.put('tiny:latest', 'b')
  house.put('tiny:latest', 'a', 'present')
  house.engine.commit('replica', 'tiny:latest@a', {
    type: 'replica.load',
    data: { request: 'r0', estimateMs: 9 },
  })
  await house.clock.advance(1_500)
  house.engine.commit('replica', 'tiny:latest@a', { type: 'replica.confirm', data: { ms: 1_500 } })
  house.admit('r1')
  house.admit('r2')
  house.assign('r1', 'b')
  const [model, ...rest] = (await house.get('/quipu/models')).json()
  t.same(rest, [])
  t.match(model, {
    name: 'tiny:latest',
    digest: 'd1',
    sizeBytes: 1_000,
    family: 'llama',
    capabilities: ['completion'],
    present: 2,
    loading: 0,
    resident: 2,
    running: 1,
    waiting: 1,
    nodes: [
      { node: 'a', state: 'resident', loadMs: 1_500, running: 0 },
      { node: 'b', state: 'resident', memoryBytes: 1_200, running: 1 },
    ],
  })
})

t.test('the queue is told in the order it will be seated, and why each waits now', async t => {
  const house = await openDoors(t)
  house.join('a')
  house.join('b')
  house.put('tiny:latest', 'a')
  house.admit('r0')
  house.assign('r0', 'a')
  house.admit('r1')
  house.admit('r2', { model: 'none:latest' })
  await house.clock.advance(2_000)
  house.admit('r3', { priority: 9 })
  house.engine.commit('node', 'b', { type: 'node.drain', data: {} })

  const queue = (await house.get('/quipu/queue')).json()
  t.match(queue, [
    {
      position: 1,
      line: 'none:latest',
      id: 'r2',
      etaMs: 0,
      why: 'a slot on a is free; it is about to run there',
    },
    {
      position: 1,
      line: 'tiny:latest',
      id: 'r3',
      waitedMs: 0,
      tokens: { promptTokens: 11, outputTokens: 200 },
      why: 'a: busy; b: draining',
      candidates: [{ node: 'a' }, { node: 'b' }],
    },
    { position: 2, id: 'r1', waitedMs: 2_000, why: 'behind 1 other for tiny:latest' },
  ])
  t.ok(queue[1].etaMs < queue[2].etaMs, 'the sooner the turn')
  t.match((await house.get('/quipu/queue?model=TINY&limit=1')).json(), [{ id: 'r3' }])
  t.match((await house.get('/quipu/queue?model=none')).json(), [{ id: 'r2' }])
})

t.test('requests are listed newest first, open and over, and filtered', async t => {
  const house = await openDoors(t)
  house.join('a')
  house.join('b')
  house.put('tiny:latest', 'a')
  house.admit('r1', { client: '::ffff:10.0.0.7' })
  await house.clock.advance(100)
  house.assign('r1', 'b')
  house.fail('r1', 'refused', { retryable: true })
  await house.clock.advance(50)
  house.assign('r1', 'a')
  await house.clock.advance(200)
  house.begin('r1')
  await house.clock.advance(850)
  house.complete('r1')
  house.admit('r2', { model: 'big:latest' })
  house.admit('r3')
  house.assign('r3', 'a')
  const ids = async (query: string): Promise<string[]> =>
    (await house.get(`/quipu/requests${query}`)).json().map(({ id }: { id: string }) => id)

  t.same(await ids(''), ['r3', 'r2', 'r1'])
  t.same(await ids('?limit=1'), ['r3'])
  t.same(await ids('?state=open'), ['r3', 'r2'])
  t.same(await ids('?state=completed,queued'), ['r2', 'r1'])
  t.same(await ids('?model=tiny'), ['r3', 'r1'])
  t.same(await ids('?node=b'), ['r1'], 'what failed there counts')
  t.same(await ids('?client=10.0.0.7'), ['r1'])
  t.same((await house.get('/quipu/requests?state=completed')).json()[0], {
    id: 'r1',
    state: 'completed',
    admittedAt: house.clock.now() - 1_200,
    attempts: 2,
    waitedMs: 150,
    totalMs: 1_200,
    path: '/api/generate',
    model: 'tiny:latest',
    client: '::ffff:10.0.0.7',
    priority: 5,
    bodyBytes: 42,
    expiresAt: house.clock.now() - 1_200 + 600_000,
    node: 'a',
    ttftMs: 350,
    status: 200,
    runMs: 1_050,
    bytes: 900,
    chunks: 21,
    promptTokens: 7,
    outputTokens: 20,
    outputMs: 400,
    doneReason: 'stop',
    endedAt: house.clock.now(),
  })
})

t.test('a request is told with its facts, and why it went where it went', async t => {
  const house = await openDoors(t)
  house.join('gpu-1')
  house.put('tiny:latest', 'gpu-1')
  house.admit('r1')
  await house.clock.advance(100)
  house.assign('r1', 'gpu-1', [row('gpu-1'), row('gpu-2', { estimateMs: null, excluded: 'breaker open' })])
  await house.clock.advance(1_100)
  house.begin('r1')
  house.complete('r1')
  const request = (await house.get('/quipu/requests/r1')).json()
  t.match(request, { id: 'r1', state: 'completed', totalMs: 1_200 })
  t.same(
    request.facts.map(({ type }: { type: string }) => type),
    ['request.admitted', 'request.assigned', 'request.begun', 'request.completed'],
  )
  const why = (await house.get('/quipu/requests/r1/why')).json()
  t.equal(
    why.sentence,
    'Ran on gpu-1 because it had tiny:latest in memory and a free slot; gpu-2 was excluded: breaker open. ' +
      'Answered 200 after 1.2 s (waited 0.1 s).',
  )
  t.match(why.attempts, [
    {
      attempt: 1,
      node: 'gpu-1',
      waitedMs: 100,
      candidates: [{ node: 'gpu-1' }, { node: 'gpu-2', excluded: 'breaker open' }],
      outcome: { as: 'completed', status: 200, runMs: 1_100 },
    },
  ])
})

t.test('a request that waited for a load is told so, and one that still waits, for what', async t => {
  const house = await openDoors(t)
  house.join('a')
  house.put('tiny:latest', 'a', 'present')
  house.admit('r1')
  house.engine.commit('replica', 'tiny:latest@a', {
    type: 'replica.load',
    data: { request: 'r1', estimateMs: 4_000 },
  })
  await house.clock.advance(1_000)
  const waits = (await house.get('/quipu/requests/r1/why')).json()
  t.equal(waits.sentence, 'Has waited 1.0 s: a: loading it.')
  t.match(waits.waits, { why: 'a: loading it', candidates: [{ node: 'a', resident: false }] })
  await house.clock.advance(3_200)
  house.engine.commit('replica', 'tiny:latest@a', { type: 'replica.confirm', data: { ms: 4_200 } })
  house.assign('r1', 'a', [row('a')])
  const why = (await house.get('/quipu/requests/r1/why')).json()
  t.match(why.loads, [{ node: 'a', ms: 4_200 }])
  t.equal(
    why.sentence,
    'While it waited, tiny:latest was loaded on a in 4.2 s. Runs on a because it had tiny:latest in memory and ' +
      'a free slot. Nothing has come back after 4.2 s (waited 4.2 s).',
  )
})

t.test(
  'a request older than the history is found in the journal, open or over; one that never was is not',
  async t => {
    const house = await openDoors(t)
    house.join('a')
    house.admit('open')
    house.admit('over')
    house.assign('over', 'a', [row('a')])
    house.fail('over', 'restart')
    for (let i = 0; i < 12_000; i += 1) {
      house.admit(`r${i}`)
      house.engine.commit('request', `r${i}`, { type: 'request.expire', data: {} })
      if (i % 1_000 === 0) await house.engine.settled()
    }
    t.notOk(house.history.state.has('over'))
    t.match((await house.get('/quipu/requests/over')).json(), { state: 'failed', facts: { length: 3 } })
    t.match(
      (await house.get('/quipu/requests/over/why')).json().sentence,
      /^Ran on a because .*\. Failed after 0 ms \(waited 0 ms\): the house was started anew\.$/,
    )
    t.match((await house.get('/quipu/requests/open/why')).json(), {
      state: 'queued',
      sentence: /^Has waited 0 ms: /,
    })
    t.same(
      (await house.get('/quipu/requests?state=open')).json().map(({ id }: { id: string }) => id),
      ['open'],
    )
    for (const path of ['/quipu/requests/r12000', '/quipu/requests/r12000/why', '/quipu/requests/a']) {
      const answer = await house.get(path)
      t.same([answer.statusCode, answer.json().code], [404, 'request.unknown'])
    }
  },
)

t.test('searches of the whole journal are few at a time', async t => {
  const house = await openDoors(t)
  house.join('a')
  await house.engine.settled()
  const answers = await Promise.all(Array.from({ length: 6 }, (_, i) => house.get(`/quipu/requests/x${i}`)))
  const statuses = answers.map(({ statusCode }) => statusCode)
  t.same(statuses, [404, 404, 404, 404, 503, 503])
  t.equal(answers[5]!.json().code, 'house.busy')
  t.equal((await house.get('/quipu/requests/x')).statusCode, 404)
})

t.test('nobody hears of anything before it is on disk', async t => {
  let release = (): void => {}
  const stuck = new Promise<void>(resolve => {
    release = resolve
  })
  const house = await openDoors(t, { fault: () => stuck })
  house.join('a')
  let heard = false
  const answers = ['/quipu/nodes', '/quipu/nodes/a', '/quipu', '/quipu/models'].map(url =>
    house.get(url).then(answer => {
      heard = true
      return answer
    }),
  )
  for (let i = 0; i < 5; i += 1) await house.clock.advance(10)
  t.notOk(heard)
  t.equal((await house.get('/healthz')).statusCode, 200, 'but that it is alive')
  t.equal((await house.get('/metrics')).statusCode, 200, 'and how far the disk lags')
  release()
  for (const answer of await Promise.all(answers)) {
    t.equal(answer.statusCode, 200)
    t.notOk(answer.headers['x-quipu-unwritten'])
  }
  t.match((await answers[2]!).json().journal, { head: 2, durable: 2 })
})

t.test(
  'while the disk does not write, nothing can be changed, and what is shown says it is not on disk',
  async t => {
    let full = false
    const house = await openDoors(t, {
      fault: () => {
        if (full) throw new Failure('journal.unwritable', 'ENOSPC')
      },
    })
    house.join('a')
    await house.engine.settled()
    t.same((await house.get('/readyz')).json(), { status: 'ok' })
    full = true
    house.admit('r1')
    await house.clock.advance(1)
    const writes = [
      await house.post('/quipu/nodes', { nonsense: true }),
      await house.post('/quipu/nodes/a/drain'),
      await house.post('/quipu/nodes/unknown/resume'),
      await house.app.inject({ method: 'DELETE', url: '/quipu/nodes/a' }),
      await house.app.inject({ method: 'PUT', url: '/quipu/policies/m', payload: { numCtx: 4_096 } }),
      await house.app.inject({ method: 'DELETE', url: '/quipu/policies/m' }),
    ]
    for (const answer of writes) {
      t.same([answer.statusCode, answer.json().code], [503, 'journal.unwritable'])
      t.equal(answer.headers['retry-after'], '10')
    }
    const read = await house.get('/quipu/queue')
    t.equal(read.headers['x-quipu-unwritten'], '1')
    t.match(read.json(), [{ id: 'r1', why: 'the journal cannot be written, so nothing is started' }])
    const ready = await house.get('/readyz')
    t.same(
      [ready.statusCode, ready.json()],
      [503, { status: 'no', reasons: ['the journal cannot be written'] }],
    )
    t.equal((await house.get('/healthz')).statusCode, 200)
    full = false
    await house.clock.advance(2_000)
    t.equal((await house.get('/readyz')).statusCode, 200)
    t.equal((await house.post('/quipu/nodes/a/drain')).statusCode, 200)
  },
)

t.test('a house is ready when some node may be given work', async t => {
  const house = await openDoors(t)
  const reasons = async (): Promise<unknown> => (await house.get('/readyz')).json().reasons
  t.same(await reasons(), ['no node is registered'])
  house.join('a')
  t.equal(await reasons(), undefined)
  house.engine.commit('node', 'a', { type: 'node.drain', data: {} })
  t.same(await reasons(), ['no node is up'])
  const head = await house.app.inject({ method: 'HEAD', url: '/readyz' })
  t.same([head.statusCode, head.payload], [503, ''], 'load balancers ask with HEAD')
})

t.test('the index says what the house is and where its doors are', async t => {
  const house = await openDoors(t)
  house.join('a')
  house.admit('r1')
  const index = (await house.get('/quipu')).json()
  t.match(index, {
    name: 'quipu',
    version: '1.2.3',
    journal: { id: 'memory', head: 3, durable: 3, writable: true },
    nodes: { total: 1, up: 1 },
    requests: { waiting: 1, running: 0 },
    links: { nodes: '/quipu/nodes', events: '/quipu/events', metrics: '/metrics' },
  })
  for (const [name, path] of Object.entries(index.links as Record<string, string>)) {
    if (name !== 'events') t.equal((await house.get(path)).statusCode, 200, path)
  }
})

/** An agent that knows everything. */
const RICH = {
  identity: { node: 'a', agentVersion: '1', ollamaVersion: '2', ollamaUrl: 'http://b', startedAt: 5 },
  equipment: {
    os: { platform: 'linux', name: 'Debian', kernel: '6', arch: 'x64' },
    cpu: { model: 'm', cores: 4 },
    memoryBytes: 8,
    gpus: [{ id: 'g', vendor: 'nvidia', model: 'x', memoryBytes: 8, unified: true, driver: '1' }],
    gpusKnown: true,
    disk: { mount: '/', fileSystem: 'ext4', type: 'ssd', sizeBytes: 9 },
    container: false,
  },
  load: {
    uptimeS: 1.5,
    cores: [0.5],
    cpu: 0.5,
    memoryFreeBytes: 4,
    swapTotalBytes: 2,
    swapUsedBytes: 1,
    gpus: [
      {
        id: 'g',
        utilisation: 0.5,
        memoryUsedBytes: 4,
        temperatureC: 50.5,
        powerW: 100,
        powerLimitW: 200,
        throttled: false,
      },
    ],
    diskFreeBytes: 3,
    receivedBytesPerS: 1.5,
    sentBytesPerS: 2.5,
    inFlight: 1,
  },
  limits: { numParallel: 1, maxLoadedModels: 3, maxQueue: 512, keepAlive: '5m', contextLength: 4_096 },
  present: { models: [{ name: 'm', digest: 'd', sizeBytes: 1, blobs: [{ present: true }] }] },
  resident: { models: [{ name: 'm', sizeBytes: 2, vramBytes: 1, contextLength: 4_096, expiresAt: 9 }] },
}

t.test('the longest name that a model may have fits into a path', async t => {
  const house = await openDoors(t)
  house.join('a')
  const part = 'x'.repeat(80)
  const model = `hf.co/${part}/${part}:${part}`
  t.equal((await house.post('/quipu/models/pull', { model, nodes: ['a'] })).statusCode, 202)
  const gone = await house.remove(`/quipu/transfers/${encodeURIComponent(`${model}@a`)}`)
  t.match([gone.statusCode, gone.json()], [200, { model, state: 'cancelled' }])
  t.equal((await house.get(`/quipu/policies/${encodeURIComponent(model)}`)).json().code, 'policy.unknown')
})

t.test('every answer is what the table of doors says it is', async t => {
  const house = await openDoors(t)
  house.join('a')
  house.join('c')
  house.put('tiny:latest', 'a')
  house.put('big:latest', 'a', 'present')
  house.engine.commit('policy', 'tiny:latest', { type: 'policy.set', data: { numCtx: 4_096 } })
  house.vitals.set('a', { seenAt: 5, answerMs: 12, misses: 1, error: 'slow' })
  const machine = {
    ...RICH.equipment,
    gpus: [{ vendor: 'nvidia', model: 'x', memoryBytes: 8, unified: true }],
  }
  house.engine.commit('node', 'a', { type: 'node.equip', data: machine as never })
  house.engine.commit('node', 'a', { type: 'node.throttle', data: { cause: 'gpu', since: 5 } })
  house.tell('a', RICH)
  house.admit('r1')
  house.assign('r1', 'a', [row('a'), row('b', { estimateMs: null, excluded: 'down' })])
  house.begin('r1')
  house.complete('r1')
  house.admit('r2')
  house.admit('r3')
  house.assign('r2', 'a')
  house.engine.commit('node', 'a', { type: 'node.lose', data: { reason: 'wedged', model: 'tiny:latest' } })
  house.admit('j1', { job: true })
  const leased = { complete: 'j2', fail: 'j3', extend: 'j4' }
  for (const id of Object.values(leased)) {
    house.admit(id, { job: true })
    const until = house.clock.now() + 60_000
    house.engine.commit('request', id, { type: 'request.lease', data: { worker: 'w', until } })
  }
  await house.named.create({ name: 'a', filter: {}, after: 0 }, 'cli')
  const signal = new AbortController().signal
  const takeOne = () => house.named.take('a', { max: 1, leaseMs: 60_000, waitMs: 0, signal })
  const [{ lease: first = '' }, { lease: second = '' }] = [await takeOne(), await takeOne()]
  const ids = (name: string, path: string): readonly string[] => {
    if (!path.includes(':id')) return ['']
    if (path.startsWith('/quipu/transfers/')) return ['fresh:latest@c']
    if (name in leased) return [leased[name as keyof typeof leased]]
    return path.startsWith('/quipu/jobs/') ? ['j1'] : ['r1', 'r2', 'r3']
  }
  const bodies: Record<string, object> = {
    forget: { client: 'nobody' },
    pullModel: { model: 'fresh', nodes: ['c'] },
    removeModel: { model: 'big' },
    syncModels: { dryRun: true },
    optimizeModels: {},
    take: { worker: 'w', model: 'other' },
    complete: { worker: 'w', attempt: 1, body: 'x' },
    fail: { worker: 'w', attempt: 1 },
    extend: { attempt: 1, leaseMs: 1_000 },
    setConfig: { value: '64' },
    rollbackConfig: { to: 0 },
    addNode: { url: 'http://10.0.0.9:11434', name: 'new', hours: '18:00-08:00' },
    setPolicy: { keepAliveS: '5m', prefer: ['a', 'b'] },
    submitJob: { path: '/api/generate', body: { model: 'tiny' } },
    erase: { request: 'j1' },
    rotateKey: {},
    createSubscription: { name: 'b', webhook: { url: 'https://hooks.example' } },
    takeFacts: { max: 2 },
    ackFacts: { seq: 0 },
    returnFacts: { lease: first },
    extendFacts: { lease: second, leaseMs: 5_000 },
    inviteAgent: { node: 'a' },
    revokeAgent: { reason: 'stolen' },
    seal: { seq: 9 },
    trim: { at: 1 },
  }
  const all = Object.entries(table) as [string, Door][]
  const removes = ([, { method }]: [string, Door]): boolean => method === 'DELETE'
  const rows = [...all.filter(row => !removes(row)), ...all.filter(removes)]
  for (const [name, { method, path, answer, media, status = 200 }] of rows) {
    if (answer === undefined || media !== undefined) continue
    for (const id of ids(name, path)) {
      const url = path
        .replace(':name', 'a')
        .replace(':model', 'tiny')
        .replace(':setting', 'queue-max')
        .replace(':id', id)
      const given = await house.app.inject({ method, url, ...(bodies[name] && { payload: bodies[name] }) })
      if (name !== 'readyz') t.equal(given.statusCode, status, `${method} ${url}`)
      t.same(misfits(answer, given.json()), [], `${method} ${url}`)
    }
  }
})
