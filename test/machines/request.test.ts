import t from 'tap'
import { type RequestFact, request } from '../../machines/request.ts'
import { given } from './given.ts'

const admission = {
  path: '/api/chat',
  model: 'tiny:latest',
  client: '127.0.0.1',
  priority: 5,
  bodyBytes: 40,
  expiresAt: 10_000,
  attemptsMax: 2,
}
const admitted = { type: 'request.admitted', at: 1_000, data: admission } as const
const assigned = {
  type: 'request.assigned',
  at: 1_100,
  data: { node: 'a', attempt: 1, candidates: [] },
} as const
const begun = { type: 'request.begun', at: 1_300, data: { node: 'a', status: 200, ttftMs: 300 } } as const
const retried = {
  type: 'request.retried',
  at: 1_300,
  data: { node: 'a', reason: 'busy', status: 503 },
} as const
const sent = { bytes: 0, chunks: 0 }

t.test('the good life of a request', async t => {
  given(t, request)
    .when({ type: 'request.admit', at: 1_000, data: admission })
    .answers([{ type: 'request.admitted', data: admission }], 'queued')
  const candidates = [{ node: 'a', resident: true, idle: 1, estimateMs: 0 }]
  given(t, request, admitted)
    .when({ type: 'request.assign', at: 1_100, data: { node: 'a', candidates } })
    .answers([{ type: 'request.assigned', data: { node: 'a', attempt: 1, candidates } }], 'running')
  given(t, request, admitted, assigned)
    .when({ type: 'request.begin', at: 1_300, data: { status: 200 } })
    .answers([{ type: 'request.begun', data: { node: 'a', status: 200, ttftMs: 300 } }], 'answering')
  given(t, request, admitted, assigned, begun)
    .when({ type: 'request.complete', at: 2_000, data: { bytes: 90, chunks: 4, outputTokens: 3 } })
    .answers(
      [
        {
          type: 'request.completed',
          data: {
            node: 'a',
            model: 'tiny:latest',
            status: 200,
            totalMs: 1_000,
            runMs: 900,
            bytes: 90,
            chunks: 4,
            outputTokens: 3,
          },
        },
      ],
      'completed',
    )
})

t.test('before the first byte it is tried again, as often as it was told and while it may wait', async t => {
  const fail = (at: number, retryable = true) =>
    ({ type: 'request.fail', at, data: { reason: 'busy', retryable, status: 503, ...sent } }) as const
  given(t, request, admitted, assigned)
    .when(fail(1_300))
    .answers([{ type: 'request.retried', data: { node: 'a', reason: 'busy', status: 503 } }], 'queued')
  const end = (totalMs: number): RequestFact['data'] => ({
    reason: 'busy',
    node: 'a',
    status: 503,
    ...sent,
    totalMs,
  })
  const over = (totalMs: number) => [{ type: 'request.failed', data: end(totalMs) } as never]
  const second = { ...assigned, at: 1_400, data: { ...assigned.data, attempt: 2 } }
  given(t, request, admitted, assigned, retried, second).when(fail(1_500)).answers(over(500), 'failed')
  given(t, request, admitted, assigned).when(fail(10_000)).answers(over(9_000), 'failed')
  given(t, request, admitted, assigned).when(fail(1_300, false)).answers(over(300), 'failed')
})

t.test('what was held back is told with its first byte', async t => {
  given(t, request, admitted, assigned)
    .when({ type: 'request.begin', at: 1_300, data: { status: 200, heldMs: 90 } })
    .answers(
      [{ type: 'request.begun', data: { node: 'a', status: 200, ttftMs: 300, heldMs: 90 } }],
      'answering',
    )
})

t.test('where all together have been retried enough, it is not, and the fact says why', async t => {
  const fail = (at: number) =>
    ({
      type: 'request.fail',
      at,
      data: { reason: 'busy', retryable: true, spent: true, status: 503, ...sent },
    }) as const
  const end = { reason: 'busy', node: 'a', status: 503, ...sent }
  given(t, request, admitted, assigned)
    .when(fail(1_300))
    .answers(
      [{ type: 'request.failed', data: { ...end, unretried: 'budget', totalMs: 300 } as never }],
      'failed',
    )
  const second = { ...assigned, at: 1_400, data: { ...assigned.data, attempt: 2 } }
  given(t, request, admitted, assigned, retried, second)
    .when(fail(1_500))
    .answers([{ type: 'request.failed', data: { ...end, totalMs: 500 } as never }], 'failed')
})

t.test('one that comes too slowly is moved while it may be tried again, and else goes on', async t => {
  const move = (at: number) => ({ type: 'request.move', at, data: {} }) as const
  given(t, request, admitted, assigned)
    .when(move(1_300))
    .answers([{ type: 'request.retried', data: { node: 'a', reason: 'slow' } }], 'queued')
  given(t, request, admitted, assigned).when(move(10_000)).answers([], 'running')
  const second = { ...assigned, at: 1_400, data: { ...assigned.data, attempt: 2 } }
  given(t, request, admitted, assigned, retried, second).when(move(1_500)).answers([], 'running')
  given(t, request, admitted, assigned, begun).when(move(1_500)).answers([], 'answering')
})

t.test('after the first byte never', async t => {
  given(t, request, admitted, assigned, begun)
    .when({
      type: 'request.fail',
      at: 1_500,
      data: { reason: 'broken', retryable: true, bytes: 70, chunks: 2 },
    })
    .answers(
      [{ type: 'request.failed', data: { reason: 'broken', node: 'a', bytes: 70, chunks: 2, totalMs: 500 } }],
      'failed',
    )
})

t.test('it waits only so long', async t => {
  const { state } = given(t, request, admitted)
  t.equal(state.context.expiresAt, 10_000)
  given(t, request, admitted)
    .when({ type: 'request.expire', at: 10_000, data: {} })
    .answers([{ type: 'request.expired', data: { waitedMs: 9_000 } }], 'expired')
  given(t, request, admitted, assigned).when({ type: 'request.expire', at: 10_000, data: {} }).isOutOfTurn()
})

t.test('a client may leave at any time', async t => {
  const leave = { type: 'request.abandon', at: 2_000, data: sent } as const
  given(t, request, admitted)
    .when(leave)
    .answers([{ type: 'request.abandoned', data: { ...sent, totalMs: 1_000 } }], 'abandoned')
  given(t, request, admitted, assigned)
    .when(leave)
    .answers([{ type: 'request.abandoned', data: { node: 'a', ...sent, totalMs: 1_000 } }], 'abandoned')
  given(t, request, admitted, assigned, begun)
    .when(leave)
    .answers([{ type: 'request.abandoned', data: { node: 'a', ...sent, totalMs: 1_000 } }], 'abandoned')
})

t.test('it ends once', async t => {
  const expired = { type: 'request.expired', at: 9_999, data: { waitedMs: 1 } } as const
  for (const type of ['request.expire', 'request.abandon', 'request.fail'] as const) {
    const data = { reason: 'restart', retryable: false, ...sent }
    given(t, request, admitted, expired)
      .when({ type, at: 10_000, data } as never)
      .isOutOfTurn()
  }
})

// ── jobs ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const job = { ...admitted, data: { ...admission, attemptsMax: 9, expiresAt: 1e9, job: true } } as const
const failing = (reason: string) =>
  ({ type: 'request.fail', at: 2_000, data: { reason, retryable: true, ...sent } }) as const

t.test('a job may be begun again in the middle of its answer', async t => {
  given(t, request, job, assigned, begun)
    .when(failing('broken'))
    .answers([{ type: 'request.retried', data: { node: 'a', reason: 'broken' } }], 'queued')
})

t.test('two nodes that went down with the same job are enough', async t => {
  const died = { ...retried, data: { node: 'a', reason: 'lost' } } as const
  const ended = { reason: 'poison', node: 'a', ...sent, totalMs: 1_000 }
  given(t, request, job, assigned, died, assigned)
    .when(failing('wedged'))
    .answers([{ type: 'request.failed', data: ended }], 'failed')
  given(t, request, job, assigned, died, assigned)
    .when(failing('busy'))
    .answers([{ type: 'request.retried', data: { node: 'a', reason: 'busy' } }], 'queued')
})

t.test('what a node said last of a job is kept, where nobody is asked after it', async t => {
  const said = { reason: 'error', status: 500, bytes: 70, chunks: 1, digest: 'd' }
  const wrong = { type: 'request.fail', at: 2_000, data: { ...said, retryable: true } } as const
  given(t, request, job, assigned)
    .when(wrong)
    .answers([{ type: 'request.retried', data: { node: 'a', reason: 'error', status: 500 } }], 'queued')
  const last = { ...job, data: { ...job.data, attemptsMax: 1 } } as const
  given(t, request, last, assigned)
    .when(wrong)
    .answers([{ type: 'request.failed', data: { ...said, node: 'a', totalMs: 1_000 } }], 'failed')
})

t.test('a job that ran when the house went down runs again, and not for ever', async t => {
  const restart = { type: 'request.restart', at: 2_000, data: {} } as const
  const again = { type: 'request.retried', at: 1_500, data: { node: 'a', reason: 'restart' } } as const
  given(t, request, job, assigned)
    .when(restart)
    .answers([{ type: 'request.retried', data: again.data }], 'queued')
  const often = Array.from({ length: 10 }, () => [assigned, again] as const).flat()
  const ended = { reason: 'restart', node: 'a', ...sent, totalMs: 1_000 }
  given(t, request, job, ...often, assigned)
    .when(restart)
    .answers([{ type: 'request.failed', data: ended }], 'failed')
  given(t, request, admitted, assigned)
    .when(restart)
    .answers([{ type: 'request.failed', data: ended }], 'failed')
})

t.test('who called a job off is done with it, wherever it was', async t => {
  const cancel = { type: 'request.cancel', at: 2_000, data: {} } as const
  given(t, request, job)
    .when(cancel)
    .answers([{ type: 'request.cancelled', data: { totalMs: 1_000 } }], 'cancelled')
  given(t, request, job, assigned, begun)
    .when(cancel)
    .answers([{ type: 'request.cancelled', data: { node: 'a', totalMs: 1_000 } }], 'cancelled')
})

// ── leases ───────────────────────────────────────────────────────────────────────────────────────────────────────

const leased = {
  type: 'request.leased',
  at: 1_100,
  data: { worker: 'w', attempt: 1, until: 5_000 },
} as const
const lapsed = {
  type: 'request.retried',
  at: 5_000,
  data: { node: 'w', reason: 'lapsed', leased: true },
} as const
const whole = { bytes: 9, chunks: 1, digest: 'd', attempt: 1, worker: 'w' }
const brought = { type: 'request.complete', at: 2_000, data: whole } as const

t.test('a worker takes a request on a lease, and completes it', async t => {
  given(t, request, job)
    .when({ type: 'request.lease', at: 1_100, data: { worker: 'w', until: 5_000 } })
    .answers([{ type: 'request.leased', data: leased.data }], 'leased')
  given(t, request, job, leased)
    .when({ type: 'request.extend', at: 2_000, data: { attempt: 1, until: 9_000 } })
    .answers([{ type: 'request.extended', data: { until: 9_000 } }], 'leased')
  const answer = { node: 'w', model: 'tiny:latest', status: 200, totalMs: 1_000, runMs: 900, leased: true }
  const completed = { ...answer, bytes: 9, chunks: 1, digest: 'd' } as const
  given(t, request, job, leased)
    .when(brought)
    .answers([{ type: 'request.completed', data: completed } as never], 'completed')
  given(t, request, job, leased)
    .when({ ...brought, data: { ...whole, status: 404 } })
    .answers([{ type: 'request.completed', data: { ...completed, status: 404 } } as never], 'completed')
})

t.test('a worker that gives up blames no node', async t => {
  const give = (retryable: boolean) =>
    ({
      type: 'request.fail',
      at: 2_000,
      data: { reason: 'worker.memory', retryable, ...sent, attempt: 1, worker: 'w' },
    }) as const
  const told = { reason: 'worker.memory', node: 'w', leased: true } as const
  given(t, request, job, leased)
    .when(give(true))
    .answers([{ type: 'request.retried', data: told }], 'queued')
  given(t, request, job, leased)
    .when(give(false))
    .answers([{ type: 'request.failed', data: { ...told, ...sent, totalMs: 1_000 } }], 'failed')
})

t.test('a lease that runs out gives the request back', async t => {
  given(t, request, job, leased)
    .when({ type: 'request.lapse', at: 5_000, data: {} })
    .answers([{ type: 'request.retried', data: lapsed.data }], 'queued')
  given(t, request, job, leased, lapsed)
    .when({ type: 'request.extend', at: 5_001, data: { attempt: 1, until: 9_000 } })
    .refuses('request.lease-lost')
})

t.test('what a worker brings too late, or without a lease, changes nothing, and is remembered', async t => {
  const late = [{ type: 'request.late', data: { attempt: 1, node: 'w', bytes: 9 } }] as const
  given(t, request, job, leased, lapsed).when(brought).answers(late, 'queued')
  const second = { ...leased, data: { ...leased.data, attempt: 2 } }
  given(t, request, job, leased, lapsed, second).when(brought).answers(late, 'leased')
  given(t, request, job, leased, lapsed, { ...assigned, data: { ...assigned.data, attempt: 2 } })
    .when(brought)
    .answers(late, 'running')
  given(t, request).when(brought).answers(late, 'forgotten')
  given(t, request, job, leased)
    .when({ ...brought, data: { ...whole, worker: 'v' } })
    .answers([{ type: 'request.late', data: { attempt: 1, node: 'v', bytes: 9 } }], 'leased')
})
