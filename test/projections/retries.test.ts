import t from 'tap'
import type { FleetNode } from '../../src/projections/fleet.ts'
import { retries, retriesLeft } from '../../src/projections/retries.ts'
import { fold, type Told } from './fold.ts'

const NOW = 1_000_000_000
const fleet = (...sizes: [slots: number, residentMax: number][]) =>
  new Map(sizes.map(([slots, residentMax], i) => [`n${i}`, { slots, residentMax } as FleetNode]))
const times = (n: number, fact: (i: number) => Told): Told[] => Array.from({ length: n }, (_, i) => fact(i))
const admitted = (at = NOW): Told => [at, 'request.admitted', 'r']
const retried = (at = NOW, reason = 'broken'): Told => [at, 'request.retried', 'r', { node: 'a', reason }]
const left = (facts: Told[], now = NOW, nodes = fleet([1, 3])): number =>
  retriesLeft(fold(retries(), ...facts), nodes, now)

t.test('ten a minute, and a tenth of what is admitted', async t => {
  t.equal(left([]), 10)
  t.equal(left(times(9, () => admitted())), 10)
  t.equal(left(times(200, () => admitted())), 30)
  t.equal(left([...times(200, () => admitted()), ...times(12, () => retried())]), 18)
  t.equal(left(times(15, () => retried())), 0, 'never less than none')
})

t.test('a call that several share is tried again once', async t => {
  const aboard = (i: number): Told => [NOW, 'request.assigned', `r${i}`, { node: 'a', batch: 'r0' }]
  const broken = (i: number): Told => [NOW, 'request.retried', `r${i}`, { node: 'a', reason: 'lost' }]
  const alone: Told = [NOW, 'request.assigned', 'r7', { node: 'a' }]
  t.equal(left([...times(32, aboard), ...times(32, broken)]), 9)
  t.equal(left([...times(32, aboard), ...times(32, broken), alone, broken(7)]), 8, 'later each for itself')
})

t.test('each counts for a minute', async t => {
  const facts = [retried(NOW - 60_000), retried(NOW - 59_000), retried(NOW)]
  t.equal(left(facts), 8)
  t.equal(left(facts, NOW + 1_000), 9)
  t.equal(left(facts, NOW + 60_000), 10)
})

t.test(
  'a connection that never came about cost no node anything; nor did what is no node’s failure',
  async t => {
    for (const reason of ['refused', 'restart', 'lapsed']) {
      t.equal(left(times(50, () => retried(NOW, reason))), 10, reason)
    }
  },
)

t.test('the death of one node with all its slots taken is always within it', async t => {
  const death = times(50, () => retried())
  const asked = times(200, () => admitted())
  t.equal(left([...asked, ...death], NOW, fleet([2, 3], [25, 2])), 20)
  t.equal(left([...asked, ...death.slice(0, 30)], NOW, fleet([2, 3])), 0)
})

t.test('a minute is kept and no more, also where the wall clock was set back', async t => {
  const view = retries()
  fold(view, ...times(500, i => admitted(NOW + i * 1_000)))
  t.equal(view.state.seconds.size, 60)
  fold(view, ...times(500, i => retried(NOW - 3_600_000 + i * 1_000)))
  t.equal(view.state.seconds.size, 60)
  t.equal(retriesLeft(view.state, fleet([1, 1]), NOW - 3_600_000 + 499_000), 0)
})
