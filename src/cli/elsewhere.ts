/** A verb that works on a folder asks the house that runs on it, and no other that may be found at the address. */
import { Failure } from '../failure.ts'
import type { Index } from '../gateway/schema/house.ts'
import type { Told } from '../gateway/schema/words.ts'
import { identify } from '../journal/folder.ts'
import type { Client } from './client.ts'

/** Throws a Failure `house.elsewhere`; `locked` is what the folder itself said. */
export async function sameFolder(client: Client, dir: string, locked: Failure): Promise<void> {
  const { journal } = await client.ask<Told<typeof Index>>('/quipu')
  if (journal.id === (await identify(dir))) return
  const said = `The house at ${client.url} has another folder: say with --host and --port where the right one is`
  throw new Failure('house.elsewhere', `${locked.message} ${said}.`, { cause: locked })
}
