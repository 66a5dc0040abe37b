/** Pulls that agents carry out: they go on when the house is gone, and it finds them again. */
import t from 'tap'
import { agentOf, together } from '../agent/beside.ts'
import { until } from '../agent/places.ts'
import { factsOf, houseProcess, simNode, stands } from '../agent/processes.ts'

const FRESH = 'fresh:latest@n1'

t.test('an agent pulls, and how far it is can be seen; whoever calls it off stops it there', async t => {
  const { w, sim } = await together(t, { sim: { pullBytesPerSec: 2e8 } })
  await w.post('/quipu/models/pull', { model: 'fresh' })
  await w.fact('transfer.begun')
  const look = async () => (await fetch(`${w.url}/quipu/transfers`)).json() as Promise<Told[]>
  let seen = await look()
  while ((seen[0]?.progress?.bytes ?? 0) === 0) seen = await look()
  t.match(seen, [{ state: 'running', progress: { step: /^pulling [0-9a-f]{12}$/, totalBytes: Number } }])
  const url = `${w.url}/quipu/transfers/${encodeURIComponent(FRESH)}`
  t.match(await (await fetch(url, { method: 'DELETE' })).json(), { state: 'cancelled' })
  await new Promise(resolve => setTimeout(resolve, 300))
  t.notOk(sim.models().includes('fresh:latest'))

  await w.post('/quipu/models/pull', { model: 'embed-of-mine' })
  await w.fact('transfer.completed')
  t.ok(sim.models().includes('embed-of-mine:latest'))
})

interface Told {
  readonly state: string
  readonly progress?: { readonly bytes: number; readonly step: string }
}

t.test('a model that no registry has: the agent tells the words of its Ollama', async t => {
  const { w } = await together(t)
  await w.post('/quipu/models/pull', { model: 'absent' })
  const { data } = await w.fact('transfer.abandoned')
  t.match(data, { reason: 'unknown', attempt: 1 })
  const rows = await (await fetch(`${w.url}/quipu/transfers`)).json()
  t.match(rows, [{ reason: 'pull model manifest: file does not exist' }])
})

t.test('a house killed in the middle finds the pull done when it is back', { timeout: 240_000 }, async t => {
  const house = await houseProcess(t, { flags: ['--probe-every', '200ms'] })
  const { url } = house
  const sim = await simNode(t, { pullBytesPerSec: 5e8 })
  await agentOf(t, { ollama: sim.url, house: house.agents })
  await stands(house, 'n1', 'up')
  const has = async (type: string) => (await factsOf(house)).some(fact => fact.type === type) || undefined
  const arrived = async () => sim.models().includes('fresh:latest') || undefined

  const body = JSON.stringify({ model: 'fresh', nodes: ['n1'] })
  await fetch(`${url}/quipu/models/pull`, { method: 'POST', body })
  await until(() => has('transfer.begun'), 'it has begun')
  await house.process.end('SIGKILL')
  t.notOk(await arrived(), 'in the middle')
  await until(arrived, 'the model is there', 20_000)

  await house.again()
  await until(() => has('transfer.completed'), 'it is over', 60_000)
  const story = (await factsOf(house)).filter(({ id }) => id === FRESH)
  t.same(
    story.map(({ type }) => type),
    ['transfer.ordered', 'transfer.begun', 'replica.found', 'transfer.completed'],
  )
})
