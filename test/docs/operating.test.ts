/** docs/operating.md lists every setting with its flag, variable and default, as src/config.ts has them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { knobNames, shown } from '../../src/cli/settings.ts'
import { knobs, variableOf } from '../../src/config.ts'

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
