import t from 'tap'
import { Failure } from '../../src/failure.ts'
import { type Doors, openDoors, row } from './doors.ts'

/** What a scrape says, by name and labels in the order of the alphabet. */
async function scrape(house: Doors): Promise<Map<string, number>> {
  await house.engine.settled()
  const answer = await house.get('/metrics')
  const values = new Map<string, number>()
  for (const line of answer.payload.split('\n')) {
    const [, name, labels = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    if (name === undefined) continue
    const sorted = labels
      .split(/,(?=\w+=")/)
      .sort()
      .join(',')
    values.set(labels === '' ? name : `${name}{${sorted}}`, Number(value))
  }
  return values
}

t.test('a request leaves its wait, first byte, length, tokens and end', async t => {
  const house = await openDoors(t)
  house.join('a')
  house.put('tiny:latest', 'a')
  house.admit('r1')
  await house.clock.advance(200)
  house.assign('r1', 'a', [row('a')])
  await house.clock.advance(300)
  house.begin('r1')
  await house.clock.advance(500)
  house.complete('r1')
  const said = await scrape(house)
  for (const [name, value] of Object.entries({
    'quipu_request_wait_seconds_sum{model="tiny:latest"}': 0.2,
    'quipu_request_wait_seconds_bucket{le="0.1",model="tiny:latest"}': 0,
    'quipu_request_wait_seconds_bucket{le="0.25",model="tiny:latest"}': 1,
    'quipu_request_ttft_seconds_sum{model="tiny:latest",node="a"}': 0.5,
    'quipu_request_duration_seconds_sum{model="tiny:latest",outcome="completed"}': 1,
    'quipu_output_token_seconds_sum{model="tiny:latest",node="a"}': 0.02,
    'quipu_prompt_tokens_total{model="tiny:latest",node="a"}': 7,
    'quipu_output_tokens_total{model="tiny:latest",node="a"}': 20,
    'quipu_requests_total{model="tiny:latest",outcome="completed",status="2xx"}': 1,
    'quipu_journal_facts_total{type="request.completed"}': 1,
    'quipu_info{version="1.2.3"}': 1,
  })) {
    t.equal(said.get(name), value, name)
  }
  t.ok(said.get('process_resident_memory_bytes')! > 0)
  t.match((await house.get('/metrics')).headers['content-type'], /^text\/plain; version=0\.0\.4/)
})

t.test('every end is counted by what it was, and every retry by its reason', async t => {
  const house = await openDoors(t)
  house.join('a')
  house.join('b')
  house.put('tiny:latest', 'a')
  house.admit('retried')
  await house.clock.advance(1_000)
  house.assign('retried', 'b')
  await house.clock.advance(5_000)
  house.fail('retried', 'refused', { retryable: true })
  await house.clock.advance(2_000)
  house.assign('retried', 'a')
  house.fail('retried', 'error', { status: 500 })
  house.admit('expired')
  house.engine.commit('request', 'expired', { type: 'request.expire', data: {} })
  house.admit('abandoned')
  house.engine.commit('request', 'abandoned', { type: 'request.abandon', data: { bytes: 0, chunks: 0 } })
  const said = await scrape(house)
  for (const [name, value] of Object.entries({
    'quipu_requests_total{model="tiny:latest",outcome="failed",status="5xx"}': 1,
    'quipu_requests_total{model="tiny:latest",outcome="expired",status=""}': 1,
    'quipu_requests_total{model="tiny:latest",outcome="abandoned",status=""}': 1,
    'quipu_request_retries_total{node="b",reason="refused"}': 1,
    'quipu_request_wait_seconds_sum{model="tiny:latest"}': 3,
    'quipu_request_wait_seconds_count{model="tiny:latest"}': 2,
  })) {
    t.equal(said.get(name), value, name)
  }
})

t.test('gauges tell how things stand when they are asked', async t => {
  const house = await openDoors(t)
  house.join('a', { slots: 2 })
  house.join('b')
  house.put('tiny:latest', 'a')
  house.put('big:latest', 'a', 'present')
  house.vitals.set('a', { seenAt: 1, answerMs: 12, misses: 0 })
  house.admit('r1')
  house.assign('r1', 'a')
  await house.clock.advance(500)
  house.admit('r2')
  await house.clock.advance(4_000)
  house.admit('r3')
  house.engine.commit('node', 'b', { type: 'node.lose', data: { reason: 'silence' } })
  const data = { reason: 'broken', failures: 3, chance: 0 }
  house.engine.commit('breaker', 'b', { type: 'breaker.trip', data })
  const said = await scrape(house)
  for (const [name, value] of Object.entries({
    quipu_queue_depth: 2,
    quipu_queue_oldest_wait_seconds: 4,
    'quipu_requests_in_flight{node="a"}': 1,
    'quipu_requests_in_flight{node="b"}': 0,
    'quipu_node_up{node="a"}': 1,
    'quipu_node_up{node="b"}': 0,
    'quipu_node_slots{node="a"}': 2,
    'quipu_node_breaker{node="a",state="closed"}': 1,
    'quipu_node_breaker{node="b",state="closed"}': 0,
    'quipu_node_breaker{node="b",state="open"}': 1,
    'quipu_node_models{node="a",state="resident"}': 1,
    'quipu_node_models{node="a",state="present"}': 1,
    'quipu_node_answer_seconds{node="a"}': 0.012,
    quipu_journal_head_seq: house.journal.head.seq,
    quipu_journal_durable_seq: house.journal.durable,
    quipu_journal_unwritten_facts: 0,
    quipu_journal_writable: 1,
    quipu_snapshots_written: 2,
    quipu_snapshots_failed: 1,
    quipu_snapshot_seq: 400,
    quipu_snapshot_bytes: 5_000,
    quipu_snapshot_pause_seconds: 0.025,
  })) {
    t.equal(said.get(name), value, name)
  }
  t.notOk(said.has('quipu_node_answer_seconds{node="b"}'))
  house.engine.commit('node', 'b', { type: 'node.remove', data: {} })
  t.notOk((await scrape(house)).has('quipu_node_up{node="b"}'), 'a node that is gone leaves no gauge')
})

t.test('what agents say is told while it holds, and what they do not know has no sample', async t => {
  const house = await openDoors(t)
  for (const name of ['a', 'b', 'c']) house.join(name)
  const gpu = { vendor: 'nvidia', model: 'x', unified: false, driver: '1' }
  const equipment = {
    gpus: [
      { ...gpu, id: 'GPU-2', memoryBytes: 24e9 },
      { ...gpu, id: 'GPU-1', memoryBytes: 8e9 },
    ],
    gpusKnown: true,
    memoryBytes: 64e9,
    disk: { mount: '/', fileSystem: 'ext4', sizeBytes: 1e12 },
    container: false,
  }
  const gpus = [
    { id: 'GPU-1', utilisation: 0.5, memoryUsedBytes: 0 },
    { id: 'GPU-2', temperatureC: 71, powerW: 300 },
  ]
  house.tell('a', { equipment, load: { cpu: 0.25, memoryFreeBytes: 1e9, diskFreeBytes: 5, cores: [], gpus } })
  house.tell('b', { equipment, load: { cpu: 0.25, cores: [], gpus } }, { fresh: false })
  house.engine.commit('node', 'a', { type: 'node.throttle', data: { cause: 'heat', since: 1 } })
  const said = await scrape(house)
  for (const [name, value] of Object.entries({
    'quipu_node_agent_up{node="a"}': 1,
    'quipu_node_agent_up{node="b"}': 0,
    'quipu_node_throttled{cause="heat",node="a"}': 1,
    'quipu_node_cpu_ratio{node="a"}': 0.25,
    'quipu_node_memory_bytes{node="a"}': 64e9,
    'quipu_node_memory_free_bytes{node="a"}': 1e9,
    'quipu_node_disk_bytes{node="a"}': 1e12,
    'quipu_node_disk_free_bytes{node="a"}': 5,
    'quipu_node_gpu_memory_bytes{gpu="0",node="a"}': 8e9,
    'quipu_node_gpu_memory_bytes{gpu="1",node="a"}': 24e9,
    'quipu_node_gpu_memory_used_bytes{gpu="0",node="a"}': 0,
    'quipu_node_gpu_utilisation_ratio{gpu="0",node="a"}': 0.5,
    'quipu_node_gpu_temperature_celsius{gpu="1",node="a"}': 71,
    'quipu_node_gpu_power_watts{gpu="1",node="a"}': 300,
  })) {
    t.equal(said.get(name), value, name)
  }
  const told = [...said.keys()].filter(name => /quipu_node_/.test(name))
  t.notOk(said.has('quipu_node_gpu_memory_used_bytes{gpu="1",node="a"}'), 'unknown is not 0')
  t.notOk(said.has('quipu_node_swap_used_bytes{node="a"}'))
  t.notOk(
    told.some(name => /cpu|memory|gpu/.test(name) && name.includes('node="b"')),
    'it is silent',
  )
  t.notOk(
    told.some(name => /agent|throttled/.test(name) && name.includes('node="c"')),
    'it has no agent',
  )
  const many = Array.from({ length: 60 }, (_, i) => ({ id: `${100 + i}`, utilisation: 1 }))
  house.tell('c', { load: { cores: [], gpus: many } })
  const labels = [...(await scrape(house)).keys()].filter(
    name => name.includes('node="c"') && /gpu=/.test(name),
  )
  t.equal(labels.length, 16, 'labels stay few')
})

t.test('loads the house ordered are counted, timed, and told apart from what others loaded', async t => {
  const house = await openDoors(t)
  house.join('a')
  house.put('seen:latest', 'a')
  house.put('tiny:latest', 'a', 'present')
  const load = (): unknown =>
    house.engine.commit('replica', 'tiny:latest@a', {
      type: 'replica.load',
      data: { request: 'r1', estimateMs: 1 },
    })
  load()
  house.engine.commit('replica', 'tiny:latest@a', {
    type: 'replica.fail',
    data: { reason: 'ollama.answer', status: 500 },
  })
  load()
  house.engine.commit('replica', 'tiny:latest@a', { type: 'replica.confirm', data: { ms: 4_200 } })
  const said = await scrape(house)
  t.equal(said.get('quipu_loads_total{model="tiny:latest",node="a",outcome="failed"}'), 1)
  t.equal(said.get('quipu_loads_total{model="tiny:latest",node="a",outcome="loaded"}'), 1)
  t.equal(said.get('quipu_load_seconds_sum{model="tiny:latest",node="a"}'), 4.2)
  t.notOk([...said.keys()].some(name => name.includes('seen:latest')))
})

t.test(
  'names that clients make up do not become labels, and even real ones are at most a hundred',
  async t => {
    const house = await openDoors(t)
    house.join('a')
    for (let i = 0; i < 300; i += 1) {
      house.admit(`r${i}`, { model: `made-up-${i}:latest` })
      house.assign(`r${i}`, 'a')
      house.begin(`r${i}`, 404)
      house.complete(`r${i}`)
    }
    const invented = await scrape(house)
    t.equal(invented.get('quipu_requests_total{model="other",outcome="completed",status="4xx"}'), 300)
    t.notOk([...invented.keys()].some(name => name.includes('made-up')))

    for (let i = 0; i < 150; i += 1) {
      house.put(`real-${i}:latest`, 'a', 'present')
      house.admit(`s${i}`, { model: `real-${i}:latest` })
      house.engine.commit('request', `s${i}`, { type: 'request.expire', data: {} })
      if (i % 50 === 0) await house.engine.settled()
    }
    const said = await scrape(house)
    const names = [...said.keys()].filter(name => name.startsWith('quipu_requests_total{model="real-'))
    t.equal(names.length, 100)
    t.equal(said.get('quipu_requests_total{model="other",outcome="expired",status=""}'), 50)
  },
)

t.test('a request that an earlier process left open is counted when this one ends it', async t => {
  const records: string[] = []
  const before = await openDoors(t, { records })
  before.join('a')
  before.put('tiny:latest', 'a')
  before.admit('r1')
  await before.engine.settled()
  const house = await openDoors(t, { records })
  house.fail('r1', 'restart')
  const said = await scrape(house)
  t.equal(said.get('quipu_requests_total{model="tiny:latest",outcome="failed",status=""}'), 1)
  t.equal(said.get('quipu_journal_facts_total{type="request.admitted"}'), undefined, 'it began anew')
})

t.test('a scrape does not wait for the disk, and shows how far it lags', async t => {
  let full = false
  const house = await openDoors(t, {
    fault: () => {
      if (full) throw new Failure('journal.unwritable', 'ENOSPC')
    },
  })
  full = true
  house.join('a')
  await house.clock.advance(1)
  const { payload } = await house.get('/metrics')
  t.match(payload, /^quipu_journal_writable 0$/m)
  t.match(payload, /^quipu_journal_unwritten_facts 2$/m)
  t.notMatch(payload, /quipu_journal_facts_total\{/)
})
