/** Killed while it forgets, again and again, with archive files and without their facts: nothing is left of the name. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import t from 'tap'
import { chance } from '../journal/facts.ts'
import { archiveSome, checkFiles, factsOf, holding, lived, NAME, open, TRACE, uncovered } from './stage.ts'

const ROUNDS = Number(process.env.QUIPU_KILL_ROUNDS ?? 4)
const KILLS = 3
const timeout = 60_000 + ROUNDS * 20_000

t.setTimeout(timeout)

t.test(`${ROUNDS} forgettings, each killed up to ${KILLS} times`, { timeout }, async t => {
  const { seed, random } = chance()
  t.comment(`SEED=${seed}`)
  const cuts = { before: 0, within: 0, after: 0 }
  for (let round = 0; round < ROUNDS; round += 1) {
    const dir = join(t.testdir({ [`${round}`]: {} }), `${round}`)
    await lived(dir)
    await archiveSome(t, dir, random() < 0.5)
    const before = await factsOf(dir)
    for (let kill = 0; kill < KILLS; kill += 1) {
      const child = spawn(process.execPath, ['test/forgetting/forgetter.ts', dir], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let said = ''
      child.stdout.on('data', chunk => {
        said += chunk
      })
      while (!said.includes('open') && child.exitCode === null)
        await new Promise(resolve => setTimeout(resolve, 1))
      await new Promise(resolve => setTimeout(resolve, random() * 250))
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      t.equal(child.signalCode, 'SIGKILL', 'it had not ended by itself')
      const facts = (await factsOf(dir)).slice(before.length)
      const orders = facts.filter(({ type }) => type === 'forgetting.ordered').length
      const ends = facts.filter(({ type }) => type === 'forgetting.done').length
      cuts[orders === 0 ? 'before' : orders > ends ? 'within' : 'after'] += 1
    }
    const house = await open(dir)
    house.engine.start(house.archivist.reactor, house.forgetting.reactor)
    await house.done()
    await house.close()
    const last = await open(dir)
    await last.forgetting.forget([NAME], 'op')
    await last.close()
    t.same(house.warned, [])
    t.same(holding(dir, TRACE), [])
    const after = await factsOf(dir)
    t.same(
      after.slice(0, before.length).map(({ hash }) => hash),
      before.map(({ hash }) => hash),
    )
    t.equal(after.filter(({ type }) => type === 'forgetting.ordered').length, 1)
    t.equal(after.filter(({ type }) => type === 'forgetting.done').length, 1)
    t.same(uncovered(after), [])
    await checkFiles(t, dir)
  }
  t.comment(`cut off ${JSON.stringify(cuts)}`)
})
