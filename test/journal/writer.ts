/**
 * A process that does nothing but journal, until it is killed: `node writer.ts <dir> <writers> [count]`. Says the
 * number of every fact it has been told is durable, and `unwritable: …` when it is told otherwise.
 */
import { writeSync } from 'node:fs'
import { systemClock as clock } from '../../src/clock.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { fact } from './facts.ts'

const [dir = '', writers = '1', count = 'Infinity'] = process.argv.slice(2)
const journal = await openLevelJournal({ dir, clock, create: true })
writeSync(1, `open ${journal.head.seq}\n`)
// The journal's timers let a process end; this one has something to wait for.
const alive = setInterval(() => {}, 1_000)
await Promise.all(
  Array.from({ length: Number(writers) }, async (_, writer) => {
    for (let turn = 0; turn < Number(count); turn += 1) {
      const entries = journal.stage('node', `n${writer}`, [
        fact({ turn, filler: 'x'.repeat(200) }),
        fact({ turn }),
      ])
      while (journal.durable < entries.at(-1)!.seq) {
        try {
          await journal.flushed()
        } catch (error) {
          writeSync(1, `unwritable: ${(error as Error).message}\n`)
          await new Promise<void>(resolve => {
            const stop = journal.watch(() => {
              stop()
              resolve()
            })
          })
        }
      }
      writeSync(1, `${entries.at(-1)!.seq}\n`)
    }
  }),
)
clearInterval(alive)
await journal.close()
writeSync(1, 'closed\n')
