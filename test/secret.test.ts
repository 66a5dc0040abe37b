/** The house's own secret. */
import { readdirSync, readFileSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openSecret } from '../src/secret.ts'

t.test('it is made once, for the house alone, and stays', async t => {
  const dir = join(t.testdir(), 'data')
  const secret = await openSecret(dir)
  t.equal(secret.length, 32)
  t.same(await openSecret(dir), secret)
  t.same(readdirSync(dir), ['secret'])
  t.equal(statSync(join(dir, 'secret')).mode & 0o777, 0o600)
  t.notSame(await openSecret(join(t.testdir(), 'other')), secret)
})

t.test('one that a crash left half made is made anew', async t => {
  const dir = t.testdir({ 'secret.new': 'half' })
  const secret = await openSecret(dir)
  t.same(readFileSync(join(dir, 'secret')), secret)
  t.same(readdirSync(dir), ['secret'])
})

t.test('one that is not what was written is not guessed at', async t => {
  const dir = join(t.testdir({ folder: { secret: {} } }), 'data')
  await openSecret(dir)
  truncateSync(join(dir, 'secret'), 31)
  await t.rejects(openSecret(dir), { code: 'secret.unreadable', message: /32 bytes/ })
  const folder = join(t.testdirName, 'folder')
  await t.rejects(openSecret(folder), { code: 'secret.unreadable', message: /cannot be read/ })
})
