/** `quipu models rm`: removes a model from nodes. */
import type { Removed } from '../../gateway/schema/models.ts'
import type { Told } from '../../gateway/schema/words.ts'
import type { Client } from '../client.ts'
import { plain, say, sayJson } from '../terminal.ts'
import type { Given } from '../verb.ts'
import { nodesOf } from './pull.ts'

export async function remove(client: Client, given: Given, model = ''): Promise<void> {
  const nodes = nodesOf(given)
  const force = given.switches.has('force')
  const body = { model, ...(nodes && { nodes }), ...(force && { force }) }
  const gone = await client.ask<Told<typeof Removed>>('/quipu/models/rm', { method: 'POST', body })
  if (gone.failed.length > 0) process.exitCode = 1
  if (given.switches.has('json')) return sayJson(gone)
  for (const node of gone.removed) say(plain(`${node}: ${gone.model} is removed`))
  for (const { node, why } of gone.failed) say(plain(`${node}: not removed: ${why}`))
}
