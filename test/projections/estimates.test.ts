import t from 'tap'
import { decodeTps, estimates } from '../../src/projections/estimates.ts'
import { fold } from './fold.ts'

t.test('an answer whose first bytes were held back was no faster for that', async t => {
  const admitted = { model: 'm', client: 'c', bodyBytes: 1 }
  const state = fold(
    estimates(),
    [0, 'request.admitted', 'r', admitted],
    [0, 'request.assigned', 'r', { node: 'a', attempt: 1 }],
    [1_000, 'request.begun', 'r', { node: 'a', status: 200, ttftMs: 1_000, heldMs: 500 }],
    [2_000, 'request.completed', 'r', { status: 200, outputTokens: 60, runMs: 2_000 }],
  )
  t.equal(decodeTps(state, 'm@a'), 40)
})
