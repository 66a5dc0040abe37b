import t from 'tap'
import { breakers } from '../../src/projections/breakers.ts'
import { fold, type Told } from './fold.ts'

const retried = (at: number, id: string, reason = 'broken', status?: number): Told => [
  at,
  'request.retried',
  id,
  { node: 'a', reason, ...(status !== undefined && { status }) },
]
const begun = (at: number, id: string, node = 'a', status = 200): Told => [
  at,
  'request.begun',
  id,
  { node, status, ttftMs: 1 },
]
const failed = (at: number, id: string, reason = 'broken'): Told => [
  at,
  'request.failed',
  id,
  { node: 'a', reason },
]
const tripped = (at: number, by?: string): Told => [
  at,
  'breaker.tripped',
  'a',
  { reason: 'broken', failures: 3, round: 1, waitMs: 900, ...(by && { by }) },
]
const outcomes = (...facts: Told[]): string =>
  fold(breakers(), ...facts)
    .nodes.get('a')!
    .outcomes.map(({ ok }) => (ok ? '+' : '-'))
    .join('')

t.test('outcomes: the last twenty, and none from before the last five minutes', async t => {
  const many = Array.from({ length: 30 }, (_, i) => (i < 12 ? retried(i, `${i}`) : begun(i, `${i}`)))
  t.equal(outcomes(...many), `--${'+'.repeat(18)}`)
  t.equal(outcomes(retried(0, '1'), begun(1, '2'), begun(300_001, '3')), '++')
  t.equal(outcomes(retried(0, '1'), begun(300_000, '2')), '-+', 'five minutes are not more than five minutes')
})

t.test('a stream that began and then broke is one failure', async t => {
  t.equal(outcomes(begun(1, '1'), begun(2, '2'), failed(3, '1')), '+-')
  t.equal(outcomes(retried(1, '1'), begun(2, '1'), failed(3, '1')), '--', 'two attempts, two failures')
  const twenty = Array.from({ length: 20 }, (_, i) => begun(i + 2, `later${i}`))
  t.equal(outcomes(begun(1, '1'), ...twenty, failed(99, '1')), `${'+'.repeat(19)}-`, 'however long it took')
})

t.test('busy counts in a row only, slow in the share only, and on trial both do', async t => {
  const closed = fold(breakers(), retried(1, '1', 'busy', 503), retried(2, '2', 'slow'))
  t.match(closed.nodes.get('a'), { failures: 1, outcomes: [{ id: '2', ok: false }] })
  t.equal(closed.nodes.get('a')!.outcomes.length, 1)
  const trial = fold(breakers(), tripped(1), [2, 'breaker.probed', 'a'], retried(3, '2', 'slow'))
  t.equal(trial.nodes.get('a')!.failures, 1)
})

t.test('a restart of the house and a lapsed lease are no node’s failures; a poisoned job is', async t => {
  t.same(fold(breakers(), retried(1, '1', 'restart'), retried(2, '2', 'lapsed')).nodes.size, 0)
  t.equal(outcomes(failed(1, '1', 'poison'), failed(2, '2', 'restart')), '-')
})

t.test('another’s 500 is an outcome once the request is answered elsewhere', async t => {
  t.equal(outcomes(begun(0, '0'), retried(1, '1', 'error', 500), begun(2, '1', 'b')), '+-')
  t.equal(outcomes(begun(0, '0'), retried(1, '1', 'error', 500), begun(2, '1', 'b', 500)), '+')
})

t.test('who fails is known, until the last failure is forgotten, or the node is out', async t => {
  const failing = (...facts: Told[]): string[] => [...fold(breakers(), ...facts).failing]
  t.same(failing(begun(1, '1')), [])
  t.same(failing(begun(1, '1'), retried(2, '2')), ['a'])
  t.same(failing(retried(2, '2'), begun(3, '3')), ['a'], 'one of the last two failed')
  t.same(failing(retried(2, '2', 'busy', 503), begun(3, '3')), [])
  t.same(failing(retried(2, '2'), begun(400_000, '3')), [])
  t.same(failing(retried(2, '2'), tripped(3)), [])
  t.same(failing(tripped(3), retried(4, '2')), [], 'what comes late from a node that is out')
  t.same(failing(retried(2, '2'), [3, 'node.removed', 'a']), [])
})

t.test('what was before its breaker turned is forgotten, and who came back is known by when', async t => {
  const state = fold(breakers(), retried(1, '1'), tripped(2, 'ratio'), begun(3, 'late'))
  t.match(state.nodes.get('a'), { state: 'open', by: 'ratio', outcomes: [], until: 902 })
  t.same([...state.ejected], ['a'])
  t.same([...fold(breakers(), tripped(2, 'row')).ejected], [])
  const view = breakers()
  fold(view, retried(1, '1'), tripped(2, 'ratio'), [3, 'breaker.probed', 'a'], [4, 'breaker.healed', 'a'])
  t.match(view.state.nodes.get('a'), { state: 'closed', by: '', outcomes: [], backAt: 4 })
  t.same([...view.state.ejected], [])
  fold(view, [9, 'node.returned', 'a', { version: '1', awayMs: 3 }])
  t.equal(view.state.nodes.get('a')!.backAt, 9)
})
