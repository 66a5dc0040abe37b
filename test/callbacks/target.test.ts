/** Where a job may call back to. */
import t from 'tap'
import { Targets } from '../../src/callbacks/target.ts'

const check = (url: string, ...allowed: string[]): string => new Targets(allowed).check({ url }).href

t.test('the public internet may be called, by name or by address', async t => {
  for (const url of [
    'https://hooks.example/x?token=1',
    'http://hooks.example:8080/',
    'https://8.8.8.8/',
    'https://[2606:4700::1111]/',
    'https://172.15.0.1/',
    'https://172.32.0.1/',
    'https://223.255.255.255/',
  ])
    t.doesNotThrow(() => check(url), url)
})

t.test('nothing else may, however it is written', async t => {
  for (const host of [
    '127.0.0.1',
    '127.1',
    '0x7f.1',
    '2130706433',
    '0.0.0.0',
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '100.100.100.200',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '[::1]',
    '[::]',
    '[fe80::1]',
    '[fd00:ec2::254]',
    '[ff02::1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:10.0.0.1]',
    '[::127.0.0.1]',
    '[64:ff9b::10.0.0.1]',
    '[2002:7f00:1::]',
    '[2001:db8::1]',
    '[2001:0:1::1]',
    'localhost',
    'LOCALHOST.',
    'db.localhost',
  ]) {
    const expected = { code: 'callback.address', message: /--allow-callback/ }
    t.throws(() => check(`http://${host}:9/`), expected, host)
  }
})

t.test('what the owner of the house allows may be called', async t => {
  t.doesNotThrow(() => check('http://10.1.2.3/', '10.0.0.0/8'))
  t.doesNotThrow(() => check('http://[::ffff:10.1.2.3]/', '10.0.0.0/8'))
  t.doesNotThrow(() => check('http://[fd00::1]/', 'fd00::/8', '10.0.0.0/8'))
  t.doesNotThrow(() => check('http://localhost/', '::1'))
  t.throws(() => check('http://192.168.1.1/', '10.0.0.0/8'), { code: 'callback.address' })
  t.throws(() => new Targets(['10.0.0.0/99']), { code: 'config.invalid', message: /--allow-callback/ })
})

t.test('what is no URL to be called is refused, and nothing of it is repeated', async t => {
  for (const [url, message] of [
    ['', /not one/],
    ['hooks.example/x', /not one/],
    ['ftp://hooks.example', /neither http nor https/],
    ['file:///etc/passwd', /neither/],
    ['https://user:secret@hooks.example', /must not hold/],
    [`https://hooks.example/${'secret'.repeat(400)}`, /at most/],
  ] as const) {
    t.throws(() => check(url), { code: 'callback.url', message }, url.slice(0, 40))
    t.throws(() => check(url), { message: /^(?!.*secret)/ })
  }
})
