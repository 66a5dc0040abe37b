/** Programs that print, hang, die, and print without end: real processes. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { openTools, type Tools } from '../../../src/agent/hardware/tools.ts'
import { folder } from './sys.ts'

/** A folder of programs, each a script of the shell. */
async function programs(
  t: Test,
  scripts: Readonly<Record<string, string>>,
): Promise<Tools & { dir: string }> {
  const dir = await folder(t)
  for (const [name, script] of Object.entries(scripts)) {
    await writeFile(join(dir, name), `#!/bin/sh\n${script}\n`)
    await chmod(join(dir, name), 0o755)
  }
  const tools = openTools({ folders: [dir, '/usr/bin', '/bin'] })
  return {
    dir,
    find: tools.find,
    run: tools.run,
    get running() {
      return tools.running
    },
  }
}

const never = new AbortController().signal

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; !(await what()); await new Promise(resolve => setTimeout(resolve, 5)))
    if (Date.now() > end) throw new Error('it did not come to that within 10 s')
}

/** Processes whose command line has the word. */
async function alive(word: string): Promise<number> {
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
  const lines = await Promise.all(pids.map(pid => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return lines.filter(line => line.includes(word)).length
}

t.test('what it printed on either stream, and how it ended', async t => {
  const tools = await programs(t, { 'nvidia-smi': 'echo "one, two"; echo oops >&2; exit 9' })
  t.same(await tools.run('nvidia-smi', [], never), { stdout: 'one, two\n', stderr: 'oops\n', exitCode: 9 })
  t.equal(tools.running, 0)
})

t.test('arguments are passed as they are: no shell reads them', async t => {
  const tools = await programs(t, { show: 'printf "%s|" "$@"' })
  const { stdout } = await tools.run('show', ['a b', '$(id)', ';exit', "'", '--x=*'], never)
  t.equal(stdout, "a b|$(id)|;exit|'|--x=*|")
})

t.test('the environment is a fixed one, without the agent’s', async t => {
  const tools = await programs(t, { show: 'env; pwd' })
  process.env['QUIPU_SECRET'] = 'x'
  t.teardown(() => {
    delete process.env['QUIPU_SECRET']
  })
  const { stdout } = await tools.run('show', [], never)
  t.notMatch(stdout, /QUIPU/)
  t.match(stdout, /^LC_ALL=C$/m)
  t.match(stdout, /^\/$/m, 'in the folder of nobody')
})

t.test('one that is not there, or is no program, is not installed', async t => {
  const tools = await programs(t, {})
  t.equal(await tools.find('nvidia-smi'), undefined)
  await t.rejects(tools.run('nvidia-smi', [], never), { code: 'hardware.tool', message: /not installed/ })
  await writeFile(join(tools.dir, 'nvidia-smi'), 'not executable')
  t.equal(await tools.find('nvidia-smi'), undefined)
  await writeFile(join(tools.dir, 'rocm-smi'), '#!/nowhere/python\n')
  await chmod(join(tools.dir, 'rocm-smi'), 0o755)
  await t.rejects(tools.run('rocm-smi', [], never), { code: 'hardware.tool', message: /cannot be run/ })
  await mkdir(join(tools.dir, 'amd-smi'))
  await t.rejects(tools.run('amd-smi', [], never), { code: 'hardware.tool' }, 'a folder of that name')
  t.equal(tools.running, 0)
})

t.test('one that hangs is killed, with what it started itself', async t => {
  const word = `4${Math.floor(Math.random() * 1e9)}`
  const tools = await programs(t, { 'nvidia-smi': `trap '' TERM; sleep ${word} & sleep ${word}` })
  const late = new AbortController()
  const run = tools.run('nvidia-smi', [], late.signal)
  await until(async () => (await alive(word)) === 2)
  late.abort()
  await t.rejects(run, { code: 'hardware.tool', message: /took too long/ })
  await until(async () => (await alive(word)) === 0)
  await until(() => tools.running === 0)
})

t.test('while one run is not over there is no second one', async t => {
  const word = `5${Math.floor(Math.random() * 1e9)}`
  const tools = await programs(t, { 'nvidia-smi': `exec sleep ${word}` })
  const late = new AbortController()
  const run = tools.run('nvidia-smi', [], late.signal)
  await until(async () => (await alive(word)) === 1)
  for (let i = 0; i < 20; i += 1)
    await t.rejects(tools.run('nvidia-smi', [], never), { code: 'hardware.tool', message: /is not over/ })
  t.equal(await alive(word), 1)
  late.abort()
  await t.rejects(run)
})

const FREEZER = '/sys/fs/cgroup/freezer'
const NO_FREEZER =
  process.getuid?.() === 0 && existsSync(join(FREEZER, 'cgroup.procs'))
    ? false
    : 'needs root and the freezer of control groups, version 1'

/** A task of a frozen group takes SIGKILL only when it thaws: so does one that hangs in a driver. */
t.test(
  'one that the kernel does not let die counts as running, and is not joined by others',
  { skip: NO_FREEZER },
  async t => {
    const group = join(FREEZER, `quipu-${process.pid}-${Date.now()}`)
    const state = join(group, 'freezer.state')
    const members = async (): Promise<string> => await readFile(join(group, 'cgroup.procs'), 'utf8')
    await mkdir(group)
    t.teardown(async () => {
      await writeFile(state, 'THAWED')
      await until(async () => (await members()) === '')
      await rmdir(group)
    })
    const tools = await programs(t, { 'nvidia-smi': `echo $$ > ${group}/cgroup.procs; exec sleep 600` })
    const late = new AbortController()
    const run = tools.run('nvidia-smi', [], late.signal)
    await until(async () => (await members()) !== '')
    await writeFile(state, 'FROZEN')
    await until(async () => (await readFile(state, 'utf8')).trim() === 'FROZEN')
    late.abort()
    await t.rejects(run, { message: /took too long/ }, 'who asked is told at once')
    await new Promise(resolve => setTimeout(resolve, 100))
    t.equal(tools.running, 1, 'it hangs on')
    await t.rejects(tools.run('nvidia-smi', [], never), { message: /is not over/ })
    await writeFile(state, 'THAWED')
    await until(() => tools.running === 0)
  },
)

t.test('one that prints 100 MB is cut off', async t => {
  const tools = await programs(t, { 'nvidia-smi': 'exec head -c 100000000 /dev/zero' })
  const before = process.memoryUsage().rss
  await t.rejects(tools.run('nvidia-smi', [], never), { code: 'hardware.tool', message: /prints more than/ })
  await until(() => tools.running === 0)
  t.ok(process.memoryUsage().rss - before < 50_000_000)
})

t.test('one that dies says so', async t => {
  const tools = await programs(t, { 'nvidia-smi': 'kill -SEGV $$' })
  await t.rejects(tools.run('nvidia-smi', [], never), { code: 'hardware.tool', message: /SIGSEGV/ })
  t.equal(tools.running, 0)
})

t.test('a run that nobody waits for any more is not begun', async t => {
  const tools = await programs(t, { 'nvidia-smi': 'echo' })
  await t.rejects(tools.run('nvidia-smi', [], AbortSignal.abort()))
  t.equal(tools.running, 0)
})

t.test('one that the system does not let begin is tried again, and takes nothing with it', async t => {
  const tools = await programs(t, {})
  const tooLong = 'x'.repeat(3_000_000)
  await t.rejects(tools.run('true', [tooLong], never), { code: 'hardware.tool', message: /cannot be run/ })
  t.equal(tools.running, 0)
  t.match(await tools.run('true', [], never), { exitCode: 0 })
})

/** In a process of its own, which may have few files open, and opens all of them. */
const FULL = `
  import { closeSync, openSync } from 'node:fs'
  import { openTools } from './src/agent/hardware/tools.ts'
  const tools = openTools({ folders: ['/usr/bin', '/bin'] })
  const never = new AbortController().signal
  await tools.run('true', [], never)
  const open = []
  try {
    for (;;) open.push(openSync('/dev/null'))
  } catch {}
  const { code, message } = await tools.run('true', [], never).catch(error => error)
  open.forEach(fd => closeSync(fd))
  const { exitCode } = await tools.run('true', [], never)
  console.log(JSON.stringify({ code, message, exitCode }))
`

t.test('where no more files may be open, nothing is read, and the agent goes on', async t => {
  const node = [process.execPath, '--input-type=module', '-e', FULL]
  const { stdout } = await promisify(execFile)('sh', ['-c', 'ulimit -n 64; exec "$@"', 'sh', ...node])
  t.match(JSON.parse(stdout), { code: 'hardware.tool', message: /cannot be run.*EMFILE/, exitCode: 0 })
})
