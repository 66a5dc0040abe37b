/** A process that fills a spool is killed with SIGKILL, again and again. KILLS makes it longer. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { keysIn } from '../../src/spool/keys.ts'
import { chance, given } from './given.ts'
import { plain } from './plain.ts'

const WRITER = join(import.meta.dirname, 'writer.ts')
const ROUNDS = Number(process.env['KILLS'] ?? 6)

t.test('whatever was acknowledged survives kill -9, and whatever was erased does not', async t => {
  const { seed, below } = chance(t)
  const house = await given(t)
  await house.spool.close()
  /** What must be there, by item and part; what must not; and what nobody knows. */
  const kept = new Map<string, Map<string, number>>()
  const erased = new Set<string>()
  const erasing = new Set<string>()
  let torn = 0

  // More on a slow machine, until there was something to lose.
  for (let round = 0; round < ROUNDS || kept.size <= 20 || erased.size === 0; round += 1) {
    const child = spawn(process.execPath, [WRITER, house.dir, `${seed + 100 * round}`])
    t.teardown(() => child.kill('SIGKILL'))
    let said = ''
    let err = ''
    child.stdout.on('data', chunk => (said += chunk))
    child.stderr.on('data', chunk => (err += chunk))
    await Promise.race([once(child.stdout, 'data'), once(child, 'close')])
    await new Promise(resolve => setTimeout(resolve, 50 + below(250)))
    child.kill('SIGKILL')
    await once(child, 'close')
    t.equal(child.signalCode, 'SIGKILL', err)
    // The last line may be half of one.
    for (const line of said.split('\n').slice(0, -1)) {
      const [word, id = '', part = '', size] = line.split(' ')
      if (word === 'kept') kept.set(id, (kept.get(id) ?? new Map()).set(part, Number(size)))
      else if (word === 'erasing') erasing.add(id)
      else if (word === 'erased') erased.add(id)
    }

    const spool = await house.again()
    for (const [id, parts] of kept) {
      if (erasing.has(id) && spool.parts(id).length === 0) continue
      for (const [part, size] of parts) {
        const read = await spool.read(id, part)
        if (!read?.ended || !read.bytes.equals(plain(id, part, size))) t.fail(`${id}.${part} is lost`)
      }
    }
    for (const id of erased) if (spool.parts(id).length > 0) t.fail(`${id} is there again`)
    for (const { id, parts } of spool.items()) {
      for (const { part, ended } of parts) {
        if (ended) continue
        torn += 1
        const bytes = (await spool.read(id, part))?.bytes ?? Buffer.alloc(0)
        if (!bytes.equals(plain(id, part, bytes.length))) t.fail(`${id}.${part} is not what was written`)
      }
    }
    const keys = keysIn(await readFile(join(house.folder, 'keys')))
    t.equal(keys.length, spool.usage.items, 'as many keys as items')
    const files = (await readdir(house.folder)).length - 1
    t.equal(
      spool.items().reduce((sum, { parts }) => sum + parts.length, 0),
      files,
      'and no file that belongs to none',
    )
    await spool.close()
  }
  t.comment(`${kept.size} items, ${erased.size} erased, ${torn} parts cut off`)
  t.ok(kept.size > 20 && erased.size > 0, 'there was something to lose')
})

t.test('a crash between any two steps of making or erasing an item is tidied up', async t => {
  const house = await given(t)
  const { folder } = house
  await house.spool.put('J1', 'body', null, Buffer.from('stays'))
  await house.spool.put('J2', 'body', null, Buffer.from('goes'))
  const before = await readFile(join(folder, 'keys'))
  const body = await readFile(join(folder, 'J2.body.part'))
  await house.spool.erase(['J2'])
  await house.spool.close()

  // The key is gone, its files are still there.
  await writeFile(join(folder, 'J2.body.part'), body)
  await writeFile(join(folder, 'J2.answer-1.open'), body)
  let spool = await house.again()
  t.same(
    spool.items().map(({ id }) => id),
    ['J1'],
  )
  t.same((await readdir(folder)).sort(), ['J1.body.part', 'keys'])

  // The key is there, its files never came.
  await spool.close()
  await writeFile(join(folder, 'keys'), before)
  spool = await house.again()
  t.equal(keysIn(await readFile(join(folder, 'keys'))).length, 1)
  t.equal(spool.usage.items, 1)
  t.equal((await spool.read('J1', 'body'))!.bytes.toString(), 'stays')

  // What is not the spool's is left alone.
  await spool.close()
  for (const name of ['keys.bak', 'notes.txt', 'J2.body', '.part', 'J2..part', 'J2.body.part.old']) {
    await writeFile(join(folder, name), 'mine')
  }
  await house.again()
  t.equal((await readdir(folder)).length, 8)
})
