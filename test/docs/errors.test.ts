/** docs/errors.md lists the codes of the source: every one, and no other. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { statuses } from '../../src/gateway/refusals.ts'

const root = join(import.meta.dirname, '../..')
const doc = readFileSync(join(root, 'docs/errors.md'), 'utf8')

/** The simulated nodes answer in Ollama's words; their Refusals and Failures are the house's, their Faults are not. */
const sources = ['machines', 'src']
  .flatMap(folder => globSync(`${folder}/**/*.ts`, { cwd: root }))
  .map(path => ({ path, text: readFileSync(join(root, path), 'utf8') }))

const CODE = /'([a-z]+\.[a-z]+(?:-[a-z]+)*)'/g
/** The first argument of an error's constructor, of `super` in one, or a code that is handed on to one. */
const PLACES = [
  /\bnew (?:Refusal|Failure|Damage)\(([^,]*),/g,
  /\bsuper\(([^,]*),/g,
  /\brefuse\(([^,]*),/g,
  /\bcode: ('[^']*')/g,
] as const

/** Codes of others that are passed on, by the expression that holds them. */
const PASSED = new Set(['code', 'error.code', "code as Damage['code'] & 'journal.gap'"])

t.test('every code of the source has a heading, and every heading is a code of the source', async t => {
  const found = new Set(Object.keys(statuses))
  for (const { path, text } of sources) {
    for (const place of PLACES) {
      for (const [, argument = ''] of text.matchAll(place)) {
        const said = argument.trim()
        if (PASSED.has(said)) continue
        const codes = [...said.matchAll(CODE)].map(([, code]) => code!)
        if (place === PLACES[0]) t.not(codes.length, 0, `${path}: ${said} is a code`)
        for (const code of codes) found.add(code)
      }
    }
  }
  const headings = [...doc.matchAll(/^### (.+)$/gm)].map(([, heading]) => heading!)
  t.same(headings, [...new Set(headings)].sort(), 'headings are in order, each there once')
  t.same([...found].sort(), headings)
})

t.test('the status of every code that has one stands under its heading', async t => {
  for (const [code, status] of Object.entries(statuses)) {
    const [, words = ''] = doc.split(`\n### ${code}\n\n`)
    t.equal(words.slice(0, 5), `(${status})`, code)
  }
})
