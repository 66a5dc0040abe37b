import t from 'tap'
import type { Candidate, RequestFact } from '../../machines/request.ts'
import { story, summary, waiting } from '../../src/gateway/why.ts'
import type { Entry } from '../../src/journal/journal.ts'
import { row } from './doors.ts'

const AT = 1_000_000

/** So many milliseconds after its admission. */
type Row = readonly [ms: number, type: RequestFact['type'], data?: object | null]

/** The facts of one request. */
function facts(...rows: readonly Row[]): Entry[] {
  return rows.map(([ms, type, data = {}], i) => {
    const entry = { seq: i + 1, at: AT + ms, kind: 'request', id: 'r1', type, v: 1, hash: '', data }
    return entry as unknown as Entry
  })
}

const admitted = [
  0,
  'request.admitted',
  { model: 'tiny:latest', path: '/api/chat', expiresAt: AT + 600_000 },
] as const
const assigned = (ms: number, node: string, candidates: readonly Candidate[] = [row(node)]) =>
  [ms, 'request.assigned', { node, attempt: 1, candidates }] as const
const begun = (ms: number, status = 200) => [ms, 'request.begun', { node: '', status, ttftMs: ms }] as const
const tell = (now: number, ...rows: readonly Row[]): string =>
  story(facts(...rows), { now: AT + now }).sentence

t.test('each end has its words', async t => {
  const ran = 'an on a because it had tiny:latest in memory and a free slot. '
  for (const [said, ...rows] of [
    ['Answered 200 after 1.2 s (waited 0.1 s).', begun(400), [1_200, 'request.completed', { status: 200 }]],
    [
      'Answered 404 after 0.2 s (waited 0.1 s).',
      begun(200, 404),
      [200, 'request.completed', { status: 404 }],
    ],
    [
      'Failed after 1.2 s (waited 0.1 s): the node answered 500.',
      [1_200, 'request.failed', { reason: 'error', status: 500 }],
    ],
    [
      'Failed after 1.2 s (waited 0.1 s): the connection broke.',
      begun(400),
      [1_200, 'request.failed', { reason: 'broken' }],
    ],
    [
      'Failed after 2 min 5 s (waited 0.1 s): the house was started anew.',
      [125_000, 'request.failed', { reason: 'restart' }],
    ],
    [
      'The client went away after 1.2 s, while it was mid-answer (waited 0.1 s).',
      begun(400),
      [1_200, 'request.abandoned'],
    ],
    ['The client went away after 1.2 s, while it was on a (waited 0.1 s).', [1_200, 'request.abandoned']],
  ] as const) {
    t.equal(tell(0, admitted, assigned(100, 'a'), ...rows), `R${ran}${said}`)
  }
  t.equal(
    tell(0, admitted, [600_000, 'request.expired', { waitedMs: 600_000 }]),
    'Given up after 10 min 0 s: no slot was free in time.',
  )
  t.equal(
    tell(0, admitted, [30, 'request.abandoned']),
    'The client went away after 30 ms, while it was in the queue (waited 30 ms).',
  )
  t.equal(
    tell(0, admitted, [3_000, 'request.failed', { reason: 'journal' }]),
    'Failed after 3.0 s (waited 3.0 s): the journal could not be written.',
  )
})

t.test('what is not over is told as far as it has come', async t => {
  t.equal(tell(3_000, admitted), 'Has waited 3.0 s.')
  t.match(
    tell(3_000, admitted, assigned(100, 'a')),
    /^Runs on a because .*\. Nothing has come back after 3\.0 s \(waited 0\.1 s\)\.$/,
  )
  t.match(
    tell(3_000, admitted, assigned(100, 'a'), begun(400)),
    /^Runs on a .*\. The answer began after 0\.4 s and has not ended after 3\.0 s/,
  )
})

t.test('a retried request tells of every attempt, and what went wrong there', async t => {
  const rows = [
    admitted,
    assigned(100, 'b', [row('b'), row('a', { idle: 0 }), row('c', { resident: false, estimateMs: 4_000 })]),
    [300, 'request.retried', { node: 'b', reason: 'refused' }],
    assigned(800, 'a', [row('a'), row('b', { estimateMs: null, excluded: 'failed already' })]),
    [900, 'request.retried', { node: 'a', reason: 'busy', status: 503 }],
    assigned(1_000, 'b'),
    begun(1_100),
    [2_000, 'request.completed', { status: 200 }],
  ] satisfies Row[]
  t.equal(
    tell(0, ...rows),
    'First ran on b because it had tiny:latest in memory and a free slot; a was busy; ' +
      'c was cold: tiny:latest would have had to be loaded first; there, the connection was refused. ' +
      'Then ran on a because it had tiny:latest in memory and a free slot; b was excluded: failed already; ' +
      'there, the node answered 503. ' +
      'Then ran on b because it had tiny:latest in memory and a free slot. ' +
      'Answered 200 after 2.0 s (waited 0.7 s).',
  )
  const { attempts } = story(facts(...rows), { now: AT })
  t.match(attempts, [
    { attempt: 1, node: 'b', waitedMs: 100, outcome: { as: 'retried', reason: 'refused', runMs: 200 } },
    { attempt: 2, node: 'a', waitedMs: 500, outcome: { as: 'retried', status: 503, runMs: 100 } },
    { attempt: 3, node: 'b', waitedMs: 100, outcome: { as: 'completed', status: 200, runMs: 1_000 } },
  ])
  t.match(summary(facts(...rows), AT), { attempts: 3, waitedMs: 700, totalMs: 2_000, node: 'b', status: 200 })
})

t.test('one that might have been tried again says why it was not', async t => {
  t.match(
    tell(0, admitted, assigned(100, 'a'), [
      1_200,
      'request.failed',
      { reason: 'busy', status: 503, unretried: 'budget' },
    ]),
    /Failed after 1\.2 s \(waited 0\.1 s\): the node answered 503, and the retry budget was spent\.$/,
  )
})

t.test('one that was moved says so', async t => {
  t.match(
    tell(
      0,
      admitted,
      assigned(100, 'a'),
      [2_300, 'request.retried', { node: 'a', reason: 'slow' }],
      assigned(2_400, 'b'),
      begun(2_500),
      [3_000, 'request.completed', { status: 200 }],
    ),
    /^First ran on a .*; there, the answer came far too slowly\. Then ran on b /,
  )
})

t.test('a retried request that is waiting again does not blame the node it left for its end', async t => {
  const rows = [
    admitted,
    assigned(100, 'b'),
    [300, 'request.retried', { node: 'b', reason: 'error', status: 500 }],
  ] satisfies Row[]
  t.match(tell(1_300, ...rows), /; there, the node answered 500\. Has waited 1\.1 s\.$/)
  t.match(
    tell(0, ...rows, [400, 'request.failed', { reason: 'journal' }]),
    /\. Failed after 0\.4 s \(waited 0\.2 s\): the journal could not be written\.$/,
  )
})

t.test('a worker who had it on a lease is told of as a node is', async t => {
  const leased = (ms: number, attempt: number) =>
    [ms, 'request.leased', { worker: 'attic', attempt, until: AT + 9_000 }] as const
  const took = 'ran on attic because a worker of that name took it on a lease'
  t.equal(
    tell(1_300, admitted, leased(100, 1)),
    'Runs on attic because a worker of that name took it on a lease. No answer has been brought after 1.3 s (waited 0.1 s).',
  )
  const story = [
    leased(100, 1),
    [300, 'request.retried', { node: 'attic', reason: 'worker.memory', leased: true }],
    leased(400, 2),
    [900, 'request.retried', { node: 'attic', reason: 'lapsed', leased: true }],
    leased(1_000, 3),
    [1_200, 'request.completed', { node: 'attic', status: 200, leased: true }],
  ] as const
  t.equal(
    tell(0, admitted, ...story),
    `First ${took}; there, the worker gave up (memory). Then ${took}; there, the lease of its worker ran out. ` +
      `Then ${took}. Answered 200 after 1.2 s (waited 0.3 s).`,
  )
})

t.test('the other nodes are told of by what told against them', async t => {
  const candidates = [
    row('a'),
    row('b'),
    row('c', { excluded: 'does not have the model', resident: false, estimateMs: null }),
    row('d', { excluded: 'does not have the model', resident: false, estimateMs: null }),
  ]
  t.match(
    tell(0, admitted, assigned(100, 'a', candidates)),
    /; b was as ready; c and d were excluded: does not have the model\./,
  )
})

t.test('where nobody has the model, or cannot load it, the reason is another', async t => {
  const cold = { resident: false, estimateMs: 0 }
  t.match(
    tell(0, admitted, assigned(100, 'a', [row('a', cold), row('b', cold)])),
    /^Runs on a because no node had tiny:latest, and any may say so itself; b was as good\./,
  )
  t.match(
    tell(0, admitted, assigned(100, 'a', [row('a', { resident: false, estimateMs: 1_500 })])),
    /because loading tiny:latest there had failed, and the client was to hear the node's own words\./,
  )
  t.match(
    tell(0, admitted, assigned(100, 'z', [row('a')])),
    /^Runs on z; a was as ready/,
    'a row too many to keep',
  )
})

t.test('loads that ended while it waited are told, of its model only', async t => {
  const around = [
    {
      type: 'replica.failed',
      id: 'tiny:latest@b',
      at: AT + 50,
      data: { reason: 'ollama.answer', status: 500 },
    },
    { type: 'replica.loaded', id: 'other:latest@a', at: AT + 60, data: { ms: 60 } },
    { type: 'replica.loaded', id: 'tiny:latest@a', at: AT + 4_200, data: { ms: 4_200 } },
    { type: 'node.joined', id: 'c', at: AT + 4_300, data: { version: '1' } },
  ].map((fact, i) => ({ ...fact, seq: i + 2 })) as unknown as Entry[]
  const { loads, sentence } = story(facts(admitted, assigned(4_200, 'a')), { now: AT + 4_200, around })
  t.same(loads, [
    { node: 'b', at: AT + 50, failed: 'ollama.answer' },
    { node: 'a', at: AT + 4_200, ms: 4_200 },
  ])
  t.match(
    sentence,
    /^While it waited, loading tiny:latest on b failed \(ollama\.answer\); tiny:latest was loaded on a in 4\.2 s\. Runs on a/,
  )
})

t.test('what has been forgotten is left out', async t => {
  const rows = facts(
    [0, 'request.admitted', null],
    [100, 'request.assigned', null],
    [400, 'request.begun', null],
    [1_200, 'request.completed', null],
  )
  t.same(summary(rows, 0), {
    id: 'r1',
    state: 'completed',
    admittedAt: AT,
    attempts: 1,
    waitedMs: 100,
    totalMs: 1_200,
    endedAt: AT + 1_200,
  })
  t.equal(story(rows, { now: 0 }).sentence, 'Ran on ?. Answered after 1.2 s (waited 0.1 s).')
})

t.test('why the first of a line waits is said from what would be decided now', async t => {
  const none = new Set<string>()
  t.equal(waiting('tiny', { to: 'wait', candidates: [] }, none), 'there is no node')
  t.equal(waiting('tiny', { to: 'load', node: 'a' }, none), 'a is about to load tiny')
  t.equal(
    waiting('tiny', { to: 'claim', node: 'a' }, none),
    'a will load tiny when what runs there has ended',
  )
  const candidates = [
    row('a', { idle: 0, estimateMs: 2_000 }),
    row('b', { idle: 0, estimateMs: 2_000 }),
    row('c', { resident: false, estimateMs: 900 }),
    row('d', { resident: false, estimateMs: 9_000 }),
    row('e', { excluded: 'breaker open', estimateMs: null }),
  ]
  t.equal(
    waiting('tiny', { to: 'wait', candidates }, new Set(['c'])),
    'a and b: busy; c: loading it; d: cold, without room to load it or not expected to be quicker; e: breaker open',
  )
})

t.test('what told against a node is said of it, chosen or not, and of those that are waited for', async t => {
  const hot = row('b', { against: 'throttled: heat' })
  const cold = row('c', { resident: false, estimateMs: 900, against: 'does not fit beside big:latest' })
  t.match(
    tell(300, admitted, assigned(100, 'a', [row('a'), hot, cold]), begun(200)),
    /b was as ready \(throttled: heat\); c was cold: tiny:latest would have had to be loaded first \(does not fit beside big:latest\)/,
  )
  t.equal(
    waiting('tiny:latest', { to: 'wait', candidates: [cold, row('d', { idle: 0 })] }, new Set()),
    'c: cold; does not fit beside big:latest; d: busy',
  )
})
