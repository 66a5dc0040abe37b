/** Through the house a client sees what it sees of a node: the same checks, the same results. */
import t from 'tap'
import { world } from '../house/world.ts'
import { conform } from './conform.ts'
import { dyingAt } from './simulated.ts'

/** So many may wait, and so many more run at once, that check 70 fits: Ollama itself has no limit for warm requests. */
const QUEUE_MAX = 8
const SLOTS = QUEUE_MAX + 4

t.test('a house in front of a node is Ollama, as far as a client can tell', async t => {
  const node = {
    slots: SLOTS,
    maxQueue: QUEUE_MAX,
    loadMs: 300,
    decodeTps: 600,
    words: 32,
    prefillTps: 2_000,
    pullBytesPerSec: 2e10,
  }
  const w = await world(t, { sims: [node], flags: { 'queue-max': String(QUEUE_MAX) } })
  const ask = { model: 'tiny', embed: 'embed', maxQueue: QUEUE_MAX, dying: dyingAt([w.sims[0]!.url]) }
  const direct = await conform({ url: w.sims[0]!.url, ...ask })
  const through = await conform({ url: w.url, ...ask })
  for (const [i, { number, promise, outcome, reason = '', expected, got }] of through.entries()) {
    t.equal(outcome, direct[i]!.outcome, `${number} ${promise}: ${reason}`, {
      diagnostic: outcome === 'failed',
      expected,
      got,
    })
  }
  t.same(new Set(through.map(({ outcome }) => outcome)), new Set(['ok', 'skipped']))
})
