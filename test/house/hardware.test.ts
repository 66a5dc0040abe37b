/** What an agent tells of its machine, from the agent to the doors, the schedule and the journal. */
import t from 'tap'
import type { Machine } from '../../src/agent/hardware/machine.ts'
import { agentOf, houseForAgents, simOf } from '../agent/beside.ts'
import { until } from '../agent/places.ts'

const GB = 1e9

function machineOf(memoryBytes: number): Machine {
  const card = { id: 'GPU-1', vendor: 'nvidia', model: 'a card', memoryBytes, unified: false, driver: '1' }
  return {
    equipment: async () => ({
      os: { platform: 'linux', name: 'Debian GNU/Linux 12', kernel: '6.1', arch: 'x64' },
      memoryBytes: 64 * GB,
      gpus: [card],
      gpusKnown: true,
      container: false,
    }),
    load: async () => ({ cores: [0.5], cpu: 0.5, gpus: [{ id: 'GPU-1', temperatureC: 40 }] }),
    close() {},
  }
}

t.test('a machine is known from its agent; how it is, while that is heard', async t => {
  const w = await houseForAgents(t, { 'watch-every': '1s' })
  const machine = machineOf(24 * GB)
  const sim = await simOf(t)
  const environment = { OLLAMA_NUM_PARALLEL: '4', OLLAMA_MAX_LOADED_MODELS: '2' }
  const beside = { ollama: sim.url, house: w.house.agents!, machine, environment }
  const agent = await agentOf(t, beside)
  const { data } = await w.fact('node.equipped')
  t.match(data, {
    gpus: [{ vendor: 'nvidia', model: 'a card', memoryBytes: 24 * GB }],
    memoryBytes: 64 * GB,
  })
  t.notMatch(JSON.stringify(data), /GPU-1/, 'no card is known by its number for ever')
  await w.fact('node.registered', ({ data: { slots, residentMax } }) => slots === 4 && residentMax === 2)

  const status = async () => (await fetch(`${w.url}/quipu/nodes/n1/status`)).json() as Promise<Status>
  const up = await until(async () => {
    const told = await status()
    return told.agent === 'up' && told.status?.load !== undefined ? told : undefined
  }, 'its agent is heard')
  t.match(up.status, { load: { cpu: 0.5, gpus: [{ temperatureC: 40 }] }, limits: { numParallel: 4 } })
  t.match(up.equipment, data)
  const metrics = await (await fetch(`${w.url}/metrics`)).text()
  t.match(metrics, /quipu_node_gpu_memory_bytes\{node="n1",gpu="0"\} 24000000000/)
  t.match(metrics, /quipu_node_agent_up\{node="n1"\} 1/)

  await agent.close(0)
  const silent = await until(async () => {
    const told = await status()
    return told.agent === 'silent' ? told : undefined
  }, 'its agent is heard no more')
  t.match(silent.equipment, data, 'what it is, it still is')
  t.match(silent.sentence, /last heard/)
  const before = (await w.facts('node.registered')).length
  await w.fact('node.lost')
  await agentOf(t, beside)
  await w.fact('node.returned')
  t.equal((await w.facts('node.registered')).length, before, 'it came back as what it was')
})

for (const [card, evicted, said] of [
  [3 * GB, 'one:3b', 'one of two models has to go where the card has room for one'],
  [24 * GB, undefined, 'both stay where the card has room for both'],
] as const) {
  t.test(said, async t => {
    const w = await houseForAgents(t, { 'watch-every': '1s' })
    const sim = await simOf(t, { models: 'one:3b,two:3b', resident: 3 })
    const machine = machineOf(card)
    await agentOf(t, { ollama: sim.url, house: w.house.agents!, machine, residentMax: 3 })
    await w.fact('node.equipped')
    for (const model of ['one', 'two']) await w.fact('replica.found', ({ id }) => id === `${model}:3b@n1`)
    for (const model of ['one', 'two']) t.equal((await w.generate({ model: `${model}:3b` })).status, 200)
    const { data } = await w.fact('replica.loading', ({ id }) => id === 'two:3b@n1')
    t.equal(data.evicts, evicted)
  })
}

interface Status {
  readonly agent: string
  readonly sentence: string
  readonly equipment?: object
  readonly status?: { readonly load?: object; readonly limits?: object }
}
