/** Facts in, views out: what each projection answers after a day's facts. */
import t from 'tap'
import type { Entry } from '../../src/journal/journal.ts'
import { breakers } from '../../src/projections/breakers.ts'
import { catalog } from '../../src/projections/catalog.ts'
import {
  decodeTps,
  estimates,
  expectTokens,
  loadEstimateMs,
  runEstimateMs,
} from '../../src/projections/estimates.ts'
import { fleet, routable } from '../../src/projections/fleet.ts'
import { history } from '../../src/projections/history.ts'
import { policies } from '../../src/projections/policies.ts'
import type { Projection } from '../../src/projections/projection.ts'
import { lineup } from '../../src/projections/queue.ts'
import { type Requests, requests, runningOn } from '../../src/projections/requests.ts'
import { residency } from '../../src/projections/residency.ts'

function after<State>(view: Projection<State>, ...facts: [type: string, id: string, data?: object][]): State {
  facts.forEach(([type, id, data = {}], i) => {
    view.rows[type]?.({
      type,
      id,
      data,
      kind: type.split('.')[0],
      seq: i + 1,
      at: 1_000 * (i + 1),
      v: 1,
      hash: '',
    } as unknown as Entry)
  })
  return view.state
}

const node = { url: 'http://a', slots: 2, residentMax: 1, labels: {}, origin: 'api' }
const admitted = {
  path: '/api/chat',
  model: 'm',
  client: 'c',
  priority: 5,
  bodyBytes: 1,
  expiresAt: 9e9,
  attemptsMax: 3,
}
const assigned = (name: string) => ({ node: name, attempt: 1, candidates: [] })

t.test(
  'fleet: a node is what it said last, until it is registered anew, and slow until it cools or is lost',
  async t => {
    const machine = { gpus: [], gpusKnown: true, container: false, memoryBytes: 1 }
    const first = [
      ['node.registered', 'a', node],
      ['node.joined', 'a', { version: '1' }],
      ['node.equipped', 'a', machine],
      ['node.throttled', 'a', { cause: 'heat', since: 500 }],
    ] as const
    const told = (...more: readonly [type: string, id: string, data?: object][]) => {
      const all = [...first, ...more] as unknown as typeof more
      const { equipment, throttled } = after(fleet(), ...all).get('a')!
      return { equipment, throttled }
    }
    const heat = { cause: 'heat', since: 500 }
    t.same(told(), { equipment: machine, throttled: heat })
    const other = { ...machine, memoryBytes: 2 }
    t.same(told(['node.equipped', 'a', other]), { equipment: other, throttled: heat })
    t.same(told(['node.cooled', 'a']), { equipment: machine, throttled: undefined })
    t.same(told(['node.lost', 'a', { reason: 'silence' }]), { equipment: machine, throttled: undefined })
    t.same(told(['node.registered', 'a', node]), { equipment: undefined, throttled: undefined })
  },
)

t.test('requests: a shared call takes one slot, until the last of those who share it is over', async t => {
  const aboard = { ...assigned('n'), batch: 'a' }
  const first = [
    ['request.admitted', 'a', admitted],
    ['request.admitted', 'b', admitted],
    ['request.admitted', 'c', admitted],
    ['request.assigned', 'a', aboard],
    ['request.assigned', 'b', aboard],
    ['request.assigned', 'c', aboard],
  ] as const
  const running = (...more: readonly [type: string, id: string, data?: object][]): number =>
    runningOn(after(requests(), ...(first as unknown as typeof more), ...more), 'n', 'm')
  const broken = { node: 'n', reason: 'broken' }
  t.equal(running(), 1)
  t.equal(running(['request.completed', 'a']), 1, 'the one who leads may be done first')
  t.equal(running(['request.abandoned', 'a'], ['request.retried', 'b', broken]), 1)
  t.equal(running(['request.abandoned', 'a'], ['request.retried', 'b', broken], ['request.failed', 'c']), 0)
  t.equal(
    running(['request.retried', 'b', broken], ['request.assigned', 'b', assigned('n')]),
    2,
    'who goes on by itself takes a slot of its own',
  )
  t.equal(running(['request.completed', 'a'], ['request.completed', 'c'], ['request.completed', 'b']), 0)
})

t.test('the fleet: who is there, and who may be given work', async t => {
  const nodes = after(
    fleet(),
    ['node.registered', 'a', node],
    ['node.joined', 'a', { version: '1' }],
    ['node.registered', 'b', node],
    ['node.joined', 'b', { version: '1' }],
    ['node.lost', 'b', { reason: 'silence' }],
    ['node.registered', 'c', node],
    ['node.joined', 'c', { version: '1' }],
    ['node.drained', 'c'],
    ['node.registered', 'd', node],
    ['node.removed', 'd'],
  )
  t.same(
    [...nodes.values()].map(n => [n.name, n.reach, n.duty, routable(n)]),
    [
      ['a', 'up', 'active', true],
      ['b', 'down', 'active', false],
      ['c', 'up', 'draining', false],
    ],
  )
  t.same(nodes.get('b')?.loss, { reason: 'silence' })
  const back = after(
    fleet(),
    ['node.registered', 'b', node],
    ['node.joined', 'b', { version: '1' }],
    ['node.lost', 'b', { reason: 'silence' }],
    ['node.returned', 'b', { version: '2', awayMs: 5 }],
  )
  t.match(back.get('b'), { reach: 'up', version: '2', since: 4_000, loss: undefined })
})

t.test('residency: which model is where, and is it in memory', async t => {
  const found = { digest: 'd', sizeBytes: 5 }
  const { byNode, byModel } = after(
    residency(),
    ['replica.found', 'm@a', found],
    ['replica.found', 'm@b', found],
    ['replica.found', 'n@a', found],
    ['replica.loading', 'm@a', { request: 'r', estimateMs: 7 }],
    ['replica.loaded', 'm@a', { ms: 5 }],
    ['replica.loading', 'n@a', { request: 'r', estimateMs: 7 }],
    ['replica.failed', 'n@a', { reason: 'x', status: 500 }],
    ['replica.removed', 'm@b'],
    ['replica.found', 'm@a', { digest: 'e', sizeBytes: 6 }],
  )
  t.match(byNode.get('a')?.get('m'), { state: 'resident', digest: 'e', sizeBytes: 6, loadFailures: 0 })
  t.match(byNode.get('a')?.get('n'), { state: 'present', loadFailures: 1 })
  t.same([...byModel.get('m')!.keys()], ['a'])
  const gone = after(residency(), ['replica.found', 'm@a', found], ['node.removed', 'a'])
  t.equal(gone.byNode.size, 0)
  t.equal(gone.byModel.size, 0, 'a model that only that node had is nowhere')
})

t.test('requests: who waits in which order, and who runs where', async t => {
  const view = requests()
  const state = after(
    view,
    ['request.admitted', '1', admitted],
    ['request.admitted', '2', admitted],
    ['request.admitted', '3', { ...admitted, priority: 9 }],
    ['request.admitted', '4', { ...admitted, model: 'n' }],
    ['request.assigned', '1', assigned('a')],
    ['request.assigned', '4', assigned('a')],
    ['request.begun', '4', { node: 'a', status: 200, ttftMs: 1 }],
  )
  t.same(lined(state, 'm'), ['3', '2'])
  t.equal(state.queue.count, 2)
  t.same([runningOn(state, 'a'), runningOn(state, 'a', 'm'), runningOn(state, 'b')], [2, 1, 0])
  after(view, ['request.retried', '1', { node: 'a', reason: 'busy' }])
  t.same(lined(state, 'm'), ['3', '1', '2'], 'a retried one keeps its place')
  t.same([...state.open.get('1')!.tried], ['a'])
  after(
    view,
    ['request.expired', '2', { waitedMs: 1 }],
    ['request.completed', '4', { node: 'a' }],
    ['request.abandoned', '3', {}],
  )
  t.same([...state.open.keys()], ['1'])
  t.same([state.queue.count, runningOn(state, 'a')], [1, 0])
})

t.test('breakers: failures in a row, forgotten at the first success', async t => {
  const retry = (id: string, name: string, status?: number): [string, string, object] => [
    'request.retried',
    id,
    { node: name, reason: 'busy', ...(status && { status }) },
  ]
  const { nodes, suspects } = after(
    breakers(),
    retry('1', 'a', 503),
    retry('2', 'a'),
    retry('3', 'b', 500),
    ['request.begun', '4', { node: 'a', status: 200 }],
    retry('5', 'a'),
    ['request.failed', '6', { node: 'a', reason: 'restart' }],
    ['request.failed', '7', { node: 'a', reason: 'broken' }],
  )
  t.equal(nodes.get('a')?.failures, 2)
  t.equal(nodes.has('b'), false, 'a 500 is nobody’s fault yet')
  t.same([...suspects.keys()], ['3'])
})

t.test('breakers: what becomes of a shared call is told once', async t => {
  const aboard = { node: 'a', attempt: 1, candidates: [], batch: '1' }
  const ids = ['1', '2', '3', '4']
  const broken = { node: 'a', reason: 'broken' }
  const { nodes, riders } = after(
    breakers(),
    ...ids.map(id => ['request.assigned', id, aboard] as [string, string, object]),
    ...ids.map(id => ['request.retried', id, broken] as [string, string, object]),
    ['request.abandoned', '4'],
    ['request.assigned', '2', { node: 'a', attempt: 2, candidates: [] }],
    ['request.retried', '2', broken],
  )
  t.equal(nodes.get('a')?.failures, 2, 'of the one who led, and later of one that went by itself')
  t.same([...riders], ['3'])
})

t.test('estimates: what was measured there, else elsewhere, else what size suggests', async t => {
  const asked = { ...admitted, bodyBytes: 400 }
  const chat = { node: 'a', model: 'm', status: 200, runMs: 2_500, promptTokens: 100, promptMs: 100 }
  const state = after(
    estimates(),
    ['node.registered', 'a', node],
    ['node.registered', 'b', node],
    ['node.registered', 'sim', { ...node, labels: { simulated: 'true' } }],
    ['replica.found', 'm@a', { digest: 'd', sizeBytes: 5e9 }],
    ['replica.found', 'm@b', { digest: 'd', sizeBytes: 5e9 }],
    ['replica.found', 'big@b', { digest: 'd', sizeBytes: 5e9 }],
    ['replica.found', 'm@sim', { digest: 'd', sizeBytes: 5e9 }],
    ['replica.loaded', 'm@a', { ms: 1_000 }],
    ['replica.loaded', 'm@a', { ms: 2_000 }],
    ['replica.loaded', 'm@a', {}],
    ['request.admitted', '1', asked],
    ['request.assigned', '1', assigned('a')],
    ['request.completed', '1', { ...chat, outputTokens: 50, outputMs: 1_000 }],
    ['request.admitted', '2', asked],
    ['request.assigned', '2', assigned('a')],
    ['request.completed', '2', { ...chat, status: 400, outputTokens: 50, outputMs: 1 }],
  )
  t.equal(loadEstimateMs(state, 'm@a'), 1_250)
  t.equal(loadEstimateMs(state, 'm@b'), 1_250, 'what it took elsewhere')
  t.equal(loadEstimateMs(state, 'big@b'), 11_500)
  t.equal(loadEstimateMs(state, 'm@sim'), 11_500, 'what real nodes do says nothing of simulated ones')
  const tokens = { promptTokens: 1_000, outputTokens: 100 }
  t.equal(runEstimateMs(state, 'm@a', tokens), 1_000 + 2_000, '1,000 tokens/s, then 50')
  t.equal(runEstimateMs(state, 'm@b', tokens), 3_000, 'what it took elsewhere')
  t.equal(decodeTps(state, 'm@sim'), undefined)
  t.equal(runEstimateMs(state, 'big@b', tokens), 1_250 + 2_500, '200 GB/s over 5 GB: 40 a second')
  const guess = expectTokens(state, { model: 'm', client: 'c', bodyBytes: 800 })
  t.equal(guess.promptTokens, 200, 'a token was 4 bytes')
  t.ok(Math.abs(guess.outputTokens - 50) <= 2.5, 'as long as the ones before, within 5 %')
  t.equal(expectTokens(state, { model: 'm', client: 'c', bodyBytes: 0, outputMax: 7 }).outputTokens, 7)
})

t.test('the catalog: what can be asked for', async t => {
  const model = {
    digest: 'd',
    sizeBytes: 1,
    family: 'f',
    parameterSize: '1B',
    quantization: 'Q4',
    capabilities: [],
  }
  t.same(
    [
      ...after(
        catalog(),
        ['model.found', 'm', model],
        ['model.found', 'n', model],
        ['model.gone', 'n'],
      ).keys(),
    ],
    ['m'],
  )
})

t.test('history: the last requests, fact by fact, and no more of them than that', async t => {
  const facts: [string, string, object][] = []
  for (let i = 0; i < 2_010; i += 1) facts.push(['request.admitted', `r${i}`, admitted])
  const state = after(
    history(),
    ...facts,
    ['request.expired', 'r2009', { waitedMs: 1 }],
    ['request.expired', 'r0', { waitedMs: 1 }],
  )
  t.equal(state.size, 2_000)
  t.equal(state.has('r0'), false)
  t.same(
    state.get('r2009')?.map(({ type }) => type),
    ['request.admitted', 'request.expired'],
  )
})

t.test('policies: what holds for each model, and since when', async t => {
  const inForce = after(
    policies(),
    ['policy.set', 'a', { numCtx: 8_192 }],
    ['policy.set', 'b', { nodes: ['n1'] }],
    ['policy.set', 'a', { keepAliveS: -1 }],
    ['policy.cleared', 'b'],
  )
  t.same([...inForce], [['a', { keepAliveS: -1, setAt: 3_000 }]], 'the last one alone counts')
})

function lined({ queue }: Requests, key: string): string[] {
  return [...lineup(queue, queue.lines.get(key)!, { now: 0, starveMs: 1e9 })].map(({ id }) => id)
}
