/** `quipu models`: which models there are, and who has them; as `ollama list`, for the whole fleet. */
import type { Model, Told } from '../gateway/schema.ts'
import { clientOf } from './client.ts'
import { sizeOf } from './quantities.ts'
import { houseOptions } from './settings.ts'
import { sayTable } from './table.ts'
import { sayJson } from './terminal.ts'
import { jsonOption, type Verb } from './verb.ts'

export type ModelRow = Told<typeof Model>

export const models: Verb = {
  usage: ['models'],
  about:
    'Lists every model of the fleet, and the nodes that have it; a star marks those that have it in memory.',
  options: { ...houseOptions, ...jsonOption },
  examples: [
    ['quipu models', 'what can be asked for, and who can answer'],
    ['quipu models --json | jq -r ".[].name"', 'the names alone'],
  ],
  async run(given) {
    const rows = await clientOf(given).ask<readonly ModelRow[]>('/quipu/models')
    if (given.switches.has('json')) return sayJson(rows)
    sayTable(
      rows,
      [
        { name: 'NAME', cell: ({ name }) => name },
        { name: 'ID', cell: ({ digest }) => shortDigest(digest) },
        { name: 'SIZE', right: true, cell: ({ sizeBytes }) => sizeOf(sizeBytes) },
        { name: 'CAN', cell: ({ capabilities }) => capabilities.join(',') },
        { name: 'RUNNING', right: true, cell: ({ running }) => String(running) },
        { name: 'WAITING', right: true, cell: ({ waiting }) => String(waiting) },
        {
          name: 'NODES',
          cell: ({ nodes }) =>
            nodes.map(({ node, state }) => (state === 'resident' ? `${node}*` : node)).join(' '),
        },
      ],
      'No node has a model. Pull one, through the house: ollama pull NAME',
    )
  },
}

export function shortDigest(digest: string): string {
  return digest.replace(/^sha256:/, '').slice(0, 12)
}
