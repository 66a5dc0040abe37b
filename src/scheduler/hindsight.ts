/**
 * What would be decided for a request in a moment that is over, and with other weights? The same policy as ever, over
 * what the journal says of that moment. Two things it weighs are kept in memory only, and are read back from the table
 * that the decision left behind: which node had the conversation, and which nodes were claimed.
 */
import type { PolicyData } from '../../machines/policy.ts'
import type { Candidate } from '../../machines/request.ts'
import { keyOf, lineup } from '../projections/queue.ts'
import type { Open } from '../projections/requests.ts'
import type { Moment } from '../projections/views.ts'
import {
  type Choice,
  candidatesOf,
  type Edge,
  edgeOf,
  place,
  type Spot,
  WEIGHTS,
  type Weights,
} from './place.ts'
import { type Bearings, demandOf } from './scheduler.ts'
import { Survey } from './survey.ts'

/** What is to be otherwise; the rest stays as it was. */
export interface Otherwise {
  readonly weights?: Partial<Weights>
  readonly starveMs?: number
  /** Of the request's model, over what was in force then. */
  readonly policy?: PolicyData
}

export interface Occasion {
  readonly moment: Moment
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly id: string
  /** The table the real decision left behind; empty where there was none. */
  readonly table: readonly Candidate[]
}

export interface Weighed {
  readonly choice: Choice
  readonly candidates: readonly Candidate[]
  /** Who would have gone first instead, with another bound on starvation. */
  readonly instead?: Pick<Open, 'id' | 'client'>
  /** What put `node` before `other`; undefined where they were not compared. */
  edge(node: string, other: string): Edge | undefined
}

/** Undefined where the request did not wait at that moment. */
export function weigh(
  { moment, at, id, table }: Occasion,
  { weights: some, starveMs, policy }: Otherwise = {},
): Weighed | undefined {
  const { requests, policies } = moment
  const open = requests.state.open.get(id)
  const line = open && requests.state.queue.lines.get(keyOf(open))
  if (open === undefined || line === undefined || open.state !== 'queued') return undefined
  const weights = { ...WEIGHTS, ...some }
  const inForce = new Map<string, PolicyData>(policies.state)
  if (policy !== undefined) inForce.set(open.model, { ...inForce.get(open.model), ...policy })
  const had = table.find(({ affine }) => affine)?.node
  const bearings: Bearings = {
    ...moment,
    clock: { now: () => at },
    policies: { state: inForce },
    headOf: () => (had === undefined ? undefined : 0),
    affinity: { last: () => had, claim: () => 0, went() {} },
  }
  const demand = demandOf(bearings, open, line)
  const spots: readonly Spot[] = new Survey(bearings, open, claimsIn(table)).spots
  const choice = place(demand, spots, weights)
  const [first] = starveMs === undefined ? [] : lineup(requests.state.queue, line, { now: at, starveMs })
  return {
    choice,
    candidates: candidatesOf(demand, spots, 'node' in choice ? choice.node : undefined),
    ...(first !== undefined && first.id !== id && { instead: first }),
    edge: (node, other) => edgeOf({ demand, spots, weights }, node, other),
  }
}

/** As survey.ts words them. */
function claimsIn(table: readonly Candidate[]): ReadonlyMap<string, string> {
  const said = 'claimed for '
  return new Map(
    table.flatMap(({ node, excluded }) =>
      excluded?.startsWith(said) ? [[node, excluded.slice(said.length)] as const] : [],
    ),
  )
}
