import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import t, { type Test } from 'tap'
import { systemClock, virtualClock } from '../../src/clock.ts'
import { Failure } from '../../src/failure.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { all, failure, until, write } from './facts.ts'

const clock = systemClock

/** A process that waits to be killed. */
async function sleeper(t: Test): Promise<ChildProcess> {
  const child = spawn('sleep', ['60'])
  await once(child, 'spawn')
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

async function killed(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

/** What `lock` would say if the process `pid` held it. */
async function heldBy(lock: string, pid: number, started?: string): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return JSON.stringify({
    ...JSON.parse(lock),
    pid,
    started: started ?? stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19],
    nonce: 'another',
  })
}

t.test('a second house is refused the folder, and told who has it', async t => {
  const dir = t.testdir()
  const journal = await openLevelJournal({ dir, clock, create: true })
  const error = await failure(() => openLevelJournal({ dir, clock }))
  t.equal(error.code, 'journal.locked')
  t.match(error.message, `The journal in ${dir} is in use by process ${process.pid} (since 20`)
  write(journal, 1)
  await journal.flushed()
  await journal.close()
  const next = await openLevelJournal({ dir, clock })
  t.equal((await all(next)).length, 1)
  await next.close()
})

t.test('another process is refused too, even where LOCK and lock have been deleted', async t => {
  const dir = t.testdir()
  const child = spawn(process.execPath, [join(import.meta.dirname, 'writer.ts'), dir, '1'])
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  const refused = async (): Promise<void> => {
    const error = await failure(() => openLevelJournal({ dir, clock }))
    t.equal(error.code, 'journal.locked')
    t.match(error.message, `in use by process ${child.pid} `)
  }
  await refused()
  await rm(join(dir, 'journal', 'LOCK'))
  await refused()
  await rm(join(dir, 'lock'))
  // It is looked at once a second.
  let back = ''
  const looking = setInterval(async () => {
    back = await readFile(join(dir, 'lock'), 'utf8').catch(() => '')
  }, 10)
  await until(() => back.includes(`"pid":${child.pid},`), 'the lock is taken again', 5_000)
  clearInterval(looking)
  await refused()
  await killed(child)
  const journal = await openLevelJournal({ dir, clock })
  t.ok((await all(journal)).length > 0)
  await journal.close()
})

t.test(
  'a stopped process keeps the folder, whatever is removed meanwhile, and loses nothing of it',
  async t => {
    const dir = t.testdir()
    const child = spawn(process.execPath, [join(import.meta.dirname, 'writer.ts'), dir, '1'])
    t.teardown(() => child.kill('SIGKILL'))
    let last = 0
    child.stdout.on('data', chunk => {
      last = Number(`${chunk}`.trimEnd().split('\n').at(-1)) || last
    })
    await until(() => last > 20, 'it writes')
    child.kill('SIGSTOP')
    const refused = async (): Promise<void> => {
      t.match(await failure(() => openLevelJournal({ dir, clock })), { code: 'journal.locked' })
    }
    await refused()
    await rm(join(dir, 'lock'))
    // LevelDB's own lock goes with its file: the kernel holds it for who is stopped.
    await refused()
    child.kill('SIGCONT')
    const before = last
    await until(() => last > before + 20, 'it goes on')
    await refused()
    await killed(child)
    const journal = await openLevelJournal({ dir, clock })
    const entries = await all(journal)
    t.ok(entries.length >= last, `${entries.length} facts of ${last} acknowledged`)
    await journal.close()
  },
)

t.test('of two houses on one folder, both locks removed, neither overwrites the other unseen', async t => {
  const dir = t.testdir()
  const child = spawn(process.execPath, [join(import.meta.dirname, 'writer.ts'), dir, '1'])
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  child.stdout.on('data', chunk => {
    said += chunk
  })
  await until(() => /^2\d$/m.test(said), 'it writes')
  child.kill('SIGSTOP')
  await rm(join(dir, 'journal', 'LOCK'))
  await rm(join(dir, 'lock'))
  // Nothing is left by which the second could know of the first.
  const second = await openLevelJournal({ dir, clock })
  write(second, 3)
  await second.flushed()
  const { seq } = second.head
  child.kill('SIGCONT')
  await until(
    () => said.includes('unwritable: '),
    'the first finds that the lock is no longer its own',
    5_000,
  )
  t.match(said, `in use by process ${process.pid} `)
  await killed(child)
  // What the first wrote before it looked may have spoilt the files: then that is said, and not served.
  const told = await failure(async () => {
    write(second, 1)
    await second.flushed()
    await second.close()
    const again = await openLevelJournal({ dir, clock })
    const entries = await all(again)
    await again.close()
    if (entries.length === seq + 1 && entries.every((entry, index) => entry.seq === index + 1))
      throw new Failure('whole', 'every fact of the second is there')
  })
  t.match(told.code, /^(whole|journal\.(broken|gap|unwritable))$/, told.message)
})

t.test('the lock of a process that is gone is taken over', async t => {
  const dir = t.testdir()
  const first = await openLevelJournal({ dir, clock, create: true })
  const mine = await readFile(join(dir, 'lock'), 'utf8')
  await first.close()
  const taken = async (lock: string, why: string): Promise<void> => {
    await writeFile(join(dir, 'lock'), lock)
    const journal = await openLevelJournal({ dir, clock })
    t.equal(JSON.parse(await readFile(join(dir, 'lock'), 'utf8')).pid, process.pid, why)
    await journal.close()
  }
  const child = await sleeper(t)
  const alive = await heldBy(mine, child.pid!)
  await writeFile(join(dir, 'lock'), alive)
  t.equal((await failure(() => openLevelJournal({ dir, clock }))).code, 'journal.locked')
  await killed(child)
  await taken(alive, 'it was killed')
  await taken('', 'its file is empty')
  await taken('half a li', 'its file is torn')
  await taken('{"pid":-1}', 'its file makes no sense')
  if (process.platform !== 'linux') return
  const other = await sleeper(t)
  await taken(await heldBy(mine, other.pid!, '1'), 'another process has its pid now')
  await taken(
    JSON.stringify({ ...JSON.parse(alive), pid: other.pid, world: 'before the reboot' }),
    'the machine was started anew',
  )
  // The background job has ended and nobody will ever ask how: a zombie.
  const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'])
  t.teardown(() => parent.kill('SIGKILL'))
  const zombie = Number(String((await once(parent.stdout, 'data'))[0]))
  let state = ''
  const looking = setInterval(async () => {
    state = await readFile(`/proc/${zombie}/stat`, 'utf8').catch(() => '')
  }, 5)
  await until(() => state.includes(') Z '), 'it is a zombie')
  clearInterval(looking)
  await taken(await heldBy(mine, zombie), 'it is a zombie')
})

t.test('LevelDB has a lock of its own, and it counts', async t => {
  const dir = t.testdir()
  const journal = await openLevelJournal({ dir, clock, create: true })
  await journal.close()
  const level = new Level(join(dir, 'journal'))
  await level.open()
  const error = await failure(() => openLevelJournal({ dir, clock }))
  t.equal(error.code, 'journal.locked')
  t.match(error.message, 'in use by another process')
  await level.close()
  const again = await openLevelJournal({ dir, clock })
  await again.close()
})

t.test('a house that loses its lock stops writing, and goes on when it gets it back', async t => {
  const dir = t.testdir()
  const clock = virtualClock()
  const journal = await openLevelJournal({ dir, clock, create: true })
  write(journal, 1)
  await journal.flushed()
  const child = await sleeper(t)
  await writeFile(join(dir, 'lock'), await heldBy(await readFile(join(dir, 'lock'), 'utf8'), child.pid!))
  await clock.advance(1_000)
  write(journal, 1)
  const error = await failure(() => journal.flushed())
  t.equal(error.code, 'journal.unwritable')
  t.match(error.message, `in use by process ${child.pid} `)
  t.equal((await all(journal)).length, 1)
  await killed(child)
  await clock.advance(1_000)
  await until(() => journal.durable === 2, 'it writes again')
  t.equal((await all(journal)).length, 2)
  await journal.close()
})
