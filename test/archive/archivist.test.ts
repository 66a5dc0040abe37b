/** Facts go into files, and leave the disk; whoever reads the journal does not notice. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import t from 'tap'
import { all, failure, texts } from '../journal/facts.ts'
import { folder, outcome, stage } from './stage.ts'

const files = (dir: string): string[] => readdirSync(join(dir, 'archive')).sort()

t.test('what lies before a fact is sealed into a file that zcat prints', async t => {
  const s = await stage({ dir: folder(t) })
  t.teardown(() => s.close())
  await s.grow(2_500)
  const before = await texts(s.journal)
  t.match(s.archivist.seal({ seq: 2_001 }, 'cli'), { what: 'seal', state: 'running', first: 1, last: 2_000 })
  t.match(await outcome(s), { what: 'seal', state: 'done', first: 1, last: 2_000, seq: 2_000, files: 1 })
  const [file = ''] = files(s.dir)
  t.same(files(s.dir), ['000000000001-000000002000.quipu.gz'])
  const path = join(s.dir, 'archive', file)
  const printed = execFileSync('zcat', [path], { maxBuffer: 1 << 26 }).toString()
  const end = printed.indexOf('\n')
  t.equal(printed.slice(end + 1), `${before.slice(0, 2_000).join('\n')}\n`)
  t.match(JSON.parse(printed.slice(0, end)), {
    quipu: 'archive',
    format: 1,
    journal: s.journal.id,
    first: 1,
    last: 2_000,
    facts: 2_000,
    checkpoint: 'a note over 2500',
  })
  const [fact] = (await all(s.journal)).slice(-1)
  t.match(fact, {
    type: 'archive.sealed',
    kind: 'archive',
    id: 'journal',
    by: 'cli',
    data: { first: 1, last: 2_000, file, bytes: statSync(path).size, sha256: /^[0-9a-f]{64}$/ },
  })
  s.archivist.seal({ seq: 2_301 }, 'cli')
  t.match(await outcome(s), { state: 'done', files: 1 })
  t.equal(files(s.dir)[1], '000000002001-000000002300.quipu.gz')
  s.archivist.seal({ seq: 2_301 }, 'cli')
  t.match(await outcome(s), { state: 'done', files: 0 }, 'nothing is sealed twice')
})

t.test('what was decided before a time is sealed', async t => {
  const s = await stage({ dir: folder(t) })
  t.teardown(() => s.close())
  await s.grow(50)
  await new Promise(resolve => setTimeout(resolve, 5))
  const at = Date.now()
  await s.grow(50)
  s.archivist.seal({ at }, 'cli')
  t.match(await outcome(s), { state: 'done', files: 1 })
  t.match(s.archive.state.files, [{ first: 1, last: 50 }])
  t.ok(s.archive.state.files[0]!.lastAt < at)
  s.archivist.seal({ at: 1 }, 'cli')
  t.match(await outcome(s), { state: 'done', files: 0 })
})

t.test('what was trimmed is gone from the disk, and is read as before', async t => {
  const dir = folder(t)
  const s = await stage({ dir })
  await s.grow(5_000)
  const before = await texts(s.journal)
  s.archivist.seal({ seq: 1_501 }, 'cli')
  await outcome(s)
  s.archivist.seal({ seq: 4_001 }, 'cli')
  await outcome(s)
  s.archivist.trim({ seq: 3_000 }, 'cli')
  t.match(await outcome(s), { what: 'trim', state: 'done', first: 1, last: 1_500, files: 1 })
  t.equal(s.journal.base.seq, 1_500)
  s.archivist.trim({ seq: 4_001 }, 'cli')
  t.match(await outcome(s), { state: 'done', first: 1_501, last: 4_000 })
  t.equal(s.journal.base.seq, 4_000)
  const after = await texts(s.journal)
  t.strictSame(after.slice(0, 5_000), before)
  t.equal(after.length, 5_004, 'two files, two trims')
  const entries = await all(s.journal)
  for (const [from, until] of [
    [0, 1],
    [1_499, 1_502],
    [1_500, 4_001],
    [3_999, 4_001],
    [4_000, 4_002],
    [2_345, 2_346],
  ] as const)
    t.strictSame(await all(s.journal, { after: from, until }), entries.slice(from, until))
  await s.close()

  const again = await stage({ dir })
  t.equal(again.journal.base.seq, 4_000)
  t.strictSame(await texts(again.journal), after)
  t.same(again.archive.state.trimmed?.until, 4_000)
  await again.grow(10)
  await again.close()
})

t.test('nothing is trimmed that is in no file, or under no signed checkpoint', async t => {
  let proven = 0
  const s = await stage({ dir: folder(t), proven: () => proven })
  t.teardown(() => s.close())
  await s.grow(100)
  t.throws(() => s.archivist.trim({ seq: 100 }, 'cli'), { code: 'archive.unsealed' })
  s.archivist.seal({ seq: 61 }, 'cli')
  await outcome(s)
  t.throws(() => s.archivist.trim({ seq: 60 }, 'cli'), { code: 'archive.unsealed' })
  for (proven of [0, 59]) {
    s.archivist.trim({ seq: 61 }, 'cli')
    t.match(await outcome(s), { state: 'failed', code: 'archive.unproven' })
  }
  proven = 60
  s.archivist.trim({ seq: 61 }, 'cli')
  t.match(await outcome(s), { state: 'done' })
  t.equal(s.journal.base.seq, 60)
})

t.test('nothing is trimmed when a file cannot be read: it would be the only copy', async t => {
  const s = await stage({ dir: folder(t) })
  t.teardown(() => s.close())
  await s.grow(3_000)
  for (const seq of [1_001, 2_001]) {
    s.archivist.seal({ seq }, 'cli')
    await outcome(s)
  }
  const path = join(s.dir, 'archive', files(s.dir)[0]!)
  const whole = readFileSync(path)
  const attempt = async () => {
    s.archivist.trim({ seq: 2_001 }, 'cli')
    const work = await outcome(s)
    t.equal(s.journal.base.seq, 0)
    t.match(work, { state: 'failed', error: path })
    return work
  }
  rmSync(path)
  t.match(await attempt(), { code: 'archive.missing' })
  for (const at of [0, 20, whole.length >> 1, whole.length - 6]) {
    const bytes = Buffer.from(whole)
    bytes[at]! ^= 4
    writeFileSync(path, bytes)
    t.match(await attempt(), { code: 'archive.damaged' }, `a bit at ${at}`)
  }
  writeFileSync(path, whole.subarray(0, whole.length - 500))
  t.match(await attempt(), { code: 'archive.damaged' }, 'cut off')
  writeFileSync(path, gzipSync(String(gunzipSync(whole)).replace('"after":"7"', '"after":"8"')))
  t.match(await attempt(), { code: 'archive.damaged' }, 'put together anew')
  writeFileSync(path, whole)
  s.archivist.trim({ seq: 2_001 }, 'cli')
  t.match(await outcome(s), { state: 'done', files: 2 })
})

t.test('one thing is done at a time', async t => {
  const s = await stage({ dir: folder(t) })
  t.teardown(() => s.close())
  await s.grow(2_000)
  s.archivist.seal({ seq: 2_000 }, 'cli')
  t.throws(() => s.archivist.seal({ seq: 2_000 }, 'cli'), { code: 'archive.busy' })
  t.match(await outcome(s), { state: 'done' })
})

t.test(
  'a file that is away is named by whoever needs it, and what is on the disk is read without',
  async t => {
    const dir = folder(t)
    const s = await stage({ dir })
    await s.grow(3_000)
    for (const seq of [1_001, 2_001]) {
      s.archivist.seal({ seq }, 'cli')
      await outcome(s)
    }
    s.archivist.trim({ seq: 2_001 }, 'cli')
    await outcome(s)
    const all3 = await texts(s.journal)
    const [one = '', two = ''] = files(dir)
    const away = join(dir, 'away')
    mkdirSync(away)
    renameSync(join(dir, 'archive', two), join(away, two))
    t.equal((await all(s.journal, { after: 2_000 })).length, 1_003)
    t.equal((await all(s.journal, { until: 1_000 })).length, 1_000)
    const error = await failure(() => all(s.journal))
    t.match(error, { code: 'archive.missing' })
    t.match(
      error.message,
      `Facts 1001 to 2000 are in an archive file that is not there: ${join(dir, 'archive', two)}`,
    )
    await s.close()
    t.match(await failure(() => stage({ dir })), { code: 'archive.missing' })
    renameSync(join(dir, 'archive', one), join(away, one))
    const elsewhere = await stage({ dir, archiveDir: away })
    t.strictSame(await texts(elsewhere.journal), all3)
    await elsewhere.close()
  },
)

t.test('a file that was damaged later is named, with the fact', async t => {
  const dir = folder(t)
  const s = await stage({ dir })
  t.teardown(() => s.close())
  await s.grow(3_000)
  s.archivist.seal({ seq: 2_501 }, 'cli')
  await outcome(s)
  s.archivist.trim({ seq: 2_501 }, 'cli')
  await outcome(s)
  const path = join(dir, 'archive', files(dir)[0]!)
  const whole = readFileSync(path)
  const bytes = Buffer.from(whole)
  bytes[bytes.length - 100]! ^= 1
  writeFileSync(path, bytes)
  const error = await failure(() => all(s.journal))
  t.match(error, { code: 'archive.damaged', seq: 2_001, message: path })
  writeFileSync(path, whole)
  t.equal((await all(s.journal)).length, 3_002)
})
