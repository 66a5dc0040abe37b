import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { keyIn } from '../../src/spool/keys.ts'
import { prove, type Suspect } from '../../src/spool/proof.ts'
import { failure, type Given, given } from './given.ts'

const TEXT = Buffer.from('Why is the sky blue?')

/** Three items: J1 has a question and two answers. */
async function held(t: Test): Promise<Given> {
  const house = await given(t)
  for (const id of ['J1', 'J2', 'J3']) await house.spool.put(id, 'body', null, TEXT)
  await house.spool.put('J1', 'answer-1', null, TEXT)
  const writing = await house.spool.open('J1', 'answer-2', null)
  await writing.write(TEXT)
  await mkdir(join(house.dir, 'journal'))
  await writeFile(join(house.dir, 'journal', '000001.log'), Buffer.alloc(3_000_000))
  return house
}

/** J1 as it is before anything is erased: its key lies in the first slot. */
async function suspect(house: Given): Promise<Suspect> {
  const key = Buffer.from(keyIn(await readFile(join(house.folder, 'keys')), 1)!)
  return { id: 'J1', parts: ['body', 'answer-1', 'answer-2'], bytes: 12_288, key, slot: 1 }
}

t.test('what is erased is gone: key, files, and who was reading or writing', async t => {
  const house = await held(t)
  const { key } = await suspect(house)
  const rows = await house.spool.erase(['J1', 'J1', 'nobody'])
  t.match(rows, [{ id: 'J1', parts: ['body', 'answer-1', 'answer-2'] }])
  t.ok(rows[0]!.bytes >= 8_192)
  const raw = await readFile(join(house.folder, 'keys'))
  t.ok(raw.subarray(64, 128).equals(Buffer.alloc(64)), 'its slot is zeros')
  t.equal(raw.indexOf(key!), -1)
  t.same((await readdir(house.folder)).sort(), ['J2.body.part', 'J3.body.part', 'keys'])
  t.equal(await house.spool.read('J1', 'body'), undefined)
  t.same(house.spool.usage, { items: 2, bytes: 8_192 })
  t.same(await house.spool.erase(['J1']), [])
  const spool = await house.again()
  t.same(spool.parts('J1'), [])
  t.ok((await spool.read('J2', 'body'))!.bytes.equals(TEXT))
})

t.test('an id that comes again has another key', async t => {
  const house = await held(t)
  const { key } = await suspect(house)
  await house.spool.erase(['J1'])
  await house.spool.put('J1', 'body', null, TEXT)
  t.ok((await house.spool.read('J1', 'body'))!.bytes.equals(TEXT))
  t.equal((await readFile(join(house.folder, 'keys'))).indexOf(key!), -1)
})

t.test('the proof says so, from what lies on the disk', async t => {
  const house = await held(t)
  const [proof, ...others] = await house.spool.eraseAndProve(['J1', 'nobody'], house.dir)
  t.match(proof, {
    id: 'J1',
    parts: ['body', 'answer-1', 'answer-2'],
    slot: 'zero',
    files: [],
    readable: [],
    keyFoundIn: [],
    proved: true,
  })
  t.same(others, [])
  t.same(await house.spool.eraseAndProve(['J1'], house.dir), [])
})

t.test('a slot that another item has by now is told from one that was never cleared', async t => {
  const house = await held(t)
  const before = await suspect(house)
  await house.spool.erase(['J1'])
  await house.spool.put('J4', 'body', null, TEXT)
  t.match(await prove([before], house.dir), [{ slot: 'another', proved: true }])
})

t.test('what an erasure leaves behind does not escape the proof', async t => {
  const leftovers: Record<string, (house: Given, before: Record<string, Buffer>) => Promise<unknown>> = {
    'a file': ({ folder }, before) => writeFile(join(folder, 'J1.body.part'), before['J1.body.part']!),
    'an unfinished file': ({ folder }, before) => writeFile(join(folder, 'J1.x'), before['J1.body.part']!),
    'the key': ({ folder }, before) => writeFile(join(folder, 'keys'), before['keys']!),
    'the key and a file': async ({ folder }, before) => {
      await writeFile(join(folder, 'keys'), before['keys']!)
      await writeFile(join(folder, 'J1.body.part'), before['J1.body.part']!)
    },
    'a copy of the keys': ({ dir }, before) => writeFile(join(dir, 'keys.bak'), before['keys']!),
    'the key in the journal': async ({ dir }, before) => {
      const log = Buffer.alloc(3_000_000)
      // Across two of the pieces in which files are read.
      keyIn(before['keys']!, 1)!.copy(log, 1_048_576 - 10)
      await writeFile(join(dir, 'journal', '000001.log'), log)
    },
  }
  const told: Record<string, object> = {
    'a file': { slot: 'zero', files: ['J1.body.part'], readable: [], keyFoundIn: [] },
    'an unfinished file': { slot: 'zero', files: ['J1.x'], readable: [], keyFoundIn: [] },
    'the key': { slot: 'key', files: [], readable: [], keyFoundIn: ['spool/keys'] },
    'the key and a file': {
      slot: 'key',
      files: ['J1.body.part'],
      readable: ['J1.body.part'],
      keyFoundIn: ['spool/keys'],
    },
    'a copy of the keys': { slot: 'zero', files: [], readable: [], keyFoundIn: ['keys.bak'] },
    'the key in the journal': { slot: 'zero', files: [], readable: [], keyFoundIn: ['journal/000001.log'] },
  }
  const house = await held(t)
  const before: Record<string, Buffer> = {}
  for (const name of ['J1.body.part', 'keys']) before[name] = await readFile(join(house.folder, name))
  const item = await suspect(house)
  await house.spool.erase(['J1'])
  const clean = `${house.dir}-clean`
  await cp(house.dir, clean, { recursive: true })
  for (const [what, leave] of Object.entries(leftovers)) {
    await rm(house.dir, { recursive: true })
    await cp(clean, house.dir, { recursive: true })
    t.match(await prove([item], house.dir), [{ proved: true }])
    await leave(house, before)
    t.match(await prove([item], house.dir), [{ ...told[what], proved: false }], what)
  }
})

t.test('many items are proved at once', async t => {
  const house = await given(t)
  const ids = Array.from({ length: 300 }, (_, i) => `J${i}`)
  await Promise.all(ids.map(id => house.spool.put(id, 'body', null, TEXT)))
  const raw = await readFile(join(house.folder, 'keys'))
  const proofs = await house.spool.eraseAndProve(ids.slice(0, 200), house.dir)
  t.equal(proofs.filter(({ proved }) => proved).length, 200)
  t.equal(house.spool.usage.items, 100)
  // All 300 keys are in the copy, so it is found for each of the 100 that are erased now.
  await writeFile(join(house.dir, 'copy'), raw)
  const rest = await house.spool.eraseAndProve(ids, house.dir)
  t.equal(rest.filter(({ keyFoundIn }) => keyFoundIn.includes('copy')).length, 100)
})

t.test('a key is found wherever in a file it lies', async t => {
  const house = await given(t)
  await house.spool.put('J1', 'body', null, TEXT)
  const item = await suspect(house)
  await house.spool.erase(['J1'])
  const path = join(house.dir, 'somewhere')
  const edge = 1_048_576
  const places = [
    ...Array.from({ length: 70 }, (_, at) => at),
    ...Array.from({ length: 70 }, (_, i) => edge - 50 + i),
  ]
  const missed: number[] = []
  for (const at of [...places, 2 * edge - 32]) {
    const bytes = Buffer.alloc(at < 100 ? at + 32 : 2 * edge)
    item.key!.copy(bytes, at)
    await writeFile(path, bytes)
    const [proof] = await prove([item], house.dir)
    if (!proof!.keyFoundIn.includes('somewhere')) missed.push(at)
    await rm(path)
  }
  t.same(missed, [])
})

t.test('where the folder cannot be read nothing is proved', async t => {
  const house = await held(t)
  const error = await failure(() => house.spool.eraseAndProve(['J1'], join(house.dir, 'elsewhere')))
  t.equal(error.code, 'spool.disk')
})
