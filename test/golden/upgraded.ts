/**
 * What a release does with the journal in a folder: replays it, says what it read, and writes down a fact or two.
 * `node upgraded.ts DIR [settings | nodes | blessings]`
 */
import { systemClock as clock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { Failure } from '../../src/failure.ts'
import type { Entry } from '../../src/journal/journal.ts'
import { openLevelJournal } from '../../src/journal/level.ts'

const [dir = '', writes] = process.argv.slice(2)

try {
  const journal = await openLevelJournal({ dir, clock })
  const seen: unknown[] = []
  const see = ({ seq, v, data }: Entry): void => void seen.push({ seq, v, data })
  const engine = new Engine(journal, clock, [{ rows: { 'node.registered': see, 'model.found': see } }])
  const head = await engine.replay()
  if (writes === 'settings')
    engine.commit('setting', 'queue-max', { type: 'setting.set', data: { value: `${head.seq}`, start: '' } })
  if (writes === 'blessings')
    engine.commit('setting', 'queue-max', { type: 'setting.bless', data: {} } as never)
  if (writes === 'nodes') {
    const spec = { url: 'http://new', slots: 1, residentMax: 1, weight: 1, labels: {}, origin: 'api' }
    engine.commit('node', 'new', { type: 'node.register', data: spec } as never)
  }
  await engine.settled()
  await journal.close()
  console.log(JSON.stringify({ head, seen }))
} catch (error) {
  if (!(error instanceof Failure)) throw error
  console.log(JSON.stringify({ code: error.code, message: error.message }))
}
