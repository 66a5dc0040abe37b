/**
 * A house killed with SIGKILL in the middle of pulls that agents carry out for it. The agents go on; the next house asks
 * with the same ids, and hears the rest.
 */
import t from 'tap'
import { agentOf, together } from './beside.ts'
import { until } from './places.ts'
import { factsOf, houseProcess, simNode, stands } from './processes.ts'

interface Transfer {
  readonly node: string
  readonly state: string
  readonly attempt: number
  readonly progress?: { readonly bytes: number; readonly totalBytes?: number }
}

const NODES = ['n1', 'n2', 'n3']
const MODEL = 'llama3:8b'
const STORY = ['transfer.ordered', 'transfer.begun', 'replica.found', 'transfer.completed']

t.test('three pulls are followed to their end by the next house', { timeout: 240_000 }, async t => {
  const house = await houseProcess(t, { flags: ['--pulls', '3'] })
  const sims = await Promise.all(NODES.map(name => simNode(t, { name, pullBytesPerSec: 4e9 })))
  // Slow, until all is seen: nobody knows how long a house takes to start on a busy machine.
  for (const sim of sims) sim.setMode('slow', { factor: 80 })
  for (const { name, url } of sims) await agentOf(t, { name, ollama: url, house: house.agents })
  for (const name of NODES) await stands(house, name, 'up')
  const transfers = async (come: (all: readonly Transfer[]) => boolean) => {
    const all = (await (await fetch(`${house.url}/quipu/transfers?model=${MODEL}`)).json()) as Transfer[]
    return all.length === NODES.length && come(all) ? all : undefined
  }
  const bars = () => transfers(all => all.every(({ progress }) => (progress?.bytes ?? 0) > 0))

  const body = JSON.stringify({ model: MODEL, nodes: NODES })
  await fetch(`${house.url}/quipu/models/pull`, { method: 'POST', body })
  const before = new Map(
    (await until(bars, 'three bars', 20_000)).map(({ node, progress }) => [node, progress]),
  )
  await house.process.end('SIGKILL')
  await house.again()
  const after = await until(bars, 'three bars again', 60_000)
  for (const { attempt, node, progress, state } of after) {
    t.same([state, attempt], ['running', 1], `${node}: the same try`)
    t.ok(progress!.bytes > before.get(node)!.bytes, `${node} has come further, and did not begin anew`)
  }

  for (const sim of sims) sim.setMode('ok')
  await until(() => transfers(all => all.every(({ state }) => state === 'completed')), 'the end', 20_000)
  const facts = await factsOf(house)
  for (const [i, sim] of sims.entries()) {
    t.ok(sim.models().includes(MODEL))
    t.equal(sim.counters.requests['POST /api/pull'], 1, 'Ollama was asked once')
    const story = facts.filter(({ id, type }) => id === `${MODEL}@${NODES[i]}` && STORY.includes(type))
    t.same(
      story.map(({ type }) => type),
      STORY,
      'once each, and the copy is there before the transfer is over',
    )
  }
})

t.test(
  'an agent that is restarted in the middle of a pull goes on with it',
  { timeout: 120_000 },
  async t => {
    const { w, sim, agent } = await together(t, { sim: { pullBytesPerSec: 4e9 } })
    sim.setMode('slow', { factor: 80 })
    await w.post('/quipu/models/pull', { model: MODEL })
    const bytes = async () => {
      const [row] = (await (await fetch(`${w.url}/quipu/transfers`)).json()) as Transfer[]
      return row?.progress?.bytes
    }
    const before = await until(async () => (await bytes()) || undefined, 'a bar', 20_000)
    const start = performance.now()
    await agent.close(7_000)
    const ms = performance.now() - start
    t.ok(ms < 6_000, `it ended after ${Math.round(ms)} ms, though a house watches`)
    await agentOf(t, { ollama: sim.url, house: w.house.agents! })
    const after = await until(
      async () => ((await bytes()) ?? 0) > before || undefined,
      'the bar goes on',
      30_000,
    )
    t.ok(after)
    sim.setMode('ok')
    await w.fact('transfer.completed')
    t.same([(await w.facts('transfer.begun')).length, (await w.facts('transfer.failed')).length], [1, 0])
    t.equal(sim.counters.requests['POST /api/pull'], 2)
  },
)
