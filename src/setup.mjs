/**
 * What a checkout needs before it can run: the packages of package-lock.json, Node 24 among them, and tap's
 * own build. Runs on whatever Node the machine has (20 or newer), prints to stderr only, and costs a few
 * milliseconds once everything is there.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const lock = join(root, 'package-lock.json')
const mark = join(root, 'node_modules', '.quipu-setup')

/** The locked packages, on this machine's own Node: a new Node or a new lock file means setting up again. */
const wanted = createHash('sha256').update(readFileSync(lock)).update(process.arch).digest('hex')

if (!existsSync(join(root, '.git')) && !existsSync(lock)) process.exit(0)
if (!existsSync(mark) || readFileSync(mark, 'utf8') !== wanted) {
  say('quipu: installing what is missing (once; about a minute) …')
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'])
  // npm may have been told to skip install scripts; the pinned Node arrives by one.
  const node = join(root, 'node_modules', '.bin', 'node')
  if (spawnSync(node, ['--version']).status !== 0) {
    run(process.execPath, ['installArchSpecificPackage.js'], join(root, 'node_modules', 'node'))
  }
  run('npm', ['exec', '--offline', '--', 'tap', 'build'])
  writeFileSync(mark, wanted)
}

function run(command, args, cwd = root) {
  const { status, error } = spawnSync(command, args, {
    cwd,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  })
  if (status === 0) return
  say(
    `quipu: \`${command} ${args.join(' ')}\` failed${error ? ` (${error.message})` : ''}. Run it by hand to see why.`,
  )
  process.exit(1)
}

function say(line) {
  process.stderr.write(`${line}\n`)
}
