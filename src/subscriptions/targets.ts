/** Where webhooks are called, and what the calls are signed with: in the spool, because both may hold secrets. */
import type { Json } from '../../machines/entity.ts'
import type { Targets } from './subscriptions.ts'
import type { Target } from './webhooks.ts'

/** What of the spool is needed; see spool/spool.ts. */
export interface TargetSpool {
  put(item: string, part: string, head: Json, bytes: Uint8Array): Promise<unknown>
  head(item: string, part: string): Promise<Json | undefined>
  erase(items: Iterable<string>): Promise<unknown>
}

const PART = 'target'
const EMPTY = new Uint8Array()

export function targetsIn(spool: TargetSpool): Targets {
  return {
    async put(item, { url, secret }) {
      await spool.put(item, PART, { url, ...(secret !== undefined && { secret }) }, EMPTY)
    },
    async get(item) {
      return (await spool.head(item, PART)) as unknown as Target | undefined
    },
    async erase(item) {
      await spool.erase([item])
    },
  }
}
