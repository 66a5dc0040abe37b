/** `quipu requests`: the open requests and the last ones, newest first. */
import type { Request } from '../gateway/schema/requests.ts'
import type { Told } from '../gateway/schema/words.ts'
import { REQUEST_STATES } from '../gateway/states.ts'
import { clientOf } from './client.ts'
import { countOf, durationOf, timeOf } from './quantities.ts'
import { houseOptions } from './settings.ts'
import { sayTable } from './table.ts'
import { sayJson, type Tint } from './terminal.ts'
import { jsonOption, textOf, type Verb, wholeOf, wordsOf } from './verb.ts'

export type RequestRow = Told<typeof Request>

const LIMIT = 20
const STATES = [...REQUEST_STATES, 'open']

export const requests: Verb = {
  usage: ['requests'],
  about: 'Lists the requests that are open and the last ones that are over, newest first.',
  options: {
    state: {
      value: 'STATE',
      fallback: 'all',
      sentence: `only these: ${STATES.join(', ')} (which is the first four); several with commas`,
    },
    model: { value: 'NAME', fallback: 'all', sentence: 'only this model; several with commas' },
    node: {
      value: 'NAME',
      fallback: 'all',
      sentence: 'only what was sent to this node; several with commas',
    },
    client: { value: 'ADDR', fallback: 'all', sentence: 'only from this address; several with commas' },
    limit: { value: 'N', fallback: String(LIMIT), sentence: 'how many at most' },
    ...houseOptions,
    ...jsonOption,
  },
  examples: [
    ['quipu requests --state open', 'what is under way'],
    [
      'quipu requests --state failed,expired --limit 100',
      'what went wrong lately; `quipu explain ID` says why',
    ],
  ],
  async run(given) {
    const state = wordsOf(given, 'state', STATES)
    const [model, node, client] = ['model', 'node', 'client'].map(name => textOf(given, name))
    const query = { state, model, node, client, limit: wholeOf(given, 'limit') ?? LIMIT }
    const rows = await clientOf(given).ask<readonly RequestRow[]>('/quipu/requests', { query })
    if (given.switches.has('json')) return sayJson(rows)
    const lasted = (ms: number | undefined): string => (ms === undefined ? '' : durationOf(ms))
    sayTable(
      rows,
      [
        { name: 'ID', cell: ({ id }) => id },
        { name: 'CAME', cell: ({ admittedAt }) => timeOf(admittedAt).slice(0, -4) },
        { name: 'STATE', cell: ({ state }) => state, tint: ({ state }) => TINTS[state] },
        { name: 'MODEL', cell: ({ model }) => model ?? '?' },
        { name: 'NODE', cell: ({ node }) => node ?? '' },
        { name: 'TRIES', right: true, cell: ({ attempts }) => String(attempts) },
        { name: 'WAITED', right: true, cell: ({ waitedMs }) => durationOf(waitedMs) },
        { name: 'FIRST', right: true, cell: ({ ttftMs }) => lasted(ttftMs) },
        { name: 'TOTAL', right: true, cell: ({ totalMs }) => durationOf(totalMs) },
        { name: 'TOKENS', right: true, cell: ({ outputTokens: n }) => (n === undefined ? '' : countOf(n)) },
        { name: 'END', cell: ({ status, reason }) => reason ?? String(status ?? '') },
      ],
      'No such request. The house remembers the last 2,000; `quipu explain ID` finds older ones.',
    )
  },
}

/** The colours of how a request, or a job, stands. */
export const TINTS: Readonly<Partial<Record<RequestRow['state'], Tint>>> = {
  failed: 'red',
  expired: 'red',
  abandoned: 'yellow',
  cancelled: 'yellow',
  completed: 'green',
}
