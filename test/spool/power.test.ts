import { hash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { openSpool } from '../../src/spool/store.ts'
import { chance, given } from './given.ts'
import { plain } from './plain.ts'
import { platter } from './platter.ts'

t.test(
  'a power cut at any moment loses nothing that was acknowledged, and brings back nothing erased',
  async t => {
    const { below } = chance(t)
    const dir = join(t.testdir(), 'data')
    const folder = join(dir, 'spool')
    mkdirSync(folder, { recursive: true })
    // Some syncs are slow, so that whatever does not wait for one is overtaken by a power cut.
    const pause = (): Promise<void> =>
      new Promise(resolve => setTimeout(resolve, below(4) === 0 ? below(40) : 0))
    const disk = await platter(folder, pause)
    t.teardown(() => disk.stop())
    const house = await given(t, { dir })
    const kept = new Map<string, number>()
    const erased = new Map<string, Buffer>()
    let busy = true
    let made = 0

    /** The key that the item has in the file of keys. */
    async function keyOf(id: string): Promise<Buffer> {
      const raw = await readFile(join(folder, 'keys'))
      const at = raw.indexOf(hash('sha256', id, 'buffer').subarray(0, 24))
      return Buffer.from(raw.subarray(at + 24, at + 56))
    }

    async function write(): Promise<void> {
      while (busy) {
        made += 1
        const id = `J${made}`
        const bytes = plain(id, 'body', below(5) === 0 ? below(100_000) : below(500))
        if (below(2) === 0) await house.spool.put(id, 'body', null, bytes)
        else {
          const writing = await house.spool.open(id, 'body', null)
          for (let at = 0; at < bytes.length; at += 300) await writing.write(bytes.subarray(at, at + 300))
          await writing.end()
        }
        kept.set(id, bytes.length)
        if (kept.size < 50 && below(2) === 0) continue
        const key = await keyOf(id)
        kept.delete(id)
        await house.spool.erase([id])
        erased.set(id, key)
      }
    }

    const writers = Array.from({ length: 6 }, write)
    const cuts = Number(process.env['CUTS'] ?? 12)
    // More on a slow disk, until there was something to lose.
    for (let round = 0; round < cuts || kept.size <= 20 || erased.size <= 20; round += 1) {
      await new Promise(resolve => setTimeout(resolve, below(30)))
      const [must, mustNot] = [new Map(kept), new Map(erased)]
      const after = `${dir}-${round}`
      mkdirSync(after)
      await disk.cut(join(after, 'spool'), below)
      const raw = await readFile(join(after, 'spool', 'keys')).catch(() => Buffer.alloc(0))
      for (const [id, key] of mustNot) if (raw.includes(key)) t.fail(`the key of ${id} is there again`)
      const spool = await openSpool({ dir: after, clock: systemClock })
      for (const [id, size] of must) {
        // Asked to be erased since: either will do.
        if (!kept.has(id)) continue
        const read = await spool.read(id, 'body')
        if (!read?.bytes.equals(plain(id, 'body', size))) t.fail(`${id} is lost`)
      }
      for (const id of mustNot.keys()) if (spool.parts(id).length > 0) t.fail(`${id} is there again`)
      await spool.close()
      await rm(after, { recursive: true })
    }
    busy = false
    await Promise.all(writers)
    t.comment(`${made} items, ${erased.size} erased`)
    t.ok(kept.size > 20 && erased.size > 20, 'there was something to lose')
  },
)

t.test('a thousand at once share the syncs of keys and folder', async t => {
  const dir = join(t.testdir(), 'data')
  mkdirSync(join(dir, 'spool'), { recursive: true })
  const disk = await platter(join(dir, 'spool'))
  t.teardown(() => disk.stop())
  const { spool } = await given(t, { dir })
  const [keys, folder] = [disk.syncs.get('keys') ?? 0, disk.syncs.get('.') ?? 0]
  await Promise.all(
    Array.from({ length: 1_000 }, (_, i) => spool.put(`J${i}`, 'body', null, Buffer.alloc(2_000))),
  )
  const synced = { keys: disk.syncs.get('keys')! - keys, folder: disk.syncs.get('.')! - folder }
  t.comment(synced)
  t.ok(synced.keys > 0 && synced.keys < 500)
  t.ok(synced.folder > 0 && synced.folder < 500)
  t.equal([...disk.syncs.keys()].length, 1_002, 'and each is synced itself')
})
