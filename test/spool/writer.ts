/**
 * A process that does nothing but fill a spool and erase from it, until it is killed: `node writer.ts <dir> <seed>`.
 * Says `kept ID PART BYTES` and `erased ID` for all that it has been told is so, and `erasing ID` before it asks.
 */
import { writeSync } from 'node:fs'
import { mulberry32, systemClock } from '../../src/clock.ts'
import { openSpool } from '../../src/spool/store.ts'
import { plain } from './plain.ts'

const WRITERS = 12

const [dir = '', seed = '1'] = process.argv.slice(2)
const spool = await openSpool({ dir, clock: systemClock })
const say = (line: string): number => writeSync(1, `${line}\n`)
say('open')
const alive = setInterval(() => {}, 1_000)
await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(mulberry32(Number(seed) + writer))))
clearInterval(alive)

async function write(random: () => number): Promise<never> {
  const below = (limit: number): number => Math.floor(random() * limit)
  for (;;) {
    const id = systemClock.id()
    const size = below(4) === 0 ? below(300_000) : below(3_000)
    await spool.put(id, 'body', { id }, plain(id, 'body', size))
    say(`kept ${id} body ${size}`)
    const parts = below(3)
    for (let attempt = 1; attempt <= parts; attempt += 1) await stream(id, `answer-${attempt}`, below)
    if (below(3) > 0) continue
    say(`erasing ${id}`)
    await spool.erase([id])
    say(`erased ${id}`)
  }
}

async function stream(id: string, part: string, below: (limit: number) => number): Promise<void> {
  const bytes = plain(id, part, below(60_000))
  const writing = await spool.open(id, part, { id, part })
  for (let at = 0; at < bytes.length; ) {
    const length = 1 + below(2_000)
    await writing.write(bytes.subarray(at, at + length))
    at += length
    if (below(4) === 0) await new Promise(resolve => setImmediate(resolve))
  }
  await writing.end()
  say(`kept ${id} ${part} ${bytes.length}`)
}
