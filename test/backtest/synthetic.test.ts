import t from 'tap'
import { quantile } from '../../src/backtest/figures.ts'
import { readSynthetic, SYNTHETIC, synthesize } from '../../src/backtest/synthetic.ts'

t.test('a synthetic trace has the statistics it is asked for', async t => {
  const seed = 3
  const wanted = readSynthetic('requests=20000,rate=0.5,prompt=500,output=100,output-max=400')
  const asked = synthesize(wanted, seed)
  t.equal(asked.length, 20_000)
  const near = (value: number, wanted: number, what: string): unknown =>
    t.ok(Math.abs(value / wanted - 1) < 0.1, `${what}: ${value}, and not ${wanted}; seed ${seed}`)
  const seconds = (asked.at(-1)!.at - asked[0]!.at) / 1_000
  near(asked.length / seconds, 0.5, 'requests a second')
  near(
    quantile(
      asked.map(({ promptTokens }) => promptTokens),
      0.5,
    ),
    500,
    'median prompt',
  )
  near(
    quantile(
      asked.map(({ outputTokens }) => outputTokens),
      0.5,
    ),
    100,
    'median answer',
  )
  // One standard deviation of a normal distribution: 84 % are below.
  near(
    quantile(
      asked.map(({ promptTokens }) => promptTokens),
      0.8413,
    ),
    500 * Math.exp(0.95),
    'spread of prompts',
  )
  t.equal(Math.max(...asked.map(({ outputTokens }) => outputTokens)), 400)
})

t.test('bursts make the counts of a minute vary more than chance alone does', async t => {
  const dispersion = (burst: number): number => {
    const counts = new Map<number, number>()
    const asked = synthesize(readSynthetic(`requests=20000,burst=${burst}`), 1)
    for (const { at } of asked) {
      const minute = Math.floor((at - asked[0]!.at) / 60_000)
      counts.set(minute, (counts.get(minute) ?? 0) + 1)
    }
    const whole = [...counts.values()].slice(0, -1)
    const mean = whole.reduce((a, b) => a + b, 0) / whole.length
    return whole.reduce((sum, n) => sum + (n - mean) ** 2, 0) / whole.length / mean
  }
  t.ok(dispersion(0) < 2, 'a Poisson process: variance and mean are alike')
  t.ok(dispersion(0.2) > 4)
})

t.test('the same seed gives the same trace, another another', async t => {
  const wanted = readSynthetic('requests=50')
  t.same(synthesize(wanted, 1), synthesize(wanted, 1))
  t.notSame(synthesize(wanted, 1), synthesize(wanted, 2))
})

t.test('what is not named is as in the default, and what makes no sense is refused', async t => {
  t.same(readSynthetic(''), Object.fromEntries(Object.entries(SYNTHETIC).map(([k, v]) => [k, v.fallback])))
  t.match(readSynthetic(' rate = 0.5 '), { rate: 0.5, requests: 6_000 })
  for (const text of [
    'speed=1',
    'rate=fast',
    'rate=0',
    'requests=0',
    'requests=1.5',
    'requests=1e9',
    'rate',
  ]) {
    t.throws(() => readSynthetic(text), { code: 'trace.synthetic' }, text)
  }
})
