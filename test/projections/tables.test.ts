/** Facts in, tables out: what is known of settings, models, requests and hours after a while; and again after a replay. */
import t from 'tap'
import { mulberry32 } from '../../src/clock.ts'
import type { Entry } from '../../src/journal/journal.ts'
import type { Projection } from '../../src/projections/projection.ts'
import { overSince, recent } from '../../src/projections/recent.ts'
import { servers } from '../../src/projections/servers.ts'
import { settings, valuesAfter } from '../../src/projections/settings.ts'
import { addTo, emptySpread, quantileOf } from '../../src/projections/spread.ts'
import { type Span, traffic } from '../../src/projections/traffic.ts'
import { usage } from '../../src/projections/usage.ts'

type Told = readonly [type: string, id: string, data?: object, at?: number]

/** Folds facts, each a second after the one before unless it says when. */
function after<State>(view: Projection<State>, ...facts: readonly Told[]): State {
  facts.forEach(([type, id, data = {}, at], i) => {
    const entry = { type, id, data, kind: type.split('.')[0], seq: i + 1, at: at ?? 1_000 * (i + 1) }
    view.rows[type]?.({ ...entry, v: 1, hash: '', by: '10.0.0.1' } as unknown as Entry)
  })
  return view.state
}

const node = { url: 'http://a:11434', slots: 1, residentMax: 1, labels: {}, origin: 'api' }
const model = {
  digest: 'd',
  sizeBytes: 1,
  family: '',
  parameterSize: '1B',
  quantization: '',
  capabilities: [],
}
const admitted = { path: '/api/chat', model: 'm', client: 'c', priority: 5, expiresAt: 9e15, attemptsMax: 3 }
const assigned = { node: 'a', attempt: 1, candidates: [] }
const completed = { node: 'a', model: 'm', status: 200, totalMs: 100, runMs: 50, bytes: 1, chunks: 1 }

t.test('settings: what is set, who set it, and what was set after any fact', async t => {
  const state = after(
    settings(),
    ['setting.set', 'queue-max', { before: '512', after: '64' }],
    ['node.joined', 'a', { version: '1' }],
    ['setting.set', 'wait-max', { before: '10m', after: '1m' }],
    ['setting.set', 'queue-max', { before: '64', after: '8' }],
    ['setting.reset', 'queue-max', { before: '8', after: '512' }],
  )
  t.same([...state.values], [['wait-max', '1m']])
  t.match(state.history.at(-1), { seq: 5, at: 5_000, by: '10.0.0.1', name: 'queue-max', as: 'reset' })
  const then = (seq: number) => Object.fromEntries(valuesAfter(state, seq) ?? [['none', '']])
  t.same(then(0), {})
  t.same(then(1), { 'queue-max': '64' })
  t.same(then(2), { 'queue-max': '64' })
  t.same(then(3), { 'queue-max': '64', 'wait-max': '1m' })
  t.same(then(4), { 'queue-max': '8', 'wait-max': '1m' })
  t.same(then(99), { 'wait-max': '1m' })
})

t.test('settings: further back than a thousand changes nothing is claimed', async t => {
  const set = (i: number): Told => ['setting.set', 'queue-max', { before: String(i - 1), after: String(i) }]
  const state = after(settings(), ...Array.from({ length: 1_003 }, (_, i) => set(i + 1)))
  t.equal(state.history.length, 1_000)
  t.equal(valuesAfter(state, 2), undefined)
  t.same([...valuesAfter(state, 3)!], [['queue-max', '3']])
})

t.test('servers: since when, until they are removed', async t => {
  const state = after(
    servers(),
    ['node.registered', 'a', node],
    ['node.registered', 'b', node],
    ['node.registered', 'a', { ...node, slots: 2 }],
    ['node.removed', 'b'],
    ['node.registered', 'b', node],
  )
  t.same(
    [...state],
    [
      ['a', 1_000],
      ['b', 5_000],
    ],
  )
})

t.test('usage: an answer counts once, when it begins, and an error not at all', async t => {
  const begun = (status: number) => ({ node: 'a', status, ttftMs: 1 })
  const { models, open } = after(
    usage(),
    ['model.found', 'm', model],
    ['request.admitted', 'plain', admitted],
    ['request.begun', 'plain', begun(200)],
    ['request.completed', 'plain', completed],
    ['request.admitted', 'left', admitted],
    ['request.begun', 'left', begun(200)],
    ['request.abandoned', 'left'],
    ['request.admitted', 'bad', admitted],
    ['request.begun', 'bad', begun(400)],
    ['request.completed', 'bad', { ...completed, status: 400 }],
    ['request.admitted', 'job', { ...admitted, job: true }],
    ['request.begun', 'job', begun(200)],
    ['request.retried', 'job', { node: 'a', reason: 'lost' }],
    ['request.begun', 'job', begun(200)],
    ['request.completed', 'job', completed],
    ['request.admitted', 'leased', admitted],
    ['request.completed', 'leased', completed, 77_000],
    ['request.admitted', 'unheard of', { ...admitted, model: 'nope' }],
    ['request.begun', 'unheard of', begun(200)],
    ['request.failed', 'unheard of'],
    ['request.admitted', 'waits', admitted],
  )
  t.match(models.get('m'), { firstAt: 1_000, count: 4, lastAt: 77_000, gone: false })
  t.same([...models.keys()], ['m'], 'what clients ask for makes no rows')
  t.same([...open.keys()], ['waits'])
})

t.test(
  'usage: a model that goes and comes back is the same one; too many gone ones are forgotten',
  async t => {
    const view = usage()
    after(view, ['model.found', 'm', model], ['model.gone', 'm'])
    t.equal(view.state.models.get('m')?.gone, true)
    after(view, ['model.found', 'm', { ...model, sizeBytes: 9 }, 50_000])
    t.match(view.state.models.get('m'), { firstAt: 1_000, gone: false, data: { sizeBytes: 9 } })
    for (let i = 0; i < 1_005; i += 1) after(view, ['model.found', `x${i}`, model], ['model.gone', `x${i}`])
    t.equal(view.state.models.size, 1_001)
    t.equal(view.state.models.has('x4'), false)
    t.equal(view.state.models.has('x5'), true)
  },
)

t.test('recent: where each request stands, and where it ran at that time', async t => {
  const { open, over } = after(
    recent(),
    ['node.registered', 'a', node],
    ['request.admitted', '1', admitted],
    ['request.admitted', '2', admitted],
    ['request.admitted', '3', admitted],
    ['request.admitted', '4', admitted],
    ['request.assigned', '1', assigned],
    ['request.retried', '1', { node: 'a', reason: 'busy' }],
    ['request.assigned', '2', { ...assigned, batch: '2' }],
    ['node.registered', 'a', { ...node, url: 'http://b:11434' }],
    ['request.completed', '2', completed],
    ['request.assigned', '3', assigned],
    ['node.removed', 'a'],
    ['request.leased', '4', { worker: 'w', attempt: 1, until: 9e15 }],
    ['request.cancelled', '4', { totalMs: 1 }],
  )
  t.match(open.get('1'), { state: 'queued', createdAt: 2_000, startedAt: 0, server: '', batch: '' })
  t.match(over[0], {
    state: 'completed',
    startedAt: 8_000,
    endedAt: 10_000,
    server: node.url,
    batch: '2',
  })
  t.match(open.get('3'), { state: 'running', startedAt: 11_000, server: 'http://b:11434' })
  t.match(over[1], { state: 'cancelled', startedAt: 13_000, server: 'w' })
})

t.test('recent: what was over is kept for a day, and no more than ten thousand of it', async t => {
  const view = recent()
  const end = (id: string, at: number): void =>
    void after(view, ['request.admitted', id, admitted, at], ['request.expired', id, {}, at])
  const kept = (now: number) => overSince(view.state, now).map(({ id }) => id)
  end('old', 0)
  end('day', 86_399_999)
  t.same(kept(86_399_999), ['old', 'day'])
  t.same(kept(86_400_000), ['day'], 'a day is over also where nothing happens')
  end('next', 86_400_000)
  t.same(kept(0), ['day', 'next'])
  for (let i = 0; i < 12_000; i += 1) end(`r${i}`, 86_400_000)
  const last = kept(86_400_000)
  t.same([last.length, last[0], last.at(-1)], [10_000, 'r2000', 'r11999'])
  t.ok(view.state.over.length < 11_000)
})

const SUNDAY = Date.UTC(2026, 0, 4, 23, 59, 59, 999)

t.test('traffic: by hour, day and week, of each sort, and how much of it was simulated', async t => {
  const { spans } = after(
    traffic(),
    ['node.registered', 'a', node],
    ['node.registered', 's', { ...node, origin: 'embedded' }],
    ...['/api/generate', '/v1/messages', '/v1/embeddings', '/v1/audio/transcriptions'].map(
      (path, i): Told => ['request.admitted', String(i), { ...admitted, path }],
    ),
    ['request.completed', '0', { ...completed, promptTokens: 3, outputTokens: 4, totalMs: 100 }, SUNDAY],
    ['request.completed', '1', { ...completed, node: 's', totalMs: 300 }, SUNDAY],
    ['request.completed', '2', { ...completed, status: 400, totalMs: 9_000 }, SUNDAY],
    ['request.failed', '3', { node: 's', reason: 'broken' }, SUNDAY + 1],
  )
  const shown = (of: ReadonlyMap<number, Span>) =>
    [...of.values()].map(span => [new Date(span.startAt).toISOString(), span.total])
  t.same(shown(spans.hour), [
    ['2026-01-04T23:00:00.000Z', 3],
    ['2026-01-05T00:00:00.000Z', 1],
  ])
  t.same(shown(spans.day), [
    ['2026-01-04T00:00:00.000Z', 3],
    ['2026-01-05T00:00:00.000Z', 1],
  ])
  t.same(shown(spans.week), [
    ['2025-12-29T00:00:00.000Z', 3],
    ['2026-01-05T00:00:00.000Z', 1],
  ])
  const [week, next] = [...spans.week.values()]
  t.same(week!.sorts, { generate: 1, chat: 1, embedding: 1, other: 0 })
  t.match(week, { completed: 3, simulated: 1, promptTokens: 3, outputTokens: 4 })
  t.same([week!.latencies.size, week!.latencyMs], [2, 400], 'errors have no latency')
  t.match(next, { completed: 0, simulated: 1, sorts: { other: 1 } })
})

t.test('traffic: two weeks of hours are kept, and one wrong clock does not wipe them out', async t => {
  const view = traffic()
  const end = (at: number): void =>
    void after(view, ['request.admitted', 'r', admitted, at], ['request.completed', 'r', completed, at])
  for (let hour = 0; hour < 400; hour += 1) end(SUNDAY + hour * 3_600_000)
  t.equal(view.state.spans.hour.size, 336)
  end(Date.UTC(2099, 0, 1))
  t.equal(view.state.spans.hour.size, 336)
  t.ok(view.state.spans.hour.has(Date.UTC(2026, 0, 21, 14)), 'the hours before it are still there')
})

t.test('a quantile is off by 5 % at most, whatever the distribution, where all count alike', async t => {
  const seed = Date.now() % 1_000_000
  t.comment(`seed ${seed}`)
  const random = mulberry32(seed)
  const shapes: Record<string, () => number> = {
    even: () => 1 + random() * 60_000,
    'heavy-tailed': () => Math.min(1e9, 20 / (1 - random()) ** 2),
    'two humps': () => (random() < 0.5 ? 5 : 120_000) * (1 + random()),
  }
  for (const [name, draw] of Object.entries(shapes)) {
    const spread = emptySpread(Number.POSITIVE_INFINITY)
    const drawn = Array.from({ length: 5_000 }, draw)
    for (const ms of drawn) addTo(spread, ms)
    const all = drawn.sort((a, b) => a - b)
    for (const part of [0.01, 0.5, 0.95, 0.99, 1]) {
      const exact = all[Math.ceil(part * all.length) - 1]!
      const told = quantileOf(spread, part)!
      t.ok(Math.abs(told - exact) <= 0.05 * exact, `${name} p${part * 100}: ${told} for ${exact}`)
    }
  }
})
