import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { virtualClock } from '../../src/clock.ts'
import {
  certificateIn,
  HousePapers,
  keyIn,
  makeAuthority,
  openAuthority,
  pkiIn,
} from '../../src/pki/authority.ts'
import { bearerOf } from '../../src/pki/bearer.ts'
import { keyOfRequest } from '../../src/pki/certificate.ts'
import { newRequest } from '../../src/pki/request.ts'

const DAY_MS = 86_400_000
const clock = virtualClock()
const folder = (t: Test): string => pkiIn(t.testdir())
const keyFor = () => keyOfRequest(newRequest().csr)!

t.test('an authority is made once, for its own user alone, and opened as it was made', async t => {
  const dir = folder(t)
  const made = await makeAuthority(dir, clock)
  const mode = (path: string): number => statSync(path).mode & 0o777
  t.same([mode(dir), mode(keyIn(dir))], [0o700, 0o600])
  t.same(readdirSync(join(dir, '..')), ['pki'], 'nothing else is left')
  const opened = await openAuthority(dir)
  t.equal(opened.fingerprint, made.fingerprint)
  const { validFromDate, validToDate, ca } = new X509Certificate(made.certificate)
  t.equal(ca, true)
  const years = (validToDate.getTime() - validFromDate.getTime()) / (365 * DAY_MS)
  t.ok(years > 9.9 && years < 10.1, `${years} years`)
})

t.test('an authority that is there is never written over', async t => {
  const dir = folder(t)
  await makeAuthority(dir, clock)
  const before = readFileSync(keyIn(dir), 'utf8')
  await t.rejects(makeAuthority(dir, clock), { code: 'pki.exists', message: /move it away/ })
  rmSync(certificateIn(dir))
  await t.rejects(makeAuthority(dir, clock), { code: 'pki.exists' }, 'not even half of one')
  t.equal(readFileSync(keyIn(dir), 'utf8'), before)
  const other = `${dir}2`
  const outcomes = await Promise.allSettled([makeAuthority(other, clock), makeAuthority(other, clock)])
  t.same(
    outcomes.map(({ status }) => status).sort(),
    ['fulfilled', 'rejected'],
    'of two at once one makes it',
  )
  await openAuthority(other)
})

t.test('what is missing or damaged says what to do, and nothing of the key', async t => {
  const dir = folder(t)
  const missing = await openAuthority(dir).catch(error => error)
  t.equal(missing.code, 'pki.missing')
  t.ok(missing.message.endsWith(`quipu pki init --data ${join(dir, '..')}`), 'in the folder of that house')
  await makeAuthority(dir, clock)
  const [key, certificate] = [readFileSync(keyIn(dir)), readFileSync(certificateIn(dir))]
  const foreign = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
  const spoilt: [string, string | Buffer | undefined][] = [
    [keyIn(dir), undefined],
    [keyIn(dir), 'no key'],
    [keyIn(dir), foreign],
    [certificateIn(dir), undefined],
    [certificateIn(dir), key],
    [certificateIn(dir), certificate.subarray(0, 200)],
  ]
  for (const [path, held] of spoilt) {
    writeFileSync(keyIn(dir), key)
    writeFileSync(certificateIn(dir), certificate)
    if (held === undefined) rmSync(path)
    else writeFileSync(path, held)
    const error = await openAuthority(dir).catch(error => error)
    t.match(error, { code: 'pki.damaged', message: /copy.*quipu pki init/ })
    t.notMatch(error.message, /PRIVATE|MC4C/)
  }
})

t.test('a certificate says one thing of whom it speaks for, whatever the name', async t => {
  const authority = await makeAuthority(folder(t), clock)
  const now = clock.now()
  const issue = (node: string) =>
    authority.issue({ role: 'node', node }, keyFor(), { now, lifetimeMs: DAY_MS })
  for (const node of ['a', 'gpu-1.lan:11434', 'a[::1]:1', 'urn:quipu:house', `n${'x'.repeat(62)}`]) {
    const { certificate, serial, until } = issue(node)
    const made = new X509Certificate(certificate)
    t.same(bearerOf(made.raw), { role: 'node', node })
    t.equal(made.ca, false)
    t.match(serial, /^[0-9A-F]{32}$/)
    t.equal(until, now + DAY_MS)
    t.equal(made.validFromDate.getTime(), now - 300_000, 'a few minutes back')
  }
  const long = `n${'x'.repeat(63)}`
  for (const node of [
    '',
    'a/b',
    'a b',
    'a\0b',
    'a%00',
    '%68ouse',
    long,
    'ä',
    '-a',
    'a,URI:urn:quipu:house',
  ]) {
    const bearer = bearerOf(new X509Certificate(issue(node).certificate).raw)
    t.equal(bearer, undefined, JSON.stringify(node))
  }
  t.equal(bearerOf(new X509Certificate(authority.certificate).raw), undefined)
  t.equal(bearerOf(Buffer.from('junk')), undefined)
})

t.test('nothing that it signs outlives it, and afterwards it signs nothing', async t => {
  const authority = await makeAuthority(folder(t), clock)
  const issue = (now: number) =>
    authority.issue({ role: 'node', node: 'a' }, keyFor(), { now, lifetimeMs: 30 * DAY_MS })
  t.equal(issue(authority.until - DAY_MS).until, authority.until)
  t.throws(() => issue(authority.until), { code: 'pki.expired', message: /quipu pki init/ })
})

t.test('what the house shows is new at two thirds of its time, and its key is on no disk', async t => {
  const clock = virtualClock()
  const dir = folder(t)
  const authority = await makeAuthority(dir, clock)
  const house = new HousePapers(authority, clock)
  const shown = [house.papers.present]
  house.papers.listen(identity => void shown.push(identity))
  await clock.advance(30 * DAY_MS)
  t.equal(shown.length, 7)
  t.equal(new Set(shown.map(({ key }) => key)).size, 7)
  for (const { certificate } of shown) {
    t.same(bearerOf(new X509Certificate(certificate).raw), { role: 'house' })
  }
  t.ok(new X509Certificate(shown.at(-1)!.certificate).validToDate.getTime() > clock.now() + 2 * DAY_MS)
  t.same(readdirSync(dir).sort(), ['certificate', 'key'])
  house.close()
  await clock.advance(30 * DAY_MS)
  t.equal(shown.length, 7)
})

t.test('what the house shows holds after a sleep, and after its clock was put right', async t => {
  const clock = virtualClock()
  const authority = await makeAuthority(folder(t), clock)
  // While a machine sleeps its clock goes on, and its timers do not.
  let ahead = 0
  const house = new HousePapers(authority, { ...clock, now: () => clock.now() + ahead })
  t.teardown(() => house.close())
  const holds = (): boolean => {
    const { validFromDate, validToDate } = new X509Certificate(house.papers.present.certificate)
    const now = clock.now() + ahead
    return validFromDate.getTime() <= now && now < validToDate.getTime()
  }
  for (ahead of [0, 4, 8, 30].map(days => days * DAY_MS)) {
    await clock.advance(DAY_MS)
    t.ok(holds(), `${ahead / DAY_MS} days of sleep`)
  }
  ahead = 2 * DAY_MS
  await clock.advance(3_600_000)
  t.ok(holds(), 'a clock that was a month ahead')
})

t.test('OpenSSL takes what is made, by its strictest rules', async t => {
  const dir = folder(t)
  const authority = await makeAuthority(dir, { ...clock, now: () => Date.now() })
  const { csr } = newRequest()
  const times = { now: Date.now(), lifetimeMs: DAY_MS }
  const { certificate } = authority.issue({ role: 'node', node: 'a' }, keyOfRequest(csr)!, times)
  const [leaf, request] = [join(dir, 'leaf'), join(dir, 'csr')]
  writeFileSync(leaf, certificate)
  writeFileSync(request, csr)
  const openssl = (...args: string[]): string =>
    execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  try {
    openssl('version')
  } catch {
    return void t.comment('there is no openssl here')
  }
  for (const purpose of ['sslclient', 'sslserver']) {
    t.match(openssl('verify', '-x509_strict', '-purpose', purpose, '-CAfile', certificateIn(dir), leaf), /OK/)
  }
  t.doesNotThrow(() => openssl('req', '-in', request, '-noout', '-verify'))
})
