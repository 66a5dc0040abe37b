/** docs/operating.md lists every setting with its flag, variable and default, as src/config.ts has them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { knobNames, knobs, shown, variableOf } from '../../src/config.ts'
import { isLive } from '../../src/live.ts'

const doc = readFileSync(join(import.meta.dirname, '../../docs/operating.md'), 'utf8')

t.test('the table of settings is the table of knobs', async t => {
  const [, told = ''] = /<!-- settings -->\n((?:.*\n)*)<!-- \/settings -->/.exec(doc) ?? []
  const cell = (text: string): string => text.replaceAll('|', '\\|')
  const rows = knobNames.map(name => {
    const { flag, value = '', sentence, default: fallback } = { value: '', ...knobs[name] }
    const given = `--${flag}${value === '' ? '' : ` ${value}`}`
    return `| \`${cell(given)}\` | \`${variableOf(knobs[name])}\` | ${cell(shown(name, fallback))} | ${cell(sentence)} |\n`
  })
  const table = ['| flag | variable | default | what it is |\n', '|---|---|---|---|\n', ...rows].join('')
  t.equal(told, table, 'paste the wanted one where they differ')
})

t.test('the settings that may be turned while it runs are told', async t => {
  const [, told = ''] = /These may be set without a restart: ([^.]*)\./.exec(doc) ?? []
  const names = [...told.matchAll(/`([\w-]+)`/g)].map(([, name]) => name)
  t.same(
    names,
    knobNames.filter(isLive).map(name => knobs[name].flag),
  )
})
