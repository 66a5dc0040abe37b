/** Small worlds to play in: a fleet in a few words, requests that take round times. */
import { figuresOf } from '../../src/backtest/figures.ts'
import type { Fleet } from '../../src/backtest/fleet.ts'
import type { Staff } from '../../src/backtest/house.ts'
import { readFleet } from '../../src/backtest/sheet.ts'
import { type Policy, simulate } from '../../src/backtest/simulation.ts'
import type { Outcome } from '../../src/backtest/site.ts'
import type { Arrival } from '../../src/backtest/trace.ts'
import { bareNode, staff as production } from '../../src/cli/production.ts'

/** A Monday, nine in the morning, here. */
export const START = new Date(2026, 0, 5, 9).getTime()

/** Models load in `load` seconds; a token of an answer takes a second, a prompt nothing to speak of. */
export function fleet(nodes: string, { models = 'm', load = 10, keepAlive = 'forever' } = {}): Fleet {
  const named = models
    .split(',')
    .map(name => `{ name: ${name}, loadMs: ${load * 1_000}, prefillTps: 1e9, decodeTps: 1 }`)
  return readFleet(`keepAlive: ${keepAlive}\nmodels: [${named.join(', ')}]\nnodes: [${nodes}]`)
}

/** `'r1 m 0 5'`: r1 asks m at second 0 for 5 seconds of work. */
export function asked(...lines: readonly string[]): readonly Arrival[] {
  return lines.map(line => {
    const [id = '', model = '', at = '0', seconds = '1', client = 'c', patience = 'Infinity'] =
      line.split(' ')
    return {
      id,
      model: `${model}:latest`,
      client,
      at: START + Number(at) * 1_000,
      promptTokens: 0,
      outputTokens: Number(seconds),
      priority: 5,
      patienceMs: Number(patience) * 1_000,
    }
  })
}

export async function played(
  policy: Policy,
  fleet: Fleet,
  arrivals: readonly Arrival[],
  { seed = 1, staff = production }: { seed?: number; staff?: Staff } = {},
) {
  const run = await simulate(policy, { fleet, arrivals, seed, make: bareNode }, staff)
  return { run, figures: figuresOf(run), told: run.outcomes.map(tell) }
}

/** `'r1 on a: 0, 10-15'`: r1 was sent at second 0 and had its slot from 10 to 15. */
function tell({ arrival, node, sentAt, startedAt, endedAt, leftAt }: Outcome): string {
  const second = (at: number | undefined): string => (at === undefined ? '?' : String((at - START) / 1_000))
  if (leftAt !== undefined) return `${arrival.id} left at ${second(leftAt)}`
  return `${arrival.id} on ${node}: ${second(sentAt)}, ${second(startedAt)}-${second(endedAt)}`
}
