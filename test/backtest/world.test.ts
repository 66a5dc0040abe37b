import t from 'tap'
import { asked, fleet, played } from './stage.ts'

const TWO = '{ name: a, resident: 1 }, { name: b, resident: 1 }'

t.test(
  'least connections: the fewest under way, in turn among equals; inside the node Ollama decides',
  async t => {
    const { told, figures } = await played(
      'least-connections',
      fleet(TWO, { models: 'm,n' }),
      asked('1 m 0 5', '2 n 1 5', '3 m 2 5', '4 n 3 5'),
    )
    t.same(told, ['1 on a: 0, 10-15', '2 on b: 1, 11-16', '3 on a: 2, 15-20', '4 on b: 3, 16-21'])
    t.match(figures, { loads: 2, unfinished: 0, wait: { p50: 10_000, p95: 13_000 }, total: { p95: 18_000 } })
  },
)

t.test('round robin goes on in turn, whatever is there', async t => {
  const { told, figures } = await played(
    'round-robin',
    fleet(TWO, { models: 'm,n' }),
    asked('1 m 0 1', '2 m 1 1', '3 n 2 1', '4 n 3 1'),
  )
  t.same(told, ['1 on a: 0, 10-11', '2 on b: 1, 11-12', '3 on a: 2, 21-22', '4 on b: 3, 22-23'])
  t.equal(figures.loads, 4)
})

t.test('warm first never leaves the node that has the model', async t => {
  const { told } = await played(
    'warm-first',
    fleet(TWO),
    asked('1 m 0 9', '2 m 15 9', '3 m 16 9', '4 m 17 9'),
  )
  t.same(told, ['1 on a: 0, 10-19', '2 on a: 15, 19-28', '3 on a: 16, 28-37', '4 on a: 17, 37-46'])
})

t.test('eta weighs the work before it against a load', async t => {
  const { told } = await played('eta', fleet(TWO), asked('1 m 0 9', '2 m 30 9', '3 m 31 9', '4 m 32 9'))
  t.same(told, ['1 on a: 0, 10-19', '2 on a: 30, 30-39', '3 on a: 31, 39-48', '4 on b: 32, 42-51'])
})

t.test('least tokens minds the speed of a node', async t => {
  const { told } = await played(
    'least-tokens',
    fleet('{ name: slow, speed: 0.5 }, { name: fast, speed: 4 }'),
    asked('1 m 0 8', '2 m 0 8', '3 m 0 8'),
  )
  t.same(told, ['1 on fast: 0, 10-12', '2 on fast: 0, 12-14', '3 on fast: 0, 14-16'])
})

t.test('the house holds a request until a slot is free, and loads for it', async t => {
  const { told, figures } = await played(
    'quipu',
    fleet('{ name: a, resident: 1, models: [m] }, { name: b, resident: 1, models: [n] }', { models: 'm,n' }),
    asked('1 m 0 5', '2 n 1 5', '3 m 2 5', '4 n 3 5'),
  )
  t.same(told, ['1 on a: 10, 10-15', '2 on b: 11, 11-16', '3 on a: 15, 15-20', '4 on b: 16, 16-21'])
  t.equal(figures.loads, 2)
})

for (const policy of ['quipu', 'least-connections'] as const) {
  t.test(`${policy}: who has waited long enough leaves, and does not come back`, async t => {
    const { told, figures } = await played(
      policy,
      fleet('{ name: a, resident: 1 }'),
      asked('1 m 0 20 c 15', '2 m 1 5 c 3', '3 m 2 5 c 60'),
    )
    t.equal(told[1], '2 left at 4')
    t.match(told[0], /10-30$/)
    t.match(told[2], /30-35$/)
    t.equal(figures.unfinished, 1)
  })

  t.test(`${policy}: a node that goes away loses what it had begun; the rest is done elsewhere`, async t => {
    const nodes = '{ name: a, resident: 1, off: "09:01-09:05" }, { name: b, resident: 1, models: [n] }'
    const alone = await played(
      policy,
      fleet(nodes, { models: 'm,n' }),
      asked('1 m 40 60', '2 n 41 90', '3 n 42 5'),
    )
    t.match(alone.told[0], /^1 left at 60$/, 'it had its first byte')
    t.match(alone.told[1], / on b: .*, 51-141$/)
    t.match(alone.told[2], / on b: /)
    t.equal(alone.figures.unfinished, 1)
  })
}

t.test('while nobody is there the house keeps requests; a balancer has nobody to send them to', async t => {
  const night = fleet('{ name: a, off: "08:00-09:30" }')
  const requests = asked('1 m 0 5', '2 m 60 5')
  t.same((await played('quipu', night, requests)).told, [
    '1 on a: 1810, 1810-1815',
    '2 on a: 1815, 1815-1820',
  ])
  t.same((await played('eta', night, requests)).told, ['1 left at 0', '2 left at 60'])
})

t.test('a model that nobody uses leaves memory, and is loaded again', async t => {
  const sleepy = fleet('{ name: a }', { keepAlive: '60s' })
  const requests = asked('1 m 0 5', '2 m 100 5')
  for (const policy of ['quipu', 'round-robin'] as const) {
    const { told, figures } = await played(policy, sleepy, requests)
    t.match(told[1], /110-115$/, policy)
    t.equal(figures.loads, 2)
  }
})
