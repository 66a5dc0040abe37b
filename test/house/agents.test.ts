/** Houses and agents as processes, as people run them: killed, ended and started again while they work for somebody. */
import t from 'tap'
import { until } from '../agent/places.ts'
import {
  agentProcess,
  ask,
  houseProcess,
  oddlyEnded,
  settledFacts,
  simNode,
  stands,
} from '../agent/processes.ts'

t.setTimeout(240_000)

t.test(
  'an agent killed in mid-answer: the client is told, others go elsewhere, another run is back',
  async t => {
    const house = await houseProcess(t)
    const slow = await simNode(t, { decodeTps: 10, words: 600 })
    const first = agentProcess(t, house, 'n1', slow.url)
    await stands(house, 'n1', 'up')

    const begun = Promise.withResolvers<void>()
    const told = ask(house, { began: () => begun.resolve() })
    await begun.promise
    await first.end('SIGKILL')
    const { whole, status, ms } = await told
    t.equal(whole, false, 'it is not told to be all of the answer')
    t.equal(status, 200)
    t.ok(ms < 10_000, `told after ${ms} ms`)
    await stands(house, 'n1', 'down')

    const other = await simNode(t)
    agentProcess(t, house, 'n2', other.url)
    await stands(house, 'n2', 'up')
    t.match(await ask(house), { whole: true, node: 'n2' })

    agentProcess(t, house, 'n1', slow.url)
    await stands(house, 'n1', 'up')
    const facts = await settledFacts(house)
    t.same(oddlyEnded(facts), [])
    t.equal(
      facts.filter(({ id, type }) => id === 'n1' && type === 'node.registered').length,
      1,
      'it is the same node',
    )
  },
)

t.test('an agent that is told to end finishes what it carries, and takes nothing new', async t => {
  const house = await houseProcess(t)
  const sim = await simNode(t, { decodeTps: 20, words: 40 })
  const agent = agentProcess(t, house, 'n1', sim.url)
  await stands(house, 'n1', 'up')
  const begun = Promise.withResolvers<void>()
  const told = ask(house, { began: () => begun.resolve() })
  await begun.promise
  const code = agent.end('SIGTERM')
  t.match(await told, { whole: true, status: 200 })
  t.equal(await code, 0)
  await stands(house, 'n1', 'down')
})

t.test('a house killed while agents carry answers: they find the next one, and no fact is lost', async t => {
  const house = await houseProcess(t)
  const sim = await simNode(t, { decodeTps: 20, words: 600, slots: 4 })
  const agent = agentProcess(t, house, 'n1', sim.url, '--slots', '4')
  await stands(house, 'n1', 'up')
  let begun = 0
  const asked = Array.from({ length: 4 }, () => {
    let first = true
    return ask(house, {
      began() {
        if (first) begun += 1
        first = false
      },
    })
  })
  await until(() => begun === 4 || undefined, 'four answers have begun')
  await house.process.end('SIGKILL')
  for (const { whole } of await Promise.all(asked)) t.equal(whole, false)
  await until(() => sim.counters.inFlight === 0 || undefined, 'the agent lets Ollama stop working for nobody')
  await house.again()
  await stands(house, 'n1', 'up')
  await agent.saw(/not attached.*attached/s)
  const facts = await settledFacts(house)
  t.same(oddlyEnded(facts), [])
  t.equal(facts.filter(({ type }) => type === 'request.failed').length, 4)
})

t.test('two agents of one node: the later one has it', async t => {
  const house = await houseProcess(t)
  const [a, b] = [await simNode(t), await simNode(t, { models: 'other:latest' })]
  const first = agentProcess(t, house, 'n1', a.url)
  await stands(house, 'n1', 'up')
  agentProcess(t, house, 'n1', b.url)
  await first.saw(/not attached/)
  await until(
    async () => (await ask(house, { model: 'other', withinMs: 2_000 })).whole || undefined,
    'the models of the later one are those of the node',
  )
  t.equal((await ask(house, { model: 'other' })).whole, true)
})
