import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { mulberry32 } from '../../src/clock.ts'
import { keyOfRequest } from '../../src/pki/certificate.ts'
import { newRequest } from '../../src/pki/request.ts'

const derOf = (csr: string): Buffer => Buffer.from(csr.replace(/-----[^-]+-----|\s/g, ''), 'base64')
const pemOf = (der: Uint8Array): string =>
  `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`

t.test('a request gives its key, and nothing else', async t => {
  const { csr, key } = newRequest()
  t.equal(keyOfRequest(csr)?.asymmetricKeyType, 'ed25519')
  t.notOk(csr.includes(key.slice(60, 90)))
  t.ok(keyOfRequest(pemOf(derOf(csr))), 'however it is broken into lines')
})

t.test('a request that was not made with its key is none', async t => {
  const [one, other] = [derOf(newRequest().csr), derOf(newRequest().csr)]
  const keyAt = one.indexOf(Buffer.from([0x06, 0x03, 0x2b, 0x65, 0x70])) + 8
  const parts = [one.subarray(0, keyAt), other.subarray(keyAt, keyAt + 32), one.subarray(keyAt + 32)]
  t.equal(keyOfRequest(pemOf(Buffer.concat(parts))), undefined, 'somebody else’s key')
  const wrong = Buffer.from(one)
  wrong[wrong.length - 1]! ^= 1
  t.equal(keyOfRequest(pemOf(wrong)), undefined, 'a wrong signature')
})

t.test('what is no request of ours is refused, whatever it is, and at once', async t => {
  const { csr, key } = newRequest()
  const der = derOf(csr)
  const junk = [
    '',
    'junk',
    key,
    csr + csr,
    csr.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE'),
    csr.replaceAll('\n', '\0'),
    pemOf(Buffer.alloc(0)),
    pemOf(Buffer.alloc(2_000, 0x30)),
    pemOf(Buffer.from('30'.repeat(1_000), 'hex')),
    pemOf(der.subarray(0, der.length - 1)),
    pemOf(Buffer.concat([der, Buffer.alloc(10_000)])),
    'x'.repeat(50_000_000),
    `-----BEGIN CERTIFICATE REQUEST-----\n${'A'.repeat(1_000_000)}`,
  ]
  const began = performance.now()
  for (const text of junk) t.equal(keyOfRequest(text), undefined, text.slice(0, 60))
  t.ok(performance.now() - began < 5_000)
})

t.test('a request with one bit different is the same key or none, and never trouble', async t => {
  const seed = 20_261
  t.comment(`seed ${seed}`)
  const random = mulberry32(seed)
  const { csr } = newRequest()
  const der = derOf(csr)
  const own = keyOfRequest(csr)!.export({ format: 'jwk' }).x
  let refused = 0
  for (let i = 0; i < 600; i += 1) {
    const spoilt = Buffer.from(der)
    spoilt[Math.floor(random() * der.length)]! ^= 1 << Math.floor(random() * 8)
    const key = keyOfRequest(pemOf(spoilt))
    if (key === undefined) refused += 1
    else if (key.export({ format: 'jwk' }).x !== own) t.fail(spoilt.toString('hex'))
  }
  t.ok(refused > 550, `${refused} of 600 refused`)
})

t.test('keys of another kind, names and extensions that somebody asks for come to nothing', async t => {
  const dir = t.testdir()
  const made = (file: string, ...args: string[]): string | undefined => {
    const out = join(dir, file)
    try {
      const all = ['req', '-new', '-nodes', '-keyout', `${out}.key`, '-out', out, ...args]
      execFileSync('openssl', all, { stdio: 'ignore' })
      return readFileSync(out, 'utf8')
    } catch {
      return void t.comment(`not made by this OpenSSL: ${args.join(' ')}`)
    }
  }
  const small = made('rsa512', '-newkey', 'rsa:512', '-subj', '/CN=a')
  const large = made('rsa2048', '-newkey', 'rsa:2048', '-subj', '/CN=a')
  const curve = made('ec', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-subj', '/CN=a')
  for (const csr of [small, large, curve]) if (csr !== undefined) t.equal(keyOfRequest(csr), undefined)
  const wishes = ['-addext', 'subjectAltName=URI:urn:quipu:house', '-addext', 'basicConstraints=CA:TRUE']
  const bold = made('bold', '-newkey', 'ed25519', '-subj', '/CN=Quipu house', ...wishes)
  if (bold !== undefined) t.equal(keyOfRequest(bold)?.asymmetricKeyType, 'ed25519', 'only the key is read')
})
