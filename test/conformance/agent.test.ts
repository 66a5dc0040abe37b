/** Through a house and an agent a client sees what it sees of the node itself: the same checks, the same results. */
import t from 'tap'
import { together } from '../agent/beside.ts'
import { conform } from './conform.ts'
import { dyingAt } from './simulated.ts'

/** As in house.test.ts: check 70 must fit. */
const QUEUE_MAX = 8
const SLOTS = QUEUE_MAX + 4

t.test('a node whose agent attaches is Ollama, as far as a client can tell', async t => {
  const { w, sim } = await together(t, {
    sim: {
      slots: SLOTS,
      maxQueue: QUEUE_MAX,
      loadMs: 300,
      decodeTps: 600,
      words: 32,
      prefillTps: 2_000,
      pullBytesPerSec: 2e10,
    },
    flags: { 'queue-max': String(QUEUE_MAX) },
    agent: { slots: SLOTS, residentMax: 1 },
  })
  const ask = { model: 'tiny', embed: 'embed', maxQueue: QUEUE_MAX, dying: dyingAt([sim.url]) }
  const direct = await conform({ url: sim.url, ...ask })
  const through = await conform({ url: w.url, ...ask })
  for (const [i, { number, promise, outcome, reason = '', expected, got }] of through.entries()) {
    t.equal(outcome, direct[i]!.outcome, `${number} ${promise}: ${reason}`, {
      diagnostic: outcome === 'failed',
      expected,
      got,
    })
  }
  t.same(new Set(through.map(({ outcome }) => outcome)), new Set(['ok', 'skipped']))
  t.equal(through.length, 75)
})
