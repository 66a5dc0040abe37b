/** A process that forgets a client until it is done, or killed: `node forgetter.ts DIR`. Says what it begins and ends. */
import { writeSync } from 'node:fs'
import { NAME, open } from './stage.ts'

const house = await open(process.argv[2] ?? '')
// The journal's timers let a process end; this one has something to wait for.
setInterval(() => {}, 1_000)
writeSync(1, 'open\n')
house.engine.start(house.archivist.reactor, house.forgetting.reactor)
await house.done()
for (let done = false; !done; ) {
  done = await house.forgetting.forget([NAME], 'op').then(
    () => true,
    error => {
      // What was cut off before is being brought to its end.
      if (error.code !== 'house.busy') throw error
      return new Promise(resolve => setImmediate(resolve, false))
    },
  )
}
writeSync(1, 'done\n')
