import { statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { eitherName, namesOf, openNaming, plainNames, pseudonyms, writtenNames } from '../src/naming.ts'

t.test('a name has one pseudonym, under one key; a pseudonym is its own', async t => {
  const [one, other] = [pseudonyms(Buffer.alloc(32, 1)), pseudonyms(Buffer.alloc(32, 2))]
  t.match(one('10.0.0.7'), /^~[\w-]{16}$/)
  t.equal(one('10.0.0.7'), one('::ffff:10.0.0.7'))
  t.not(one('10.0.0.7'), one('10.0.0.8'))
  t.not(one('10.0.0.7'), other('10.0.0.7'))
  t.equal(one(one('10.0.0.7')), one('10.0.0.7'))
  t.equal(plainNames('10.0.0.7'), '10.0.0.7')
})

t.test('who asks by names means what they are written down as, too', async t => {
  const naming = pseudonyms(Buffer.alloc(32, 1))
  t.equal(eitherName('ann, bob', naming), `ann,${naming('ann')},bob,${naming('bob')}`)
  t.equal(writtenNames('ann, bob', naming), `${naming('ann')},${naming('bob')}`)
  t.equal(writtenNames('ann,bob', plainNames), 'ann,bob')
})

t.test('the key is made once, for nobody else to read, and only where it is wanted', async t => {
  const dir = t.testdir()
  t.equal(await openNaming(dir, false), plainNames)
  t.same(await namesOf(dir, 'ann'), ['ann'])
  const naming = await openNaming(dir, true)
  t.equal(statSync(join(dir, 'pseudonyms.key')).mode & 0o777, 0o600)
  t.equal((await openNaming(dir, true))('ann'), naming('ann'))
  t.same(await namesOf(dir, 'ann'), ['ann', naming('ann')])
  t.same(await namesOf(dir, naming('ann')), [naming('ann')])
})
