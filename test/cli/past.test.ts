/** The past of a folder, read by the verbs themselves. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { views } from '../../src/projections/views.ts'
import { Snapshots } from '../../src/snapshots/snapshots.ts'
import { run } from './terminal.ts'

t.test('a folder tells of its past whether a house runs on it or not, and stays as it is', async t => {
  const dir = t.testdir()
  const journal = await openLevelJournal({ dir, clock: systemClock, create: true })
  const answers = views()
  const engine = new Engine(journal, systemClock, Object.values(answers))
  const warn = (message: string): void => void t.fail(message)
  const snapshots = new Snapshots({ dir, journal, clock: systemClock, everyFacts: 1e9, warn })
  const spec = { url: 'http://a', slots: 2, residentMax: 1, labels: {}, origin: 'api' } as const
  await engine.dispatch('node', 'shed', { type: 'node.register', data: spec, by: 'cli' })
  await engine.dispatch('node', 'shed', { type: 'node.answer', data: { version: '1' } })
  snapshots.start(engine, answers)
  await snapshots.take()
  await engine.dispatch('node', 'shed', { type: 'node.drain', data: {}, by: '10.0.0.9' })

  const at = ['--data', dir]
  const then = await run(t, ['at', '2', 'nodes', ...at])
  t.match(then, { code: 0, err: '' })
  t.match(then.out, /right after fact 2[\s\S]*shed +up /)
  const told = JSON.parse((await run(t, ['at', 'now', '--json', ...at])).out)
  t.match(told, { moment: { seq: 3, from: 2 }, nodes: [{ name: 'shed', standing: 'draining' }] })
  t.match(
    (await run(t, ['diff', '2', ...at])).out,
    /node +shed +standing: up → draining .* 10\.0\.0\.9 +3 node\.drained/,
  )
  t.match(await run(t, ['at', '4', ...at]), { code: 1, err: /the journal ends at 3/ })
  t.match(await run(t, ['at', '4', '--data', join(dir, 'nowhere')]), { code: 1, err: /journal/ })

  t.equal(journal.writable, true)
  const [name = ''] = readdirSync(join(dir, 'snapshots'))
  t.equal(readdirSync(join(dir, 'snapshots')).length, 1, 'no snapshot is taken by looking')
  t.match(readFileSync(join(dir, 'snapshots', name), 'latin1'), /^quipu\.snapshot\.1 /)
  engine.close()
  await journal.close()
})
