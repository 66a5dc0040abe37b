/** Where a node may be, by its URL and by what its name resolves to. */
import { connect } from 'node:net'
import t from 'tap'
import { checkAddress, guardedLookup, objection } from '../../src/ollama/address.ts'

const check = (url: string, linkLocal = false): string => checkAddress(url, { linkLocal })

t.test('a URL is put into its plain form', async t => {
  for (const [url, plain] of [
    ['http://10.0.0.7:11434', 'http://10.0.0.7:11434'],
    ['http://10.0.0.7:11434/', 'http://10.0.0.7:11434'],
    ['HTTP://Node-1.Lab:80//', 'http://node-1.lab'],
    ['https://ollama.lab/prefix/', 'https://ollama.lab/prefix'],
    ['http://localhost:11434', 'http://localhost:11434'],
    ['http://127.0.0.1', 'http://127.0.0.1'],
    ['http://[::1]:11434', 'http://[::1]:11434'],
    ['http://[fd00::7]', 'http://[fd00::7]'],
    ['http://0x7f.1/', 'http://127.0.0.1'],
    ['http://0.0.0.0:11434', 'http://0.0.0.0:11434'],
  ] as const) {
    t.equal(check(url), plain)
  }
})

t.test('what is no address of a node is refused, with a sentence', async t => {
  for (const [url, message] of [
    ['', /not a URL/],
    ['10.0.0.7:11434', /not a URL|neither http/],
    ['http://', /not a URL/],
    ['ftp://a', /neither http nor https/],
    ['file:///etc/passwd', /neither http nor https/],
    ['javascript:alert(1)', /neither http nor https/],
    ['http://user@a', /must not hold a user/],
    ['http://user:secret@a', /must not hold a user/],
    ['ftp://user:secret@a', /must not hold a user/],
    ['http://a/?x=1', /must end with/],
    ['http://a/#x', /must end with/],
    [`http://${'a'.repeat(2_000)}`, /at most/],
    ['http://224.0.0.1', /not an address of one machine/],
    ['http://255.255.255.255', /not an address of one machine/],
    ['http://[ff02::1]', /not an address of one machine/],
  ] as const) {
    t.throws(() => check(url), { code: 'node.url', message }, url.slice(0, 40))
  }
  t.doesNotThrow(() => check('http://a'))
  try {
    check('ftp://user:secret@a')
  } catch (error) {
    t.notMatch((error as Error).message, 'secret')
  }
})

t.test('link-local addresses are refused however they are written, unless the house allows them', async t => {
  for (const url of [
    'http://169.254.169.254',
    'http://169.254.169.254./latest/meta-data',
    'http://2852039166',
    'http://0xa9fea9fe',
    'http://0251.0376.0251.0376',
    'http://169.254.43518',
    'http://[fe80::1]:11434',
    'http://[febf::1]',
    'http://[::ffff:169.254.169.254]',
    'http://[::ffff:a9fe:a9fe]',
    'http://[64:ff9b::169.254.169.254]',
    'http://[fd00:ec2::254]',
    'http://100.100.100.200',
  ]) {
    t.throws(() => check(url), { code: 'node.url', message: /--link-local on/ }, url)
    t.doesNotThrow(() => check(url, true), url)
  }
  for (const url of ['http://169.253.0.1', 'http://[fec0::1]', 'http://100.64.0.1', 'http://[fd00::1]'])
    t.doesNotThrow(() => check(url), url)
})

t.test('what a name resolves to is looked at again at each connection', async t => {
  const lookup = guardedLookup(false)
  const resolve = (host: string, options: object) =>
    new Promise<unknown>((done, fail) =>
      lookup(host, options as never, (error, found) => (error ? fail(error) : done(found))),
    )
  t.match(await resolve('localhost', { all: true }), [{ address: /^(127\.|::1)/ }])
  t.match(await resolve('localhost', { family: 4 }), /^127\./)
  await t.rejects(resolve('no-such-host.invalid', {}), { code: /ENOTFOUND|EAI_AGAIN/ })
  // Numbers "resolve" to themselves, which stands for a name that leads there.
  await t.rejects(resolve('169.254.169.254', {}), { code: 'node.url' })
  await t.rejects(resolve('169.254.169.254', { all: true }), { code: 'node.url' })
  t.equal(
    await new Promise(done => guardedLookup(true)('169.254.169.254', {}, (_error, address) => done(address))),
    '169.254.169.254',
  )
  const socket = connect({ host: 'localhost', port: 1, lookup: guardedLookup(false) as never })
  t.match(
    await new Promise(done => socket.once('error', done)),
    { code: 'ECONNREFUSED' },
    'sockets can use it',
  )
})

t.test('a name is no objection by itself', async t => {
  t.equal(objection('metadata.google.internal', false), undefined)
})
