/** `quipu models status`: what policies want of each model, what there is, and what will be done about it. */
import { terminalOf } from '../../config.ts'
import type { ModelStanding } from '../../gateway/schema/models.ts'
import type { Told } from '../../gateway/schema/words.ts'
import { barsOf } from '../bars.ts'
import type { Client } from '../client.ts'
import { countOf, sizeOf } from '../quantities.ts'
import { type Column, sayTable } from '../table.ts'
import { plain, say, sayJson, tinted } from '../terminal.ts'
import type { Given } from '../verb.ts'
import { barLine } from './bars.ts'
import { shortDigest } from './list.ts'

type Row = Told<typeof ModelStanding>

export async function status(client: Client, { switches }: Given, model?: string): Promise<void> {
  const query = model === undefined ? {} : { model }
  const rows = await client.ask<readonly Row[]>('/quipu/models/status', { query })
  if (switches.has('json')) return sayJson(rows)
  if (model !== undefined && rows.length === 1) return inFull(rows[0]!)
  sayTable(rows, columns, 'There is no such model, and no policy for one.')
  const told = rows.flatMap(row => [...row.findings, ...row.plan].map(text => `${row.model}: ${text}`))
  if (told.length > 0) say()
  for (const text of told) say(plain(text))
}

const columns: readonly Column<Row>[] = [
  { name: 'MODEL', cell: ({ model }) => model },
  { name: 'WANTED', cell: ({ wanted }) => wantedOf(wanted) },
  { name: 'COPIES', right: true, cell: ({ copies }) => String(copies.length) },
  {
    name: 'STANDING',
    cell: standingOf,
    tint: ({ missing, surplus }) => (missing > 0 ? 'red' : surplus > 0 ? 'yellow' : undefined),
  },
  { name: 'NODES', cell: ({ copies }) => copies.map(copyOf).join(' ') },
]

function inFull(row: Row): void {
  say(tinted('bold', plain(row.model)))
  say(`  wanted    ${wantedOf(row.wanted) || 'as it is: no policy says how many copies'}`)
  say(`  standing  ${standingOf(row)}`)
  for (const { node, state, standing, digest, sizeBytes } of row.copies)
    say(
      plain(
        `  copy      ${node}: ${state}, ${sizeOf(sizeBytes)}, ${shortDigest(digest)}; the node is ${standing}`,
      ),
    )
  const width = Math.max(...row.transfers.map(({ node }) => node.length), 0)
  for (const transfer of row.transfers) say(`  transfer  ${barLine(transfer, width, barsOf(terminalOf()))}`)
  for (const text of row.findings) say(plain(`  finding   ${text}`))
  for (const text of row.plan) say(plain(`  plan      ${text}`))
}

function wantedOf(wanted: Row['wanted']): string {
  const { min, max } = wanted ?? {}
  if (min === undefined && max === undefined) return ''
  if (min === max) return String(min)
  return max === undefined ? `${min} or more` : `${min ?? 0} to ${max}`
}

function standingOf({ missing, surplus, transfers }: Row): string {
  const parts = [
    ...(missing > 0 ? [`${missing} missing`] : []),
    ...(surplus > 0 ? [`${surplus} too many`] : []),
    ...(transfers.length > 0 ? [countOf(transfers.length, 'on its way', 'on their way')] : []),
  ]
  return parts.length === 0 ? 'fine' : parts.join(', ')
}

function copyOf({ node, state, standing }: Row['copies'][number]): string {
  const mark = state === 'resident' ? '*' : ''
  return standing === 'up' ? node + mark : `${node}${mark} (${standing})`
}
