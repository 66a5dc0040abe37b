/** The table of verbs: help, versions, and what is said to those who type wrongly. */
import t from 'tap'
import { run } from './terminal.ts'

const VERBS = [
  'serve',
  'sim',
  'nodes',
  'models',
  'ps',
  'queue',
  'requests',
  'explain',
  'events',
  'journal',
  'audit',
  'config',
  'version',
]

const versionless = (text: string): string => text.replace(/Quipu \d\S*:/, 'Quipu VERSION:')

t.test('without a verb it says what there is', async t => {
  const { code, out, err } = await run(t, [])
  t.equal(code, 0)
  t.equal(err, '')
  t.matchSnapshot(versionless(out))
  for (const verb of VERBS) t.match(out, new RegExp(`^  ${verb} `, 'm'))
  for (const args of [['--help'], ['-h'], ['help']]) t.same(await run(t, args), { code, out, err })
})

for (const verb of VERBS) {
  t.test(`${verb} --help says everything ${verb} takes`, async t => {
    const { code, out, err } = await run(t, [verb, '--help'])
    t.equal(code, 0)
    t.equal(err, '')
    t.matchSnapshot(out)
  })
}

t.test('help VERB is VERB --help, whatever else stands there', async t => {
  const { out } = await run(t, ['queue', '--help'])
  t.equal((await run(t, ['help', 'queue'])).out, out)
  t.equal((await run(t, ['queue', '--port', 'what', '-h'])).out, out)
})

t.test('a verb that does not exist is exit code 2, and the nearest one is named', async t => {
  const near = await run(t, ['serv'])
  t.same(near, {
    code: 2,
    out: '',
    err: 'quipu: there is no verb "serv"; did you mean `quipu serve`?\nsee: quipu --help\n',
  })
  t.match(await run(t, ['frobnicate']), { code: 2, err: /no verb "frobnicate"\nsee: quipu --help\n$/ })
  t.match(await run(t, ['constructor']), { code: 2, err: /no verb "constructor"/ })
})

t.test('an option that does not exist is exit code 2, and the nearest one is named', async t => {
  t.match(await run(t, ['ps', '--prot', '3']), {
    code: 2,
    err: /no option --prot; did you mean --port\?\nsee: quipu ps --help\n$/,
  })
  t.match(await run(t, ['ps', '-x']), { code: 2, err: /no option -x\n/ })
})

t.test('a word too many, a value missing and a wrong value are exit code 2', async t => {
  t.match(await run(t, ['ps', 'now']), { code: 2, err: /"now" is one word too many/ })
  t.match(await run(t, ['ps', '--port']), { code: 2, err: /--port/ })
  t.match(await run(t, ['queue', '--limit', 'many']), {
    code: 2,
    err: /--limit: "many" is not a whole number/,
  })
  t.match(await run(t, ['requests', '--state', 'fialed']), { code: 2, err: /did you mean failed\?/ })
  t.match(await run(t, ['events', '--kind', 'weather']), { code: 2, err: /known are node, breaker/ })
  t.match(await run(t, ['explain']), { code: 2, err: /the id of a request, or last/ })
  t.match(await run(t, ['nodes', 'drain']), { code: 2, err: /nodes drain needs NAME/ })
  t.match(await run(t, ['nodes', 'drian', 'x']), { code: 2, err: /did you mean drain\?/ })
  t.match(await run(t, ['nodes', 'ls', 'x']), { code: 2, err: /"x" is one word too many/ })
  t.match(await run(t, ['nodes', 'ls', '--slots', '4']), { code: 2, err: /--slots goes with nodes add/ })
  t.match(await run(t, ['nodes', 'add', 'x,y=1']), { code: 2, err: /is not one of name=/ })
  t.match(await run(t, ['nodes', 'add', 'x', '--label', 'y']), { code: 2, err: /is not KEY=VALUE/ })
  t.match(await run(t, ['audit', '--expect', '7']), { code: 2, err: /is not a head/ })
  t.match(await run(t, ['sim', '--speed', 'fast']), { code: 2, err: /--speed: "fast" is not a number/ })
  t.match(await run(t, ['journal', '--limit', '0']), { code: 2, err: /at least 1, or all/ })
})

t.test('version says which Quipu, on which Node', async t => {
  const { code, out } = await run(t, ['version'])
  t.equal(code, 0)
  t.match(out, /^quipu \d+\.\d+\.\d+\nnode {2}\d+\.\d+\.\d+ \(\w+ \w+\)\n$/)
  t.equal((await run(t, ['--version'])).out, out)
  const { quipu, node } = JSON.parse((await run(t, ['version', '--json'])).out)
  t.match(out, `quipu ${quipu}\nnode  ${node} `)
})
