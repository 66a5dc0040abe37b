/** The tables under /quipu/stats, as JSON and as CSV. */
import t from 'tap'
import { type Door, doors } from '../../src/gateway/doors.ts'
import { openDoors } from './doors.ts'

const START = '2026-01-01T00:00:00.000Z'

t.test('servers: how each one stands', async t => {
  const house = await openDoors(t)
  house.join('b')
  house.join('a')
  house.put('tiny:latest', 'a')
  house.admit('r1')
  house.assign('r1', 'a')
  await house.clock.advance(5_000)
  house.vitals.set('a', { lookedAt: house.clock.now(), seenAt: 5, answerMs: 12, misses: 1 })
  house.engine.commit('node', 'b', { type: 'node.lose', data: { reason: 'silence' } })
  t.same((await house.get('/quipu/stats/servers')).json(), [
    {
      address: 'http://a:11434',
      healthy: true,
      load: 1,
      last_check: '2026-01-01T00:00:05.000Z',
      first_seen: START,
      hardware_info: null,
    },
    {
      address: 'http://b:11434',
      healthy: false,
      load: 0,
      last_check: null,
      first_seen: START,
      hardware_info: null,
    },
  ])
  t.match((await house.get('/quipu/stats/servers?server=b')).json(), [{ address: 'http://b:11434' }])
  t.equal((await house.get('/quipu/stats/servers?server=http://a:11434,b')).json().length, 2)
})

t.test('servers: what machine one is, in a few words', async t => {
  const house = await openDoors(t)
  const info = async (equipment: object): Promise<string> => {
    const data = { gpus: [], gpusKnown: true, container: false, ...equipment }
    house.engine.commit('node', 'a', { type: 'node.equip', data })
    return (await house.get('/quipu/stats/servers')).json()[0].hardware_info
  }
  house.join('a')
  const card = { vendor: 'nvidia', model: 'RTX 4090', memoryBytes: 24e9 }
  const os = { platform: 'linux', name: 'Debian GNU/Linux 12', arch: 'x64' }
  const cpu = { model: 'AMD Ryzen 9', cores: 32 }
  t.equal(
    await info({ gpus: [card, card, { vendor: 'intel', model: '' }], memoryBytes: 64e9, cpu, os }),
    '2 × RTX 4090 of 24 GB; intel; 64 GB of memory; 32 cores; Debian GNU/Linux 12',
  )
  const shared = { vendor: 'apple', model: 'M3 Max', memoryBytes: 48e9, unified: true } as const
  t.equal(await info({ gpus: [shared], memoryBytes: 64e9 }), 'M3 Max; 64 GB of memory')
  t.equal(await info({ cpu: { model: 'x' } }), '', 'it has said that it knows nothing')
})

t.test('models: where they are, what they are, how much they are used', async t => {
  const house = await openDoors(t)
  house.join('a')
  house.join('b')
  house.put('tiny:latest', 'b')
  house.put('tiny:latest', 'a')
  house.put('gone:latest', 'a')
  house.engine.commit('replica', 'gone:latest@a', { type: 'replica.remove', data: {} })
  house.engine.commit('model', 'gone:latest', { type: 'model.lose', data: {} })
  house.admit('r1')
  house.assign('r1', 'a')
  await house.clock.advance(1_000)
  house.begin('r1')
  house.complete('r1')
  const odd = { digest: 'd', sizeBytes: 4_406_642_652, family: '', capabilities: [] }
  const find = (id: string, parameterSize: string, quantization: string) =>
    house.engine.commit('model', id, { type: 'model.find', data: { ...odd, parameterSize, quantization } })
  find('million:1', '494.03M', '=cmd|x')
  find('strange:1', '8x7B', '')
  t.same((await house.get('/quipu/stats/models?model=TINY,gone')).json(), [
    {
      name: 'gone:latest',
      servers: [],
      size_gb: 0,
      parameter_count: 1_000_000_000,
      quantization: 'Q4_0',
      first_seen: START,
      last_used: null,
      usage_count: 0,
    },
    {
      name: 'tiny:latest',
      servers: ['http://a:11434', 'http://b:11434'],
      size_gb: 0,
      parameter_count: 1_000_000_000,
      quantization: 'Q4_0',
      first_seen: START,
      last_used: '2026-01-01T00:00:01.000Z',
      usage_count: 1,
    },
  ])
  t.match((await house.get('/quipu/stats/models?model=million:1,strange:1')).json(), [
    { size_gb: 4.407, parameter_count: 494_030_000, quantization: '=cmd|x' },
    { parameter_count: null, quantization: null },
  ])
  t.equal((await house.get('/quipu/stats/models?server=b')).json().length, 1)
  const csv = await house.get('/quipu/stats/models?format=csv')
  t.match(csv.payload, "million:1,,4.407,494030000,'=cmd|x,", 'a formula is not one any more')
})

t.test('server_stats: the last hour, unless more is asked for', async t => {
  const house = await openDoors(t)
  house.join('a')
  await house.clock.advance(7_200_000)
  house.vitals.set('a', { seenAt: house.clock.now(), answerMs: 12, misses: 0 })
  await house.clock.advance(10_000)
  const rows = (query: string) => house.get(`/quipu/stats/server_stats${query}`).then(answer => answer.json())
  t.same(await rows('?limit=2&type=latency,load'), [
    { server: 'http://a:11434', timestamp: '2026-01-01T02:00:10.000Z', type: 'load', value: 0 },
    { server: 'http://a:11434', timestamp: '2026-01-01T02:00:10.000Z', type: 'latency', value: 12 },
  ])
  t.equal((await rows('')).length, 721, '360 steps of health and load, and one latency')
  t.equal((await rows('?since=2026-01-01&type=load&server=a')).length, 25, 'steps of five minutes')
  t.equal((await rows('?since=8d&type=load')).length, 3, 'hours')
  t.equal((await rows('?since=1h&type=load&step=5m')).length, 13)
  t.same(await rows('?server=nobody'), [])
})

t.test('request_stats: by hour, day and week, newest first', async t => {
  const house = await openDoors(t)
  house.join('a', { labels: { simulated: 'true' } })
  for (const id of ['r1', 'r2']) {
    house.admit(id)
    house.assign(id, 'a')
    house.begin(id)
    await house.clock.advance(100)
    house.complete(id)
    await house.clock.advance(3_600_000)
  }
  house.admit('r3')
  house.engine.commit('request', 'r3', { type: 'request.expire', data: {} })
  const rows = (query: string) =>
    house.get(`/quipu/stats/request_stats${query}`).then(answer => answer.json())
  const [newest, one] = await rows('')
  t.match(newest, { period: 'hour', start: '2026-01-01T02:00:00.000Z', total: 1, completed: 0 })
  t.match(newest, { average_latency: null, p50: null, p95: null, p99: null, tokens: 0, simulated: 0 })
  const latency = { average_latency: 100, p50: Number, p95: Number, p99: Number }
  const tokens = { tokens: 27, prompt_tokens: 7, output_tokens: 20 }
  t.match(one, {
    start: '2026-01-01T01:00:00.000Z',
    total: 1,
    generate: 1,
    ...latency,
    ...tokens,
    simulated: 1,
  })
  t.ok(Math.abs(one.p99 - 100) <= 5)
  t.match(await rows('?by=day'), [{ period: 'day', start: START, total: 3, simulated: 2 }])
  t.match(await rows('?by=week'), [{ start: '2025-12-29T00:00:00.000Z', total: 3, tokens: 54 }])
  t.equal((await rows('?since=30m')).length, 2, 'the hour that began before is one of them')
  t.equal((await rows('?limit=1')).length, 1)
})

t.test('inference_queue: open requests and those of the last day, and nothing of what was asked', async t => {
  const house = await openDoors(t)
  house.join('a')
  house.admit('r1')
  house.assign('r1', 'a')
  house.begin('r1')
  await house.clock.advance(1_000)
  house.complete('r1')
  house.admit('r2', { priority: 9, model: 'big:latest' })
  await house.clock.advance(1_000)
  house.admit('r3')
  house.engine.commit('request', 'r3', {
    type: 'request.assign',
    data: { node: 'a', candidates: [], batch: 'r3' },
  })
  house.admit('r4')
  house.engine.commit('request', 'r4', { type: 'request.lease', data: { worker: 'w', until: 9e15 } })
  const ids = async (query: string): Promise<string[]> =>
    (await house.get(`/quipu/stats/inference_queue${query}`)).json().map(({ id }: { id: string }) => id)
  t.same((await house.get('/quipu/stats/inference_queue?model=tiny,big&status=completed,queued')).json(), [
    {
      id: 'r2',
      model: 'big:latest',
      status: 'queued',
      priority: 9,
      created_at: '2026-01-01T00:00:01.000Z',
      started_at: null,
      completed_at: null,
      server_assigned: null,
      batch_id: null,
    },
    {
      id: 'r1',
      model: 'tiny:latest',
      status: 'completed',
      priority: 5,
      created_at: START,
      started_at: START,
      completed_at: '2026-01-01T00:00:01.000Z',
      server_assigned: 'http://a:11434',
      batch_id: null,
    },
  ])
  t.match((await house.get('/quipu/stats/inference_queue?status=running,leased')).json(), [
    { id: 'r4', status: 'leased', server_assigned: 'w' },
    { id: 'r3', status: 'running', server_assigned: 'http://a:11434', batch_id: 'r3' },
  ])
  t.same(await ids(''), ['r4', 'r3', 'r2', 'r1'])
  t.same(await ids('?server=a'), ['r3', 'r1'])
  t.same(await ids('?since=2026-01-01T00:00:01.5&limit=1'), ['r4'])
  await house.clock.advance(86_400_000)
  t.same(await ids('?status=completed'), [], 'a day later nobody need say so')
})

t.test('config: who changed what, when, before and after', async t => {
  const house = await openDoors(t)
  await house.change('/quipu/config/queue-max', { value: '64' })
  await house.clock.advance(60_000)
  await house.remove('/quipu/config/queue-max')
  await house.change('/quipu/config/wait-max', { value: '1m' })
  const who = '127.0.0.1'
  t.same((await house.get('/quipu/stats/config?setting=queue-max')).json(), [
    { setting: 'queue-max', who, when: '2026-01-01T00:01:00.000Z', before: '64', after: '512' },
    { setting: 'queue-max', who, when: START, before: '512', after: '64' },
  ])
  t.same((await house.get('/quipu/stats/config?since=30m&limit=1')).json().length, 1)
})

t.test('every table has just the columns it promises, in JSON and in CSV, also when it is empty', async t => {
  const COLUMNS: Readonly<Record<string, string>> = {
    servers: 'address,healthy,load,last_check,first_seen,hardware_info',
    models: 'name,servers,size_gb,parameter_count,quantization,first_seen,last_used,usage_count',
    server_stats: 'server,timestamp,type,value',
    request_stats:
      'period,start,total,generate,chat,embedding,completed,average_latency,p50,p95,p99,' +
      'tokens,prompt_tokens,output_tokens,simulated',
    inference_queue: 'id,model,status,priority,created_at,started_at,completed_at,server_assigned,batch_id',
    config: 'setting,who,when,before,after',
  }
  const paths = (Object.values(doors) as Door[]).filter(({ csv }) => csv).map(({ path }) => path)
  t.same(
    paths.sort(),
    Object.keys(COLUMNS)
      .map(name => `/quipu/stats/${name}`)
      .sort(),
  )
  const empty = await openDoors(t)
  const house = await openDoors(t)
  house.join('a')
  house.put('tiny:latest', 'a')
  house.admit('r1')
  house.assign('r1', 'a')
  house.begin('r1')
  house.complete('r1')
  await house.change('/quipu/config/queue-max', { value: '64' })
  await house.clock.advance(10_000)
  for (const [name, columns] of Object.entries(COLUMNS)) {
    const path = `/quipu/stats/${name}`
    const [row] = (await house.get(path)).json()
    t.equal(Object.keys(row).join(), columns, name)
    const csv = await house.get(path, { accept: 'text/csv' })
    t.equal(csv.headers['content-type'], 'text/csv; charset=utf-8')
    t.ok(csv.payload.startsWith(`${columns}\r\n`))
    const none = await empty.get(`${path}?format=csv`)
    t.equal(none.payload, `${columns}\r\n`)
    t.same((await empty.get(path)).json(), [])
    const both = await house.get(path, { accept: 'application/json, text/csv;q=0.5' })
    t.equal(both.headers['content-type'], 'application/json; charset=utf-8')
    const told = await house.get(`${path}?format=json`, { accept: 'text/csv' })
    t.equal(told.headers['content-type'], 'application/json; charset=utf-8', 'what stands in the query wins')
  }
})

t.test('a cell with a comma, a quote or a line in it stays one cell', async t => {
  const house = await openDoors(t)
  house.join('a')
  house.join('b')
  house.put('m:1', 'a')
  house.engine.commit('replica', 'm:1@b', { type: 'replica.find', data: { digest: 'd', sizeBytes: 1 } })
  const data = {
    digest: 'e',
    sizeBytes: 1,
    family: '',
    parameterSize: '',
    capabilities: [],
    quantization: 'a,"b"\nc',
  }
  house.engine.commit('model', 'm:1', { type: 'model.find', data })
  const [, ...lines] = (await house.get('/quipu/stats/models?format=csv')).payload.split('\r\n')
  t.same(lines, [`m:1,http://a:11434 http://b:11434,0,,"a,""b""\nc",${START},,0`, ''])
})

t.test('a filter that makes no sense is refused by name', async t => {
  const house = await openDoors(t)
  for (const [url, said] of [
    ['server_stats?type=weather', /type must match pattern/],
    ['server_stats?step=1d', /step must be equal to/],
    ['server_stats?since=yesterday', /since must match pattern/],
    ['server_stats?since=2026-13-01', /since: there is no such time as 2026-13-01/],
    ['request_stats?by=month', /by must be equal to/],
    ['inference_queue?status=answering', /status must match pattern/],
    ['servers?limit=10001', /limit must be <= 10000/],
    ['servers?format=xml', /format must be equal to/],
    ['config?name=x', /unknown property "name"; known are setting, since, limit, format/],
  ] as const) {
    const answer = await house.get(`/quipu/stats/${url}`)
    t.equal(answer.statusCode, 400, url)
    t.match(answer.json(), { code: 'request.invalid', error: said })
  }
})
