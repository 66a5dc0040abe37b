/** `quipu policy`: what people want of each model, and how they say so. */
import { Failure } from '../failure.ts'
import type { NewPolicy, Policy } from '../gateway/schema/policies.ts'
import type { Given as Taken, Told } from '../gateway/schema/words.ts'
import { type Client, clientOf } from './client.ts'
import { deedIn } from './deed.ts'
import { nearest } from './nearest.ts'
import { timeOf } from './quantities.ts'
import { houseOptions } from './settings.ts'
import { sayTable } from './table.ts'
import { plain, say, sayJson, tinted } from './terminal.ts'
import { type Given, jsonOption, misused, type Verb } from './verb.ts'

type PolicyRow = Told<typeof Policy>
type Wish = { -readonly [Key in keyof Taken<typeof NewPolicy>]: Taken<typeof NewPolicy>[Key] }

/** More than there are keys, each with a few labels. */
const WORDS_MAX = 32

export const policy: Verb = {
  usage: ['policy [ls]', 'policy show MODEL', 'policy set MODEL KEY=VALUE…', 'policy clear MODEL'],
  about:
    'Says where a model may run, how it is loaded and how many copies there are, whatever its clients ask for. Keys: nodes=A,B (only these), ' +
    'avoid=A,B (not these), prefer=A,B (these first), label.NAME=VALUE (only nodes with that label), numCtx=N (the ' +
    'one context length), numCtxMax=N (the longest), keepAlive=5m (how long it stays in memory; -1 for ever), ' +
    'keepAliveMax=1h (the longest), replicas=2 or replicas=1-3 (so many copies). set adds to what holds already; KEY= takes one back, and clear all of it.',
  options: { ...houseOptions, ...jsonOption },
  examples: [
    [
      'quipu policy set llama3.2 keepAlive=-1 prefer=gpu-a',
      'keep it in memory for ever, on gpu-a if that is free',
    ],
    ['quipu policy set tiny replicas=2', 'keep two copies, also when a node is lost'],
    [
      'quipu policy set qwen3:32b label.gpu=4090 numCtxMax=32768',
      'only where it fits, and no longer than fits',
    ],
  ],
  wordsMax: WORDS_MAX,
  async run(given) {
    const asked = given.words.length === 0 ? ['ls'] : given.words
    const { deed, words } = deedIn(deeds, asked, { verb: 'policy', things: 'policies' })
    await deed.run(clientOf(given), given, words)
  },
}

interface Deed {
  readonly words: readonly string[]
  readonly run: (client: Client, given: Given, words: readonly string[]) => Promise<void>
}

const deeds: Readonly<Record<string, Deed>> = {
  ls: { words: [], run: list },
  show: { words: ['MODEL'], run: show },
  set: { words: ['MODEL', 'KEY=VALUE…'], run: set },
  clear: { words: ['MODEL'], run: clear },
}

const pathOf = (model: string): string => `/quipu/policies/${encodeURIComponent(model)}`

async function list(client: Client, { switches }: Given): Promise<void> {
  const rows = await client.ask<readonly PolicyRow[]>('/quipu/policies')
  if (switches.has('json')) return sayJson(rows)
  sayTable(
    rows,
    [
      { name: 'MODEL', cell: ({ model }) => model },
      { name: 'POLICY', cell: row => wordsOf(row).join(' ') },
      { name: 'SET', cell: ({ setAt }) => timeOf(setAt) },
      { name: 'BY', cell: ({ by = '' }) => by },
    ],
    'No model has a policy. Set one with: quipu policy set MODEL KEY=VALUE',
  )
  if (rows.some(({ warnings }) => warnings.length > 0)) say()
  for (const { model, warnings } of rows) for (const warning of warnings) warn(model, warning)
}

async function show(client: Client, { switches }: Given, [model = '']: readonly string[]): Promise<void> {
  const row = await client.ask<PolicyRow>(pathOf(model))
  if (switches.has('json')) return sayJson(row)
  tell(row)
}

async function set(
  client: Client,
  { switches }: Given,
  [model = '', ...words]: readonly string[],
): Promise<void> {
  const body = merged(await before(client, model), words)
  if (Object.keys(body).length === 0)
    throw misused(`nothing would be left of it; to take it back: quipu policy clear ${model}`)
  const row = await client.ask<PolicyRow>(pathOf(model), { method: 'PUT', body })
  if (switches.has('json')) return sayJson(row)
  tell(row)
}

async function clear(client: Client, { switches }: Given, [model = '']: readonly string[]): Promise<void> {
  const gone = await client.ask<{ readonly model: string }>(pathOf(model), { method: 'DELETE' })
  if (switches.has('json')) return sayJson(gone)
  say(plain(`${gone.model} has no policy any more`))
}

/** What holds already. */
async function before(client: Client, model: string): Promise<Wish> {
  try {
    const {
      model: _model,
      setAt: _at,
      by: _by,
      warnings: _warnings,
      ...rules
    } = await client.ask<PolicyRow>(pathOf(model))
    return rules as Wish
  } catch (error) {
    if (error instanceof Failure && error.code === 'policy.unknown') return {}
    throw error
  }
}

function tell(row: PolicyRow): void {
  const { model, warnings } = row
  say(plain(`${model}  ${wordsOf(row).join(' ')}`))
  for (const warning of warnings) warn(model, warning)
}

function warn(model: string, warning: string): void {
  say(`${tinted('yellow', 'warning:')} ${plain(`${model}: ${warning}`)}`)
}

// ── KEY=VALUE ────────────────────────────────────────────────────────────────────────────────────────────────────

type Put = (wish: Wish, value: string) => void

const names =
  (key: 'nodes' | 'avoid' | 'prefer'): Put =>
  (wish, value) => {
    wish[key] = value.split(',').map(name => name.trim())
  }

const tokens =
  (key: 'numCtx' | 'numCtxMax'): Put =>
  (wish, value) => {
    if (!/^\d{1,9}$/.test(value)) throw misused(`${key}: "${value}" is not a whole number of tokens`)
    wish[key] = Number(value)
  }

/** A bare number is seconds, as in Ollama's own JSON; what a text means is for the house to say. */
const stay =
  (key: 'keepAliveS' | 'keepAliveMaxS'): Put =>
  (wish, value) => {
    wish[key] = /^-?\d+(?:\.\d+)?$/.test(value) ? Number(value) : value
  }

/** 2, 1-3, 2- for at least so many, -3 for at most. */
const copies: Put = (wish, value) => {
  const [, least, dash, most] = /^(\d{1,4})?(-)?(\d{1,4})?$/.exec(value) ?? []
  if ((least ?? most) === undefined || (least !== undefined && most !== undefined && dash === undefined))
    throw misused(`replicas: "${value}" is no number of copies; write 2, 1-3, 2- (at least) or -3 (at most)`)
  delete wish.replicasMin
  delete wish.replicasMax
  if (least !== undefined) wish.replicasMin = Number(least)
  const limit = dash === undefined ? least : most
  if (limit !== undefined) wish.replicasMax = Number(limit)
}

const KEYS: Readonly<Record<string, { readonly fields: readonly (keyof Wish)[]; readonly put: Put }>> = {
  nodes: { fields: ['nodes'], put: names('nodes') },
  avoid: { fields: ['avoid'], put: names('avoid') },
  prefer: { fields: ['prefer'], put: names('prefer') },
  numCtx: { fields: ['numCtx'], put: tokens('numCtx') },
  numCtxMax: { fields: ['numCtxMax'], put: tokens('numCtxMax') },
  keepAlive: { fields: ['keepAliveS'], put: stay('keepAliveS') },
  keepAliveMax: { fields: ['keepAliveMaxS'], put: stay('keepAliveMaxS') },
  replicas: { fields: ['replicasMin', 'replicasMax'], put: copies },
}

function merged(known: Wish, words: readonly string[]): Wish {
  const wish: Wish = { ...known }
  for (const word of words) {
    const [, key = '', value = ''] = /^([^=]+)=(.*)$/s.exec(word) ?? []
    if (key.startsWith('label.') && key.length > 6) {
      const { [key.slice(6)]: _old, ...labels } = wish.labels ?? {}
      wish.labels = value === '' ? labels : { ...labels, [key.slice(6)]: value }
      if (Object.keys(wish.labels).length === 0) delete wish.labels
      continue
    }
    const row = Object.hasOwn(KEYS, key) ? KEYS[key]! : undefined
    if (row === undefined) throw misused(`"${word}" is not KEY=VALUE; ${hint(key || word)}`)
    if (value !== '') row.put(wish, value)
    else for (const field of row.fields) delete wish[field]
  }
  return wish
}

function hint(key: string): string {
  const meant = nearest(key, Object.keys(KEYS))
  return meant === undefined
    ? `keys are ${Object.keys(KEYS).join(', ')}, label.NAME`
    : `did you mean ${meant}=…?`
}

/** As `set` reads them. */
function wordsOf({ nodes, avoid, prefer, labels = {}, ...row }: PolicyRow): readonly string[] {
  const said: readonly (readonly [string, string | number | undefined])[] = [
    ['nodes', nodes?.join(',')],
    ['avoid', avoid?.join(',')],
    ['prefer', prefer?.join(',')],
    ...Object.entries(labels).map(([name, value]) => [`label.${name}`, value] as const),
    ['numCtx', row.numCtx],
    ['numCtxMax', row.numCtxMax],
    ['keepAlive', stayOf(row.keepAliveS)],
    ['keepAliveMax', stayOf(row.keepAliveMaxS)],
    ['replicas', copiesOf(row)],
  ]
  return said.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]))
}

function copiesOf({ replicasMin, replicasMax }: PolicyRow): string | undefined {
  if (replicasMin === undefined && replicasMax === undefined) return undefined
  return replicasMin === replicasMax ? `${replicasMin}` : `${replicasMin ?? ''}-${replicasMax ?? ''}`
}

/** 90 → 1m30s, 7200 → 2h; what has no whole seconds stays a number. */
function stayOf(seconds: number | undefined): string | undefined {
  if (seconds === undefined || seconds <= 0 || !Number.isInteger(seconds)) return seconds?.toString()
  const parts = [
    [Math.floor(seconds / 3_600), 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const
  return parts.map(([amount, unit]) => (amount === 0 ? '' : `${amount}${unit}`)).join('')
}
