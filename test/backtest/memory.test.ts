/** Nodes of unequal memory: what it is worth that a house knows how much each has. */
import t from 'tap'
import { figuresOf } from '../../src/backtest/figures.ts'
import { fitsOn, paceOn } from '../../src/backtest/fleet.ts'
import { arrivalsOf } from '../../src/backtest/scenario.ts'
import { readFleet } from '../../src/backtest/sheet.ts'
import { simulate } from '../../src/backtest/simulation.ts'
import { readSynthetic, synthesize } from '../../src/backtest/synthetic.ts'
import { bareNode, staff } from '../../src/cli/production.ts'

/** Six models that take 2 to 35 GB, on cards of 12, 24 and 48 GB. */
const sheet = (rest: string): string => `
models:
  - { name: chat, sizeGb: 5 }
  - { name: code, sizeGb: 9 }
  - { name: wide, sizeGb: 14 }
  - { name: big, sizeGb: 20 }
  - { name: draft, sizeGb: 2 }
  - { name: judge, sizeGb: 30 }
nodes:
  - { name: small, count: 2, memoryGb: 12, slots: 2, ${rest} }
  - { name: middle, count: 2, memoryGb: 24, slots: 2, ${rest} }
  - { name: large, memoryGb: 48, slots: 2, ${rest} }
`

async function figures(rest: string) {
  const fleet = readFleet(sheet(rest))
  const scenario = { models: 6, clients: 4, patienceMs: Number.POSITIVE_INFINITY, utilisation: 0.4 }
  const arrivals = arrivalsOf(fleet, synthesize(readSynthetic('requests=1500'), 1), scenario, 1)
  return figuresOf(await simulate('quipu', { fleet, arrivals, seed: 1, make: bareNode }, staff))
}

t.test('a house that knows how much memory its nodes have loads less often, and answers sooner', async t => {
  const told = await figures('resident: 3')
  const counted = await figures('resident: 3, agent: false')
  const careful = await figures('resident: 1, agent: false')
  for (const [what, other] of [
    ['three may be in memory, and nobody knows whether they fit', counted],
    ['one at a time, to be safe', careful],
  ] as const) {
    t.ok(told.wait.p95 * 3 < other.wait.p95, `${what}: ${told.wait.p95}, ${other.wait.p95}`)
    t.ok(told.loads * 2 < other.loads, `${what}: ${told.loads}, ${other.loads}`)
  }
  t.equal(told.unfinished, 0)
})

t.test('a simulated node has in memory what fits, and what is larger is slow', async t => {
  const fleet = readFleet(sheet('resident: 3'))
  const [small, , middle] = fleet.nodes
  const fits = fitsOn(fleet, middle!)!
  t.equal(fits('code:latest', ['chat:latest']), true)
  t.equal(
    fits('wide:latest', ['chat:latest', 'draft:latest']),
    false,
    'Ollama wants a quarter more to be free',
  )
  t.equal(fitsOn(fleet, { ...middle!, memoryBytes: undefined as never }), undefined)
  const pace = (node = middle!) => paceOn(fleet, node, 'big:latest')!.decodeTps
  t.equal(pace(), 40)
  t.ok(pace(small) < 10, `${pace(small)}`)
})
