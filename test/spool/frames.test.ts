/** What AES-GCM must never meet: the same key and nonce twice. Every call that is made to it is looked at. */
import crypto from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import t from 'tap'
import { chance, given } from './given.ts'

interface Use {
  readonly key: string
  readonly nonce: string
}

/** Every key and nonce that anything is sealed with, until the test is over. */
function uses(t: { teardown(undo: () => void): void }): Use[] {
  const seen: Use[] = []
  const real = crypto.createCipheriv
  const spy = (cipher: string, key: Buffer, nonce: Buffer, options: object): unknown => {
    seen.push({ key: key.toString('hex'), nonce: nonce.toString('hex') })
    return (real as (...args: unknown[]) => unknown)(cipher, key, nonce, options)
  }
  crypto.createCipheriv = spy as typeof real
  syncBuiltinESMExports()
  t.teardown(() => {
    crypto.createCipheriv = real
    syncBuiltinESMExports()
  })
  return seen
}

t.test('no two frames ever have the same key and nonce, whatever is done', async t => {
  const seen = uses(t)
  const { below } = chance(t)
  const house = await given(t, { bytesMax: 1_000_000 })
  const ids = ['J1', 'J2', 'J3']
  const names = ['body', 'answer-1', 'answer-2', 'answer-12']
  for (let step = 0; step < 150; step += 1) {
    const id = ids[below(ids.length)]!
    const part = names[below(names.length)]!
    const bytes = Buffer.alloc(below(5) === 0 ? below(200_000) : below(100))
    const { spool } = house
    const there = spool.parts(id).find(row => row.part === part)
    const doing = below(6)
    if (there?.ended) await (below(3) > 0 ? spool.drop(id, part) : spool.erase([id]))
    else if (doing < 2) await spool.put(id, part, null, bytes).catch(() => {})
    else {
      // The same bytes again and again under the same name: ended, dropped, or cut off as by a crash.
      const writing = await spool.open(id, part, null)
      await writing.write(bytes).catch(() => {})
      if (doing === 2) await writing.end().catch(() => {})
      else if (doing === 3) await writing.drop()
      else {
        const files = await Promise.all(
          (await readdir(house.folder)).map(async name => {
            const path = join(house.folder, name)
            return [path, await readFile(path)] as const
          }),
        )
        await spool.close()
        for (const [path, text] of files) await writeFile(path, text)
        await house.again()
      }
    }
  }
  t.ok(seen.length > 200, `${seen.length} frames`)
  t.equal(new Set(seen.map(({ key, nonce }) => `${key} ${nonce}`)).size, seen.length)
  const keys = new Map<string, string[]>()
  for (const { key, nonce } of seen) keys.set(key, [...(keys.get(key) ?? []), nonce])
  for (const nonces of keys.values()) {
    const counted = nonces.map((_, number) => number.toString(16).padStart(24, '0'))
    t.same(nonces, counted, 'within a file they count from 0')
  }
  t.ok(keys.size > 60, `${keys.size} files, each with a key of its own`)
})

t.test('the same bytes under the same name are never sealed alike', async t => {
  const house = await given(t)
  const sealed = new Set<string>()
  for (let round = 0; round < 10; round += 1) {
    await house.spool.put('J1', 'body', null, Buffer.alloc(64))
    await house.spool.put('J1', 'answer-1', null, Buffer.alloc(64))
    for (const name of ['J1.body.part', 'J1.answer-1.part']) {
      sealed.add((await readFile(join(house.folder, name))).toString('hex', 48))
    }
    await (round % 2 === 0 ? house.spool.erase(['J1']) : house.spool.drop('J1', 'body'))
    if (round % 2 === 1) await house.spool.drop('J1', 'answer-1')
  }
  t.equal(sealed.size, 20)
})
