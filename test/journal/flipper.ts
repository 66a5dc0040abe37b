/**
 * A process that opens copies of a journal with one bit flipped: `node flipper.ts <dir> <seed> <from> <to> <truth>`. Says
 * what came of each trial. It is a process of its own because LevelDB's assertions abort on some bits; with `again` at
 * the end, the first trial is what another start on that same copy comes to. In place of a seed, `<file>:<byte>:<bit>`
 * flips that bit, then that of the next byte, and so on.
 */
import { createHash } from 'node:crypto'
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join, relative } from 'node:path'
import { systemClock as clock, mulberry32 } from '../../src/clock.ts'
import { Failure } from '../../src/failure.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { all, write } from './facts.ts'

const [dir = '', seed = '', from, to, truth, again] = process.argv.slice(2)
const [only, first, which] = seed.includes(':') ? seed.split(':') : []
const random = mulberry32(Number(seed))
const below = (limit: number): number => Math.floor(random() * limit)
const files = readdirSync(dir, { recursive: true, withFileTypes: true })
  .filter(entry => entry.isFile())
  .map(entry => relative(dir, join(entry.parentPath, entry.name)))
  .filter(name => readFileSync(join(dir, name)).length > 0)
  .sort()

for (let trial = 0; trial < Number(to); trial += 1) {
  const name = only ?? files[trial % files.length]!
  const bytes = readFileSync(join(dir, name))
  const [at, bit] =
    only === undefined ? [below(bytes.length), below(8)] : [Number(first) + trial, Number(which)]
  if (trial < Number(from)) continue
  writeSync(1, `${trial} ${name} ${at} ${bit} `)
  const copy = `${dir}-flipped`
  if (again !== undefined && trial === Number(from)) {
    writeSync(1, `${await outcome(copy)}\n`)
    continue
  }
  rmSync(copy, { recursive: true, force: true })
  cpSync(dir, copy, { recursive: true })
  bytes[at]! ^= 1 << bit
  writeFileSync(join(copy, name), bytes)
  writeSync(1, `${await outcome(copy)}\n`)
}

/** The code of the Failure, `same` when every entry is what it was, or `other`: the one that must not be. */
async function outcome(copy: string): Promise<string> {
  try {
    const journal = await openLevelJournal({ dir: copy, clock })
    try {
      const hash = createHash('sha256').update(JSON.stringify(await all(journal)))
      write(journal, 1)
      await journal.flushed()
      return hash.digest('hex') === truth ? 'same' : 'other'
    } finally {
      await journal.close()
    }
  } catch (error) {
    if (error instanceof Failure) return error.code
    throw error
  }
}
