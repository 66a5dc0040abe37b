/** docs/facts.md lists the facts that charts take: every one, and no other; and the reasons the source gives. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { entities } from '../../machines/index.ts'
import { versionOf } from '../../machines/upcasts.ts'

const root = join(import.meta.dirname, '../..')
const doc = readFileSync(join(root, 'docs/facts.md'), 'utf8')

t.test('every fact has a heading under its kind, and every heading is a fact', async t => {
  const sections = doc.split(/^## /m).slice(1)
  for (const { kind, machine } of Object.values(entities)) {
    const section = sections.find(text => text.startsWith(`${kind}\n`)) ?? ''
    const headings = [...section.matchAll(/^### (.+)$/gm)].map(([, heading]) => heading!)
    t.same([...headings].sort(), [...new Set<string>(machine.events)].sort(), kind)
  }
  t.equal(
    doc.match(/^### /gm)?.length,
    Object.values(entities).reduce((sum, { machine }) => sum + machine.events.length, 0),
    'and there are no others',
  )
})

t.test('every fact says since when, and its version where that is not the first', async t => {
  for (const fact of doc.split(/^### /m).slice(1)) {
    const type = fact.slice(0, fact.indexOf('\n'))
    t.match(fact, /Since\s\d+\.\d+\.\d+\./, type)
    const v = versionOf(type)
    if (v > 1) t.match(fact, `version ${v}`, type)
  }
})

t.test('every field of a fact is told of', async t => {
  // From the unions of facts as they are written: a compiler would know better, but is no library any more.
  for (const { kind } of Object.values(entities)) {
    const source = readFileSync(join(root, `machines/${kind}.ts`), 'utf8')
    const union = source.slice(source.indexOf(`Fact =`), source.indexOf('Command ='))
    const shapes = new Map(
      [...source.matchAll(/type (\w+) = (\{[^}]*\})/g)].map(([, name, text]) => [name!, text!] as const),
    )
    for (const chunk of union.split(/Message<\s*'/).slice(1)) {
      const type = chunk.slice(0, chunk.indexOf("'"))
      const [, told = ''] = doc.split(`\n### ${type}\n`)
      const [words = ''] = told.split(/\n##/)
      const spelt = chunk.replace(/\w+/g, word => `${word} ${shapes.get(word) ?? ''}`)
      for (const [, field] of spelt.matchAll(/readonly\s+(\w+)\s*\??\s*:/g)) {
        t.match(words, `\`${field}\``, `${type}: ${field}`)
      }
    }
  }
})

t.test('every reason for which an attempt fails is explained', async t => {
  const [, table = ''] = doc.split('\n## Reasons\n')
  const listed = [...table.matchAll(/^\| `([\w.-]+)`/gm)].map(([, reason]) => reason!)
  const source = globSync('src/gateway/{inference,figures,why}.ts', { cwd: root })
    .map(path => readFileSync(join(root, path), 'utf8'))
    .join('\n')
  for (const reason of listed.filter(reason => !reason.includes('.')))
    t.match(source, reason, `${reason} is there`)
  const [, troubles = ''] = /const TROUBLES[^{]*\{([^}]*)\}/.exec(source) ?? []
  for (const [, word] of troubles.matchAll(/^ *'?([\w-]+)'?: '/gm)) {
    if (word !== 'timeout') t.ok(listed.includes(word!), `${word} is explained`)
  }
})
