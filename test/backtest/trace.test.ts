import t from 'tap'
import { mixed } from '../../src/backtest/mix.ts'
import { readTrace } from '../../src/backtest/trace.ts'

t.test(
  'a trace is read in order of time, to the millisecond, in Greenwich unless it says otherwise',
  async t => {
    const asked = readTrace(
      [
        'TIMESTAMP,ContextTokens,GeneratedTokens',
        '2026-01-31 09:05:08.6805900,374,44',
        '2026-01-31T10:05:07.5+01:00,90,16',
        '2026-01-31 09:05:09,1,2',
        '',
      ].join('\r\n'),
    )
    const at = Date.UTC(2026, 0, 31, 9, 5, 7, 500)
    t.same(asked, [
      { at, promptTokens: 90, outputTokens: 16 },
      { at: at + 1_180, promptTokens: 374, outputTokens: 44 },
      { at: at + 1_500, promptTokens: 1, outputTokens: 2 },
    ])
  },
)

t.test('columns may stand in any order, and further ones say model, client and priority', async t => {
  const asked = readTrace(
    'Priority,GeneratedTokens,Model,ContextTokens,TIMESTAMP,Client\n9,2,m,1,10,c\n,2,,1,11.5,',
  )
  t.same(asked, [
    { at: 10_000, promptTokens: 1, outputTokens: 2, model: 'm', client: 'c', priority: 9 },
    { at: 11_500, promptTokens: 1, outputTokens: 2 },
  ])
})

const WRONG: readonly (readonly [csv: string, said: RegExp])[] = [
  ['', /line 1 .*no column TIMESTAMP/],
  ['TIMESTAMP,ContextTokens\n', /no column GeneratedTokens/],
  ['TIMESTAMP,ContextTokens,GeneratedTokens\n', /there is no request in it/],
  ['TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,1', /line 2 .*"yesterday" is no time/],
  ['TIMESTAMP,ContextTokens,GeneratedTokens\n1,1,1\n2,x,1', /line 3 .*ContextTokens: "x" is not a whole/],
  ['TIMESTAMP,ContextTokens,GeneratedTokens\n1,1', /line 2 .*GeneratedTokens: "" is not a whole/],
]

t.test('what cannot be read is named by its line', async t => {
  for (const [csv, said] of WRONG) t.throws(() => readTrace(csv), { code: 'trace.unreadable', message: said })
})

t.test(
  'what a trace leaves out is drawn, the first of each most often, and the same by the same seed',
  async t => {
    const asked = Array.from({ length: 4_000 }, (_, i) => ({ at: i, promptTokens: 1, outputTokens: 1 }))
    const draw = (seed: number) =>
      mixed(asked, { models: ['a', 'b', 'c', 'd'], clients: 3, patienceMs: 7, seed })
    const count = (model: string): number => draw(1).filter(one => one.model === model).length / asked.length
    // 1, 2^-1.1, 3^-1.1 and 4^-1.1, by their sum.
    for (const [model, share] of [
      ['a', 0.508],
      ['b', 0.237],
      ['c', 0.152],
      ['d', 0.11],
    ] as const) {
      t.ok(Math.abs(count(model) - share) < 0.03, `${model}: ${count(model)}`)
    }
    t.same(new Set(draw(1).map(({ client }) => client)), new Set(['client-1', 'client-2', 'client-3']))
    // A comparison of all of them takes tap half a minute.
    t.same(draw(1).slice(-50), draw(1).slice(-50))
    t.notSame(draw(1).slice(-50), draw(2).slice(-50))
    const own = mixed([{ ...asked[0]!, model: 'z', client: 'me', priority: 1, patienceMs: 9 }], {
      models: ['a'],
      clients: 1,
      patienceMs: 7,
      seed: 1,
    })
    t.match(own, [{ model: 'z', client: 'me', priority: 1, patienceMs: 9 }])
  },
)
