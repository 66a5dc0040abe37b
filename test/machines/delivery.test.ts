import t from 'tap'
import { ATTEMPTS_MAX, type DeliveryCommand, type DeliveryFact, delivery } from '../../machines/delivery.ts'
import { given } from './given.ts'

const report = { state: 'completed', status: 200, bytes: 9, digest: 'd' } as const
const ordered = { type: 'delivery.ordered', at: 1_000, data: report } as const
const failed = {
  type: 'delivery.failed',
  at: 2_000,
  data: { attempt: 1, reason: 'status', status: 503, waitMs: 30_000 },
} as const
const retried = { type: 'delivery.retried', at: 32_000, data: { attempt: 2 } } as const
const fail = (data: Partial<Extract<DeliveryCommand, { type: 'delivery.fail' }>['data']> = {}) =>
  ({
    type: 'delivery.fail',
    at: 2_000,
    data: { reason: 'refused', retryable: true, chance: 0.5, ...data },
  }) as const

t.test('what is to be said is written down, and then said', async t => {
  given(t, delivery)
    .when({ type: 'delivery.order', at: 1_000, data: report })
    .answers([{ type: 'delivery.ordered', data: report }], 'due')
  given(t, delivery, ordered)
    .when({ type: 'delivery.deliver', at: 2_000, data: { status: 204 } })
    .answers([{ type: 'delivery.delivered', data: { attempt: 1, status: 204 } }], 'delivered')
})

t.test('a try that failed is made again after a wait that is in the fact', async t => {
  given(t, delivery, ordered)
    .when(fail({ reason: 'status', status: 503 }))
    .answers([{ type: 'delivery.failed', data: failed.data }], 'waiting')
  t.equal(given(t, delivery, ordered, failed).state.context.until, 32_000)
  given(t, delivery, ordered, failed)
    .when({ type: 'delivery.retry', at: 32_000, data: {} })
    .answers([{ type: 'delivery.retried', data: { attempt: 2 } }], 'due')
  given(t, delivery, ordered, failed, retried)
    .when({ type: 'delivery.deliver', at: 33_000, data: { status: 200 } })
    .answers([{ type: 'delivery.delivered', data: { attempt: 2, status: 200 } }], 'delivered')
  given(t, delivery, ordered, failed)
    .when({ type: 'delivery.deliver', at: 3_000, data: { status: 200 } })
    .isOutOfTurn()
})

t.test(
  'each wait may be twice as long as the one before, is left to chance, and is never nothing',
  async t => {
    const waitMs = (attempt: number, chance: number): number => {
      const tries = Array.from({ length: attempt - 1 }, () => [failed, retried] as const).flat()
      const last = { ...retried, data: { attempt } }
      const { state } = given(t, delivery, ordered, ...tries, ...(attempt > 1 ? [failed, last] : []))
      const [fact] = delivery.decide['delivery.fail'](state as never, fail({ chance }))
      return (fact as Extract<DeliveryFact, { type: 'delivery.failed' }>).data.waitMs
    }
    t.equal(waitMs(1, 0), 1_000)
    t.same(
      [1, 2, 3, 7].map(attempt => waitMs(attempt, 0.5)),
      [30_000, 60_000, 120_000, 1_920_000],
    )
    t.equal(waitMs(7, 0.999_999_9), 3_840_000)
  },
)

t.test('it is given up after so many tries, and at once where no other makes sense', async t => {
  given(t, delivery, ordered)
    .when(fail({ reason: 'erased', retryable: false }))
    .answers([{ type: 'delivery.abandoned', data: { attempt: 1, reason: 'erased' } }], 'abandoned')
  const last = { ...retried, data: { attempt: ATTEMPTS_MAX } }
  given(t, delivery, ordered, failed, last)
    .when(fail({ reason: 'status', status: 500 }))
    .answers(
      [{ type: 'delivery.abandoned', data: { attempt: ATTEMPTS_MAX, reason: 'status', status: 500 } }],
      'abandoned',
    )
})
