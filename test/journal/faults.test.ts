/** What disks and machines do: kill -9, a full disk, a disk that fails to sync. */
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { open, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock, virtualClock } from '../../src/clock.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { all, chance, fact, failure, texts, until, write } from './facts.ts'
import { mount, NO_DISK } from './mount.ts'

const clock = systemClock
const WRITER = join(import.meta.dirname, 'writer.ts')

/** A process that journals (writer.ts), and what it has said so far. */
function writer(t: Test, dir: string, args: readonly unknown[], wrapper: readonly string[] = []) {
  const command = [...wrapper, process.execPath, WRITER, dir, ...args.map(String)] as [string, ...string[]]
  // One thread, so that strace's count of a call is the count.
  const child = spawn(command[0], command.slice(1), { env: { ...process.env, UV_THREADPOOL_SIZE: '1' } })
  t.teardown(() => child.kill('SIGKILL'))
  const said: string[] = []
  let rest = ''
  child.stdout.on('data', chunk => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()!
    said.push(...lines)
  })
  let err = ''
  child.stderr.on('data', chunk => {
    err += chunk
  })
  return {
    child,
    said,
    ended: once(child, 'close'),
    /** The last fact it was told is on the disk. */
    acknowledged: () => said.reduce((last, line) => Math.max(last, Number(line) || 0), 0),
    err: () => err,
  }
}

/** All that writer.ts wrote: whole decisions of two facts, in an unbroken chain. */
async function whole(t: Test, dir: string): Promise<number> {
  const journal = await openLevelJournal({ dir, clock })
  const entries = await all(journal)
  await journal.close()
  if (entries.some(({ seq }, index) => seq !== index + 1)) t.fail('there is a gap')
  for (let index = 0; index < entries.length; index += 2) {
    const [first, second] = [entries[index]!, entries[index + 1]]
    if (second?.id !== first.id) t.fail(`half a decision at ${first.seq}`)
  }
  return entries.length
}

t.test('kill -9 under load loses nothing that was acknowledged', async t => {
  const dir = join(t.testdir(), 'house')
  const { seed, below } = chance()
  t.comment(`SEED=${seed}`)
  let before = 0
  for (let round = 0; round < Number(process.env['KILLS'] ?? 6); round += 1) {
    const { child, said, ended, acknowledged, err } = writer(t, dir, [16])
    await until(() => said.length > 20 || child.exitCode !== null, 'it writes')
    if (child.exitCode !== null) t.fail(err())
    t.equal(said[0], `open ${before}`)
    await new Promise(resolve => setTimeout(resolve, below(150)))
    child.kill('SIGKILL')
    await ended
    const last = acknowledged()
    const start = performance.now()
    before = await whole(t, dir)
    t.ok(
      last > 0 && before >= last,
      `${before} facts of ${last} acknowledged, in ${Math.round(performance.now() - start)} ms`,
    )
  }
})

/** A journal on a small disk, in virtual time: the room left is looked at when the clock says so. */
async function onSmallDisk(t: Test, reserveBytes: number, mebibytes = 32) {
  const { disk, unmount } = mount(mebibytes)!
  t.teardown(unmount)
  const dir = join(disk, 'house')
  const clock = virtualClock()
  const journal = await openLevelJournal({ dir, clock, create: true, reserveBytes })
  t.teardown(() => journal.close().catch(() => {}))
  write(journal, 10)
  await journal.flushed()
  return { disk, dir, clock, journal }
}

/** Writes a file until the disk is full but for `leaveBytes`. Resolves to how to remove it. */
async function fill(disk: string, leaveBytes = 0): Promise<() => Promise<void>> {
  const path = join(disk, 'ballast')
  const hole = join(disk, 'hole')
  if (leaveBytes > 0) await writeFile(hole, Buffer.alloc(leaveBytes, 1))
  const file = await open(path, 'w')
  for (const bytes of [1_048_576, 65_536, 4_096, 1]) {
    const chunk = Buffer.alloc(bytes, 1)
    try {
      for (;;) if ((await file.write(chunk)).bytesWritten < bytes) break
    } catch {}
  }
  await file.close()
  await rm(hole, { force: true })
  return () => rm(path)
}

/** Stages and waits until the disk says no. Resolves to the last fact it said yes to. */
async function writeUntilFull(t: Test, journal: Journal, filler = () => 'x'.repeat(2_000)): Promise<number> {
  let acknowledged = journal.durable
  const error = await failure(async () => {
    for (let turn = 0; turn < 10_000; turn += 1) {
      const [entry] = journal.stage('node', 'shed', [fact({ turn, filler: filler() })])
      await journal.flushed()
      acknowledged = entry!.seq
    }
  })
  t.equal(error.code, 'journal.unwritable')
  t.equal(journal.writable, false)
  return acknowledged
}

t.test('a full disk', { skip: NO_DISK }, async t => {
  t.test('nothing acknowledged is lost, reads go on, and it writes again when there is room', async t => {
    // The room was looked at just now, so LevelDB meets the end itself.
    const { disk, dir, clock, journal } = await onSmallDisk(t, 8_388_608)
    const drop = await fill(disk)
    const acknowledged = await writeUntilFull(t, journal)
    t.match((await failure(() => journal.flushed())).message, 'No space left on device')
    t.equal((await all(journal)).length, acknowledged)
    t.equal(journal.durable, acknowledged)

    for (let turn = 0; turn < 100; turn += 1) journal.stage('node', 'shed', [fact({ turn })])
    for (let round = 0; round < 3; round += 1) {
      await clock.advance(16_000)
      await new Promise(resolve => setTimeout(resolve, 50))
      t.equal(journal.writable, false)
      t.equal((await all(journal)).length, acknowledged, 'and reads go on, however long it lasts')
    }
    t.match(
      (await failure(() => journal.flushed())).message,
      /0 MiB are left on the disk of .*, and 8 MiB must be/,
    )
    t.equal(journal.head.seq, acknowledged + 101)

    await drop()
    let reads = 0
    const reading = (async () => {
      while (journal.durable < journal.head.seq || reads === 0) {
        const { length } = await all(journal)
        if (length < acknowledged) t.fail(`${length} facts read of ${acknowledged}`)
        reads += 1
      }
    })()
    await clock.advance(16_000)
    await until(() => journal.writable && journal.durable === journal.head.seq, 'it writes again')
    await reading
    t.ok(reads > 0, 'it was read while the handle was replaced')
    write(journal, 1_000)
    await journal.flushed()
    const truth = await texts(journal)
    t.equal(truth.length, acknowledged + 1_101)
    await journal.close()
    const again = await openLevelJournal({ dir, clock })
    t.strictSame(await texts(again), truth)
    await again.close()
  })

  t.test('what must stay free is kept free, so that LevelDB never meets the end', async t => {
    const { disk, clock, journal } = await onSmallDisk(t, 8_388_608)
    const drop = await fill(disk)
    await clock.advance(1_000)
    write(journal, 10)
    const error = await failure(() => journal.flushed())
    t.equal(error.code, 'journal.unwritable')
    t.match(error.message, /0 MiB are left on the disk/)
    t.equal((await all(journal)).length, 10)
    await drop()
    await clock.advance(1_000)
    await until(() => journal.durable === 20, 'it writes again')
    await journal.close()
  })

  t.test('the end met by LevelDB itself, when it turns its log into a table, loses nothing', async t => {
    // No reserve, and room for what is appended but not for a table of 16 MiB.
    const { disk, dir, clock, journal } = await onSmallDisk(t, 0, 64)
    const filler = () => randomBytes(1_500).toString('base64')
    for (let batch = 0; batch < 15; batch += 1) {
      for (let turn = 0; turn < 500; turn += 1)
        journal.stage('node', 'shed', [fact({ turn, filler: filler() })])
      await journal.flushed()
    }
    const before = journal.durable
    const [log = ''] = (await readdir(join(dir, 'journal'))).filter(name => name.endsWith('.log'))
    const drop = await fill(disk, 8 * 1_048_576)
    const acknowledged = await writeUntilFull(t, journal, filler)
    t.ok(acknowledged > before + 100, `${acknowledged - before} facts after the room became tight`)
    const { cause } = await failure(() => journal.flushed())
    t.match(String(cause), 'No space left on device')
    // The table and the next log take the last of the room between them: either may be the one that meets the end.
    t.notMatch(String(cause), log, 'the log that was there is a table, or becomes one')
    t.equal((await all(journal)).length, acknowledged, 'reads go on')
    await drop()
    await clock.advance(16_000)
    await until(() => journal.durable === journal.head.seq, 'it writes again')
    write(journal, 100)
    await journal.close()
    const again = await openLevelJournal({ dir, clock })
    t.equal((await all(again)).length, journal.head.seq)
    t.ok(journal.head.seq > acknowledged)
    await again.close()
  })

  t.test('where nothing was kept free reads go on too, but it cannot be opened, and says so', async t => {
    const { disk, dir, clock, journal } = await onSmallDisk(t, 0)
    const drop = await fill(disk)
    const acknowledged = await writeUntilFull(t, journal)
    await clock.advance(60_000)
    await new Promise(resolve => setTimeout(resolve, 50))
    t.equal(journal.writable, false)
    t.equal((await all(journal)).length, acknowledged)
    t.equal((await failure(() => journal.close())).code, 'journal.unwritable')
    const error = await failure(() => openLevelJournal({ dir, clock }))
    t.match(error, { code: 'journal.unwritable', retryable: true })
    t.match(error.message, /no space left/i)
    await drop()
    const again = await openLevelJournal({ dir, clock })
    const { length } = await all(again)
    t.ok(length === acknowledged || length === acknowledged + 1)
    await again.close()
  })
})

const NO_STRACE =
  spawnSync('strace', ['-f', 'true']).status !== 0 && 'calls cannot be made to fail here: that takes strace'

/** Which call to the disk fails, and how: LevelDB syncs its log with fdatasync, and a new manifest, too. */
const CALLS: readonly { readonly what: string; readonly inject: string; readonly tells: RegExp }[] = [
  ...nths(Number(process.env['QUIPU_SYNCS'] ?? 2)).map(n => ({
    what: `a disk whose sync no. ${n} fails`,
    inject: `fdatasync:error=EIO:when=${n}`,
    tells: /Input\/output error/,
  })),
  {
    what: 'a disk whose syncs no. 9 to 11 fail',
    inject: 'fdatasync:error=EIO:when=9..11',
    tells: /Input\/output error/,
  },
  {
    what: 'a disk that has gone read-only for three syncs',
    inject: 'fdatasync:error=EROFS:when=12..14',
    tells: /Read-only file system/,
  },
]

/** The sync that 0.1 was tried with, and others after the start's own. */
function nths(count: number): readonly number[] {
  return [12, ...Array.from({ length: count - 1 }, (_, i) => 6 + i).filter(n => n !== 12)]
}

for (const { what, inject, tells } of CALLS) {
  t.test(`${what}: told at once, and every fact is there once`, { skip: NO_STRACE }, async t => {
    const dir = join(t.testdir(), 'house')
    const fails = [
      'strace',
      '-f',
      '-qq',
      '-o',
      '/dev/null',
      '-e',
      'trace=fdatasync',
      '-e',
      `inject=${inject}`,
    ]
    const { said, ended, err } = writer(t, dir, [1, 70], fails)
    const [code] = await ended
    t.equal(code, 0, err())
    const told = said.filter(line => line.startsWith('unwritable'))
    t.ok(told.length > 0, said.join(' '))
    t.match(told[0], tells)
    t.equal(said.at(-1), 'closed')
    t.same(
      said.filter(line => /^\d+$/.test(line)).map(Number),
      Array.from({ length: 70 }, (_, index) => 2 * (index + 1)),
    )
    t.equal(await whole(t, dir), 140)
  })
}

t.test('nobody is told before the disk has synced', { skip: NO_STRACE }, async t => {
  const dir = join(t.testdir(), 'house')
  const slow = [
    'strace',
    '-f',
    '-qq',
    '-o',
    '/dev/null',
    '-e',
    'trace=fdatasync',
    '-e',
    'inject=fdatasync:delay_exit=100000',
  ]
  const { child, ended, said, err } = writer(t, dir, [1, 5], slow)
  const times: number[] = []
  child.stdout.on('data', () => times.push(performance.now()))
  const [code] = await ended
  t.equal(code, 0, err())
  t.equal(said.at(-1), 'closed')
  t.ok(
    times[5]! - times[0]! >= 500,
    `five facts took ${Math.round(times[5]! - times[0]!)} ms at 100 ms a sync`,
  )
})
