/** `quipu serve` and `quipu sim`: processes that stay until they are told to go. */
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { run, start } from './terminal.ts'

const addressIn = (text: string): string => /http:\/\/127\.0\.0\.1:\d+/.exec(text)![0]

async function house(t: Test, args: readonly string[] = [], env = {}) {
  const serve = start(t, ['serve', '--port', '0', '--data', t.testdir(), ...args], env)
  const banner = await serve.saw('Try:')
  const url = addressIn(banner)
  return { ...serve, url, env: { QUIPU_PORT: new URL(url).port } }
}

t.test('serve says where it is, what it has, and loudly when the nodes are simulated', async t => {
  const { child, url, out, err, env, ended } = await house(t)
  const steady = out()
    .replace(t.testdirName, 'DIR')
    .replaceAll(url.replace('http://', ''), 'HOST:PORT')
    .replace(/127\.0\.0\.1:\d+/g, 'SIM')
    .replace(/Quipu \d\S*/, 'Quipu VERSION')
    .replace(/\d+:[\w-]{43}/, 'SEQ:HASH')
  t.matchSnapshot(steady.replace(/^ {2}NAME.*\n/m, '').replace(/ +(\S*\n)/g, ' $1'))

  const [, body] = /-d '(.*)'/.exec(out())!
  const answer = await fetch(`${url}/api/generate`, { method: 'POST', body: body! })
  t.equal(answer.status, 200)
  await answer.text()
  t.match(await run(t, ['explain', 'last'], env), { code: 0, out: /^Ran on sim-|While it waited/, err: '' })
  t.match(await run(t, ['nodes'], env), { code: 0, out: /sim-1 \(simulated\).*SIMULATED NODES/s })

  child.kill('SIGTERM')
  t.match(await ended, { code: 0, err: 'quipu: closing; once more ends it at once\n' })
  t.equal(err(), 'quipu: closing; once more ends it at once\n', 'and nothing else')
})

t.test('serve closes in the middle of an answer, and what was confirmed can be audited', async t => {
  const { child, url, ended } = await house(t)
  const answer = await fetch(`${url}/api/generate`, { method: 'POST', body: '{"model":"tiny","prompt":"x"}' })
  await answer.body!.getReader().read()
  child.kill('SIGINT')
  t.match(await ended, { code: 0 })
  t.match(await run(t, ['audit', '--data', t.testdirName]), { code: 0, out: /request\.admitted +1\n/ })
})

t.test('a second signal ends serve at once', async t => {
  const { child, ended } = await house(t)
  child.kill('SIGINT')
  child.kill('SIGTERM')
  t.match(await ended, { code: 1 })
})

t.test('without nodes serve says so', async t => {
  // Where agents may come, nobody stands in for them.
  for (const flags of [
    ['--embedded', 'off'],
    ['--agents', '127.0.0.1:0', '--insecure'],
  ]) {
    const { child, out, ended } = await house(t, flags)
    t.match(out(), /nodes {4}none yet, so that nothing can be answered/)
    t.notMatch(out(), /SIMULATED/)
    child.kill('SIGTERM')
    t.match(await ended, { code: 0 })
  }
})

t.test('what keeps serve from starting is said without a stack, and is exit code 1', async t => {
  const { env } = await house(t)
  const second = await run(t, ['serve', '--data', t.testdirName, '--port', '0'])
  t.same({ ...second, err: '' }, { code: 1, out: '', err: '' })
  t.match(second.err, /^quipu: The journal in .* is in use by process \d+/)

  const taken = await run(t, ['serve', '--data', `${t.testdirName}/other`], env)
  t.match(taken, { code: 1, out: '', err: /^quipu: cannot listen on .*choose another with --port\n$/ })
  t.match(await run(t, ['serve', '--wait-max', 'soon']), {
    code: 1,
    err: /^quipu: --wait-max: "soon" is not a duration/,
  })
  t.match(await run(t, ['serve', '--node', 'ftp://x', '--port', '0', '--data', `${t.testdirName}/third`]), {
    code: 1,
    out: '',
    err: /^quipu: "ftp:\/\/x" is neither http nor https, nor grpc for an agent that listens\n$/,
  })

  const twins = ['--node', '127.0.0.1:9,name=a', '--node', '127.0.0.1:9,name=b']
  const refused = await run(t, ['serve', ...twins, '--port', '0', '--data', `${t.testdirName}/fourth`])
  t.match(refused, {
    code: 1,
    out: '',
    err: /^quipu: http:\/\/127\.0\.0\.1:9 is registered already, as a\n$/,
  })
})

t.test('sim runs nodes that answer, and says what to do with them', async t => {
  const sim = start(t, [
    'sim',
    '--nodes',
    '2',
    '--port',
    '0',
    '--models',
    'think',
    '--load-ms',
    '1',
    '--words',
    '3',
  ])
  const said = await sim.saw('Ctrl-C')
  t.match(said, /^SIMULATED NODES: their answers are made up\.\n/)
  t.match(said, /sim-1 +http:\S+ +think:latest\nsim-2 +http:\S+ +think:latest\n/)
  t.match(said, / serve --node http:\S+ --node http:\S+\n/)
  const body = JSON.stringify({ model: 'think', prompt: 'x', stream: false })
  const answer = await fetch(`${addressIn(said)}/api/generate`, { method: 'POST', body })
  t.match(await answer.json(), { model: 'think', done: true, eval_count: 4 })
  sim.child.kill('SIGTERM')
  t.match(await sim.ended, { code: 0, err: '' })
})

t.test('sim --json says the same to programs', async t => {
  const sim = start(t, ['sim', '--nodes', '1', '--port', '0', '--json'])
  const [node] = JSON.parse(await sim.saw(/^\]$/m))
  t.match(node, {
    name: 'sim-1',
    url: /^http:\/\/127\.0\.0\.1:\d+$/,
    models: ['tiny:latest', 'embed:latest'],
  })
  sim.child.kill('SIGINT')
  t.match(await sim.ended, { code: 0 })
})

t.test('sim on a port that is taken says so', async t => {
  const other = createServer()
  await new Promise<void>(resolve => {
    other.listen(0, '127.0.0.1', resolve)
  })
  t.teardown(() => other.close())
  const { port } = other.address() as { port: number }
  t.match(await run(t, ['sim', '--nodes', '1', '--port', String(port)]), {
    code: 1,
    err: /something listens on one of these ports already; choose others with --port\n$/,
  })
})
