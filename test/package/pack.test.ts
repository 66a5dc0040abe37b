/**
 * The package as its users get it: packed, installed somewhere else without what only developers need, and run there
 * by a plain Node 24. Takes what it installs from npm's registry, or from npm's cache.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'

const root = join(import.meta.dirname, '../..')
/** Packing compiles, and installing may fetch, on a machine that runs other tests beside it. */
const TIMEOUT_MS = 180_000

t.test('the package installs elsewhere, and runs there', { timeout: TIMEOUT_MS }, async t => {
  const dir = await mkdtemp(join(tmpdir(), 'quipu-pack-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }

  npm(t, ['pack', '--pack-destination', dir], root)
  const [tarball = ''] = await readdir(dir)
  t.equal(tarball, `quipu-${version}.tgz`)
  await writeFile(join(dir, 'package.json'), '{"private":true}')
  npm(t, ['install', '--omit=dev', '--prefer-offline', '--no-audit', '--no-fund', `./${tarball}`], dir)

  const packed = join(dir, 'node_modules', 'quipu')
  t.same((await readdir(packed)).sort(), [
    'ARCHITECTURE.md',
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'dist',
    'docs',
    'package.json',
    'proto',
  ])
  t.same((await readdir(join(packed, 'dist'))).sort(), ['machines', 'src'], 'without the tests')

  const main = join(packed, 'dist', 'src', 'cli', 'main.js')
  const quipu = (...args: readonly string[]) =>
    spawnSync(...plainly(process.execPath, [main, ...args]), { cwd: dir, encoding: 'utf8' })

  await t.test('quipu version and quipu --help', async t => {
    t.equal(JSON.parse(quipu('version', '--json').stdout).quipu, version)
    t.match(quipu('--help').stdout, 'usage: quipu VERB')
    t.equal(quipu('serv').status, 2, 'and a verb that is none is refused')
    // By the name that npm puts on the PATH.
    const linked = spawnSync(...plainly(join(dir, 'node_modules', '.bin', 'quipu'), ['version']), {
      cwd: dir,
      encoding: 'utf8',
      env: { ...process.env, PATH: `${join(root, 'node_modules', '.bin')}:${process.env['PATH']}` },
    })
    t.match(linked.stdout, `quipu ${version}`, linked.stderr)
  })

  await t.test("import { subscribe } from 'quipu/client', with types that resolve", async t => {
    await writeFile(join(dir, 'consumer.ts'), CONSUMER)
    const tsc = join(root, 'node_modules', '.bin', 'tsc')
    const flags = [
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--lib',
      'es2024,dom,dom.asynciterable',
    ]
    const check = (file: string) =>
      spawnSync(...plainly(tsc, ['--noEmit', '--types', '', ...flags, file]), { cwd: dir, encoding: 'utf8' })
    const checked = check('consumer.ts')
    t.equal(checked.status, 0, checked.stdout)
    await writeFile(join(dir, 'wrong.ts'), CONSUMER.replace('fact.data.model', 'fact.data.modle'))
    t.match(check('wrong.ts').stdout, /'modle' does not exist/, 'and they are types, not any')
    const alone = `import('quipu/client').then(({ subscribe }) => console.log(typeof subscribe))`
    t.equal(
      spawnSync(...plainly(process.execPath, ['-e', alone]), { cwd: dir, encoding: 'utf8' }).stdout,
      'function\n',
    )
  })

  await t.test('quipu serve answers, and ends in peace', async t => {
    const house = spawn(
      ...plainly(process.execPath, [main, 'serve', '--port', '0', '--data', join(dir, 'data')]),
      {
        cwd: dir,
        // An Ollama that is on this machine by chance would be found; discard listens nowhere.
        env: { PATH: process.env['PATH'], OLLAMA_HOST: '127.0.0.1:9' },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    t.teardown(() => void house.kill('SIGKILL'))
    const { stdout, stderr } = collect(house)
    const url = await Promise.race([
      firstMatch(house, stdout, /^ {2}address {2}(http:\S+)/m),
      once(house, 'exit').then(() => ''),
    ])
    t.match(url, /^http:\/\/127\.0\.0\.1:\d+$/, stderr())
    const answer = await fetch(`${url}/api/version`)
    t.equal(answer.status, 200)
    t.match(await answer.json(), { version: /^\d+\.\d+\.\d+$/ })
    const chat = await fetch(`${url}/api/generate`, {
      method: 'POST',
      body: '{"model":"tiny","prompt":"Why is the sky blue?","stream":false}',
    })
    t.match(await chat.json(), { done: true })
    const follow = `
      import { subscribe } from 'quipu/client'
      for await (const fact of subscribe({ url: '${url}', from: 'start', types: ['request.completed'] })) {
        console.log(fact.data.model)
        break
      }`
    const told = spawnSync(...plainly(process.execPath, ['--input-type=module', '-e', follow]), {
      cwd: dir,
      encoding: 'utf8',
    })
    t.equal(told.stdout, 'tiny:latest\n', told.stderr)

    const exit = once(house, 'exit')
    house.kill('SIGTERM')
    t.same(await exit, [0, null], stderr())
    t.match(quipu('audit', '--data', join(dir, 'data')).stdout, 'Every fact verifies')
  })
})

/** In a module of its own kind, as a consumer would have it. */
const CONSUMER = `
import { type Fact, type Mark, subscribe } from 'quipu/client'
export async function models(from: Mark | 'start'): Promise<readonly string[]> {
  const found: string[] = []
  for await (const fact of subscribe({ from, kinds: ['request'] })) {
    if (fact.type === 'request.admitted') found.push(fact.data.model)
  }
  return found
}
export const last = (facts: readonly Fact[]): number => facts.at(-1)?.seq ?? 0
`

/**
 * Node and npm as somebody else would start them. tap sees to it that every child loads tap's own hooks first, whatever
 * its environment says, and TypeScript does not start under those; and npm tells its children which script they are.
 */
function plainly(command: string, args: readonly string[]): [command: string, args: readonly string[]] {
  return ['env', ['-u', 'NODE_OPTIONS', command, ...args]]
}

function strangers(): NodeJS.ProcessEnv {
  const own = /^npm_(package|lifecycle|command|execpath|node)/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name)))
}

function npm(t: Test, args: readonly string[], cwd: string): void {
  const given = plainly('npm', [...args, '--loglevel=error'])
  const { status, stderr, stdout } = spawnSync(...given, { cwd, encoding: 'utf8', env: strangers() })
  if (status !== 0) t.fail(`npm ${args.join(' ')}`, { stdout, stderr })
}

function collect(child: ChildProcess): { stdout: () => string; stderr: () => string } {
  const text = { out: '', err: '' }
  child.stdout?.on('data', chunk => {
    text.out += chunk
  })
  child.stderr?.on('data', chunk => {
    text.err += chunk
  })
  return { stdout: () => text.out, stderr: () => text.err }
}

function firstMatch(child: ChildProcess, text: () => string, pattern: RegExp): Promise<string> {
  return new Promise(resolve => {
    child.stdout?.on('data', () => {
      const found = pattern.exec(text())
      if (found !== null) resolve(found[1]!)
    })
  })
}
