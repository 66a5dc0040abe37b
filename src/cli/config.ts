/** `quipu config`: every knob, what it is set to, and who set it. */
import { knobs, readConfig, sourceOfKnob, variableOf } from '../config.ts'
import { knobNames, knobOptions, shown } from './settings.ts'
import { sayTable } from './table.ts'
import { sayJson } from './terminal.ts'
import { jsonOption, type Verb } from './verb.ts'

export const config: Verb = {
  usage: ['config'],
  about:
    'Prints what `quipu serve` would run with, given the same flags and variables. A flag wins over a variable, ' +
    'and a variable over the default.',
  options: { ...knobOptions(...knobNames), ...jsonOption },
  examples: [
    ['quipu config', 'every knob, its value, and where that comes from'],
    ['QUIPU_QUEUE_MAX=64 quipu config --json', 'the same for programs'],
  ],
  async run({ flags, switches }) {
    const values = readConfig(flags)
    const rows: readonly Setting[] = [
      ...knobNames.map((name): Setting => {
        // --host may carry the port.
        const given = sourceOfKnob(name, flags)
        const carried = name === 'port' && given === 'default' && values.port !== knobs.port.default
        return {
          name,
          flag: `--${knobs[name].flag}`,
          variable: variableOf(knobs[name]),
          value: values[name],
          shown: shown(name, values[name]),
          source: carried ? sourceOfKnob('host', flags) : given,
          sentence: knobs[name].sentence,
        }
      }),
      {
        name: 'ollamaHost',
        flag: null,
        variable: 'OLLAMA_HOST',
        value: values.ollamaHost,
        shown: values.ollamaHost || 'none',
        source: values.ollamaHost === '' ? 'default' : 'env',
        sentence: 'where an Ollama is looked for when no node is configured',
      },
    ]
    if (switches.has('json')) return sayJson(rows.map(({ shown: _text, ...row }) => row))
    sayTable(rows, [
      { name: 'FLAG', cell: row => row.flag ?? '' },
      { name: 'VARIABLE', cell: row => row.variable },
      { name: 'VALUE', cell: row => row.shown, tint: row => (row.source === 'default' ? undefined : 'bold') },
      { name: 'FROM', cell: row => row.source },
    ])
  },
}

interface Setting {
  readonly name: string
  readonly flag: string | null
  readonly variable: string
  readonly value: unknown
  readonly shown: string
  readonly source: 'flag' | 'env' | 'default'
  readonly sentence: string
}
