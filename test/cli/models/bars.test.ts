import t from 'tap'
import { barLine, barLines, markOf, type TransferRow, wordsOf } from '../../../src/cli/models/bars.ts'
import { transfers } from '../recorded.ts'

const [running, waiting, abandoned] = transfers as unknown as [TransferRow, TransferRow, TransferRow]

t.test('a line a node: how much, how fast, how long still; or what it waits for; or what went wrong', t => {
  const width = 7
  t.equal(
    barLine(running, width),
    'gpu-a    ████████████░░░░░░░░░░░░  51 %  1.1 GB of 2.0 GB  38 MB/s  25.5 s left',
  )
  t.equal(
    barLine(waiting, width),
    'gpu-b    ░░░░░░░░░░░░░░░░░░░░░░░░   0 %  waiting: 1 download at a time, it is next',
  )
  t.match(barLine(abandoned, width), /^gpu-c {4}░+ {3}0 % {2}failed: write .*no space left on device$/)
  const done: TransferRow = { ...waiting, state: 'completed', ms: 62_000 }
  t.equal(barLine(done, width), 'gpu-b    ████████████████████████ 100 %  done in 1 m 2 s')
  t.end()
})

t.test('a step that people can read is told, the digest of a blob is not', t => {
  const progress = { ...running.progress!, step: 'verifying sha256 digest' }
  t.match(wordsOf({ ...running, progress }), /verifying sha256 digest$/)
  t.match(
    wordsOf({ ...running, progress: { ...progress, bytes: 0, step: 'pulling manifest' } }),
    /^pulling manifest$/,
  )
  t.equal(wordsOf({ ...running, state: 'cancelled' }), 'called off')
  const { progress: _none, ...begun } = running
  t.equal(
    wordsOf({ ...begun, waits: 'gpu-a is down; it goes on when that is back' }),
    'gpu-a is down; it goes on when that is back',
  )
  const again: TransferRow = { ...waiting, state: 'resting', waits: 'again in 20 s', reason: 'i/o timeout' }
  t.equal(wordsOf(again), 'waiting: again in 20 s, after: i/o timeout')
  t.end()
})

t.test('nothing that a node says moves the cursor', t => {
  const evil: TransferRow = { ...abandoned, reason: '\u001b[2Jgone\r' }
  t.same(
    [...barLine(evil, 7)].filter(letter => letter < ' '),
    [],
  )
  t.end()
})

t.test('on a pipe, bytes alone are no news', t => {
  const later = { ...running, progress: { ...running.progress!, bytes: 2e9, step: 'pulling 0123456789ab' } }
  t.equal(markOf(running), markOf(later))
  t.not(markOf(running), markOf({ ...running, state: 'resting' }))
  t.not(markOf(running), markOf({ ...running, progress: { ...running.progress!, step: 'writing manifest' } }))
  t.end()
})

t.test('where there are more nodes than lines, what moves is shown, and the rest is counted', t => {
  const done: TransferRow = { ...waiting, state: 'completed', ms: 1 }
  const rows = [done, waiting, running, done, abandoned].map((row, i) => ({ ...row, node: `n${i}` }))
  const lines = barLines(rows, 3)
  t.same(
    lines.map(line => line.slice(0, 2)),
    ['n2', 'n4', 'an'],
  )
  t.equal(lines.at(-1), 'and 3 more: 1 waiting, 2 completed')
  t.equal(barLines(rows, 5).length, 5)
  t.end()
})
