import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import t, { type Test } from 'tap'
import { systemClock as clock } from '../../src/clock.ts'
import { keyOf } from '../../src/journal/keys.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { all, failure, write } from './facts.ts'

/** A closed journal of `count` facts in a folder of its own. */
async function folder(t: Test, count = 20): Promise<string> {
  const dir = join(t.testdir(), 'house')
  const journal = await openLevelJournal({ dir, clock, create: true })
  write(journal, count)
  await journal.close()
  return dir
}

/** Every file under `dir` and what is in it. */
async function contents(dir: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {}
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile()) files[path] = await readFile(path, 'latin1')
  }
  return files
}

/** It is refused with this code, and not a byte is touched. */
async function refused(t: Test, dir: string, code: string, message: string, create = true): Promise<void> {
  const before = await contents(dir)
  const error = await failure(() => openLevelJournal({ dir, clock, create }))
  t.equal(error.code, code)
  t.match(error.message, message)
  t.strictSame(await contents(dir), before)
}

t.test('a journal is made only when asked for', async t => {
  const dir = join(t.testdir({}), 'nowhere')
  const error = await failure(() => openLevelJournal({ dir, clock }))
  t.equal(error.code, 'journal.missing')
  t.match(error.message, `There is no journal in ${dir}`)
  t.same(await readdir(t.testdirName), [], 'and no trace is left')
  const journal = await openLevelJournal({ dir, clock, create: true })
  t.match(journal.id, /^[0-9A-Z]{26}$/)
  await journal.close()
  t.same((await readdir(dir)).sort(), ['journal', 'journal.json', 'mark'])
  t.match(JSON.parse(await readFile(join(dir, 'journal.json'), 'utf8')), { id: journal.id, format: 1 })
  const again = await openLevelJournal({ dir, clock })
  t.equal(again.id, journal.id)
  await again.close()
})

t.test('other things may lie in the folder', async t => {
  const dir = t.testdir({ 'lost+found': {}, 'notes.txt': 'mine' })
  const journal = await openLevelJournal({ dir, clock, create: true })
  await journal.close()
  t.same((await readdir(dir)).sort(), ['journal', 'journal.json', 'lost+found', 'mark', 'notes.txt'])
})

t.test(
  'without its CURRENT file the database is left alone, where LevelDB would delete every table',
  async t => {
    const dir = await folder(t)
    await rm(join(dir, 'journal', 'CURRENT'))
    await refused(t, dir, 'journal.missing', 'CURRENT is gone. Nothing was touched')
    await refused(t, dir, 'journal.missing', 'CURRENT is gone', false)
  },
)

t.test('without journal.json the database is left alone', async t => {
  const dir = await folder(t)
  const identity = join(dir, 'journal.json')
  await rename(identity, `${identity}.bak`)
  await refused(t, dir, 'journal.missing', 'journal.json, which says whose they are, is gone')
  await rename(`${identity}.bak`, identity)
  const journal = await openLevelJournal({ dir, clock })
  t.equal((await all(journal)).length, 20)
  await journal.close()
})

t.test('without the database no new one is made', async t => {
  const dir = await folder(t)
  await rm(join(dir, 'journal'), { recursive: true })
  await refused(t, dir, 'journal.missing', 'CURRENT is gone')
})

t.test('a journal.json that says something else is refused', async t => {
  const dir = await folder(t)
  const identity = join(dir, 'journal.json')
  const text = await readFile(identity, 'utf8')
  for (const bad of ['', '{}', 'null', '{"id":"a"}', text.slice(0, 20)]) {
    await writeFile(identity, bad)
    await refused(t, dir, 'journal.broken', 'journal.json cannot be read')
  }
  await writeFile(identity, JSON.stringify({ ...JSON.parse(text), format: 3 }))
  await refused(t, dir, 'journal.newer', 'has format 3, and this Quipu knows 2')
  await writeFile(identity, JSON.stringify({ ...JSON.parse(text), format: 2, minReader: '9.12.0' }))
  await refused(t, dir, 'journal.newer', 'has facts that only Quipu 9.12.0 and later know')
  await writeFile(identity, JSON.stringify({ ...JSON.parse(text), format: 2, minReader: 9 }))
  await refused(t, dir, 'journal.broken', 'journal.json cannot be read')
  await writeFile(identity, JSON.stringify({ ...JSON.parse(text), id: 'another' }))
  t.match(await failure(() => openLevelJournal({ dir, clock })), { code: 'journal.broken', seq: 1 })
})

t.test('an init that was cut off starts over', async t => {
  const dir = await folder(t, 0)
  const identity = join(dir, 'journal.json')
  const stages: Record<string, () => Promise<void>> = {
    'before anything': () => rm(dir, { recursive: true }),
    'with an empty folder': async () => {
      await rm(join(dir, 'journal'), { recursive: true })
      await rm(identity)
      await mkdir(join(dir, 'journal'))
    },
    'with half an identity': async () => {
      await rm(join(dir, 'journal'), { recursive: true })
      await rm(identity)
      await writeFile(`${identity}.new`, '{"id":')
    },
    'with half a database': async () => {
      await rename(identity, `${identity}.new`)
      await rm(join(dir, 'journal', 'CURRENT'))
    },
    'before the last step': () => rename(identity, `${identity}.new`),
  }
  for (const [when, cut] of Object.entries(stages)) {
    await cut()
    t.equal((await failure(() => openLevelJournal({ dir, clock }))).code, 'journal.missing', when)
    const journal = await openLevelJournal({ dir, clock, create: true })
    t.same(
      (await readdir(dir)).filter(name => name.endsWith('.new')),
      [],
    )
    t.equal(journal.head.seq, 0)
    await journal.close()
  }
})

t.test('a journal whose end is missing is refused, until its mark is deleted', async t => {
  const dir = await folder(t)
  const level = new Level<Buffer, string>(join(dir, 'journal'), { keyEncoding: 'buffer' })
  await level.batch([18, 19, 20].map(seq => ({ type: 'del', key: keyOf(seq) })))
  await level.close()
  const error = await failure(() => openLevelJournal({ dir, clock }))
  t.match(error, { code: 'journal.gap', seq: 18 })
  t.match(error.message, 'Fact 18 is missing: the journal ends before it, and it had come to fact 20')
  await rm(join(dir, 'mark'))
  const journal = await openLevelJournal({ dir, clock })
  t.equal(journal.head.seq, 17)
  write(journal, 1)
  await journal.close()
  t.match(await readFile(join(dir, 'mark'), 'utf8'), /^0000000000000018 [\w-]{43}\n$/)
})

t.test('a journal cut off anywhere in the newest file of LevelDB is refused', async t => {
  const dir = await folder(t, 200)
  const [log] = (await readdir(join(dir, 'journal'))).filter(name => name.endsWith('.log'))
  const bytes = await readFile(join(dir, 'journal', log!))
  for (const part of [0, 0.3, 0.6, 0.9, 0.999]) {
    const copy = `${dir}-${part}`
    await cp(dir, copy, { recursive: true })
    await writeFile(join(copy, 'journal', log!), bytes.subarray(0, Math.floor(bytes.length * part)))
    const error = await failure(() => openLevelJournal({ dir: copy, clock }))
    t.equal(error.code, 'journal.gap', `${part}`)
  }
})

t.test('what follows the last whole write, as a power cut leaves it, is ignored', async t => {
  const dir = await folder(t, 200)
  const [log] = (await readdir(join(dir, 'journal'))).filter(name => name.endsWith('.log'))
  const bytes = await readFile(join(dir, 'journal', log!))
  for (const tail of [Buffer.alloc(65_536), Buffer.alloc(100, 0xa5), bytes.subarray(0, 1_000)]) {
    const copy = `${dir}-${tail.length}`
    await cp(dir, copy, { recursive: true })
    await writeFile(join(copy, 'journal', log!), Buffer.concat([bytes, tail]))
    const journal = await openLevelJournal({ dir: copy, clock })
    t.equal((await all(journal)).length, 200)
    write(journal, 1)
    await journal.close()
  }
})

t.test('a mark that cannot be read says nothing; one that says something else is believed', async t => {
  const dir = await folder(t)
  const mark = join(dir, 'mark')
  const text = await readFile(mark, 'utf8')
  for (const silent of ['', '\0'.repeat(61), text.slice(0, 30), `${text}more`]) {
    await writeFile(mark, silent)
    const journal = await openLevelJournal({ dir, clock })
    t.equal(journal.head.seq, 20)
    await journal.close()
  }
  await writeFile(mark, text.replace('20 ', '19 '))
  t.match(await failure(() => openLevelJournal({ dir, clock })), { code: 'journal.broken', seq: 19 })
  await writeFile(mark, text.replace('20 ', '21 '))
  t.match(await failure(() => openLevelJournal({ dir, clock })), { code: 'journal.gap', seq: 21 })
})

t.test('a folder that cannot be used says why', async t => {
  const dir = t.testdir({ file: 'not a folder' })
  const error = await failure(() => openLevelJournal({ dir: join(dir, 'file'), clock, create: true }))
  t.equal(error.code, 'journal.unwritable')
  t.match(error.message, /ENOTDIR|EEXIST/)
})
