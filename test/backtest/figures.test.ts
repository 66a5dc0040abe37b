import t from 'tap'
import { fairness } from '../../src/backtest/fairness.ts'
import { figuresOf, median, quantiles } from '../../src/backtest/figures.ts'
import type { Outcome } from '../../src/backtest/site.ts'
import { Timeline } from '../../src/backtest/timeline.ts'

t.test('a quantile is one of the values: the nearest rank', async t => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i)
  t.same(quantiles(values), { p50: 50, p95: 95, p99: 99 })
  t.same(quantiles([3]), { p50: 3, p95: 3, p99: 3 })
  t.same(quantiles([]), { p50: 0, p95: 0, p99: 0 })
})

/** Times in seconds. */
function outcome(client: string, at: number, started?: number, ended?: number, tokens = 60): Outcome {
  const arrival = {
    id: '',
    model: 'm',
    client,
    at: at * 1_000,
    promptTokens: 0,
    outputTokens: tokens,
    priority: 5,
    patienceMs: 1,
  }
  if (started === undefined || ended === undefined) return { arrival }
  return { arrival, startedAt: started * 1_000, begunAt: started * 1_000, endedAt: ended * 1_000 }
}

t.test('who got no answer is counted, and in no quantile', async t => {
  const outcomes = [outcome('a', 0, 1, 3), outcome('a', 1), outcome('a', 2, 2, 9)]
  const run = { outcomes, timeline: new Timeline(), loads: 4, startedAt: 0, endedAt: 60_000 }
  t.match(figuresOf(run), {
    wait: { p50: 0, p95: 1_000 },
    total: { p50: 3_000, p95: 7_000 },
    loads: 4,
    unfinished: 1,
    spanMs: 9_000,
  })
})

t.test('of several runs each figure has its own median', async t => {
  const run = (loads: number, ms: number, fair: number | null) => {
    const all = { p50: ms, p95: ms, p99: ms }
    return { wait: all, ttft: all, total: all, loads, fairness: fair, unfinished: 0, spanMs: ms }
  }
  t.match(median([run(1, 30, null), run(3, 10, 0.5), run(2, 20, 0.7)]), {
    loads: 2,
    wait: { p95: 20 },
    fairness: 0.5,
  })
  t.equal(median([run(1, 1, null)]).fairness, null)
})

t.test('clients who waited and were served alike: 1; one of two served alone: a half', async t => {
  const waits = [outcome('a', 0, 600, 601), outcome('b', 0, 600, 601)]
  const served = (client: string, from: number): Outcome => outcome(client, from, from, from + 60)
  t.equal(
    fairness([...waits, served('a', 0), served('b', 0)]),
    1,
    'and where nobody was served, nobody was unfairly',
  )
  const alone = Array.from({ length: 10 }, (_, i) => served('a', i * 60))
  t.equal(fairness([...waits, ...alone]), 0.5)
  const turns = Array.from({ length: 10 }, (_, i) => served(i % 2 === 0 ? 'a' : 'b', i * 60))
  t.equal(fairness([...waits, ...turns]), 0.5, 'a minute at a time is not alike')
})

t.test('who waits for nothing is treated unfairly by nobody', async t => {
  const flood = Array.from({ length: 20 }, (_, i) => outcome('flood', i, i * 60, i * 60 + 60))
  t.equal(fairness([...flood, outcome('now and then', 100, 100, 110)]), null)
  t.equal(fairness([]), null)
})
