/**
 * Files that are not what was written: flipped bits, cut ends, lost files. All of it is refused, or harmless: every
 * fact is there and verifies. FLIPS=1000 and CUTS=1 make it longer.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock as clock } from '../../src/clock.ts'
import { badTables, crc32c } from '../../src/journal/blocks.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { all, chance, failure, texts, write } from './facts.ts'

const TRIALS = Number(process.env['FLIPS'] ?? 160)
/** Bytes from one cut to the next. */
const STEP = Number(process.env['CUTS'] ?? 64)
/** A tenth of a second each would be slow. */
const LIMIT_MS = 60_000 + 100 * (TRIALS + 2 * (4_096 / STEP))
const FLIPPER = join(import.meta.dirname, 'flipper.ts')

interface Written {
  readonly dir: string
  /** The text of every fact. */
  readonly records: readonly string[]
  /** SHA-256 of what reads give. */
  readonly truth: string
}

/** A closed journal of 600 facts: 400 in a table, 200 in LevelDB's log, ten a batch. */
async function written(t: Test): Promise<Written> {
  const dir = join(t.testdir(), 'house')
  let journal = await openLevelJournal({ dir, clock, create: true })
  write(journal, 400)
  await journal.close()
  journal = await openLevelJournal({ dir, clock })
  for (let batch = 0; batch < 20; batch += 1) {
    write(journal, 10)
    await journal.flushed()
  }
  const records = await texts(journal)
  const truth = createHash('sha256')
    .update(JSON.stringify(await all(journal)))
    .digest('hex')
  await journal.close()
  return { dir, records, truth }
}

async function fileIn(dir: string, kind: RegExp): Promise<string> {
  return join(dir, 'journal', (await readdir(join(dir, 'journal'))).find(name => kind.test(name))!)
}

/** What a process that opens and reads says; `SIGABRT` where LevelDB ended it. */
async function flips(args: readonly unknown[]): Promise<{ lines: string[]; signal: string | null }> {
  const child = spawn(process.execPath, [FLIPPER, ...args.map(String)])
  let out = ''
  let err = ''
  child.stdout.on('data', chunk => {
    out += chunk
  })
  child.stderr.on('data', chunk => {
    err += chunk
  })
  const [code, signal] = await once(child, 'close')
  if (code !== 0 && signal !== 'SIGABRT' && signal !== 'SIGSEGV') throw new Error(err)
  return { lines: out.split('\n').filter(Boolean), signal }
}

t.test('a flipped bit, anywhere in any file, is found or harms nothing', { timeout: LIMIT_MS }, async t => {
  const { dir, truth } = await written(t)
  const kinds = new Set((await readdir(join(dir, 'journal'))).map(name => name.replace(/^.*[.]|-.*/g, '')))
  t.ok(
    ['ldb', 'log', 'MANIFEST', 'CURRENT', 'LOG'].every(kind => kinds.has(kind)),
    [...kinds].join(' '),
  )
  const { seed } = chance()
  t.comment(`SEED=${seed}`)
  const tally: Record<string, number> = {}
  for (let from = 0; from < TRIALS; ) {
    const { lines, signal } = await flips([dir, seed, from, TRIALS, truth])
    for (const line of lines) {
      const [trial, file = '', at, bit, said] = line.trim().split(' ')
      const result = said ?? `${signal}, then ${await namedAfter(dir, seed, trial, truth)}`
      const what = `${file.replace(/\d+/, 'N')}: ${result}`
      tally[what] = (tally[what] ?? 0) + 1
      if (result === 'other') t.fail(`${file}, byte ${at}, bit ${bit}: something else was read`)
      if (said === undefined && !/journal\.broken$/.test(result))
        t.fail(`${file}, byte ${at}, bit ${bit}: ${result}`)
      from = Number(trial) + 1
    }
  }
  t.comment(tally)
  t.equal(
    Object.values(tally).reduce((sum, count) => sum + count, 0),
    TRIALS,
  )
})

/** The house died of it, so it is started again, as whoever runs it would: until something is said. */
async function namedAfter(dir: string, seed: number, trial: unknown, truth: string): Promise<string> {
  for (let start = 2; start <= 3; start += 1) {
    const { lines, signal } = await flips([dir, seed, trial, Number(trial) + 1, truth, 'again'])
    const result = lines[0]!.trim().split(' ')[4]
    if (signal === null) return `at start ${start} ${result}`
  }
  return 'nothing said'
}

t.test('a table that makes LevelDB abort the process is named at the third start', async t => {
  const { dir, truth } = await written(t)
  const path = await fileIn(dir, /ldb$/)
  // Somewhere in the index: a key that becomes shorter than LevelDB asserts keys to be.
  const index = indexOf(await readFile(path))
  const where = `${relative(dir, path)}:${index}:4`
  const { lines, signal } = await flips([dir, where, 0, 200, truth])
  t.equal(signal, 'SIGABRT', `after ${lines.length} bytes`)
  const copy = `${dir}-flipped`
  const start = () => flips([dir, where, 0, 1, truth, 'again'])
  t.equal((await start()).signal, 'SIGABRT')
  for (const _ of [3, 4, 5]) {
    const error = await failure(() => openLevelJournal({ dir: copy, clock }))
    t.match(error, { code: 'journal.broken' })
    t.match(error.message, `.ldb is not what was written, from byte ${index} on. Restore`)
  }
  await cp(path, join(copy, relative(dir, path)))
  t.match((await start()).lines[0], / same$/, 'and once it is what it was, the house starts')
})

/** Where in a table its index is: the third number in its footer. */
function indexOf(table: Buffer): number {
  let at = table.length - 48
  const varint = (): number => {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = table[at++]!
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }
  const [, , index] = [varint(), varint(), varint()]
  return index!
}

t.test('the checksum of every block of a table is checked without LevelDB', async t => {
  t.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
  const { dir } = await written(t)
  const folder = join(dir, 'journal')
  const path = await fileIn(dir, /ldb$/)
  const bytes = await readFile(path)
  let seenBytes = 0
  const seen = (more: number): void => {
    seenBytes += more
  }
  t.same(await badTables(folder, seen), [])
  t.ok(seenBytes > bytes.length * 0.9 && seenBytes < bytes.length, `${seenBytes} of ${bytes.length}`)
  const { seed, below } = chance()
  t.comment(`SEED=${seed}`)
  const damaged = async (changed: Buffer, what: string): Promise<void> => {
    await writeFile(path, changed)
    const found = await badTables(folder)
    if (found.length !== 1) t.fail(`${what}: not found`)
  }
  for (let trial = 0; trial < 300; trial += 1) {
    // Half of them in the last part, where the index and the footer are.
    const at = trial % 2 === 0 ? below(bytes.length) : bytes.length - 1 - below(600)
    const bit = below(8)
    const changed = Buffer.from(bytes)
    changed[at]! ^= 1 << bit
    await damaged(changed, `byte ${at}, bit ${bit}`)
  }
  for (const length of [0, 1, 47, 48, 1_000, bytes.length - 1])
    await damaged(bytes.subarray(0, length), `${length} bytes of it`)
  await writeFile(path, bytes)
  t.same(await badTables(folder), [])
})

t.test(
  'the newest file of LevelDB cut at any byte: facts up to there, and never less than the mark says',
  async t => {
    const { dir, records } = await written(t)
    const log = await fileIn(dir, /\.log$/)
    const { length } = await readFile(log)
    const mark = await readFile(join(dir, 'mark'), 'latin1')
    const { seed, below } = chance()
    t.comment(`SEED=${seed}`)
    const copy = `${dir}-cut`
    const ends = new Set<number>()
    for (let cut = 1 + below(STEP); cut <= 4_096; cut += STEP) {
      await rm(copy, { recursive: true, force: true })
      await cp(dir, copy, { recursive: true })
      await truncate(await fileIn(copy, /\.log$/), length - cut)
      const error = await failure(() => openLevelJournal({ dir: copy, clock }))
      if (error.code !== 'journal.gap') t.fail(`cut by ${cut}: ${error.message}`)

      // A crash leaves an older mark: here, one that tells of the table alone.
      await rm(copy, { recursive: true })
      await cp(dir, copy, { recursive: true })
      await truncate(await fileIn(copy, /\.log$/), length - cut)
      await writeFile(join(copy, 'mark'), `${'400'.padStart(16, '0')} ${records[399]!.slice(0, 43)}\n`)
      const journal = await openLevelJournal({ dir: copy, clock })
      const found = await texts(journal)
      if (found.some((record, index) => record !== records[index])) t.fail(`cut by ${cut}: something else`)
      if (found.length < 400 || found.length >= 600 || found.length % 10 !== 0)
        t.fail(`cut by ${cut}: ${found.length} facts, and ten were written at a time`)
      ends.add(found.length)
      write(journal, 1)
      await journal.flushed()
      await journal.close()
    }
    t.match(mark, /^0{13}600 /)
    t.ok(ends.size > 1, `it ended at ${[...ends].join(', ')}`)
  },
)

interface Loss {
  readonly what: string
  readonly file: RegExp | string
  /** What lies there instead; nothing where it is lost. */
  readonly instead?: string
  readonly code?: string
}

const LOSSES: readonly Loss[] = [
  { what: 'CURRENT is lost', file: /^CURRENT$/, code: 'journal.missing' },
  { what: 'CURRENT is empty', file: /^CURRENT$/, instead: '', code: 'journal.broken' },
  { what: 'CURRENT names no file', file: /^CURRENT$/, instead: 'MANIFEST-000999\n', code: 'journal.broken' },
  { what: 'CURRENT is torn', file: /^CURRENT$/, instead: 'MANI', code: 'journal.broken' },
  { what: 'the manifest is lost', file: /^MANIFEST/, code: 'journal.broken' },
  { what: 'the manifest is empty', file: /^MANIFEST/, instead: '', code: 'journal.broken' },
  { what: 'a table is lost', file: /\.ldb$/, code: 'journal.broken' },
  { what: 'a table is empty', file: /\.ldb$/, instead: '', code: 'journal.gap' },
  { what: 'the log is lost', file: /\.log$/, code: 'journal.gap' },
  { what: 'the log is empty', file: /\.log$/, instead: '', code: 'journal.gap' },
  { what: 'all of LevelDB is lost', file: '', code: 'journal.missing' },
  { what: 'its own lock is lost', file: /^LOCK$/ },
  { what: 'its diary is lost', file: /^LOG$/ },
]

for (const { what, file, instead, code } of LOSSES) {
  t.test(`${what}: ${code ?? 'that harms nothing'}`, async t => {
    const { dir, records } = await written(t)
    const path = typeof file === 'string' ? join(dir, 'journal', file) : await fileIn(dir, file)
    if (instead === undefined) await rm(path, { recursive: true })
    else await writeFile(path, instead)
    const open = async (): Promise<readonly string[]> => {
      const journal = await openLevelJournal({ dir, clock, create: true })
      try {
        return await texts(journal)
      } finally {
        await journal.close()
      }
    }
    if (code === undefined) return t.strictSame(await open(), records)
    for (const _ of ['at the first start', 'and at each one after it'])
      t.equal((await failure(open)).code, code, _)
  })
}
