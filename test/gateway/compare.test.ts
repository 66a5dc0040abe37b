import t from 'tap'
import { comparisonOf } from '../../src/gateway/compare.ts'

const BOUND = ['round-robin', 'eta']

t.test('a policy is compared with by its name, and own settings by theirs', async t => {
  t.same(comparisonOf('eta', BOUND), { name: 'eta', bound: true })
  t.same(comparisonOf('swap-cost=1,prefer=a+b,as-good=1.5,avoid=c,starve=30s,slow-min=2s', BOUND), {
    name: 'swap-cost=1,prefer=a+b,as-good=1.5,avoid=c,starve=30s,slow-min=2s',
    bound: false,
    otherwise: {
      weights: { swapCost: 1, asGood: 1.5, slowMinMs: 2_000 },
      policy: { prefer: ['a', 'b'], avoid: ['c'] },
      starveMs: 30_000,
    },
  })
})

t.test('what there is not is refused with what there is', async t => {
  const refused = { code: 'request.invalid' }
  t.throws(() => comparisonOf('etta', BOUND), {
    ...refused,
    message: /"etta".* round-robin, eta, and swap-cost=/,
  })
  t.throws(() => comparisonOf('swap-cost=dear', BOUND), {
    ...refused,
    message: /swap-cost: "dear" is not a number/,
  })
  t.throws(() => comparisonOf('swap-cost=1,', BOUND), refused)
  t.throws(() => comparisonOf('constructor=1', BOUND), refused)
})
