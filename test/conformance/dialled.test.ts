/** Through a house and an agent that it dials: the same checks as through one that attaches (agent.test.ts). */
import t from 'tap'
import { agentOf, houseForAgents, simOf } from '../agent/beside.ts'
import { conform } from './conform.ts'
import { dyingAt } from './simulated.ts'

const QUEUE_MAX = 8
const SLOTS = QUEUE_MAX + 4

t.test('a node whose agent is dialled is Ollama, as far as a client can tell', async t => {
  const sim = await simOf(t, {
    slots: SLOTS,
    maxQueue: QUEUE_MAX,
    loadMs: 300,
    decodeTps: 600,
    words: 32,
    prefillTps: 2_000,
    pullBytesPerSec: 2e10,
  })
  const w = await houseForAgents(t, { agents: 'off', 'queue-max': String(QUEUE_MAX) })
  const { address } = await agentOf(t, { ollama: sim.url, listen: '127.0.0.1:0' })
  const node = { url: `grpc://${address}`, name: 'n1', slots: SLOTS, residentMax: 1 }
  const added = await w.post('/quipu/nodes', node, { 'content-type': 'application/json' })
  t.equal(added.status, 201, await added.text())
  await w.fact('node.joined')
  const ask = { model: 'tiny', embed: 'embed', maxQueue: QUEUE_MAX, dying: dyingAt([sim.url]) }
  for (const { number, promise, outcome, reason = '', expected, got } of await conform({
    url: w.url,
    ...ask,
  })) {
    t.not(outcome, 'failed', `${number} ${promise}: ${reason}`, { expected, got })
  }
})
