/**
 * A house killed with SIGKILL in the middle of pulls, again and again: it goes on with what it had begun, each try that was
 * begun ends once, and at the end there is a copy on every node.
 */
import { once } from 'node:events'
import t from 'tap'
import { mulberry32, systemClock } from '../../src/clock.ts'
import type { Entry } from '../../src/journal/journal.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { startSims } from '../../src/sim/sim.ts'
import { freePort, start } from './child.ts'

const NODES = ['sim-1', 'sim-2', 'sim-3']
const ROUNDS = Number(process.env.QUIPU_KILL_ROUNDS ?? 4)

t.test(
  'a pull to three nodes survives a house that is killed in the middle',
  { timeout: 240_000 },
  async t => {
    const seed = Date.now() % 1_000_000
    t.comment(`seed ${seed}`)
    const random = mulberry32(seed)
    const dir = t.testdir()
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const sims = await startSims({ nodes: 3, pullBytesPerSec: 1e9 })
    t.teardown(() => Promise.all(sims.map(sim => sim.close())))
    const flags = [
      ...['--data', `${dir}/data`, '--port', String(port), '--probe-every', '200ms'],
      ...sims.flatMap(({ name, url }) => ['--node', `${url},name=${name}`]),
    ]

    let house = await start(url, flags)
    const body = JSON.stringify({ model: 'fresh', nodes: NODES })
    const answer = await fetch(`${url}/quipu/models/pull`, { method: 'POST', body })
    t.equal(answer.status, 202)
    const open = async (): Promise<readonly string[]> => {
      const rows = (await (await fetch(`${url}/quipu/transfers`)).json()) as { state: string }[]
      return rows.map(({ state }) => state).filter(state => /running|waiting|resting/.test(state))
    }
    let interrupted = 0
    for (let round = 0; round < ROUNDS; round += 1) {
      await new Promise(resolve => setTimeout(resolve, 150 + random() * 500))
      interrupted += Number((await open()).includes('running'))
      house.kill('SIGKILL')
      await once(house, 'exit')
      house = await start(url, flags)
    }
    while ((await open()).length > 0) await new Promise(resolve => setTimeout(resolve, 50))
    t.ok(interrupted > 0, `${interrupted} of ${ROUNDS} in the middle of a pull`)
    house.kill('SIGTERM')
    t.equal((await once(house, 'exit'))[0], 0)

    const journal = await openLevelJournal({ dir: `${dir}/data`, clock: systemClock })
    const entries: Entry[] = []
    for await (const page of journal.read()) entries.push(...page)
    await journal.close()
    for (const [i, node] of NODES.entries()) {
      const story = entries
        .filter(({ id, type }) => id === `fresh:latest@${node}` && /^transfer\.|^replica\.found/.test(type))
        .map(({ type }) => type)
      t.same(story, ['transfer.ordered', 'transfer.begun', 'replica.found', 'transfer.completed'], node)
      t.ok(sims[i]!.models().includes('fresh:latest'))
    }
    const turns = entries.filter(({ type }) => /^transfer\.(begun|completed)/.test(type))
    t.same(
      turns.map(({ type, id }) => `${type.split('.')[1]} ${id.split('@')[1]}`),
      NODES.flatMap(node => [`begun ${node}`, `completed ${node}`]),
      'one at a time, in order',
    )
  },
)
