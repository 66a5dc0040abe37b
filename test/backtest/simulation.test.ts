import t from 'tap'
import { figuresOf } from '../../src/backtest/figures.ts'
import { utilisation } from '../../src/backtest/fleet.ts'
import { presets } from '../../src/backtest/presets.ts'
import { arrivalsOf } from '../../src/backtest/scenario.ts'
import { type Policy, policyNames, simulate } from '../../src/backtest/simulation.ts'
import { readSynthetic, synthesize } from '../../src/backtest/synthetic.ts'
import { bareNode, staff } from '../../src/cli/production.ts'

type Name = keyof typeof presets

function requests(preset: Name, count: number, seed: number) {
  const { fleet, utilisation } = presets[preset]
  const scenario = {
    models: fleet.models.length,
    clients: 4,
    patienceMs: Number.POSITIVE_INFINITY,
    utilisation,
  }
  return arrivalsOf(fleet, synthesize(readSynthetic(`requests=${count}`), seed), scenario, seed)
}

async function figures(policy: Policy, preset: Name, { count = 1_200, seed = 1 } = {}) {
  const { fleet } = presets[preset]
  return figuresOf(
    await simulate(policy, { fleet, arrivals: requests(preset, count, seed), seed, make: bareNode }, staff),
  )
}

t.test('the same seed gives the same figures, whatever the policy, and another seed others', async t => {
  for (const policy of policyNames) {
    const first = await figures(policy, 'D', { count: 300 })
    t.same(await figures(policy, 'D', { count: 300 }), first, policy)
    t.notSame(await figures(policy, 'D', { count: 300, seed: 2 }), first, policy)
  }
})

t.test('time is stretched until the fleet is as busy as it was asked to be', async t => {
  for (const name of Object.keys(presets) as Name[]) {
    const busy = utilisation(presets[name].fleet, requests(name, 300, 1))
    t.ok(Math.abs(busy - presets[name].utilisation) < 1e-9, `${name}: ${busy}`)
  }
})

t.test(
  'with more models than memory, a house answers far sooner and loads far less than a balancer',
  async t => {
    for (const preset of ['C', 'D'] as const) {
      const house = await figures('quipu', preset)
      const balancer = await figures('least-connections', preset)
      t.ok(house.total.p95 * 4 < balancer.total.p95, `${preset}: ${house.total.p95}, ${balancer.total.p95}`)
      t.ok(house.loads * 1.8 < balancer.loads, `${preset}: ${house.loads}, ${balancer.loads}`)
      t.equal(house.unfinished, 0)
    }
  },
)

t.test('with one model on equal nodes nobody is much better than anybody', async t => {
  const house = await figures('quipu', 'A')
  for (const policy of ['least-connections', 'least-tokens', 'eta'] as const) {
    const other = await figures(policy, 'A')
    t.ok(house.total.p95 < other.total.p95 * 1.03, `${policy}: ${house.total.p95}, ${other.total.p95}`)
  }
})

t.test('with one model on unequal nodes, turns without a look at them pile up on the slowest', async t => {
  const house = await figures('quipu', 'B')
  t.ok(house.total.p95 * 10 < (await figures('round-robin', 'B')).total.p95)
  t.ok(house.total.p95 < (await figures('least-connections', 'B')).total.p95)
})

t.test('a request for a model that no node has is refused before anything runs', async t => {
  const { fleet } = presets.A
  const one = { at: 0, promptTokens: 1, outputTokens: 1, model: 'stranger' }
  const scenario = { models: 1, clients: 1, patienceMs: 1 }
  t.throws(() => arrivalsOf(fleet, [one], scenario, 1), { code: 'fleet.model', message: /stranger:latest/ })
  t.match(arrivalsOf(fleet, [{ ...one, model: 'QUILL' }], scenario, 1), [{ model: 'quill:latest' }])
})
