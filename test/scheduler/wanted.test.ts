/** What people want of nodes and of models, as the scheduler heeds it. */
import t from 'tap'
import { yard } from './yard.ts'

type Yard = ReturnType<typeof yard>

const zone = process.env.TZ
process.env.TZ = 'UTC' // where the yard's clock begins at midnight
t.teardown(() => {
  if (zone === undefined) delete process.env.TZ
  else process.env.TZ = zone
})

/** Says something more of a node, as registering it again does. */
async function say(y: Yard, name: string, more: { hours?: string; weight?: number }): Promise<void> {
  const { url, slots, residentMax, labels, origin } = y.fleet.state.get(name)!
  const data = { url, slots, residentMax, labels, origin, ...more }
  await y.engine.dispatch('node', name, { type: 'node.register', data })
  y.engine.commit('node', name, { type: 'node.answer', data: { version: '1' } })
  await y.clock.advance(0)
}

async function warm(names: readonly string[], slots = 1): Promise<Yard> {
  const y = yard()
  y.start()
  for (const name of names) await y.node(name, ['m'], { resident: ['m'], slots })
  return y
}

t.test('a node gets work outside its hours only where nobody else could do it', async t => {
  const y = await warm(['a', 'b'])
  await say(y, 'a', { hours: '08:00-20:00' })
  await y.ask('night', 'm')
  t.equal(y.at('night'), 'b')
  await y.ask('behind', 'm')
  t.equal(y.at('behind'), 'queued')
  await y.done('night')
  t.equal(y.at('behind'), 'b')
  await y.done('behind')
  y.engine.commit('node', 'b', { type: 'node.drain', data: {} })
  await y.ask('alone', 'm')
  t.equal(y.at('alone'), 'a')
  await y.done('alone')
  y.engine.commit('node', 'b', { type: 'node.resume', data: {} })
  await y.clock.advance(8 * 3_600_000)
  await y.ask('morning', 'm')
  t.equal(y.at('morning'), 'a')
})

t.test('a node of twice the weight gets twice the work', async t => {
  const y = await warm(['a', 'b'], 6)
  await say(y, 'b', { weight: 2 })
  const ids = ['1', '2', '3', '4', '5', '6']
  for (const id of ids) await y.ask(id, 'm')
  t.equal(ids.filter(id => y.at(id) === 'b').length, 4)
})

t.test('a policy says where a model runs: only there, not there, there first', async t => {
  for (const [policy, ...places] of [
    [{ nodes: ['c'] }, 'c', 'queued', 'queued'],
    [{ avoid: ['a'] }, 'b', 'c', 'queued'],
    [{ prefer: ['b'] }, 'b', 'a', 'c'],
    [{ labels: { gpu: '4090' } }, 'queued', 'queued', 'queued'],
  ] as const) {
    const y = await warm(['a', 'b', 'c'])
    y.engine.commit('policy', 'm', { type: 'policy.set', data: policy })
    for (const id of ['1', '2', '3']) await y.ask(id, 'm')
    t.same(['1', '2', '3'].map(y.at), places, JSON.stringify(policy))
  }
})

t.test('who waits for a policy goes on when it is taken back', async t => {
  const y = await warm(['a'])
  y.engine.commit('policy', 'm', { type: 'policy.set', data: { nodes: ['elsewhere'] } })
  await y.ask('1', 'm')
  t.equal(y.at('1'), 'queued')
  y.engine.commit('policy', 'm', { type: 'policy.clear', data: {} })
  await y.clock.advance(0)
  t.equal(y.at('1'), 'a')
})
