import t from 'tap'
import { ATTEMPTS_MAX, type TransferCommand, type TransferFact, transfer } from '../../machines/transfer.ts'
import { given } from './given.ts'

const DAY_MS = 86_400_000
const at = 1_000
const order = (cause: 'asked' | 'policy' | 'sync' | 'optimize', more: object = {}) =>
  ({ type: 'transfer.order', at, data: { cause, ...more } }) as const
const ordered = {
  type: 'transfer.ordered',
  at,
  data: { cause: 'policy', until: at + DAY_MS },
} as const
const begun = {
  type: 'transfer.begun',
  at: 2_000,
  data: { command: 'c1', attempt: 1, until: 2_000 + DAY_MS },
} as const
const failed = {
  type: 'transfer.failed',
  at: 3_000,
  data: { attempt: 1, reason: 'upstream', waitMs: 30_000 },
} as const
const retried = {
  type: 'transfer.retried',
  at: 33_000,
  data: { attempt: 2, until: 33_000 + DAY_MS },
} as const
const complete = (command: string) =>
  ({ type: 'transfer.complete', at: 9_000, data: { command, ms: 7_000, digest: 'd' } }) as const
const fail = (data: Partial<Extract<TransferCommand, { type: 'transfer.fail' }>['data']> = {}) =>
  ({
    type: 'transfer.fail',
    at: 3_000,
    data: { command: 'c1', reason: 'upstream', retryable: true, chance: 0.5, ...data },
  }) as const

t.test('a model is ordered, begun, and there', async t => {
  const data = { sizeBytes: 4e9, digest: 'd', lost: ['b'], candidates: [] }
  given(t, transfer)
    .when(order('policy', data))
    .answers([{ type: 'transfer.ordered', data: { cause: 'policy', ...data, until: at + DAY_MS } }], {
      open: 'waiting',
    })
  given(t, transfer, ordered)
    .when({ type: 'transfer.begin', at: 2_000, data: { command: 'c1' } })
    .answers([{ type: 'transfer.begun', data: begun.data }], { open: 'running' })
  given(t, transfer, ordered, begun)
    .when(complete('c1'))
    .answers([{ type: 'transfer.completed', data: { ms: 7_000, digest: 'd' } }], 'none')
  given(t, transfer, ordered, begun)
    .when({ type: 'transfer.begin', at: 2_000, data: { command: 'c2' } })
    .isOutOfTurn()
})

t.test('what somebody else has brought need not be brought', async t => {
  for (const facts of [[ordered], [ordered, begun], [ordered, begun, failed]])
    given(t, transfer, ...facts)
      .when({ type: 'transfer.complete', at, data: { ms: 0 } })
      .answers([{ type: 'transfer.completed', data: { ms: 0 } }], 'none')
  given(t, transfer)
    .when({ type: 'transfer.complete', at, data: { ms: 0 } })
    .answers([], 'none')
})

t.test('what is under way is not ordered twice, but people may raise it', async t => {
  given(t, transfer, ordered).when(order('policy')).answers([], { open: 'waiting' })
  given(t, transfer, ordered)
    .when(order('asked'))
    .answers([{ type: 'transfer.raised', data: { cause: 'asked' } }], { open: 'waiting' })
  const raised = { type: 'transfer.raised', at, data: { cause: 'asked' } } as const
  for (const cause of ['asked', 'sync', 'optimize', 'policy'] as const)
    given(t, transfer, ordered, begun, raised).when(order(cause)).answers([], { open: 'running' })
  given(t, transfer, ordered, begun, raised)
    .when(complete('c1'))
    .answers([{ type: 'transfer.completed', data: { ms: 7_000, digest: 'd' } }], 'none')
})

t.test('who asks for what rests does not wait for the next try', async t => {
  given(t, transfer, ordered, begun, failed)
    .when({ ...order('sync'), at: 4_000 })
    .answers(
      [
        { type: 'transfer.raised', data: { cause: 'sync' } },
        { type: 'transfer.retried', data: { attempt: 2, until: 4_000 + DAY_MS } },
      ],
      { open: 'waiting' },
    )
  const raised = { type: 'transfer.raised', at, data: { cause: 'asked' } } as const
  given(t, transfer, ordered, begun, raised, failed)
    .when({ ...order('asked'), at: 4_000 })
    .answers([{ type: 'transfer.retried', data: { attempt: 2, until: 4_000 + DAY_MS } }], { open: 'waiting' })
  given(t, transfer, ordered, begun, raised, failed).when(order('policy')).answers([], { open: 'resting' })
})

t.test('a try that failed is made again after a wait that is in the fact', async t => {
  given(t, transfer, ordered, begun)
    .when(fail({ status: 500 }))
    .answers(
      [{ type: 'transfer.failed', data: { attempt: 1, reason: 'upstream', status: 500, waitMs: 30_000 } }],
      { open: 'resting' },
    )
  t.equal(given(t, transfer, ordered, begun, failed).state.context.until, 33_000)
  given(t, transfer, ordered, begun, failed)
    .when({ type: 'transfer.retry', at: 33_000, data: {} })
    .answers([{ type: 'transfer.retried', data: retried.data }], { open: 'waiting' })
  const second = { ...begun, data: { ...begun.data, command: 'c2', attempt: 2 } }
  given(t, transfer, ordered, begun, failed, retried, second)
    .when(fail({ command: 'c2', chance: 0 }))
    .answers([{ type: 'transfer.failed', data: { attempt: 2, reason: 'upstream', waitMs: 1_000 } }], {
      open: 'resting',
    })
})

t.test('it is given up after so many tries, and at once where no other makes sense', async t => {
  given(t, transfer, ordered, begun)
    .when(fail({ reason: 'unknown', retryable: false }))
    .answers([{ type: 'transfer.abandoned', data: { attempt: 1, reason: 'unknown' } }], 'abandoned')
  const tries = Array.from({ length: ATTEMPTS_MAX - 1 }, (_, i): readonly TransferFact[] => [
    begun,
    failed,
    { ...retried, data: { ...retried.data, attempt: i + 2 } },
  ]).flat()
  given(t, transfer, ordered, ...tries, begun)
    .when(fail())
    .answers(
      [{ type: 'transfer.abandoned', data: { attempt: ATTEMPTS_MAX, reason: 'upstream' } }],
      'abandoned',
    )
  const abandoned = { type: 'transfer.abandoned', at, data: { attempt: 5, reason: 'upstream' } } as const
  given(t, transfer, ordered, abandoned)
    .when(order('policy'))
    .answers([{ type: 'transfer.ordered', data: ordered.data }], { open: 'waiting' })
  t.equal(given(t, transfer, ordered, ...tries, abandoned, ordered).state.context.attempt, 1)
})

t.test('nothing waits or runs for ever', async t => {
  const expire = { type: 'transfer.expire', at: at + DAY_MS, data: {} } as const
  given(t, transfer, ordered)
    .when(expire)
    .answers([{ type: 'transfer.abandoned', data: { attempt: 0, reason: 'waited' } }], 'abandoned')
  given(t, transfer, ordered, begun)
    .when(expire)
    .answers([{ type: 'transfer.abandoned', data: { attempt: 1, reason: 'long' } }], 'abandoned')
})

t.test('news of a try that is over, or was called off, means nothing', async t => {
  const cancelled = { type: 'transfer.cancelled', at, data: { why: 'asked' } } as const
  const second = { ...begun, data: { ...begun.data, command: 'c2', attempt: 2 } }
  given(t, transfer, ordered, begun, cancelled).when(complete('c1')).answers([], 'none')
  given(t, transfer, ordered, begun, cancelled).when(fail()).answers([], 'none')
  given(t, transfer, ordered, begun, failed, retried, second).when(fail()).answers([], { open: 'running' })
  given(t, transfer, ordered, begun, failed, retried, second)
    .when(complete('c1'))
    .answers([], { open: 'running' })
})

t.test('it is called off once, at any time', async t => {
  const cancel = { type: 'transfer.cancel', at, data: { why: 'gone' } } as const
  for (const facts of [[ordered], [ordered, begun], [ordered, begun, failed]])
    given(t, transfer, ...facts)
      .when(cancel)
      .answers([{ type: 'transfer.cancelled', data: { why: 'gone' } }], 'none')
  given(t, transfer).when(cancel).answers([], 'none')
})
