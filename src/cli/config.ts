/** `quipu config`: every knob, what it is set to, and who set it; and those that are turned while a house runs. */
import { knobNames, knobs, readConfig, shown, variableOf } from '../config.ts'
import type { Setting, SettingChange } from '../gateway/schema/settings.ts'
import type { Told } from '../gateway/schema/words.ts'
import { type Client, clientOf } from './client.ts'
import { deedIn } from './deed.ts'
import { nearest } from './nearest.ts'
import { timeOf } from './quantities.ts'
import { knobOptions } from './settings.ts'
import { sayTable } from './table.ts'
import { plain, say, sayJson } from './terminal.ts'
import { type Given, jsonOption, misused, type Verb, wholeOf } from './verb.ts'

type SettingRow = Told<typeof Setting>
type ChangeRow = Told<typeof SettingChange>

export const config: Verb = {
  usage: [
    'config',
    'config get [NAME]',
    'config set NAME VALUE',
    'config reset NAME',
    'config history',
    'config rollback SEQ',
  ],
  about:
    'By itself, prints what `quipu serve` would run with, given the same flags and variables. A flag wins over a ' +
    'variable, and a variable over the default. With a word behind it, talks to the house that runs: what holds there ' +
    '(get), sets what may change while it runs (set), takes that back (reset), tells who set what (history), and ' +
    'makes everything what it was right after a fact (rollback). What is set wins over flags, and stays over restarts.',
  options: {
    limit: { value: 'N', fallback: '100', sentence: 'history: how many at most' },
    ...knobOptions(...knobNames),
    ...jsonOption,
  },
  examples: [
    ['quipu config', 'every knob, its value, and where that comes from'],
    ['QUIPU_QUEUE_MAX=64 quipu config --json', 'the same for programs'],
    ['quipu config set queue-max 64', 'let no more than 64 requests wait, from now on'],
    ['quipu config rollback 1234', 'as it was right after fact 1234; `quipu config history` has the numbers'],
  ],
  wordsMax: 3,
  async run(given) {
    const [name] = given.words
    for (const flag of Object.keys(given.flags)) {
      if (flag === 'limit' ? name === 'history' : name === undefined || HOUSE.has(flag)) continue
      throw misused(
        flag === 'limit' ? '--limit goes with config history' : `--${flag} goes with config alone`,
      )
    }
    if (name === undefined) return print(given)
    const { deed, words } = deedIn(deeds, given.words, { verb: 'config', things: 'settings' })
    await deed.run(clientOf(given), given, ...words)
  },
}

/** Where the house is: flags that go with everything. */
const HOUSE: ReadonlySet<string> = new Set(['host', 'port'])

interface Deed {
  readonly words: readonly string[]
  readonly run: (client: Client, given: Given, ...words: readonly string[]) => Promise<void>
}

const deeds: Readonly<Record<string, Deed>> = {
  get: { words: ['[NAME]'], run: get },
  set: { words: ['NAME', 'VALUE'], run: set },
  reset: { words: ['NAME'], run: reset },
  history: { words: [], run: history },
  rollback: { words: ['SEQ'], run: rollback },
}

const pathOf = (name: string): string => `/quipu/config/${encodeURIComponent(name)}`

// ── what the flags and variables say ─────────────────────────────────────────────────────────────────────────────

interface Row {
  readonly name: string
  readonly flag: string | null
  readonly variable: string
  readonly value: unknown
  readonly shown: string
  readonly source: 'flag' | 'env' | 'default'
  readonly sentence: string
}

function print({ flags, switches }: Given): void {
  const values = readConfig(flags)
  const rows: readonly Row[] = [
    ...knobNames.map(
      (name): Row => ({
        name,
        flag: `--${knobs[name].flag}`,
        variable: variableOf(knobs[name]),
        value: values[name],
        shown: shown(name, values[name]),
        source: values.sources[name],
        sentence: knobs[name].sentence,
      }),
    ),
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
}

// ── what a running house says ────────────────────────────────────────────────────────────────────────────────────

async function get(client: Client, { switches }: Given, name?: string): Promise<void> {
  const all = await client.ask<readonly SettingRow[]>('/quipu/config')
  const rows = name === undefined ? all : all.filter(row => row.name === name)
  if (rows.length === 0) {
    const meant = nearest(
      name!,
      all.map(row => row.name),
    )
    const hint = meant === undefined ? '`quipu config get` lists them' : `did you mean ${meant}?`
    throw misused(`there is no setting "${name}"; ${hint}`)
  }
  if (switches.has('json')) return sayJson(name === undefined ? rows : rows[0])
  if (name !== undefined) return say(plain(rows[0]!.value))
  sayTable(rows, [
    { name: 'NAME', cell: row => row.name },
    { name: 'VALUE', cell: row => row.value, tint: row => (row.source === 'default' ? undefined : 'bold') },
    { name: 'FROM', cell: row => row.source },
    { name: 'CAN BE SET', cell: row => (row.live ? 'yes' : 'at the start only') },
    { name: 'ELSE', cell: row => (row.source === 'set' ? row.start : '') },
  ])
  const ignored = rows.filter(row => row.ignored !== undefined)
  if (ignored.length > 0) say()
  for (const row of ignored) {
    say(plain(`${row.name}: "${row.ignored}" is set, but this version does not understand it`))
  }
}

async function set(client: Client, { switches }: Given, name = '', value = ''): Promise<void> {
  const row = await client.ask<SettingRow>(pathOf(name), { method: 'PUT', body: { value } })
  if (switches.has('json')) return sayJson(row)
  say(plain(`${row.name} is ${row.value}, until it is set or reset again (the start said ${row.start})`))
}

async function reset(client: Client, { switches }: Given, name = ''): Promise<void> {
  const row = await client.ask<SettingRow>(pathOf(name), { method: 'DELETE' })
  if (switches.has('json')) return sayJson(row)
  say(plain(`${row.name} is ${row.value} again, as the start said (${row.source})`))
}

async function history(client: Client, given: Given): Promise<void> {
  const query = { limit: wholeOf(given, 'limit') }
  const rows = await client.ask<readonly ChangeRow[]>('/quipu/config/history', { query })
  if (given.switches.has('json')) return sayJson(rows)
  sayChanges(rows, 'Nothing was ever set while the house ran.')
}

async function rollback(client: Client, { switches }: Given, seq = ''): Promise<void> {
  if (!/^\d{1,15}$/.test(seq)) throw misused(`config rollback: "${seq}" is not the seq of a fact`)
  const body = { to: Number(seq) }
  const rows = await client.ask<readonly ChangeRow[]>('/quipu/config/rollback', { method: 'POST', body })
  if (switches.has('json')) return sayJson(rows)
  sayChanges(rows, `Everything is as it was after fact ${seq}; nothing had to be changed.`)
}

function sayChanges(rows: readonly ChangeRow[], none: string): void {
  sayTable(
    rows,
    [
      { name: 'SEQ', right: true, cell: ({ seq }) => String(seq) },
      { name: 'WHEN', cell: ({ at }) => timeOf(at).slice(0, -4) },
      { name: 'WHO', cell: ({ by }) => by },
      { name: 'SETTING', cell: ({ name }) => name },
      { name: 'BEFORE', cell: ({ before }) => before },
      { name: 'AFTER', cell: ({ after, as }) => (as === 'reset' ? `${after} (reset)` : after) },
    ],
    none,
  )
}
