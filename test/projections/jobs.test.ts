/** Facts in, views out: which jobs there are, and which request a key brought. */
import t from 'tap'
import type { Entry } from '../../src/journal/journal.ts'
import { jobs, openCount } from '../../src/projections/jobs.ts'
import { keys } from '../../src/projections/keys.ts'
import type { Projection } from '../../src/projections/projection.ts'

type Told = readonly [type: string, id: string, data?: object]

function after<State>(view: Projection<State>, ...facts: readonly Told[]): State {
  for (const [i, [type, id, data = {}]] of facts.entries())
    view.rows[type]?.({ type, id, data, seq: i + 1, at: 1_000 * (i + 1) } as unknown as Entry)
  return view.state
}

const admitted = {
  path: '/api/chat',
  model: 'm',
  client: 'c',
  priority: 5,
  bodyBytes: 7,
  expiresAt: 9e9,
  attemptsMax: 3,
}
const job = (id: string, more: object = {}): Told => [
  'request.admitted',
  id,
  { ...admitted, job: true, ...more },
]
const assigned = (id: string, attempt = 1): Told => [
  'request.assigned',
  id,
  { node: 'a', attempt, candidates: [] },
]
const answered = {
  node: 'a',
  model: 'm',
  status: 200,
  runMs: 1,
  totalMs: 2,
  bytes: 70,
  chunks: 2,
  digest: 'd',
}

t.test('jobs are followed from admission to the end, and others are none', async t => {
  const { all, finished, queuedCount } = after(
    jobs(),
    job('1', { class: 'batch', deadlineAt: 5, labels: { a: 'b' }, variant: 'num_ctx=1', callback: true }),
    ['request.admitted', 'live', admitted],
    assigned('live'),
    assigned('1'),
    ['request.begun', '1', { node: 'a', status: 200, ttftMs: 1 }],
    ['request.retried', '1', { node: 'a', reason: 'lost' }],
    ['request.leased', '1', { worker: 'w', attempt: 2, until: 9 }],
    ['request.completed', 'live', answered],
  )
  t.same([...all.keys()], ['1'])
  t.match(all.get('1'), {
    state: 'leased',
    attempt: 2,
    node: 'w',
    class: 'batch',
    deadlineAt: 5,
    labels: { a: 'b' },
    variant: 'num_ctx=1',
    callback: true,
    admittedAt: 1_000,
  })
  t.same([finished.size, queuedCount], [0, 0])
})

t.test('of what has ended, the end stays until it is erased, the first to end first', async t => {
  const ends: Told[] = [
    job('1'),
    job('2'),
    job('3'),
    job('4'),
    job('5'),
    assigned('2'),
    ['request.completed', '2', { ...answered, promptTokens: 3, outputTokens: 4 }],
    assigned('1'),
    [
      'request.failed',
      '1',
      { reason: 'error', node: 'a', status: 500, bytes: 9, chunks: 1, totalMs: 1, digest: 'e' },
    ],
    ['request.failed', '3', { reason: 'restart', bytes: 0, chunks: 0, totalMs: 1 }],
    ['request.cancelled', '4', { totalMs: 1 }],
  ]
  const state = after(jobs(), ...ends)
  t.same([...state.finished.keys()], ['2', '1', '3', '4'])
  t.equal(openCount(state), 1)
  t.equal(state.queuedCount, 1)
  const tokens = { promptTokens: 3, outputTokens: 4 }
  t.match(state.all.get('2'), {
    state: 'completed',
    endedAt: 7_000,
    status: 200,
    bytes: 70,
    digest: 'd',
    ...tokens,
  })
  t.match(state.all.get('1'), { state: 'failed', reason: 'error', status: 500, bytes: 9, digest: 'e' })
  t.equal(state.all.get('3')!.digest, undefined, 'nothing was kept')
  const later = after(
    jobs(),
    ...ends,
    ['request.expired', '5', { waitedMs: 1 }],
    ['spool.erased', '1'],
    ['spool.erased', 'unknown'],
  )
  t.same([...later.all.keys()], ['2', '3', '4', '5'])
  t.same([...later.finished.keys()], ['2', '3', '4', '5'])
  t.equal(later.queuedCount, 0)
})

t.test('a key leads to its request as long as there is an answer, or may be one', async t => {
  const keyed = (id: string, key: string): Told => job(id, { key, bodyDigest: `body of ${id}` })
  const { byKey, byRequest } = after(
    keys(),
    job('0'),
    keyed('1', 'a'),
    keyed('2', 'b'),
    keyed('3', 'c'),
    keyed('4', 'd'),
    keyed('5', 'e'),
    ['request.completed', '1', answered],
    ['request.failed', '2'],
    ['request.expired', '3'],
    ['request.cancelled', '4'],
    keyed('6', 'b'),
    ['request.completed', '5', answered],
    ['spool.erased', '5'],
    ['spool.erased', '2'],
  )
  t.same(
    [...byKey],
    [
      ['a', { id: '1', bodyDigest: 'body of 1' }],
      ['b', { id: '6', bodyDigest: 'body of 6' }],
    ],
  )
  t.same([...byRequest.keys()], ['1', '6'], 'and nothing else is remembered')
})
