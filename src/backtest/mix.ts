/** What a trace leaves out is drawn: which model each request is for, and who asks. */
import { mulberry32 } from '../clock.ts'
import type { Arrival, Asked } from './trace.ts'

/**
 * Popularity by rank: the k-th of n is asked for with a weight of k^-1.1 (Zipf). With four: 51 %, 24 %, 15 %, 11 %.
 * Models of a public service are that skewed, and the clients of a lab, too.
 */
const ZIPF = 1.1

export interface Mix {
  /** Most asked for first. */
  readonly models: readonly string[]
  readonly clients: number
  readonly patienceMs: number
  readonly seed: number
}

const PRIORITY = 5

/** The requests with nothing left open; the same seed draws the same. */
export function mixed(
  asked: readonly Asked[],
  { models, clients, patienceMs, seed }: Mix,
): readonly Arrival[] {
  const forModels = mulberry32(seed)
  const forClients = mulberry32(seed ^ 0x5bd1e995)
  const modelRanks = ranks(models.length)
  const clientRanks = ranks(clients)
  return asked.map((one, i) => ({
    id: `r${String(i + 1).padStart(6, '0')}`,
    patienceMs,
    ...one,
    model: one.model ?? models[draw(modelRanks, forModels())]!,
    client: one.client ?? `client-${draw(clientRanks, forClients()) + 1}`,
    priority: one.priority ?? PRIORITY,
  }))
}

/** The share of the first, of the first two, …, of all. */
function ranks(n: number): readonly number[] {
  const weights = Array.from({ length: n }, (_, k) => (k + 1) ** -ZIPF)
  const all = weights.reduce((sum, weight) => sum + weight, 0)
  let sum = 0
  return weights.map(weight => {
    sum += weight / all
    return sum
  })
}

function draw(shares: readonly number[], chance: number): number {
  const rank = shares.findIndex(share => chance < share)
  return rank === -1 ? shares.length - 1 : rank
}
