import { mkdir, open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { chance, collect, failure, given, patient } from './given.ts'

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

t.test('readers that come and go while a part is written all get the same bytes', async t => {
  const { spool } = await given(t)
  const { below, bytes } = chance(t)
  const all = bytes(600_000)
  const writing = await spool.open('J1', 'answer-1', { status: 200 })
  const readers: { from: number; bytes: Promise<Buffer> }[] = []
  const join = (from: number): void => {
    readers.push({ from, bytes: collect(spool.follow('J1', 'answer-1', from, patient())) })
  }
  join(0)
  for (let at = 0; at < all.length; ) {
    const length = below(20) === 0 ? below(150_000) : below(400)
    await writing.write(all.subarray(at, at + length))
    at += length
    if (readers.length < 3 || below(20) === 0) join(below(at))
    if (below(3) === 0) await turn()
  }
  join(all.length - 1)
  join(all.length)
  join(all.length + 1_000)
  await writing.end()
  join(0)
  join(below(all.length))
  t.ok(readers.length >= 8, `${readers.length} readers`)
  for (const { from, bytes } of readers) t.ok((await bytes).equals(all.subarray(from)), `from ${from}`)
})

t.test('a reader has what is written before there is more', async t => {
  const { spool } = await given(t)
  const writing = await spool.open('J1', 'answer-1', null)
  const reader = spool.follow('J1', 'answer-1', 0, patient())
  for (const word of ['why', 'is', 'the', 'sky', 'blue']) {
    const next = reader.next()
    await writing.write(Buffer.from(word))
    t.equal(String((await next).value), word)
  }
  const next = reader.next()
  await writing.end()
  t.equal((await next).done, true)
})

t.test('an empty part ends for its reader, too', async t => {
  const { spool } = await given(t)
  const writing = await spool.open('J1', 'answer-1', null)
  const all = collect(spool.follow('J1', 'answer-1', 0, patient()))
  await turn()
  await writing.end()
  t.equal((await all).length, 0)
})

t.test('a reader whose part is dropped or erased is told that it has not come to the end', async t => {
  const { spool } = await given(t)
  for (const stop of ['drop', 'erase', 'close'] as const) {
    await spool.put(stop, 'body', null, Buffer.alloc(1))
    const writing = await spool.open(stop, 'answer-1', null)
    const early = spool.follow(stop, 'answer-1', 0, patient())
    const waits = early.next()
    await turn()
    await writing.write(Buffer.from('so far'))
    t.equal(String((await waits).value), 'so far')
    const late = spool.follow(stop, 'answer-1', 3, patient())
    t.equal(String((await late.next()).value), 'far')
    const rest = collect(spool.follow(stop, 'answer-1', 100, patient()))
    const told = [early.next(), late.next(), rest].map(next => failure(() => next))
    if (stop === 'drop') await writing.drop()
    else if (stop === 'erase') await spool.erase([stop])
    else await spool.close()
    for (const { code } of await Promise.all(told)) {
      t.equal(code, stop === 'close' ? 'spool.closed' : 'spool.gone', stop)
    }
  }
})

t.test('a reader in the middle of a whole part is told, too', async t => {
  const { spool } = await given(t)
  await spool.put('J1', 'body', null, Buffer.alloc(1_000_000))
  const reader = spool.follow('J1', 'body', 0, patient())
  await reader.next()
  await spool.erase(['J1'])
  t.equal((await failure(() => reader.next())).code, 'spool.gone')
})

t.test('a reader may leave at any time', async t => {
  const { spool } = await given(t)
  const writing = await spool.open('J1', 'answer-1', null)
  const gave = new Error('enough')
  const before = new AbortController()
  before.abort(gave)
  await t.rejects(collect(spool.follow('J1', 'answer-1', 0, before.signal)), gave)
  const empty = new AbortController()
  const waits = t.rejects(collect(spool.follow('J1', 'answer-1', 0, empty.signal)), gave)
  await turn()
  empty.abort(gave)
  await waits
  await writing.write(Buffer.from('so far'))
  const later = new AbortController()
  const reader = spool.follow('J1', 'answer-1', 0, later.signal)
  await reader.next()
  const next = t.rejects(reader.next(), gave)
  await turn()
  later.abort(gave)
  await next
  for await (const _ of spool.follow('J1', 'answer-1', 0, patient())) break
  await writing.end()
})

t.test('a writer that is faster than the disk waits; a reader that is slow makes nobody wait', async t => {
  const { spool } = await given(t)
  const writing = await spool.open('J1', 'answer-1', null)
  const reader = spool.follow('J1', 'answer-1', 0, patient())
  const first = reader.next()
  await writing.write(Buffer.alloc(10))
  await first
  let waiting = true
  const large = writing.write(Buffer.alloc(8_388_608)).then(() => {
    waiting = false
  })
  await Promise.resolve()
  t.ok(waiting, 'eight megabytes do not go in at once')
  await large
  await writing.end()
  t.equal((await collect(reader)).length, 8_388_608)
})

t.test('64 MB go in, are followed and come out again in a few MB of memory', async t => {
  const { spool } = await given(t)
  setFlagsFromString('--expose-gc')
  const collected = runInNewContext('gc') as () => void
  const held = (): number => {
    for (let twice = 0; twice < 2; twice += 1) collected()
    return process.memoryUsage().arrayBuffers
  }
  const chunk = Buffer.alloc(65_536)
  const before = held()
  let most = 0
  const writing = await spool.open('J1', 'answer-1', null)
  async function count(): Promise<number> {
    let bytes = 0
    for await (const { length } of spool.follow('J1', 'answer-1', 0, patient())) {
      if (bytes % 16_777_216 > (bytes + length) % 16_777_216) most = Math.max(most, held())
      bytes += length
    }
    return bytes
  }
  const readers = [count(), count()]
  for (let i = 0; i < 1_024; i += 1) await writing.write(chunk)
  await writing.end()
  t.same(await Promise.all([...readers, count()]), [67_108_864, 67_108_864, 67_108_864])
  t.ok(most - before < 16_777_216, `${most - before} bytes at most`)
  // And a whole part costs no more than itself.
  const large = Buffer.alloc(67_108_864)
  const whole = held()
  const putting = spool.put('J2', 'body', null, large)
  const looking = setInterval(() => {
    most = Math.max(most, held() - whole)
  }, 50)
  most = 0
  await putting
  clearInterval(looking)
  t.ok(most < 16_777_216, `${most} bytes at most`)
})

t.test('nobody hears of an end that the disk has not confirmed', async t => {
  const { spool, folder } = await given(t)
  const writing = await spool.open('J1', 'answer-1', null)
  await writing.write(Buffer.from('all'))
  // The name that it should have at the end is taken by a folder that is not empty.
  await mkdir(join(folder, 'J1.answer-1.part'))
  await writeFile(join(folder, 'J1.answer-1.part', 'x'), '')
  const reader = spool.follow('J1', 'answer-1', 0, patient())
  await reader.next()
  const end = failure(() => reader.next())
  t.equal((await failure(() => writing.end())).code, 'spool.disk')
  t.equal((await end).code, 'spool.gone')
  await rm(join(folder, 'J1.answer-1.part'), { recursive: true })
})

t.test('a part that is altered while it grows is damaged, for who reads it', async t => {
  const { spool, folder } = await given(t)
  const writing = await spool.open('J1', 'answer-1', null)
  await writing.write(Buffer.alloc(1_000))
  const reader = spool.follow('J1', 'answer-1', 0, patient())
  await reader.next()
  await writing.write(Buffer.alloc(1_000))
  await reader.next()
  const file = await open(join(folder, 'J1.answer-1.open'), 'r+')
  await file.write(Buffer.from([1]), 0, 1, 600)
  await file.close()
  const error = await failure(() => collect(spool.follow('J1', 'answer-1', 0, patient())))
  t.equal(error.code, 'spool.damaged')
  t.match(error.message, 'J1.answer-1.part')
  t.equal((await failure(() => spool.read('J1', 'answer-1'))).code, 'spool.damaged')
  await writing.drop()
})
