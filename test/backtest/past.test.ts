/** A simulation writes a journal, the journal is read back, and the past is played again. */
import t from 'tap'
import type { Fleet } from '../../src/backtest/fleet.ts'
import type { House } from '../../src/backtest/house.ts'
import { fleetOf, pastOf } from '../../src/backtest/past.ts'
import { Recorder, type Recording } from '../../src/backtest/recording.ts'
import { readFleet, writeFleet } from '../../src/backtest/sheet.ts'
import type { Arrival } from '../../src/backtest/trace.ts'
import { staff as production } from '../../src/cli/production.ts'
import type { Entry } from '../../src/journal/journal.ts'
import { asked, fleet, played, START } from './stage.ts'

const ALWAYS = { from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY }

async function lived(fleet: Fleet, requests: readonly Arrival[]) {
  let house: House | undefined
  const life = await played('quipu', fleet, requests, {
    staff: given => {
      house = given
      return production(given)
    },
  })
  const facts: Entry[] = []
  for await (const page of house!.journal.read()) facts.push(...page)
  return { ...life, facts, recording: heard(facts) }
}

function heard(facts: readonly Entry[]): Recording {
  const recorder = new Recorder()
  for (const fact of facts) recorder.hear(fact)
  return recorder.recording
}

/** Two nodes, each with one of the models, one of them away for a minute. */
const two = fleet(
  '{ name: a, slots: 2, resident: 1, models: [m] }, { name: b, speed: 0.5, resident: 1, models: [n], off: "09:02-09:03" }',
  { models: 'm,n' },
)
const requests = asked(
  'r1 m 0 5 x',
  'r2 n 1 10 y',
  'r3 m 2 6 x',
  'r4 n 3 7 y',
  'r5 m 65 8 x',
  'r6 n 200 4 y',
).map(one => ({
  ...one,
  promptTokens: 100,
}))

t.test('a journal gives the fleet back: slots, models, speeds, loads, and when a node was away', async t => {
  const { recording } = await lived(two, requests)
  const found = fleetOf(recording)
  t.equal(writeFleet(readFleet(writeFleet(found))), writeFleet(found), 'and it can be edited')
  const [a, b] = found.nodes
  t.match(a, { name: 'a', slots: 2, resident: 1, off: [] })
  t.match(b, { name: 'b', slots: 1, resident: 1, off: [/^2026-01-0[45]T.*Z\/2026-01-0[45]T.*Z$/] })
  const [from, until] = b!.off[0]!.split('/').map(text => Date.parse(text))
  t.same([from! - START, until! - START], [120_000, 180_000])
  t.same([...a!.models.keys()], ['m:latest'])
  t.match(a!.models.get('m:latest'), { loadMs: 10_000, decodeTps: 1 })
  t.match(b!.models.get('n:latest'), { loadMs: 10_000, decodeTps: 0.5 })
})

t.test('a journal gives back how much memory the nodes had, where agents had said so', async t => {
  const known = fleet(
    '{ name: a, resident: 1, models: [m], memoryGb: 24 }, { name: b, resident: 1, models: [n], memoryGb: 8, agent: false }',
    { models: 'm,n' },
  )
  const { facts, recording } = await lived(known, requests)
  t.same(
    fleetOf(recording).nodes.map(({ memoryBytes }) => memoryBytes),
    [24e9, undefined],
  )
  const last = facts.at(-1)!
  const gpus = [{ vendor: 'nvidia', model: 'x' }]
  const half = { ...last, kind: 'node', id: 'a', type: 'node.equipped', data: { gpus } } as unknown as Entry
  t.equal(fleetOf(heard([...facts, half])).nodes[0]!.memoryBytes, undefined, 'one of them is not known')
})

t.test('and the requests: who, what, how much, and what became of them', async t => {
  const { recording, figures } = await lived(two, requests)
  const past = pastOf(recording, ALWAYS)
  const plain = ({ id, at, model, client, promptTokens, outputTokens, priority }: Arrival) => ({
    id,
    at,
    model,
    client,
    promptTokens,
    outputTokens,
    priority,
  })
  t.same(past.arrivals.map(plain), requests.map(plain))
  t.same(past.guessed, 0)
  t.same(past.leftOut, { refused: 0, leased: 0, absent: 0 })
  t.same(past.figures.total, figures.total)
  t.same(past.figures.ttft, figures.ttft)
  t.equal(past.figures.loads, figures.loads)
})

t.test('the past played again comes out as it was', async t => {
  const { recording, figures } = await lived(two, requests)
  const again = await played('quipu', fleetOf(recording), pastOf(recording, ALWAYS).arrivals)
  for (const name of ['wait', 'ttft', 'total'] as const) {
    for (const part of ['p50', 'p95'] as const) {
      const [was, is] = [figures[name][part], again.figures[name][part]]
      t.ok(Math.abs(is - was) <= 0.01 * was + 1, `${part} of ${name}: ${was}, ${is}`)
    }
  }
})

t.test('a part of the past is what came in it', async t => {
  const { recording } = await lived(two, requests)
  const { arrivals, figures } = pastOf(recording, { from: START + 2_000, to: START + 100_000 })
  t.same(
    arrivals.map(({ id }) => id),
    ['r3', 'r4', 'r5'],
  )
  t.equal(figures.unfinished, 0)
  t.throws(() => pastOf(recording, { from: START + 1e9, to: START + 2e9 }), {
    code: 'backtest.nothing',
    message: /no request came between these times; the journal has them from 2026/,
  })
})

/** The same facts, told otherwise. */
function retold(facts: readonly Entry[], change: (fact: Entry) => object | undefined): Recording {
  return heard(facts.flatMap(fact => (change(fact) as Entry | undefined) ?? []))
}

t.test('an answer without token counts gets the median of its model', async t => {
  const { facts } = await lived(two, requests)
  const bare = retold(facts, fact => {
    if (fact.type !== 'request.completed' || fact.id !== 'r1') return fact
    const { promptTokens: _p, outputTokens: _o, promptMs: _pm, outputMs: _om, ...data } = fact.data
    return { ...fact, data }
  })
  const past = pastOf(bare, ALWAYS)
  t.equal(past.guessed, 1)
  t.match(
    past.arrivals.find(({ id }) => id === 'r1'),
    { promptTokens: 100, outputTokens: 6 },
  )
  const none = retold(facts, fact => {
    if (fact.type !== 'request.completed') return fact
    const { promptTokens: _p, outputTokens: _o, ...data } = fact.data
    return { ...fact, data }
  })
  t.throws(() => pastOf(none, ALWAYS), {
    code: 'backtest.nothing',
    message: /none of its answers has token counts/,
  })
})

t.test('answers that only say how long all of it took give a speed, every token alike', async t => {
  const { facts } = await lived(two, requests)
  const whole = retold(facts, fact => {
    if (fact.type !== 'request.completed') return fact
    const { promptMs: _p, outputMs: _o, ...data } = fact.data
    return { ...fact, data }
  })
  // r1, r3 and r5 ran for 5, 6 and 8 seconds, and had 100 tokens of prompt each.
  const speed = 319 / 19
  const { prefillTps, decodeTps } = fleetOf(whole).nodes[0]!.models.get('m:latest')!
  t.ok(Math.abs(prefillTps! - speed) < 0.01, `${prefillTps}`)
  t.equal(decodeTps, prefillTps)
})

t.test('the time of a shared call teaches nothing about those who rode on it', async t => {
  const { facts } = await lived(two, requests)
  const riding = retold(facts, fact => {
    if (fact.type === 'request.assigned' && fact.id === 'r5')
      return { ...fact, data: { ...fact.data, batch: 'r3' } }
    if (fact.type === 'request.completed' && fact.id === 'r5')
      return { ...fact, data: { ...fact.data, outputMs: 1 } }
    return fact
  })
  t.equal(fleetOf(riding).nodes[0]!.models.get('m:latest')!.decodeTps, 1)
  t.equal(pastOf(riding, ALWAYS).arrivals.length, 6)
})

t.test('where only one of the speeds was seen, only that one is said', async t => {
  const { facts } = await lived(two, requests)
  const promptless = retold(facts, fact => {
    if (fact.type !== 'request.completed') return fact
    const { promptTokens: _n, promptMs: _ms, ...data } = fact.data
    return { ...fact, data }
  })
  const [a] = fleetOf(promptless).nodes
  t.same(a!.models.get('m:latest'), { loadMs: 10_000, decodeTps: 1 })
})

t.test('errors, leases and models that no node has are left out, and counted', async t => {
  const { facts } = await lived(two, requests)
  const told = retold(facts, fact => {
    if (fact.type === 'request.completed' && fact.id === 'r2')
      return { ...fact, data: { ...fact.data, status: 404 } }
    if (fact.type === 'request.assigned' && fact.id === 'r3') {
      return { ...fact, type: 'request.leased', data: { worker: 'w', attempt: 1, until: 0 } }
    }
    if (fact.type === 'request.admitted' && fact.id === 'r5')
      return { ...fact, data: { ...fact.data, model: 'z:latest' } }
    return fact
  })
  const { arrivals, leftOut } = pastOf(told, ALWAYS)
  t.same(leftOut, { refused: 1, leased: 1, absent: 1 })
  t.same(
    arrivals.map(({ id }) => id),
    ['r1', 'r4', 'r6'],
  )
})

t.test('who left while waiting has that patience again, and is not among the answered', async t => {
  const { recording } = await lived(
    fleet('{ name: a, resident: 1 }'),
    asked('r1 m 0 60', 'r2 m 1 5 c 20', 'r3 m 2 5'),
  )
  const past = pastOf(recording, ALWAYS)
  t.match(past.arrivals.map(({ patienceMs }) => patienceMs)[1], 20_000)
  t.equal(past.figures.unfinished, 1)
})

t.test('a journal that knows too little says what is missing', async t => {
  const { facts } = await lived(two, requests)
  const empty = heard([])
  t.throws(() => pastOf(empty, ALWAYS), { code: 'backtest.nothing', message: /nobody has asked this house/ })
  t.throws(() => fleetOf(empty), { code: 'backtest.nothing', message: /no node with a model/ })
  const silent = retold(facts, fact => (fact.type === 'request.completed' ? undefined : fact))
  t.throws(() => pastOf(silent, ALWAYS), {
    code: 'backtest.nothing',
    message: /not one of its requests was answered/,
  })
  const forgotten = retold(facts, fact => ({ ...fact, ...(fact.id === 'r1' && { data: null }) }))
  t.equal(pastOf(forgotten, ALWAYS).arrivals.length, 5, 'what was erased is passed over')
})
