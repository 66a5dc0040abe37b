/** What the documents point at is there: files, headings, verbs. And they speak of nothing that a reader does not have. */
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'

const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const docs = ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', ...globSync('docs/**/*.md', { cwd: root })]

t.test('every link leads somewhere', async t => {
  for (const path of docs) {
    for (const [, target = ''] of prose(read(path)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue
      const [file = '', heading] = target.split('#')
      const to = file === '' ? path : join(dirname(path), file)
      if (!existsSync(join(root, to))) t.fail(`${path}: there is no ${to}`)
      else if (heading !== undefined) {
        t.ok(anchors(read(to)).has(heading), `${path}: ${to} has the heading #${heading}`)
      }
    }
  }
})

t.test('every file that is named is there', async t => {
  for (const path of docs) {
    const named = prose(read(path)).matchAll(/`((?:machines|src|test|docs)\/[\w./-]+\.(?:ts|md|mjs))`/g)
    for (const [, file = ''] of named) t.ok(existsSync(join(root, file)), `${path}: ${file}`)
  }
})

t.test('README lists the verbs of the command line', async t => {
  const help = spawnSync(process.execPath, [join(root, 'src/cli/main.ts'), '--help'], { encoding: 'utf8' })
  const [, table = ''] = /\n\n((?: {2}[\w-]+ {2,}.*\n)+)/.exec(help.stdout) ?? []
  const verbs = [...table.matchAll(/^ {2}([\w-]+) {2,}/gm)].map(([, verb]) => verb)
  t.ok(verbs.length > 10, help.stdout + help.stderr)
  t.same(
    [...read('README.md').matchAll(/^\| `([\w-]+)` \|/gm)].map(([, verb]) => verb),
    verbs,
  )
})

t.test('every decision is recorded in order, and in the same form', async t => {
  const records = globSync('docs/adr/*.md', { cwd: root }).sort()
  for (const [i, path] of records.entries()) {
    const number = String(i + 1).padStart(4, '0')
    t.match(path, `docs/adr/${number}-`)
    const text = read(path)
    t.match(text, new RegExp(`^# ${number} \\S`))
    for (const part of ['Context', 'Decision', 'Consequence'])
      t.match(text, `**${part}.**`, `${path}: ${part}`)
  }
})

/** Without blocks of code. */
function prose(text: string): string {
  return text.replace(/^```(?:.*\n)*?```/gm, '')
}

/** Headings as GitHub makes anchors of them. */
function anchors(text: string): Set<string> {
  const headings = [...prose(text).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading!)
  return new Set(
    headings.map(heading =>
      heading
        .toLowerCase()
        .replace(/[^\w\s-]/g, '')
        .replaceAll(' ', '-'),
    ),
  )
}
