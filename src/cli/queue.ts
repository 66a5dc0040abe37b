/** `quipu queue`: who waits, in which order, and for what. */
import type { Waiting } from '../gateway/schema/queue.ts'
import type { Told } from '../gateway/schema/words.ts'
import { clientOf } from './client.ts'
import { durationOf } from './quantities.ts'
import { houseOptions } from './settings.ts'
import { sayTable } from './table.ts'
import { sayJson } from './terminal.ts'
import { jsonOption, textOf, type Verb, wholeOf } from './verb.ts'

export const queue: Verb = {
  usage: ['queue'],
  about:
    'Shows the requests that wait: their turn in their line, how long that is expected to take (and, after ±, by how ' +
    'much such predictions were wrong, four times in five), and what each one waits for.',
  options: {
    model: { value: 'NAME', fallback: 'all', sentence: 'only this model; several with commas' },
    limit: { value: 'N', fallback: '1000', sentence: 'how many at most' },
    ...houseOptions,
    ...jsonOption,
  },
  examples: [['quipu queue --model tiny:latest', 'who waits for that model']],
  async run(given) {
    const query = { model: textOf(given, 'model'), limit: wholeOf(given, 'limit') }
    const rows = await clientOf(given).ask<readonly Told<typeof Waiting>[]>('/quipu/queue', { query })
    if (given.switches.has('json')) return sayJson(rows)
    sayTable(
      rows,
      [
        { name: '#', right: true, cell: ({ position }) => String(position) },
        { name: 'ID', cell: ({ id }) => id },
        { name: 'MODEL', cell: ({ model }) => model },
        { name: 'CLIENT', cell: ({ client }) => client },
        { name: 'CLASS', cell: row => row.class },
        { name: 'PRIORITY', right: true, cell: ({ priority }) => String(priority) },
        { name: 'WAITED', right: true, cell: ({ waitedMs }) => durationOf(waitedMs) },
        { name: 'ETA', right: true, cell: etaOf },
        { name: 'WHY', cell: ({ why }) => why },
      ],
      'Nobody waits.',
    )
  },
}

function etaOf({ etaMs, etaErrorMs }: Told<typeof Waiting>): string {
  if (etaMs === undefined) return 'unknown'
  return etaErrorMs === undefined ? durationOf(etaMs) : `${durationOf(etaMs)} ±${durationOf(etaErrorMs)}`
}
