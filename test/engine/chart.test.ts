/** The chart remembers what XState said; this walks both side by side. */
import t from 'tap'
import { transition } from 'xstate'
import type { Fact } from '../../machines/index.ts'
import { entities } from '../../machines/index.ts'
import { mulberry32 } from '../../src/clock.ts'
import { Chart } from '../../src/engine/chart.ts'

/** Enough for every assign of every chart; the values differ from fact to fact. */
const data = (n: number) => ({
  url: `http://n${n}`,
  slots: n,
  residentMax: n,
  labels: { n: String(n) },
  origin: 'api',
  version: String(n),
  round: n,
  waitMs: n,
  digest: String(n),
  sizeBytes: n,
  capabilities: [String(n)],
  model: String(n),
  expiresAt: n,
  attemptsMax: n,
  node: String(n),
  attempt: n,
  status: n,
})

for (const { kind, machine } of Object.values(entities)) {
  t.test(`the ${kind} chart steps as XState does`, async t => {
    const seed = Date.now() % 1_000_000
    t.comment(`seed ${seed}`)
    const random = mulberry32(seed)
    const types = machine.events as readonly Fact['type'][]
    let steps = 0
    for (let walk = 0; walk < 60; walk += 1) {
      const chart = new Chart(machine)
      let ours = chart.initial
      let theirs: any = chart.initial
      for (let i = 0; i < 25 && theirs.status === 'active'; i += 1) {
        const fact = { type: types[Math.floor(random() * types.length)]!, at: i, data: data(i) as never }
        const next = chart.step(ours, fact)
        const [expected] = (transition as (...args: unknown[]) => any[])(machine, theirs, fact)
        if (next === undefined) {
          t.equal(
            expected.value === theirs.value &&
              JSON.stringify(expected.context) === JSON.stringify(theirs.context),
            true,
          )
          continue
        }
        steps += 1
        t.same([next.value, next.status, next.context], [expected.value, expected.status, expected.context])
        ours = next
        theirs = expected
      }
    }
    t.ok(steps > 50)
  })
}

t.test('a finished state takes nothing', async t => {
  const chart = new Chart(entities.request.machine)
  const admitted = chart.step(chart.initial, { type: 'request.admitted', at: 1, data: data(1) as never })!
  const expired = chart.step(admitted, { type: 'request.expired', at: 2, data: { waitedMs: 1 } })!
  t.equal(expired.status, 'done')
  t.equal(chart.step(expired, { type: 'request.expired', at: 3, data: { waitedMs: 1 } }), undefined)
})

t.test('two states of one shape have contexts of their own', async t => {
  const chart = new Chart(entities.breaker.machine)
  const trip = (round: number) => ({ type: 'breaker.tripped', at: 0, data: { ...data(round) } as never })
  const a = chart.step(chart.initial, trip(1))!
  const b = chart.step(chart.initial, trip(2))!
  t.same([a.context.round, b.context.round, chart.initial.context.round], [1, 2, 0])
  t.equal(chart.deadline(a)?.at, 1)
  t.equal(chart.deadline(chart.initial), undefined)
})
