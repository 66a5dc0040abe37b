/**
 * A process that journals, seals and trims until it is killed: `node keeper.ts DIR SEED`. Says `durable N` for facts it
 * was told are on the disk, and what it begins and ends.
 */
import { writeSync } from 'node:fs'
import { mulberry32 } from '../../src/clock.ts'
import { stage } from './stage.ts'

const [dir = '', seed = '1'] = process.argv.slice(2)
const random = mulberry32(Number(seed))
const s = await stage({ dir })
writeSync(1, `open ${s.journal.durable} from ${s.journal.base.seq}\n`)
// The journal's timers let a process end; this one has something to wait for.
setInterval(() => {}, 1_000)
void (async () => {
  for (;;) {
    await s.grow(1 + Math.floor(random() * 300))
    writeSync(1, `durable ${s.journal.durable}\n`)
    await new Promise(resolve => setTimeout(resolve, random() * 20))
  }
})()
for (;;) {
  const seq = s.journal.durable - Math.floor(random() * 200)
  if (seq > 1) {
    s.archivist.seal({ seq }, 'keeper')
    await s.archivist.idle()
    writeSync(1, `sealed ${s.archive.state.files.at(-1)?.last ?? 0}\n`)
  }
  if (random() < 0.6 && s.archive.state.files.length > 0) {
    writeSync(1, 'trimming\n')
    s.archivist.trim({ seq: s.journal.durable }, 'keeper')
    await s.archivist.idle()
    if (s.archivist.work?.state === 'failed') throw new Error(s.archivist.work.error)
    writeSync(1, `trimmed ${s.journal.base.seq}\n`)
  }
  await new Promise(resolve => setTimeout(resolve, random() * 20))
}
