import t from 'tap'
import { breaker } from '../../machines/breaker.ts'
import { given } from './given.ts'

const at = 1_000
const tripped = {
  type: 'breaker.tripped',
  at,
  data: { reason: 'busy', failures: 3, round: 1, waitMs: 900 },
} as const
const probed = { type: 'breaker.probed', at: 1_900, data: {} } as const

t.test('the first round waits up to two seconds, at random', async t => {
  const trip = (chance: number) =>
    ({ type: 'breaker.trip', at, data: { reason: 'busy', failures: 3, chance } }) as const
  const facts = (waitMs: number) => [
    { type: 'breaker.tripped', data: { reason: 'busy', failures: 3, round: 1, waitMs } } as const,
  ]
  given(t, breaker).when(trip(0.5)).answers(facts(1_000), 'open')
  given(t, breaker).when(trip(0)).answers(facts(250), 'open')
})

t.test('a failed trial waits longer, never more than a minute', async t => {
  const again = { type: 'breaker.trip', at, data: { reason: 'error', failures: 1, chance: 0.999 } } as const
  given(t, breaker, tripped, probed)
    .when(again)
    .answers(
      [{ type: 'breaker.tripped', data: { reason: 'error', failures: 1, round: 2, waitMs: 3_996 } }],
      'open',
    )
  const late = { ...tripped, data: { ...tripped.data, round: 40 } }
  given(t, breaker, late, probed)
    .when(again)
    .answers(
      [{ type: 'breaker.tripped', data: { reason: 'error', failures: 1, round: 41, waitMs: 59_940 } }],
      'open',
    )
})

t.test('a brief rest is as short as the first, and no round of its own', async t => {
  const rest = {
    type: 'breaker.trip',
    at,
    data: { reason: 'busy', failures: 3, chance: 0.999, brief: true },
  } as const
  const facts = (round: number) => [
    { type: 'breaker.tripped', data: { reason: 'busy', failures: 3, round, waitMs: 1_998 } } as const,
  ]
  given(t, breaker).when(rest).answers(facts(1), 'open')
  const fourth = { ...tripped, data: { ...tripped.data, round: 4 } }
  given(t, breaker, fourth, probed).when(rest).answers(facts(4), 'open')
})

t.test('the fact says what opened it, and the share where that did', async t => {
  const why = { reason: 'error', failures: 1, by: 'ratio', share: 0.55 } as const
  given(t, breaker)
    .when({ type: 'breaker.trip', at, data: { ...why, chance: 0.5 } })
    .answers([{ type: 'breaker.tripped', data: { ...why, round: 1, waitMs: 1_000 } }], 'open')
})

t.test('an open breaker does not trip again', async t => {
  given(t, breaker, tripped)
    .when({ type: 'breaker.trip', at, data: { reason: 'busy', failures: 4, chance: 0.5 } })
    .answers([], 'open')
})

t.test('its wait is a deadline of the open state', async t => {
  const { state } = given(t, breaker, tripped)
  t.equal(state.context.until, 1_900)
})

t.test('a trial that goes well closes it and starts the rounds afresh', async t => {
  given(t, breaker, tripped)
    .when({ type: 'breaker.probe', at, data: {} })
    .answers([{ type: 'breaker.probed', data: {} }], 'halfOpen')
  given(t, breaker, tripped, probed)
    .when({ type: 'breaker.heal', at, data: {} })
    .answers([{ type: 'breaker.healed', data: {} }], 'closed')
  given(t, breaker, tripped).when({ type: 'breaker.heal', at, data: {} }).answers([], 'open')
  given(t, breaker).when({ type: 'breaker.probe', at, data: {} }).isOutOfTurn()
})
