/** `quipu models ls`: as `ollama list`, for the whole fleet. */
import type { Model } from '../../gateway/schema/models.ts'
import type { Told } from '../../gateway/schema/words.ts'
import type { Client } from '../client.ts'
import { sizeOf } from '../quantities.ts'
import { sayTable } from '../table.ts'
import { sayJson } from '../terminal.ts'
import type { Given } from '../verb.ts'

export type ModelRow = Told<typeof Model>

export async function list(client: Client, { switches }: Given): Promise<void> {
  const rows = await client.ask<readonly ModelRow[]>('/quipu/models')
  if (switches.has('json')) return sayJson(rows)
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
    'No node has a model. Pull one: quipu models pull NAME',
  )
}

export function shortDigest(digest: string): string {
  return digest.replace(/^sha256:/, '').slice(0, 12)
}
