import { createHash, randomBytes } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { chance, collect, contents, failure, given, patient } from './given.ts'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

t.test('what is put is read again, of any size, before and after it is opened anew', async t => {
  const house = await given(t)
  const sizes = [0, 1, 2_000, 65_535, 65_536, 65_537, 1_048_576, 3_000_001]
  const bodies = new Map(sizes.map(size => [`S${size}`, randomBytes(size)]))
  for (const [id, bytes] of bodies) {
    const kept = await house.spool.put(id, 'body', { type: 'application/json', size: bytes.length }, bytes)
    t.same(kept, { bytes: bytes.length, digest: sha256(bytes) }, id)
  }
  for (const open of [() => house.spool, () => house.again()]) {
    const spool = await open()
    for (const [id, bytes] of bodies) {
      const { bytes: read, ...rest } = (await spool.read(id, 'body'))!
      t.ok(read.equals(bytes), id)
      const head = { type: 'application/json', size: bytes.length }
      t.same(rest, { head, ended: true, digest: sha256(bytes) })
      t.same(await spool.head(id, 'body'), head)
      t.ok((await collect(spool.follow(id, 'body', 0, patient()))).equals(bytes))
    }
  }
  t.equal(await house.spool.read('S1', 'answer-1'), undefined)
  t.equal(await house.spool.read('nobody', 'body'), undefined)
  t.equal(await house.spool.head('nobody', 'body'), undefined)
  t.equal(
    (await failure(() => collect(house.spool.follow('nobody', 'body', 0, patient())))).code,
    'spool.gone',
  )
})

t.test('a part that grows is what was written to it', async t => {
  const { spool } = await given(t)
  const { below } = chance(t)
  const writing = await spool.open('J1', 'answer-1', { status: 200 })
  const chunks: Buffer[] = []
  for (let i = 0; i < 400; i += 1) {
    const chunk = randomBytes(below(10) === 0 ? below(200_000) : below(300))
    chunks.push(chunk)
    await writing.write(chunk)
  }
  const all = Buffer.concat(chunks)
  t.same(await writing.end(), { bytes: all.length, digest: sha256(all) })
  const read = (await spool.read('J1', 'answer-1'))!
  t.ok(read.bytes.equals(all))
  t.match(read, { head: { status: 200 }, ended: true })
  t.ok((await writing.end()).bytes === all.length, 'ending it again changes nothing')
})

t.test('nothing lies there in plain, for nobody but the house', async t => {
  const { spool, folder } = await given(t)
  const secret = Buffer.from('the quick brown fox '.repeat(50))
  await spool.put('J1', 'body', { secret: 'jumps over' }, secret)
  const files = await contents(folder)
  t.same(Object.keys(files), ['J1.body.part', 'keys'])
  for (const text of Object.values(files)) t.notMatch(text, /brown|jumps/)
  t.equal((await stat(folder)).mode & 0o777, 0o700)
  for (const name of Object.keys(files)) t.equal((await stat(join(folder, name))).mode & 0o777, 0o600, name)
})

t.test('it says what there is', async t => {
  const house = await given(t)
  const before = Date.now()
  await house.spool.put('J1', 'body', null, Buffer.alloc(10_000))
  await house.spool.put('J2', 'body', null, Buffer.alloc(1))
  const writing = await house.spool.open('J1', 'answer-2', null)
  await writing.write(Buffer.alloc(1))
  t.match(house.spool.items(), [
    {
      id: 'J1',
      parts: [
        { part: 'body', bytes: 12_288, ended: true },
        { part: 'answer-2', ended: false },
      ],
    },
    { id: 'J2', parts: [{ part: 'body', bytes: 4_096, ended: true }] },
  ])
  await writing.end()
  t.same(house.spool.usage, { items: 2, bytes: 20_480 })
  const spool = await house.again()
  t.same(spool.usage, { items: 2, bytes: 20_480 })
  t.same([...spool.parts('J1')].map(({ part, bytes, ended }) => [part, bytes, ended]).sort(), [
    ['answer-2', 4_096, true],
    ['body', 12_288, true],
  ])
  for (const { at } of spool.parts('J1')) t.ok(at >= before - 1_000 && at <= Date.now() + 1_000)
  t.same(spool.parts('nobody'), [])
})

t.test('a part is written once', async t => {
  const { spool } = await given(t)
  await spool.put('J1', 'body', null, Buffer.from('one'))
  await t.rejects(spool.put('J1', 'body', null, Buffer.from('two')), /J1.body is there already/)
  const writing = await spool.open('J1', 'answer-1', null)
  await t.rejects(spool.open('J1', 'answer-1', null), /J1.answer-1 is there already/)
  await writing.end()
  await t.rejects(writing.write(Buffer.from('more')), /has ended/)
  t.equal((await spool.read('J1', 'body'))!.bytes.toString(), 'one')
  for (const [id, part] of [
    ['../J1', 'body'],
    ['', 'body'],
    ['J1', '..'],
    ['J1', 'body.open'],
    ['a'.repeat(65), 'body'],
  ] as const) {
    await t.rejects(spool.put(id, part, null, Buffer.alloc(0)), TypeError, `${id} ${part}`)
  }
  await t.rejects(spool.put('J2', 'body', 'x'.repeat(70_000), Buffer.alloc(0)), RangeError)
})

t.test('what is dropped leaves nothing; the rest of its item stays', async t => {
  const { spool, folder } = await given(t)
  await spool.put('J1', 'body', null, Buffer.from('body'))
  const writing = await spool.open('J1', 'answer-1', null)
  await writing.write(Buffer.alloc(100_000))
  await writing.drop()
  t.equal((await failure(() => writing.write(Buffer.alloc(1)))).code, 'spool.gone')
  t.equal((await failure(() => writing.end())).code, 'spool.gone')
  t.same(Object.keys(await contents(folder)), ['J1.body.part', 'keys'])
  t.same(spool.usage, { items: 1, bytes: 4_096 })
  await (await spool.open('J1', 'answer-1', null)).end()
  await spool.drop('J1', 'answer-1')
  await spool.drop('J1', 'answer-1')
  t.equal((await spool.read('J1', 'body'))!.bytes.toString(), 'body')
  await spool.drop('J1', 'body')
  t.same(spool.usage, { items: 0, bytes: 0 })
  t.same(Object.keys(await contents(folder)), ['keys'])
})
