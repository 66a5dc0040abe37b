/** Asks a house for everything that `quipu top` shows. */
import type { Client } from '../client.ts'
import type { Heard } from '../hardware.ts'
import type { Counts, HouseRow, ModelRow, NodeRow, Picture, TransferRow, WaitingRow } from './picture.ts'

/** Who looks every two seconds need not wait for an answer of half a minute. */
const ANSWER_MAX_MS = 5_000
/** What waits beyond these is counted. */
const QUEUE_MAX = 100

/** `detailed`: the node that is looked at more closely. Throws the Failure that says why there is no answer. */
export async function look(client: Client, at: number, detailed?: string): Promise<Picture> {
  const within = { withinMs: ANSWER_MAX_MS }
  const ask = <T>(path: string, query = {}): Promise<T> => client.ask<T>(path, { query, ...within })
  const [house, nodes, models, counts, queue, transfers, heard] = await Promise.all([
    ask<HouseRow>('/quipu'),
    ask<readonly NodeRow[]>('/quipu/nodes'),
    ask<readonly ModelRow[]>('/quipu/models'),
    ask<Counts>('/quipu/queue/stats'),
    ask<readonly WaitingRow[]>('/quipu/queue', { limit: QUEUE_MAX }),
    client.find<readonly TransferRow[]>('/quipu/transfers', within),
    detailed === undefined
      ? undefined
      : client.find<Heard>(`/quipu/nodes/${encodeURIComponent(detailed)}/status`, within),
  ])
  return {
    at,
    url: client.url,
    house,
    nodes,
    models,
    counts,
    queue,
    ...(transfers && { transfers }),
    ...(heard && detailed !== undefined && { heard: { ...heard, node: detailed } }),
  }
}
