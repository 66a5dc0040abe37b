/** Who may come in, by what name, and who may change things. */
import type { IncomingMessage } from 'node:http'
import { hostname, networkInterfaces } from 'node:os'
import t from 'tap'
import { Edge, type EdgeNeeds } from '../../src/gateway/edge.ts'

const edge = (needs: Partial<EdgeNeeds> = {}): Edge =>
  new Edge({ host: '127.0.0.1', allowedHosts: [], origins: [], trust: [], ...needs })

function asked(
  headers: Record<string, string> = {},
  { url = '/api/tags', method = 'GET', from = '127.0.0.1' } = {},
): IncomingMessage {
  const rawHeaders = Object.entries(headers).flat()
  return { url, method, headers, rawHeaders, socket: { remoteAddress: from } } as unknown as IncomingMessage
}

t.test('a house on loopback is called by names that cannot be rebound', async t => {
  const own = Object.values(networkInterfaces()).flatMap(list => list?.map(({ address }) => address) ?? [])
  for (const host of [
    'localhost',
    'LOCALHOST:11435',
    '127.0.0.1:1',
    '127.1.2.3',
    '10.0.0.1',
    '192.168.7.7:80',
    '172.31.0.1',
    '0.0.0.0:11434',
    '[::1]:11435',
    '[::1]',
    '::1',
    '[fd00::1]:1',
    '',
    hostname(),
    'box.local',
    'a.b.internal:9',
    'x.localhost',
    ...own.filter(address => !address.includes(':')),
  ]) {
    t.match(edge().judge(asked({ host })), { pass: true }, host)
  }
  for (const host of [
    'evil.example',
    'evil.example:11435',
    '8.8.8.8',
    '172.32.0.1',
    'localhost.evil.example',
    'local',
    'evillocal',
    '127.0.0.1.evil.example',
    '[2001:db8::1]:1',
  ]) {
    t.same(edge().judge(asked({ host })), { pass: false, status: 403, message: '' }, host)
  }
  t.match(edge({ allowedHosts: ['house.example'] }).judge(asked({ host: 'House.example:1' })), { pass: true })
})

t.test('a house that listens wider is called by any name, as Ollama is', async t => {
  t.match(edge({ host: '0.0.0.0' }).judge(asked({ host: 'evil.example' })), { pass: true })
})

t.test('other people’s web pages are let in only by name', async t => {
  const from = (origin: string, needs: Partial<EdgeNeeds> = {}) =>
    edge(needs).judge(asked({ host: 'localhost:11435', origin }))
  for (const origin of [
    'http://localhost',
    'https://localhost:3000',
    'http://127.0.0.1:8080',
    'http://0.0.0.0',
    'app://obsidian.md',
    'tauri://localhost',
    'vscode-webview://abc',
  ]) {
    t.same(from(origin), { pass: true, cors: origin })
  }
  t.same(from('http://localhost:11435'), { pass: true }, 'its own pages need no CORS')
  t.same(from('https://localhost:11435'), { pass: true })
  for (const origin of [
    'http://evil.example',
    'null',
    'chrome-extension://abc',
    'http://localhost.evil.example',
    'http://localhostevil',
    'http://evil.example, http://localhost',
    'xapp://a',
  ]) {
    t.same(from(origin), { pass: false, status: 403, message: '' }, origin)
  }
  const origins = ['https://*.lab.example', 'chrome-extension://*']
  t.match(from('https://a.lab.example', { origins }), { pass: true, cors: 'https://a.lab.example' })
  t.match(from('https://aXlab.example', { origins }), { pass: false })
  t.match(from('chrome-extension://abc', { origins }), { pass: true })
  t.same(from('http://evil.example', { origins: ['*'] }), { pass: true, cors: '*' })
  const rebound = asked({ host: 'evil.example', origin: 'http://evil.example' })
  t.match(edge({ origins: ['*'] }).judge(rebound), { pass: false, status: 403 })
})

t.test('what proxies disagree about is refused', async t => {
  const twice = asked({ host: 'localhost', Host: 'evil.example' })
  t.match(edge().judge(twice), { pass: false, status: 400, message: /more than one Host/ })
  for (const url of ['http://localhost/api/tags', 'api/tags', 'localhost:80', '*']) {
    t.match(edge().judge(asked({ host: 'localhost' }, { url })), { pass: false, status: 400 }, url)
  }
  t.match(edge().judge(asked({ host: 'localhost' }, { url: '*', method: 'OPTIONS' })), { pass: true })
})

t.test('on loopback everybody is trusted; wider, only this machine and the ranges given', async t => {
  const trusted = (host: string, from: string, headers = {}, trust: string[] = []): boolean =>
    edge({ host, trust }).distrusts(asked({ host: '10.0.0.5:11435', ...headers }, { from })) === undefined
  t.ok(trusted('127.0.0.1', '127.0.0.1'))
  t.ok(trusted('::1', '::1'))
  t.ok(trusted('localhost', '127.0.0.1'))
  t.ok(trusted('0.0.0.0', '127.0.0.1'))
  t.ok(trusted('::', '::ffff:127.0.0.1'))
  t.notOk(trusted('0.0.0.0', '10.0.0.7'))
  t.ok(trusted('0.0.0.0', '10.0.0.7', {}, ['10.0.0.0/24']))
  t.ok(trusted('::', '::ffff:10.0.0.7', {}, ['10.0.0.7']))
  t.ok(trusted('::', 'fd00::7', {}, ['fd00::/8']))
  t.notOk(trusted('0.0.0.0', '10.0.1.7', {}, ['10.0.0.0/24']))
  t.notOk(trusted('0.0.0.0', ''))
})

t.test('a proxy on this machine speaks for strangers, unless its address is trusted by name', async t => {
  for (const header of ['x-forwarded-for', 'forwarded', 'via']) {
    const proxied = asked({ host: '10.0.0.5', [header]: '1.2.3.4' })
    t.type(edge({ host: '0.0.0.0' }).distrusts(proxied), 'string', header)
    t.equal(edge({ host: '0.0.0.0', trust: ['127.0.0.1'] }).distrusts(proxied), undefined)
  }
})

t.test('the refusal says how to allow it', async t => {
  const wide = edge({ host: '0.0.0.0' })
  t.match(wide.distrusts(asked({ host: '10.0.0.5' }, { from: '::ffff:10.0.0.7' })), /--trust 10\.0\.0\.7\/32/)
  t.match(wide.distrusts(asked({ host: '10.0.0.5' }, { from: 'fd00::7' })), /--trust fd00::7\/128/)
})

t.test('a browser of the trusted cannot be made to change things under a name of another', async t => {
  const wide = edge({ host: '0.0.0.0', allowedHosts: ['house.example'] })
  const called = (host: string): string | undefined => wide.distrusts(asked({ host }))
  for (const host of [
    '10.0.0.5:11435',
    '8.8.8.8',
    '[2001:db8::1]',
    'localhost',
    'box.local',
    'house.example:1',
    'gpu-box:11435',
    '',
  ])
    t.equal(called(host), undefined, host)
  t.match(called('evil.example'), /--allow-host/)
})

t.test('a range that is none stops the start', async t => {
  t.throws(() => edge({ trust: ['10.0.0.0/99'] }), { code: 'config.invalid' })
})
