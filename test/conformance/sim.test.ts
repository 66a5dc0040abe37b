/** A simulated node keeps every promise that the real server keeps. */
import t from 'tap'
import { startSim } from '../../src/sim/sim.ts'
import { checks, conform, type Result } from './conform.ts'
import { dyingAt } from './simulated.ts'

/** What cannot be seen here, and why. */
const SKIPPED: Readonly<Record<number, string>> = {
  75: 'no ollama binary was given (--cli)',
}

t.test('a simulated node is Ollama, as far as a client can tell', async t => {
  const maxQueue = 16
  // Loads long enough to be looked at (400 ms), tokens fast enough for a test.
  const sim = await startSim({ models: 'tiny:latest,embed:latest', maxQueue, speed: 10, loadMs: 4000 })
  t.teardown(() => sim.close())

  const results = await conform({
    url: sim.url,
    model: 'tiny',
    embed: 'embed',
    maxQueue,
    dying: dyingAt([sim.url]),
  })
  t.equal(results.length, Object.keys(checks).length)
  for (const result of results) {
    const reason = SKIPPED[result.number]
    const expected: Partial<Result> =
      reason === undefined ? { outcome: 'ok' } : { outcome: 'skipped', reason }
    t.match(result, expected, `${result.number} ${result.promise}`)
  }
  t.same(sim.models(), ['tiny:latest', 'embed:latest'], 'and has the models it had before')
})
