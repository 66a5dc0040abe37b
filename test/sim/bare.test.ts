import t from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { bareNode } from '../../src/sim/bare.ts'

/** A node on which every load takes a second and every request two: one to its first byte, one to its last. */
function bare({ slots = 1, resident = 1, keepAliveMs = 300_000 } = {}) {
  const clock = virtualClock({ start: 0 })
  const told: string[] = []
  const tell = (what: string): void => void told.push(`${what} at ${clock.now()}`)
  const node = bareNode({
    clock,
    slots,
    resident,
    keepAliveMs,
    loadMs: () => 1_000,
    heard: (model, what) => tell(`${model} ${what}`),
  })
  const ask = (model: string, name = model) =>
    node.run(model, {
      promptMs: 1_000,
      outputMs: 1_000,
      started: () => tell(`${name} started`),
      begun: () => tell(`${name} begun`),
      ended: () => tell(`${name} ended`),
    })
  return { clock, node, ask, told }
}

t.test('a request loads its model, and takes its time', async t => {
  const { clock, node, ask, told } = bare()
  ask('m')
  await clock.advance(500)
  t.same(node.resident(), [], 'what loads is not listed')
  await clock.advance(10_000)
  t.same(told, [
    'm loading at 0',
    'm loaded at 1000',
    'm started at 1000',
    'm begun at 2000',
    'm ended at 3000',
  ])
  t.same(node.resident(), ['m'])
})

t.test('no more than the slots run, and a cold request holds up those behind it', async t => {
  const { clock, ask, told } = bare()
  ask('m', 'first')
  await clock.advance(1_000)
  ask('m', 'second')
  ask('n', 'cold')
  ask('m', 'third')
  await clock.advance(20_000)
  t.same(
    told.filter(line => /started/.test(line)),
    ['first started at 1000', 'second started at 3000', 'third started at 5000', 'cold started at 8000'],
    'the warm ones go on; the cold one waits until its victim is idle',
  )
})

t.test('a load without a prompt stays for its keep-alive', async t => {
  const { clock, node, told } = bare({ keepAliveMs: 5_000 })
  node.load('m', () => told.push(`told at ${clock.now()}`))
  await clock.advance(20_000)
  t.same(told, ['m loading at 0', 'm loaded at 1000', 'told at 1000', 'm gone at 6000'])
})

t.test('who hangs up is not heard of again, and frees the slot', async t => {
  const { clock, ask, told } = bare()
  const hangUp = ask('m', 'first')
  await clock.advance(1_500)
  ask('m', 'second')
  hangUp()
  await clock.advance(10_000)
  t.same(told.slice(2), [
    'first started at 1000',
    'second started at 1500',
    'second begun at 2500',
    'second ended at 3500',
  ])
})

t.test('a killed node forgets everything, loads under way too', async t => {
  const { clock, node, ask, told } = bare({ resident: 2 })
  ask('m')
  await clock.advance(1_500)
  ask('n')
  await clock.advance(100)
  node.kill()
  await clock.advance(10_000)
  t.same(node.resident(), [])
  t.same(told.slice(3), ['n loading at 1500', 'm gone at 1600', 'n gone at 1600'])
  ask('m')
  await clock.advance(10_000)
  t.match(told.at(-1), 'm ended')
})
