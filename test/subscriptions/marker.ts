/** A process that does nothing but move a mark, until it is killed: `node marker.ts <dir>`. Says each that is kept. */
import { writeSync } from 'node:fs'
import { type Clock, systemClock } from '../../src/clock.ts'
import { marksIn } from '../../src/subscriptions/marks.ts'

const [dir = ''] = process.argv.slice(2)
/** Five times a second is too rarely to be killed in the middle of it. */
const clock: Clock = { ...systemClock, after: (_ms, run) => systemClock.after(0, run) }
const marks = marksIn({ dir, clock, journal: { id: 'j' }, warn: message => writeSync(2, `${message}\n`) })
await marks.open()
// A timer of the clock lets a process end; this one has something to wait for.
setInterval(() => {}, 1_000)
const which = { name: 'a', seq: 1 }
let mark = marks.of(which) ?? 0
writeSync(1, `began ${mark}\n`)
for (;;) {
  mark += 1
  await marks.move(which, mark)
  writeSync(1, `${mark}\n`)
}
