/** What the spool may hold, and a disk that is full. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { open, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { Failure } from '../../src/failure.ts'
import { chance, contents, failure, given } from './given.ts'
import { plain } from './plain.ts'

const MIB = 1_048_576

/** What the files of the folder take, in blocks. */
async function onDisk(folder: string): Promise<number> {
  const names = (await readdir(folder)).filter(name => name !== 'keys')
  const sizes = await Promise.all(names.map(async name => (await stat(join(folder, name))).size))
  return sizes.reduce((sum, size) => sum + Math.ceil(size / 4_096) * 4_096, 0)
}

t.test('a full spool takes nothing more, and says what to do', async t => {
  const house = await given(t, { bytesMax: MIB })
  await house.spool.put('J1', 'body', null, Buffer.alloc(900_000))
  const before = { ...house.spool.usage }
  const error = await failure(() => house.spool.put('J2', 'body', null, Buffer.alloc(200_000)))
  t.match(error, { code: 'spool.full', retryable: true })
  t.match(error.message, /holds 0 MiB of 1 MiB that it may. Fetch what is finished and delete it/)
  t.same(house.spool.usage, before)
  t.same(Object.keys(await contents(house.folder)), ['J1.body.part', 'keys'])
  await house.spool.put('J2', 'body', null, Buffer.alloc(50_000))
  await house.spool.erase(['J1'])
  await house.spool.put('J3', 'body', null, Buffer.alloc(900_000))
  t.equal(house.spool.usage.bytes, await onDisk(house.folder))

  const spool = await house.again({ bytesMax: 4_096 })
  t.equal((await spool.read('J3', 'body'))!.bytes.length, 900_000, 'with less than it holds it opens, too')
  t.equal((await failure(() => spool.put('J4', 'body', null, Buffer.alloc(1)))).code, 'spool.full')
})

t.test('many streams at once never take more than there is, and what fails leaves nothing', async t => {
  const bytesMax = 2 * MIB
  const { spool, folder } = await given(t, { bytesMax })
  const { below } = chance(t)
  let most = 0
  const kept: string[] = []
  const codes = new Set<string>()
  await Promise.all(
    Array.from({ length: 40 }, async (_, i) => {
      const id = `J${i}`
      const bytes = plain(id, 'answer-1', 20_000 + below(150_000))
      const writing = await spool.open(id, 'answer-1', null)
      try {
        for (let at = 0; at < bytes.length; at += 5_000) {
          await writing.write(bytes.subarray(at, at + 5_000))
          if (below(3) === 0) await new Promise(resolve => setImmediate(resolve))
          most = Math.max(most, spool.usage.bytes, await onDisk(folder).catch(() => 0))
        }
        await writing.end()
        kept.push(id)
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        codes.add(error.code)
        await writing.drop()
      }
    }),
  )
  t.same([...codes], ['spool.full'], 'some did not fit')
  t.ok(kept.length > 0, `${kept.length} did`)
  t.ok(most <= bytesMax && most > bytesMax / 2, `${most} bytes at most`)
  for (const id of kept) {
    const { bytes } = (await spool.read(id, 'answer-1'))!
    if (!bytes.equals(plain(id, 'answer-1', bytes.length))) t.fail(id)
  }
  t.same((await readdir(folder)).sort(), [...kept.map(id => `${id}.answer-1.part`), 'keys'].sort())
  t.same(spool.usage, { items: kept.length, bytes: await onDisk(folder) })
})

/** A disk of its own, small enough to fill. */
function mount(mebibytes: number): { disk: string; unmount: () => void } | undefined {
  const disk = mkdtempSync(join(tmpdir(), 'quipu-disk-'))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'quipu-test', disk])
  const unmount = (): void => {
    if (status === 0) spawnSync('umount', ['-l', disk])
    rmdirSync(disk)
  }
  if (status === 0) return { disk, unmount }
  unmount()
  return undefined
}

const tried = mount(1)
tried?.unmount()
const NO_DISK = tried === undefined && 'a small disk cannot be mounted here: that takes root, on Linux'

async function onSmallDisk(t: Test, reserveBytes: number) {
  const { disk, unmount } = mount(16)!
  const clock = virtualClock()
  const house = await given(t, { dir: join(disk, 'house'), reserveBytes, clock })
  t.teardown(unmount)
  return { disk, clock, ...house, again: house.again }
}

/** Writes a file until no more than `leave` bytes are left. Resolves to how to remove it. */
async function fill(disk: string, leave = 0): Promise<() => Promise<void>> {
  const path = join(disk, 'ballast')
  const file = await open(path, 'w')
  for (const bytes of [MIB, 65_536, 4_096, 1]) {
    const chunk = Buffer.alloc(bytes, 1)
    try {
      for (;;) if ((await file.write(chunk)).bytesWritten < bytes) break
    } catch {}
  }
  if (leave > 0) await file.truncate((await file.stat()).size - leave)
  await file.close()
  return () => rm(path)
}

t.test('a full disk', { skip: NO_DISK }, async t => {
  t.test('what does not fit leaves no trace, what was there is whole, and it heals', async t => {
    const house = await onSmallDisk(t, 0)
    const { disk, folder } = house
    await house.spool.put('J1', 'body', null, plain('J1', 'body', MIB))
    const writing = await house.spool.open('J1', 'answer-1', null)
    await writing.write(Buffer.alloc(100))
    const drop = await fill(disk, 200_000)
    const before = { ...house.spool.usage }
    const put = await failure(() => house.spool.put('J2', 'body', null, Buffer.alloc(MIB)))
    t.match(put, { code: 'spool.disk', retryable: true })
    t.match(put.message, /J2.body.open cannot be used: ENOSPC.*Make room on that disk/)
    t.same(house.spool.usage, before)
    const stream = await failure(async () => {
      for (let i = 0; i < 100; i += 1) await writing.write(Buffer.alloc(100_000))
      await writing.end()
    })
    t.equal(stream.code, 'spool.disk')
    t.same(await writing.drop(), undefined)
    t.same((await readdir(folder)).sort(), ['J1.body.part', 'keys'])
    t.ok((await house.spool.read('J1', 'body'))!.bytes.equals(plain('J1', 'body', MIB)))

    await drop()
    await house.spool.put('J2', 'body', null, plain('J2', 'body', MIB))
    await (await house.spool.open('J1', 'answer-1', null)).end()
    const spool = await house.again()
    for (const id of ['J1', 'J2']) t.ok((await spool.read(id, 'body'))!.bytes.equals(plain(id, 'body', MIB)))
    t.same(spool.usage, { items: 2, bytes: await onDisk(folder) })
  })

  t.test('without room for another key nothing is put; what is there can be erased', async t => {
    const house = await onSmallDisk(t, 0)
    const { disk, folder } = house
    await house.spool.put('J0', 'body', null, Buffer.alloc(1))
    const drop = await fill(disk)
    const ids = Array.from({ length: 200 }, (_, i) => `K${i}`)
    const codes = await Promise.all(
      ids.map(async id => (await failure(() => house.spool.put(id, 'body', null, Buffer.alloc(1)))).code),
    )
    t.same(new Set(codes), new Set(['spool.disk']))
    t.match(await house.spool.eraseAndProve(['J0'], house.dir), [{ id: 'J0', proved: true }])
    t.same(await readdir(folder), ['keys'])
    await drop()
    await Promise.all(ids.map(id => house.spool.put(id, 'body', null, plain(id, 'body', 100))))
    const spool = await house.again()
    for (const id of ids) t.ok((await spool.read(id, 'body'))!.bytes.equals(plain(id, 'body', 100)))
  })

  t.test('what the journal needs stays free', async t => {
    const { disk, clock, spool } = await onSmallDisk(t, 4 * MIB)
    await spool.put('J1', 'body', null, Buffer.alloc(10_000))
    const drop = await fill(disk, 3 * MIB)
    await clock.advance(1_000)
    const error = await failure(() => spool.put('J2', 'body', null, Buffer.alloc(10_000)))
    t.match(error, { code: 'spool.full', retryable: true })
    t.match(error.message, /(2|3) MiB are left on the disk of .*, and the spool leaves 4 MiB to the journal/)
    await drop()
    await clock.advance(1_000)
    await spool.put('J2', 'body', null, Buffer.alloc(10_000))
    // Between two looks at the disk it counts for itself.
    const full = await failure(() => spool.put('J3', 'body', null, Buffer.alloc(13 * MIB)))
    t.equal(full.code, 'spool.full')
  })
})
