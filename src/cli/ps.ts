/** `quipu ps`: which models are in memory, and where; as `ollama ps`, for the whole fleet. */

import { systemClock } from '../clock.ts'
import { clientOf } from './client.ts'
import { type ModelRow, shortDigest } from './models/list.ts'
import { durationOf, sizeOf } from './quantities.ts'
import { houseOptions } from './settings.ts'
import { sayTable } from './table.ts'
import { sayJson } from './terminal.ts'
import { jsonOption, type Verb } from './verb.ts'

type ReplicaRow = ModelRow['nodes'][number] & { readonly model: string }

export const ps: Verb = {
  usage: ['ps'],
  about: 'Lists the models that are in memory or on their way there, one line for each node that holds one.',
  options: { ...houseOptions, ...jsonOption },
  examples: [['quipu ps', 'what is loaded, where, and how busy it is']],
  async run(given) {
    const models = await clientOf(given).ask<readonly ModelRow[]>('/quipu/models')
    const rows = models
      .flatMap(({ name, nodes }) => nodes.map((replica): ReplicaRow => ({ model: name, ...replica })))
      .filter(({ state }) => state !== 'present')
    if (given.switches.has('json')) return sayJson(rows)
    const now = systemClock.now()
    sayTable(
      rows,
      [
        { name: 'NAME', cell: ({ model }) => model },
        { name: 'ID', cell: ({ digest }) => shortDigest(digest) },
        {
          name: 'SIZE',
          right: true,
          cell: ({ memoryBytes }) => (memoryBytes === undefined ? '' : sizeOf(memoryBytes)),
        },
        { name: 'PROCESSOR', cell: processor },
        { name: 'CONTEXT', right: true, cell: ({ contextLength = '' }) => String(contextLength) },
        { name: 'NODE', cell: ({ node }) => node },
        { name: 'RUNNING', right: true, cell: ({ running }) => String(running) },
        {
          name: 'SINCE',
          cell: ({ state, since }) => {
            const lasted = durationOf(Math.max(0, now - since))
            return state === 'loading' ? `loading for ${lasted}` : `${lasted} ago`
          },
          tint: ({ state }) => (state === 'loading' ? 'yellow' : undefined),
        },
      ],
      'No model is in memory. The first request for one loads it.',
    )
  },
}

/** In Ollama's words. */
function processor({ memoryBytes, vramBytes }: ReplicaRow): string {
  if (memoryBytes === undefined || vramBytes === undefined) return ''
  if (vramBytes === 0 || memoryBytes === 0) return '100% CPU'
  const gpu = Math.min(100, Math.round((100 * vramBytes) / memoryBytes))
  return gpu === 100 ? '100% GPU' : `${100 - gpu}%/${gpu}% CPU/GPU`
}
