/** How each model stands to what its policy wants: copies, what is missing, what does not fit, and what will be done. */
import type { PolicyData } from '../../machines/policy.ts'
import type { Catalog } from '../projections/catalog.ts'
import { type Fleet, standing } from '../projections/fleet.ts'
import type { Policies, PolicyInForce } from '../projections/policies.ts'
import type { Replica, Residency } from '../projections/residency.ts'
import type { Action, Plan } from './plan.ts'
import type { TransferTold } from './told.ts'

export interface Standing {
  readonly model: string
  readonly policy?: Omit<PolicyData, 'keepAliveS' | 'keepAliveMaxS'>
  readonly wanted?: { readonly min?: number; readonly max?: number }
  readonly copies: readonly {
    readonly node: string
    readonly state: Replica['state']
    readonly standing: string
    readonly digest: string
    readonly sizeBytes: number
  }[]
  readonly missing: number
  readonly surplus: number
  readonly transfers: readonly TransferTold[]
  readonly findings: readonly string[]
  readonly plan: readonly string[]
}

export interface StandingNeeds {
  readonly fleet: Fleet
  readonly residency: Residency
  readonly catalog: Catalog
  readonly policies: Policies
}

/** Every model there is, is on its way, or has a policy; by name. */
export function standings(
  needs: StandingNeeds,
  {
    models,
    plan,
    transfers,
    findings,
  }: {
    readonly models?: ReadonlySet<string> | undefined
    readonly plan: Pick<Plan, 'actions' | 'stocks' | 'unmet'>
    readonly transfers: readonly TransferTold[]
    readonly findings: ReadonlyMap<string, readonly string[]>
  },
): readonly Standing[] {
  const open = transfers.filter(({ state }) => OPEN.includes(state))
  const by = <T extends { readonly model: string }>(rows: readonly T[]) =>
    Map.groupBy(rows, ({ model }) => model)
  const bound = by(open)
  const actions = by(plan.actions)
  const unmet = by(plan.unmet)
  const stocks = new Map(plan.stocks.map(stock => [stock.model, stock]))
  const names = new Set([
    ...needs.residency.state.byModel.keys(),
    ...needs.policies.state.keys(),
    ...bound.keys(),
  ])
  return [...names]
    .filter(name => models === undefined || models.has(name))
    .sort()
    .map(model => {
      const policy = needs.policies.state.get(model)
      const copies = copiesOf(needs, model)
      const transfers = bound.get(model) ?? []
      const { replicasMin: min, replicasMax: max } = policy ?? ({} as PolicyData)
      // A copy where the policy does not let it be is none of those it wants, nor is one that is only brought up to date.
      const { coming = [], strays = [] } = stocks.get(model) ?? {}
      const counted = copies.filter(({ node }) => !strays.includes(node))
      const reachable = counted.filter(({ standing }) => !AWAY.includes(standing)).length
      return {
        model,
        ...(policy && { policy: placement(policy) }),
        ...((min !== undefined || max !== undefined) && {
          wanted: { ...(min !== undefined && { min }), ...(max !== undefined && { max }) },
        }),
        copies,
        missing: Math.max(0, (min ?? 0) - reachable - coming.length),
        surplus: max === undefined ? 0 : strays.length + Math.max(0, counted.length - max),
        transfers,
        findings: findings.get(model) ?? [],
        plan: [
          ...(actions.get(model) ?? []).map(intent),
          ...(unmet.get(model) ?? []).map(({ reason }) => reason),
        ],
      }
    })
}

const AWAY: readonly string[] = ['down', 'joining']
const OPEN: readonly string[] = ['running', 'waiting', 'resting']

function copiesOf({ fleet, residency }: StandingNeeds, model: string): Standing['copies'] {
  const replicas = [...(residency.state.byModel.get(model)?.values() ?? [])]
  return replicas
    .sort((a, b) => (a.node < b.node ? -1 : 1))
    .map(({ node, state, digest, sizeBytes }) => {
      const there = fleet.state.get(node)
      return { node, state, standing: there ? standing(there) : 'down', digest, sizeBytes }
    })
}

/** What in a policy is about where copies are; how a model is loaded is another matter. */
function placement({ setAt: _at, by: _by, ...rules }: PolicyInForce): NonNullable<Standing['policy']> {
  const { keepAliveS: _for, keepAliveMaxS: _most, ...rest } = rules
  return rest
}

function intent({ do: deed, node, reason }: Action): string {
  if (deed === 'pull') return `pull it to ${node}: ${reason}`
  return deed === 'remove' ? `remove it from ${node}: ${reason}` : `call off its way to ${node}: ${reason}`
}
