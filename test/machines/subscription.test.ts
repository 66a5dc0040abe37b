import t from 'tap'
import { subscription } from '../../machines/subscription.ts'
import { given } from './given.ts'

const plain = { after: 7, filter: { kind: 'node' } } as const
const created = { type: 'subscription.created', at: 1_000, data: plain } as const
const trouble = { reason: 'status', failures: 20, status: 503 } as const
const parked = { type: 'subscription.parked', at: 2_000, data: trouble } as const
const resumed = { type: 'subscription.resumed', at: 3_000, data: {} } as const
const deleted = { type: 'subscription.deleted', at: 4_000, data: {} } as const

t.test('one is made once, and then its name is taken', async t => {
  given(t, subscription)
    .when({ type: 'subscription.create', at: 1_000, data: plain })
    .answers([{ type: 'subscription.created', data: plain }], 'active')
  given(t, subscription, created)
    .when({ type: 'subscription.create', at: 1_000, data: plain })
    .refuses('subscription.taken')
})

t.test('one that is parked says why, and goes on when somebody says so', async t => {
  given(t, subscription, created)
    .when({ type: 'subscription.park', at: 2_000, data: trouble })
    .answers([{ type: 'subscription.parked', data: trouble }], 'parked')
  given(t, subscription, created, parked)
    .when({ type: 'subscription.resume', at: 3_000, data: {} })
    .answers([{ type: 'subscription.resumed', data: {} }], 'active')
  given(t, subscription, created, parked, resumed)
    .when({ type: 'subscription.park', at: 2_000, data: trouble })
    .answers([{ type: 'subscription.parked', data: trouble }], 'parked')
})

t.test('to park what is parked, and to resume what goes on, is nothing', async t => {
  given(t, subscription, created, parked)
    .when({ type: 'subscription.park', at: 3_000, data: { reason: 'asked', failures: 0 } })
    .answers([], 'parked')
  given(t, subscription, created)
    .when({ type: 'subscription.resume', at: 3_000, data: {} })
    .answers([], 'active')
})

t.test('it can be deleted at any time, once', async t => {
  for (const story of [[created], [created, parked]]) {
    given(t, subscription, ...story)
      .when({ type: 'subscription.delete', at: 4_000, data: {} })
      .answers([{ type: 'subscription.deleted', data: {} }], 'deleted')
  }
  given(t, subscription, created, deleted)
    .when({ type: 'subscription.delete', at: 5_000, data: {} })
    .isOutOfTurn()
  for (const type of ['subscription.delete', 'subscription.resume'] as const)
    given(t, subscription).when({ type, at: 1_000, data: {} }).isOutOfTurn()
})
