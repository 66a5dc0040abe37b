import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { makeAuthority, pkiIn } from '../../src/pki/authority.ts'
import { keyOfRequest } from '../../src/pki/certificate.ts'
import {
  identityIn,
  readHouse,
  readIdentity,
  tryFolder,
  writeHouse,
  writeIdentity,
} from '../../src/pki/files.ts'
import { newRequest } from '../../src/pki/request.ts'

const clock = virtualClock()

t.test('an agent keeps who it is in one file, for its own user alone', async t => {
  const dir = t.testdir()
  const authority = await makeAuthority(pkiIn(dir), clock)
  const { key, csr } = newRequest()
  const times = { now: clock.now(), lifetimeMs: 3_600_000 }
  const { certificate } = authority.issue({ role: 'node', node: 'a' }, keyOfRequest(csr)!, times)
  const home = join(dir, 'agent')
  await t.rejects(readIdentity(home), { code: 'agent.unjoined', message: /quipu pki invite/ })
  t.equal(await readHouse(home), undefined)
  const identity = { key, certificate, authority: authority.certificate }
  await writeIdentity(home, identity)
  await writeHouse(home, 'house.lan:11436')
  t.same(await readIdentity(home), identity)
  t.equal(await readHouse(home), 'house.lan:11436')
  t.same([statSync(home).mode & 0o777, statSync(identityIn(home)).mode & 0o777], [0o700, 0o600])
  t.same(readdirSync(home).sort(), ['house', 'identity.pem'])

  const whole = readFileSync(identityIn(home), 'utf8')
  const foreign = newRequest().key + certificate + authority.certificate
  const turned = key + authority.certificate + certificate
  for (const spoilt of ['', whole.slice(0, -40), whole + whole, foreign, turned]) {
    writeFileSync(identityIn(home), spoilt)
    const error = await readIdentity(home).catch(error => error)
    t.match(error, { code: 'agent.identity', message: /join again/ })
    t.notMatch(error.message, /BEGIN/)
  }
})

t.test('a folder is tried without leaving anything', async t => {
  const dir = t.testdir({ file: '', there: { house: 'a:1' } })
  const undo = await tryFolder(join(dir, 'new'))
  t.same(readdirSync(join(dir, 'new')), [])
  await undo()
  await (await tryFolder(join(dir, 'there')))()
  t.same([readdirSync(dir).sort(), readdirSync(join(dir, 'there'))], [['file', 'there'], ['house']])
  await t.rejects(tryFolder(join(dir, 'file', 'agent')), { code: 'agent.disk', message: /cannot be written/ })
})
