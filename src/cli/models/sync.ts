/** `quipu models sync`: makes true what policies want of copies, now. */
import type { Synced } from '../../gateway/schema/models.ts'
import type { Told } from '../../gateway/schema/words.ts'
import type { Client } from '../client.ts'
import { sayTable } from '../table.ts'
import { plain, say, sayJson } from '../terminal.ts'
import type { Given } from '../verb.ts'

export async function sync(client: Client, { switches }: Given, model?: string): Promise<void> {
  const body = { ...(model !== undefined && { model }), ...(switches.has('dry-run') && { dryRun: true }) }
  const done = await client.ask<Told<typeof Synced>>('/quipu/models/sync', { method: 'POST', body })
  if (switches.has('json')) return sayJson(done)
  sayTable(
    done.actions,
    [
      { name: done.dryRun ? 'WOULD' : 'DOES', cell: action => action.do },
      { name: 'MODEL', cell: action => action.model },
      { name: 'NODE', cell: ({ node }) => node },
      { name: 'BECAUSE', cell: ({ reason }) => reason },
    ],
    done.unmet.length === 0 ? 'Everything is as policies want it.' : 'Nothing can be done.',
  )
  for (const { model: name, reason } of done.unmet) say(plain(`${name}: ${reason}`))
  if (!done.dryRun && done.actions.some(action => action.do === 'pull'))
    say('Pulls go one after the other; see how far they are: quipu models status')
}
