/** `quipu models optimize`: where a copy more, or one less, would serve better. */
import type { Optimized } from '../../gateway/schema/models.ts'
import type { Told } from '../../gateway/schema/words.ts'
import type { Client } from '../client.ts'
import { sayTable } from '../table.ts'
import { say, sayJson } from '../terminal.ts'
import type { Given } from '../verb.ts'

export async function optimize(client: Client, { switches }: Given): Promise<void> {
  const body = switches.has('apply') ? { apply: true } : {}
  const told = await client.ask<Told<typeof Optimized>>('/quipu/models/optimize', { method: 'POST', body })
  if (switches.has('json')) return sayJson(told)
  sayTable(
    told.proposals,
    [
      { name: told.applied ? 'DOES' : 'PROPOSES', cell: proposal => proposal.do },
      { name: 'MODEL', cell: proposal => proposal.model },
      { name: 'NODE', cell: ({ node }) => node },
      { name: 'BECAUSE', cell: ({ reason }) => reason },
    ],
    'Nothing would be better than it is, by what was asked for lately.',
  )
  if (!told.applied && told.proposals.length > 0)
    say('Nothing was done. To do it: quipu models optimize --apply')
}
