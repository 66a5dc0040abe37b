/** Breakers over the whole of queue, scheduler and projections. */
import t from 'tap'
import { mulberry32 } from '../../src/clock.ts'
import { reactor } from '../../src/engine/reactor.ts'
import { routable } from '../../src/projections/fleet.ts'
import { yard } from './yard.ts'

type Yard = ReturnType<typeof yard>

const stateOf = (y: Yard, node: string) => y.breakers.state.nodes.get(node)?.state ?? 'closed'

/** Two nodes for m, or as many as named. */
async function fleetOf(names: string, { slots = 1 } = {}): Promise<Yard> {
  const y = yard()
  y.start()
  for (const name of names) await y.node(name, ['m'], { resident: ['m'], slots })
  return y
}

/** Asks for m on `node`, which is the only idle one or the first, and fails it there; then it is answered elsewhere. */
async function failOn(y: Yard, node: string, id: string, reason: string, status?: number): Promise<void> {
  await y.ask(id, 'm')
  if (y.at(id) !== node) throw new Error(`${id} is ${y.at(id)}, not on ${node}`)
  await y.failed(id, reason, status)
  if (y.at(id) === 'queued') await y.clock.advance(70_000)
  await y.done(id)
}

t.test('a node that fails every other request is out, and the fact says what share', async t => {
  const y = await fleetOf('ab')
  for (let i = 0; i < 5; i += 1) {
    t.equal(stateOf(y, 'a'), 'closed')
    await failOn(y, 'a', `bad${i}`, 'broken')
    await y.ask(`good${i}`, 'm')
    await y.done(`good${i}`)
  }
  t.equal(stateOf(y, 'a'), 'closed', 'half of ten, but what came last went well')
  await failOn(y, 'a', 'last', 'broken')
  t.match(await y.facts('breaker.tripped'), [
    { id: 'a', data: { by: 'ratio', share: 0.55, failures: 1, reason: 'broken' } },
  ])
})

t.test('of three nodes one may be out for its share, of one none', async t => {
  const y = await fleetOf('abc')
  for (let i = 0; i < 30; i += 1) {
    await y.ask(`good${i}`, 'm')
    await y.done(`good${i}`)
    await y.ask(`bad${i}`, 'm')
    await y.failed(`bad${i}`, 'broken')
    await y.done(`bad${i}`)
  }
  t.same(
    ['a', 'b', 'c'].map(node => stateOf(y, node)),
    ['open', 'closed', 'closed'],
  )
  const { outcomes } = y.breakers.state.nodes.get('b')!
  t.equal(outcomes.filter(({ ok }) => !ok).length, 10, 'b is no better')
  const z = await fleetOf('a')
  for (let i = 0; i < 30; i += 1) {
    await z.ask(`bad${i}`, 'm')
    await z.failed(`bad${i}`, 'broken')
    t.equal(z.at(`bad${i}`), 'a', 'nobody else is left')
    await z.done(`bad${i}`)
  }
})

t.test('three in a row open even the last one, but briefly', async t => {
  const y = await fleetOf('a')
  for (let round = 0; round < 8; round += 1) {
    await y.ask(`${round}`, 'm')
    for (let i = 0; i < 3; i += 1) {
      if (y.at(`${round}`) === 'queued') await y.clock.advance(2_000)
      t.equal(y.at(`${round}`), 'a')
      await y.failed(`${round}`, 'refused')
    }
  }
  const waits = (await y.facts('breaker.tripped')).map(({ data }) => (data as { waitMs: number }).waitMs)
  t.ok(waits.length > 8, `${waits.length} times`)
  t.ok(Math.max(...waits) <= 2_000, `at most ${Math.max(...waits)} ms`)
})

t.test('where others are left, each round may wait longer', async t => {
  const y = await fleetOf('ab')
  for (let i = 0; i < 3; i += 1) await failOn(y, 'a', `${i}`, 'broken')
  for (let i = 0; i < 6; i += 1) {
    await y.clock.advance(61_000)
    t.equal(stateOf(y, 'a'), 'halfOpen')
    await failOn(y, 'a', `trial${i}`, 'broken')
  }
  t.match(
    (await y.facts('breaker.tripped')).map(({ data }) => data),
    [1, 2, 3, 4, 5, 6, 7].map(round => ({ round, by: round === 1 ? 'row' : 'trial' })),
  )
})

t.test('a node that only says that it is busy has a short rest, time and again', async t => {
  const y = await fleetOf('ab')
  for (let i = 0; i < 3; i += 1) await failOn(y, 'a', `${i}`, 'busy', 503)
  for (let i = 0; i < 6; i += 1) {
    await y.clock.advance(2_000)
    await failOn(y, 'a', `trial${i}`, 'busy', 503)
  }
  const facts = (await y.facts('breaker.tripped')).map(
    ({ data }) => data as { round: number; waitMs: number },
  )
  t.equal(facts.length, 7)
  for (const { round, waitMs } of facts) t.ok(round === 1 && waitMs <= 2_000, `${round}: ${waitMs} ms`)
})

/** Node a fails every other request, until it is out; b serves. */
async function failAtTimes(y: Yard): Promise<Yard> {
  for (let i = 0; i < 10 && stateOf(y, 'a') === 'closed'; i += 1) {
    await y.ask(`good${i}`, 'm')
    await y.done(`good${i}`)
    await failOn(y, 'a', `bad${i}`, 'broken')
  }
  return y
}

t.test('one that is out for its share comes on trial at once when the others are gone', async t => {
  const y = await failAtTimes(await fleetOf('ab'))
  t.equal(stateOf(y, 'a'), 'open')
  y.engine.commit('node', 'b', { type: 'node.lose', data: { reason: 'silence' } })
  t.equal(stateOf(y, 'a'), 'halfOpen')
  const z = await failAtTimes(await fleetOf('ab'))
  for (let i = 0; i < 3; i += 1) {
    await z.ask(`b${i}`, 'm')
    t.equal(z.at(`b${i}`), 'b')
    await z.failed(`b${i}`, 'broken')
    if (i < 2) t.equal(stateOf(z, 'a'), 'open', 'b is still there')
    z.engine.attempt('request', `b${i}`, { type: 'request.abandon', data: { bytes: 0, chunks: 0 } })
  }
  t.equal(stateOf(z, 'a'), 'halfOpen', 'b’s own breaker has opened')
})

t.test('and when somebody wants what it alone has', async t => {
  const y = yard()
  y.start()
  await y.node('a', ['m', 'rare'], { resident: ['m'] })
  await y.node('b', ['m'], { resident: ['m'] })
  await failAtTimes(y)
  t.equal(stateOf(y, 'a'), 'open', 'nobody wants the rare one')
  await y.ask('rare', 'rare')
  t.equal(stateOf(y, 'a'), 'halfOpen')
  t.same(
    (await y.facts('replica.loading')).map(({ id }) => id),
    ['rare@a'],
  )
})

t.test('healed, or returned, a node takes one at a time, and more as time passes', async t => {
  const y = await fleetOf('ab', { slots: 3 })
  for (let i = 0; i < 3; i += 1) await failOn(y, 'a', `${i}`, 'broken')
  await y.clock.advance(2_000)
  for (let i = 0; i < 8; i += 1) await y.ask(`r${i}`, 'm')
  const onA = () => [0, 1, 2, 3, 4, 5, 6, 7].filter(i => y.at(`r${i}`) === 'a').length
  t.equal(onA(), 1, 'on trial')
  await y.done('r0')
  t.equal(stateOf(y, 'a'), 'closed')
  t.equal(onA(), 1, 'healed')
  await y.clock.advance(15_000)
  t.equal(onA(), 2)
  await y.clock.advance(15_000)
  t.equal(onA(), 3, 'nobody but time woke the scheduler')

  const z = await fleetOf('a', { slots: 3 })
  z.engine.commit('node', 'a', { type: 'node.lose', data: { reason: 'silence' } })
  for (let i = 0; i < 8; i += 1) await z.ask(`r${i}`, 'm')
  await z.clock.advance(60_000)
  z.engine.commit('node', 'a', { type: 'node.answer', data: { version: '1' } })
  await z.clock.advance(0)
  t.equal(z.requests.state.queue.count, 7)
  await z.clock.advance(30_000)
  t.equal(z.requests.state.queue.count, 5)
})

t.test('a restart shortens no wait, and forgets no round and no slow start', async t => {
  const y = await fleetOf('ab', { slots: 3 })
  for (let i = 0; i < 3; i += 1) await failOn(y, 'a', `${i}`, 'broken')
  await y.clock.advance(10) // what became of bytes is written with the next fact, or a little later
  const { until } = y.breakers.state.nodes.get('a')!
  const again = yard(y.records)
  await again.engine.replay()
  t.same(again.breakers.state, y.breakers.state)
  again.start()
  await again.clock.advance(until - again.clock.now() - 1)
  t.equal(stateOf(again, 'a'), 'open')
  await again.clock.advance(1)
  t.equal(stateOf(again, 'a'), 'halfOpen')
  await again.ask('trial', 'm')
  t.equal(again.at('trial'), 'a')
  await again.done('trial')
  const third = yard(again.records)
  await third.engine.replay()
  t.equal(third.breakers.state.nodes.get('a')!.backAt, again.clock.now())
})

// ── whatever happens ─────────────────────────────────────────────────────────────────────────────────────────────

const SEEDS = 24
const STEPS = 500

t.test('whatever happens, at most half of a wanted model’s nodes are out for their share', async t => {
  let trips = 0
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const story = await play(seed)
    trips += story.trips
    t.equal(story.trouble, '', `seed ${seed}`)
  }
  t.ok(trips > SEEDS, `${trips} were out for their share`)
})

/** A fleet, its faults and its luck, all from one seed. */
async function play(seed: number): Promise<{ trouble: string; trips: number }> {
  const random = mulberry32(seed)
  const below = (n: number): number => Math.floor(random() * n)
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!
  const y = yard()
  let trips = 0
  let trouble = ''
  const look = (): void => {
    trouble ||= tooMany(y)
  }
  // Before any other reactor hears of it: nothing has been put right yet.
  const first = reactor(y, {
    hears: 'decided',
    on: {
      'breaker.tripped': (_y, { data: { by } }) => {
        if (by !== 'ratio') return
        trips += 1
        look()
      },
    },
    resume: () => {},
  })
  y.engine.start(first)
  y.start()
  const names = ['a', 'b', 'c', 'd', 'e', 'f'].slice(0, 2 + below(5))
  const faults = new Map(names.map(name => [name, pick([0, 0.5, 0.6])]))
  for (const name of names) {
    const models = ['m', 'n', 'o'].filter((_, i) => i === 0 || random() < 0.6)
    await y.node(name, models, { resident: models, residentMax: 3, slots: 1 + below(3) })
  }
  for (let step = 0; step < STEPS; step += 1) {
    const dice = random()
    const running = [...y.requests.state.open.values()].filter(({ state }) => state === 'running')
    const name = pick(names)
    if (dice < 0.45)
      await y.ask(`r${step}`, pick(['m', 'm', 'm', 'm', 'm', 'm', 'n', 'n', 'o']), { waitMs: 60_000 })
    else if (dice < 0.9) {
      const request = running.length === 0 ? undefined : pick(running)
      if (request === undefined) await y.clock.advance(below(3_000))
      else if (random() >= faults.get(request.node)!) await y.done(request.id, below(2_000))
      else if (random() < 0.85) await y.failed(request.id, 'slow')
      else {
        const [reason, status] = pick([
          ['broken'],
          ['broken'],
          ['refused'],
          ['busy', 503],
          ['error', 500],
          ['error', 502],
        ] as [string, number?][])
        await y.failed(request.id, reason, status)
      }
    } else if (dice < 0.93) {
      y.engine.attempt('node', name, { type: 'node.lose', data: { reason: 'silence' } })
      for (const { id, node } of running) if (node === name) await y.failed(id, 'lost')
    } else if (dice < 0.97) {
      y.engine.attempt('node', name, { type: 'node.answer', data: { version: '1' } })
    } else await y.clock.advance(below(60_000))
    await y.clock.advance(0)
    look()
    if (trouble !== '') return { trouble: `step ${step}: ${trouble}`, trips }
  }
  return { trouble, trips }
}

function tooMany(y: Yard): string {
  for (const [model, replicas] of y.residency.state.byModel) {
    const wanted = [...y.requests.state.open.values()].some(open => open.model === model)
    const members = [...replicas.keys()].filter(name => routable(y.fleet.state.get(name)!))
    const out = members.filter(name => y.breakers.state.ejected.has(name))
    if (!wanted || out.length === 0) continue
    const open = members.filter(name => stateOf(y, name) === 'open')
    if (2 * out.length > members.length || open.length === members.length) {
      return `${model}: ${out.join()} of ${members.join()} for their share, ${open.join()} in all`
    }
  }
  return ''
}
