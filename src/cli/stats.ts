/** `quipu stats`: what happened, as tables with the names that spreadsheets and databases know them by. */
import { QUEUE_STATES } from '../gateway/states.ts'
import { SAMPLED } from '../stats/sampled.ts'
import { type Client, clientOf } from './client.ts'
import { nearest } from './nearest.ts'
import { countOf } from './quantities.ts'
import { houseOptions } from './settings.ts'
import { type Column, sayTable } from './table.ts'
import { say, sayJson, tinted } from './terminal.ts'
import { type Given, jsonOption, misused, textOf, type Verb, wholeOf, wordsOf } from './verb.ts'

type Cell = string | number | boolean | null | readonly string[]
type Row = Readonly<Record<string, Cell>>

interface Table {
  readonly does: string
  /** The filters it knows, beside --limit. */
  readonly filters: readonly string[]
  readonly none: string
}

const tables: Readonly<Record<string, Table>> = {
  servers: {
    does: 'the servers: are they well, and what do they do?',
    filters: ['server'],
    none: 'No node is registered. Add one with: quipu nodes add http://HOST:11434',
  },
  models: {
    does: 'the models: where they are, and how much they are used',
    filters: ['model', 'server'],
    none: 'No node ever had a model.',
  },
  server_stats: {
    does: 'health, load and latency of each server over time, and its hardware where it has an agent',
    filters: ['server', 'type', 'since', 'step'],
    none: 'There are no such samples. One is taken every 10 s.',
  },
  request_stats: {
    does: 'requests by hour, day or week: how many, of which sort, how long',
    filters: ['by', 'since'],
    none: 'No request is over yet.',
  },
  inference_queue: {
    does: 'open requests, and those of the last day',
    filters: ['status', 'model', 'server', 'since'],
    none: 'There is no such request, open or of the last day.',
  },
  config: {
    does: 'what was set while the house ran: who, when, before, after',
    filters: ['setting', 'since'],
    none: 'Nothing was ever set while the house ran.',
  },
}

const PERIODS = ['hour', 'day', 'week']
const STEPS = ['10s', '5m', '1h']

const LIMIT = 100
/** As many as the house gives at once: who wants a file wants all of it. */
const CSV_LIMIT = 10_000

export const stats: Verb = {
  usage: ['stats', 'stats TABLE'],
  about:
    'Prints one of the tables of what happened, newest first, with the columns that /quipu/stats gives; without a ' +
    'name, which tables there are. Servers are named by their addresses, times are UTC, latencies milliseconds.',
  options: {
    by: {
      value: 'PERIOD',
      fallback: 'hour',
      sentence: `request_stats: in which portions: ${PERIODS.join(', ')}`,
    },
    server: {
      value: 'NAME',
      fallback: 'all',
      sentence: 'only this server, by address or name of the node; several with commas',
    },
    model: { value: 'NAME', fallback: 'all', sentence: 'only this model; several with commas' },
    type: {
      value: 'TYPE',
      fallback: 'all',
      sentence: `server_stats: only ${SAMPLED.join(', ')}; several with commas`,
    },
    status: {
      value: 'STATUS',
      fallback: 'all',
      sentence: `inference_queue: only ${QUEUE_STATES.join(', ')}; several with commas`,
    },
    setting: {
      value: 'NAME',
      fallback: 'all',
      sentence: 'config: only this setting; several with commas',
    },
    since: {
      value: 'TIME',
      fallback: 'all there is; server_stats: 1h',
      sentence: 'only what is not older: 90m, 24h, 7d, or 2026-01-31, or 2026-01-31T09:05',
    },
    step: {
      value: 'STEP',
      fallback: 'the finest that goes back to --since',
      sentence: `server_stats: how far apart: ${STEPS.join(', ')}`,
    },
    limit: {
      value: 'N',
      fallback: `${LIMIT}; ${CSV_LIMIT} with --csv`,
      sentence: 'how many rows at most',
    },
    csv: { sentence: 'print CSV' },
    ...houseOptions,
    ...jsonOption,
  },
  examples: [
    ['quipu stats', 'which tables there are'],
    ['quipu stats request_stats --by day', 'how much was asked, and how long it took, day by day'],
    ['quipu stats server_stats --server gpu-a --since 7d --csv > gpu-a.csv', 'a week of one server'],
  ],
  wordsMax: 1,
  async run(given) {
    const [name] = given.words
    if (name === undefined) return list(given)
    const table = Object.hasOwn(tables, name) ? tables[name] : undefined
    if (table === undefined) {
      const meant = nearest(name, Object.keys(tables))
      const hint =
        meant === undefined ? `there are ${Object.keys(tables).join(', ')}` : `did you mean ${meant}?`
      throw misused(`there is no table "${name}"; ${hint}`)
    }
    const path = `/quipu/stats/${name}`
    const query = queryOf(given, name, table)
    if (given.switches.has('csv')) return sayCsv(clientOf(given), path, query)
    const rows = await clientOf(given).ask<readonly Row[]>(path, { query })
    if (given.switches.has('json')) return sayJson(rows)
    sayTable(rows, columnsOf(rows), table.none)
    warn(rows)
  },
}

function list({ switches }: Given): void {
  const rows = Object.entries(tables).map(([table, { does }]) => ({ table, does }))
  if (switches.has('json')) return sayJson(rows)
  sayTable(rows, [
    { name: 'TABLE', cell: ({ table }) => table },
    { name: 'WHAT IT HOLDS', cell: ({ does }) => does },
  ])
}

function queryOf(
  given: Given,
  name: string,
  { filters }: Table,
): Readonly<Record<string, string | number | undefined>> {
  for (const flag of ['by', 'server', 'model', 'type', 'status', 'setting', 'since', 'step']) {
    if (given.flags[flag] === undefined || filters.includes(flag)) continue
    throw misused(`--${flag} does not go with ${name}`)
  }
  return {
    by: wordsOf(given, 'by', PERIODS),
    type: wordsOf(given, 'type', SAMPLED),
    status: wordsOf(given, 'status', QUEUE_STATES),
    step: wordsOf(given, 'step', STEPS),
    ...Object.fromEntries(['server', 'model', 'setting', 'since'].map(flag => [flag, textOf(given, flag)])),
    limit: wholeOf(given, 'limit') ?? (given.switches.has('csv') ? CSV_LIMIT : LIMIT),
  }
}

async function sayCsv(
  client: Client,
  path: string,
  query: Readonly<Record<string, string | number | undefined>>,
) {
  for await (const line of client.lines(path, { query: { ...query, format: 'csv' } }))
    say(line.replace(/\r$/, ''))
}

/** As the rows have them; figures stand to the right. */
function columnsOf(rows: readonly Row[]): readonly Column<Row>[] {
  return Object.keys(rows[0] ?? {}).map(name => ({
    name,
    cell: row => cellOf(row[name]!),
    ...(rows.some(row => typeof row[name] === 'number') && { right: true }),
  }))
}

function cellOf(cell: Cell): string {
  if (cell === null) return '-'
  if (typeof cell === 'object') return cell.join(' ')
  return typeof cell === 'boolean' ? (cell ? 'yes' : 'no') : String(cell)
}

/** Answers of simulated nodes are in the figures, and must not be taken for real ones. */
function warn(rows: readonly Row[]): void {
  const sum = (name: string): number => rows.reduce((sum, row) => sum + Number(row[name] ?? 0), 0)
  const simulated = sum('simulated')
  if (simulated === 0) return
  const share = `${countOf(simulated)} of ${countOf(sum('total'), 'request')}`
  say()
  say(
    tinted(['bold', 'yellow'], `SIMULATED NODES: they had ${share}, and the figures of those mean nothing.`),
  )
}
