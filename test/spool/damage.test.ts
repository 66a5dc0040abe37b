/** What disks and people do to files: flipped bits, lost ends, files and keys that are gone, moved or swapped. */
import { cp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Failure } from '../../src/failure.ts'
import type { Spool } from '../../src/spool/spool.ts'
import { chance, collect, failure, given, patient } from './given.ts'

const TEXT = Buffer.from('Why is the sky blue? '.repeat(5))

/** In a new file: ext4 syncs one that is cut off and written anew, and there are a thousand here. */
async function write(path: string, bytes: Uint8Array): Promise<void> {
  await rm(path, { force: true })
  await writeFile(path, bytes)
}

async function told(spool: Spool, id: string, part: string): Promise<readonly Failure[]> {
  return [
    await failure(() => spool.read(id, part)),
    await failure(() => collect(spool.follow(id, part, 0, patient()))),
  ]
}

function damaged(t: Test, errors: readonly Failure[], file: string, what: string): void {
  t.ok(
    errors.every(({ code, message }) => code === 'spool.damaged' && message.includes(file)),
    `${what}: ${errors.map(({ code, message }) => `${code} (${message})`).join(', ')}`,
  )
}

t.test('every flipped bit of a whole part is noticed, and its file named', async t => {
  const { spool, folder } = await given(t)
  const { below } = chance(t)
  await spool.put('J1', 'body', { type: 'text/plain' }, TEXT)
  const path = join(folder, 'J1.body.part')
  const bytes = await readFile(path)
  for (let at = 0; at < bytes.length; at += 1) {
    const bit = 1 << below(8)
    bytes[at]! ^= bit
    await write(path, bytes)
    damaged(t, await told(spool, 'J1', 'body'), 'J1.body.part', `byte ${at}`)
    bytes[at]! ^= bit
  }
  await write(path, bytes)
  t.ok((await spool.read('J1', 'body'))!.bytes.equals(TEXT), 'and it was nothing else')
})

t.test('a whole part that has lost its end, or has more than one, is damaged', async t => {
  const house = await given(t)
  await house.spool.put('J1', 'body', { type: 'text/plain' }, TEXT)
  const path = join(house.folder, 'J1.body.part')
  const bytes = await readFile(path)
  for (let length = 0; length < bytes.length; length += 1) {
    await write(path, bytes.subarray(0, length))
    damaged(t, await told(house.spool, 'J1', 'body'), 'J1.body.part', `${length} bytes`)
    if (length % 16 === 0)
      damaged(t, await told(await house.again(), 'J1', 'body'), 'J1.body.part', `${length} bytes`)
  }
  for (const tail of [Buffer.alloc(1), bytes.subarray(-64), bytes]) {
    await write(path, Buffer.concat([bytes, tail]))
    const spool = await house.again()
    damaged(t, await told(spool, 'J1', 'body'), 'J1.body.part', `${tail.length} bytes more`)
  }
  await write(path, bytes)
  t.ok((await (await house.again()).read('J1', 'body'))!.bytes.equals(TEXT))
})

/** A part as it lies there when the process dies: four chunks have been written, 100 bytes each. */
async function torn(t: Test) {
  const house = await given(t)
  await house.spool.put('J1', 'body', null, Buffer.alloc(1))
  const writing = await house.spool.open('J1', 'answer-1', { status: 200 })
  const reader = house.spool.follow('J1', 'answer-1', 0, patient())
  const chunks = [1, 2, 3, 4].map(number => Buffer.alloc(100, number))
  for (const chunk of chunks) {
    const read = reader.next()
    await writing.write(chunk)
    await read
  }
  const open = join(house.folder, 'J1.answer-1.open')
  const bytes = await readFile(open)
  await reader.return()
  await house.spool.close() // which drops it
  return { ...house, again: house.again, open, bytes, all: Buffer.concat(chunks) }
}

t.test('a part that was cut off is read as far as it goes, wherever that is', async t => {
  const { open, bytes, all, again } = await torn(t)
  const seen = new Set<number>()
  for (let length = 0; length <= bytes.length; length += 1) {
    await write(open, bytes.subarray(0, length))
    const spool = await again()
    t.match(
      spool.parts('J1').find(({ part }) => part === 'answer-1'),
      { ended: false },
    )
    const read = await spool.read('J1', 'answer-1')
    if (read !== undefined) {
      if (read.ended || !all.subarray(0, read.bytes.length).equals(read.bytes)) t.fail(`${length} bytes`)
      t.same(read.head, { status: 200 })
      t.equal(read.digest, undefined)
    }
    seen.add(read?.bytes.length ?? -1)
    const followed: Buffer[] = []
    const error = await failure(async () => {
      for await (const chunk of spool.follow('J1', 'answer-1', 0, patient())) followed.push(chunk)
    })
    if (error.code !== 'spool.gone') t.fail(`${length} bytes: ${error.code}`)
    if (!Buffer.concat(followed).equals(read?.bytes ?? Buffer.alloc(0))) t.fail(`${length} bytes`)
  }
  t.same([...seen], [-1, 0, 100, 200, 300, 400])
})

t.test('a flipped bit in one that was cut off makes it shorter, and nothing else', async t => {
  const { open, bytes, all, again } = await torn(t)
  for (let at = 0; at < bytes.length; at += 3) {
    bytes[at]! ^= 1
    await write(open, bytes)
    bytes[at]! ^= 1
    const read = await (await again()).read('J1', 'answer-1')
    if (read?.ended || !all.subarray(0, read?.bytes.length ?? 0).equals(read?.bytes ?? Buffer.alloc(0))) {
      t.fail(`byte ${at}`)
    }
    if (read?.bytes.length === 400) t.fail(`byte ${at} is not noticed`)
  }
  for (const tail of [Buffer.alloc(4_096), Buffer.alloc(100, 0xa5), bytes.subarray(-124)]) {
    await write(open, Buffer.concat([bytes, tail]))
    const read = (await (await again()).read('J1', 'answer-1'))!
    t.ok(read.bytes.equals(all), 'what a power cut leaves behind its end is ignored')
  }
})

t.test('one that was cut off is written anew', async t => {
  const { open, bytes, again, folder } = await torn(t)
  await write(open, bytes)
  const spool = await again()
  const writing = await spool.open('J1', 'answer-1', { status: 201 })
  await writing.write(Buffer.from('anew'))
  await writing.end()
  t.match(await spool.read('J1', 'answer-1'), {
    head: { status: 201 },
    bytes: Buffer.from('anew'),
    ended: true,
  })
  t.same((await readdir(folder)).sort(), ['J1.answer-1.part', 'J1.body.part', 'keys'])
  t.same(spool.usage, { items: 1, bytes: 8_192 })
})

t.test('a part in the place of another is damaged: of another item, of another name, or older', async t => {
  const house = await given(t)
  const { folder } = house
  for (const id of ['J1', 'J2']) {
    await house.spool.put(id, 'body', null, TEXT)
    await house.spool.put(id, 'answer-1', null, TEXT)
  }
  await cp(join(folder, 'J2.body.part'), join(folder, 'J1.body.part'))
  damaged(t, await told(house.spool, 'J1', 'body'), 'J1.body.part', 'of another item')
  await cp(join(folder, 'J1.answer-1.part'), join(folder, 'J1.body.part'))
  damaged(t, await told(house.spool, 'J1', 'body'), 'J1.body.part', 'of another name')
  await cp(join(folder, 'J2.body.part'), join(folder, 'older'))
  await house.spool.erase(['J2'])
  await house.spool.put('J2', 'body', null, TEXT)
  await rename(join(folder, 'older'), join(folder, 'J2.body.part'))
  damaged(t, await told(house.spool, 'J2', 'body'), 'J2.body.part', 'of an erased one')
})

t.test('frames that have changed places are noticed', async t => {
  const { spool, folder } = await given(t)
  await spool.put('J1', 'body', null, Buffer.alloc(3 * 65_536, 'abc'))
  const path = join(folder, 'J1.body.part')
  const bytes = await readFile(path)
  const [first, frame] = [48 + 24 + 4, 65_536 + 24]
  const swapped = Buffer.concat([
    bytes.subarray(0, first),
    bytes.subarray(first + frame, first + 2 * frame),
    bytes.subarray(first, first + frame),
    bytes.subarray(first + 2 * frame),
  ])
  await write(path, swapped)
  damaged(t, await told(spool, 'J1', 'body'), 'J1.body.part', 'swapped')
  // Left out, and the rest moved up.
  await write(path, Buffer.concat([bytes.subarray(0, first), bytes.subarray(first + frame)]))
  damaged(t, await told(spool, 'J1', 'body'), 'J1.body.part', 'one is missing')
})

t.test('a file that somebody has removed is missed', async t => {
  const { spool, folder } = await given(t)
  await spool.put('J1', 'body', null, TEXT)
  await rm(join(folder, 'J1.body.part'))
  damaged(t, await told(spool, 'J1', 'body'), 'J1.body.part', 'gone')
})

t.test('a flipped bit of the keys costs no item but its own, and nothing silently', async t => {
  const house = await given(t)
  const ids = ['J1', 'J2', 'J3']
  for (const id of ids) await house.spool.put(id, 'body', null, TEXT)
  const path = join(house.folder, 'keys')
  await house.spool.close()
  const bytes = await readFile(path)
  for (let at = 0; at < 4 * 64; at += 1) {
    bytes[at]! ^= 1
    await write(path, bytes)
    bytes[at]! ^= 1
    if (at < 64) {
      damaged(t, [await failure(() => house.again())], 'keys', `byte ${at}`)
      continue
    }
    const spool = await house.again()
    const lost: string[] = []
    for (const id of ids) {
      try {
        if (!(await spool.read(id, 'body'))!.bytes.equals(TEXT)) t.fail(id)
      } catch (error) {
        damaged(t, [error as Failure], 'keys', `byte ${at}`)
        lost.push(id)
      }
    }
    t.same(lost, [ids[Math.floor(at / 64) - 1]], `byte ${at}`)
    await spool.close()
  }
  bytes[100]! ^= 1
  await write(path, bytes)
  const spool = await house.again()
  t.match(await spool.erase(['J1']), [{ id: 'J1', parts: ['body'] }])
  t.ok((await readFile(path)).subarray(64, 128).equals(Buffer.alloc(64)), 'its broken key is erased with it')
  t.same(Object.keys((await house.again()).items()), ['0', '1'])
})

t.test('without the file of keys nothing is touched', async t => {
  const house = await given(t)
  await house.spool.put('J1', 'body', null, TEXT)
  await house.spool.close()
  const path = join(house.folder, 'keys')
  await rename(path, `${path}.bak`)
  const error = await failure(() => house.again())
  t.equal(error.code, 'spool.missing')
  t.match(error.message, /none of the 1 items beside it can be read. Nothing was touched/)
  t.same((await readdir(house.folder)).sort(), ['J1.body.part', 'keys.bak'])
  for (const zeros of [0, 20, 4_160]) {
    await writeFile(path, Buffer.alloc(zeros))
    t.equal((await failure(() => house.again())).code, 'spool.missing', `${zeros} zeros`)
  }
  await rename(`${path}.bak`, path)
  t.ok((await (await house.again()).read('J1', 'body'))!.bytes.equals(TEXT))
  await house.spool.erase(['J1'])
  await house.spool.close()
  await rm(path)
  t.same((await house.again()).items(), [], 'where there is nothing to lose, it is made anew')
})

t.test('a file of keys that was cut off while it was made is made anew', async t => {
  const house = await given(t)
  await house.spool.close()
  for (const cut of [Buffer.alloc(0), Buffer.from('quipu.spool'), Buffer.alloc(64)]) {
    await writeFile(join(house.folder, 'keys'), cut)
    await (await house.again()).put('J1', 'body', null, TEXT)
    t.ok((await (await house.again()).read('J1', 'body'))!.bytes.equals(TEXT))
    await house.spool.erase(['J1'])
    await house.spool.close()
  }
})
