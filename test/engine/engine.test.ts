import t from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { type Hears, type Reactor, reactor } from '../../src/engine/reactor.ts'
import { Failure } from '../../src/failure.ts'
import type { Entry } from '../../src/journal/journal.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { fleet } from '../../src/projections/fleet.ts'
import { requests } from '../../src/projections/requests.ts'

const node = { url: 'http://a:1', slots: 1, residentMax: 1, labels: {}, origin: 'api' } as const
const admission = {
  path: '/api/chat',
  model: 'm:latest',
  client: 'c',
  priority: 5,
  bodyBytes: 1,
  attemptsMax: 3,
}

function house({ records = [] as string[], fault = () => {} } = {}) {
  const clock = virtualClock()
  const journal = openMemoryJournal({ records, clock, fault })
  const views = { fleet: fleet(), requests: requests() }
  const engine = new Engine(journal, clock, Object.values(views))
  return { clock, journal, engine, records, ...views }
}

function ears(hears: Hears): { reactor: Reactor; heard: string[]; resumed: () => number } {
  const heard: string[] = []
  let resumed = 0
  const hear = (_self: object, { type, id }: { type: string; id: string }): void =>
    void heard.push(`${type} ${id}`)
  const on = {
    'node.registered': hear,
    'node.joined': hear,
    'request.admitted': hear,
    'request.expired': hear,
  }
  return {
    heard,
    resumed: () => resumed,
    reactor: reactor(
      {},
      {
        hears,
        on,
        resume: () => {
          resumed += 1
        },
      },
    ),
  }
}

t.test('what was on disk is what is in RAM', async t => {
  const before = house()
  await before.engine.dispatch('node', 'a', { type: 'node.register', data: node, by: 'cli' })
  await before.engine.dispatch('node', 'a', { type: 'node.answer', data: { version: '1' } })
  await before.engine.dispatch('request', 'r', {
    type: 'request.admit',
    data: { ...admission, expiresAt: 9e15 },
  })
  const after = house({ records: before.records })
  t.equal((await after.engine.replay()).seq, 3)
  t.same(after.fleet.state, before.fleet.state)
  t.same(after.requests.state, before.requests.state)
  t.same(after.engine.state('node', 'a').value, { member: { reach: 'up', duty: 'active', pace: 'full' } })
})

t.test('the command’s time and author are on each of its facts', async t => {
  const { engine, clock } = house()
  const [fact] = await engine.dispatch('node', 'a', { type: 'node.register', data: node, by: '10.0.0.7' })
  t.match(fact, {
    seq: 1,
    kind: 'node',
    id: 'a',
    v: 1,
    at: clock.now(),
    by: '10.0.0.7',
    type: 'node.registered',
  })
})

t.test('a decision the chart does not take is refused, and leaves nothing', async t => {
  const { engine, journal } = house()
  t.throws(() => engine.commit('request', 'r', { type: 'request.complete', data: { bytes: 0, chunks: 0 } }), {
    name: 'Refusal',
    code: 'engine.out-of-turn',
  })
  t.same(engine.attempt('request', 'r', { type: 'request.complete', data: { bytes: 0, chunks: 0 } }), [])
  t.equal(journal.head.seq, 0)
})

t.test('a command no kind knows is a bug, not a refusal', async t => {
  t.throws(() => house().engine.attempt('node', 'a', { type: 'node.explode', data: {} } as never), {
    name: 'TypeError',
  })
})

t.test('deciders hear in the same turn, reactors when it is on disk', async t => {
  const { engine } = house()
  const decider = ears('decided')
  const doer = ears('durable')
  engine.start(decider.reactor, doer.reactor)
  const durable = engine.dispatch('node', 'a', { type: 'node.register', data: node })
  t.same(decider.heard, ['node.registered a'])
  t.same(doer.heard, [])
  await durable
  t.same(doer.heard, ['node.registered a'])
})

t.test('nobody is told of what the disk did not take', async t => {
  let broken = false
  const { engine, clock, records } = house({
    fault: () => {
      if (broken) throw new Failure('journal.unwritable', 'No space left on device', { retryable: true })
    },
  })
  const doer = ears('durable')
  engine.start(doer.reactor)
  broken = true
  await t.rejects(engine.dispatch('node', 'a', { type: 'node.register', data: node }), {
    code: 'journal.unwritable',
  })
  t.same(doer.heard, [])
  t.equal(engine.writable, false)
  t.equal(doer.resumed(), 1)
  broken = false
  await clock.advance(60_000)
  t.equal(engine.writable, true)
  t.same(doer.heard, ['node.registered a'], 'it was waiting, and is on disk now')
  t.equal(doer.resumed(), 2, 'and everybody was asked to look for what is undone')
  t.equal(records.length, 1)
})

t.test('a deadline passes, and its command is issued', async t => {
  const { engine, clock, requests } = house()
  engine.start()
  await engine.dispatch('request', 'r', {
    type: 'request.admit',
    data: { ...admission, expiresAt: clock.now() + 500 },
  })
  await clock.advance(499)
  t.equal(requests.state.open.size, 1)
  await clock.advance(1)
  t.equal(requests.state.open.size, 0)
})

t.test('a deadline is forgotten when its state is left', async t => {
  const { engine, clock, requests, journal } = house()
  engine.start()
  await engine.dispatch('request', 'r', {
    type: 'request.admit',
    data: { ...admission, expiresAt: clock.now() + 500 },
  })
  await engine.dispatch('request', 'r', { type: 'request.assign', data: { node: 'a', candidates: [] } })
  await clock.advance(10_000)
  t.equal(requests.state.open.get('r')?.state, 'running')
  t.equal(journal.head.seq, 2)
})

t.test('deadlines are armed again after a restart', async t => {
  const before = house()
  const expiresAt = before.clock.now() + 500
  await before.engine.dispatch('request', 'r', { type: 'request.admit', data: { ...admission, expiresAt } })
  const after = house({ records: before.records })
  await after.engine.replay()
  await after.clock.advance(1_000)
  t.equal(after.requests.state.open.size, 1, 'a replay does nothing by itself')
  after.engine.start()
  await after.clock.advance(0)
  t.equal(after.requests.state.open.size, 0)
})

t.test('a finished request is forgotten by the engine', async t => {
  const { engine } = house()
  await engine.dispatch('request', 'r', { type: 'request.admit', data: { ...admission, expiresAt: 9e15 } })
  await engine.dispatch('request', 'r', { type: 'request.abandon', data: { bytes: 0, chunks: 0 } })
  t.equal(engine.state('request', 'r').value, 'new')
})

t.test('a journal with a fact its chart cannot take does not replay', async t => {
  const { journal, records } = house()
  const data = { waitedMs: 1 }
  journal.stage('request', 'r', [{ type: 'request.expired', at: 1, data }])
  await journal.flushed()
  await t.rejects(house({ records }).engine.replay(), {
    name: 'Failure',
    code: 'journal.unacceptable',
    message: /^fact 1:/,
  })
})

t.test('a crash between append and react loses nothing', async t => {
  const before = house()
  await before.engine.dispatch('node', 'a', { type: 'node.register', data: node }) // never started: nobody reacted
  const after = house({ records: before.records })
  await after.engine.replay()
  const doer = ears('durable')
  after.engine.start(doer.reactor)
  t.equal(doer.resumed(), 1)
  const entries: Entry[] = []
  for await (const page of after.journal.read()) entries.push(...page)
  t.same(
    entries.map(({ type }) => type),
    ['node.registered'],
  )
})
