/**
 * Where would a balancer have bound a request, had it met the nodes as they stood when the request came? Only that one
 * decision: under such a policy the nodes would have stood otherwise all along, and what that comes to only a backtest
 * says.
 */
import { replicaId } from '../../machines/replica.ts'
import { loadEstimateMs, runEstimateMs } from '../projections/estimates.ts'
import { routable } from '../projections/fleet.ts'
import { type Open, runningOn } from '../projections/requests.ts'
import type { Moment } from '../projections/views.ts'
import { type BoundPolicy, type Choosable, POLICIES, type Score } from './policies.ts'

export interface Bound {
  /** Several where the journal cannot know which: the turn of a round, or chance, decides among them. */
  readonly nodes: readonly { readonly node: string; readonly connections: number; readonly loaded: boolean }[]
  readonly by: 'score' | 'turn' | 'chance'
}

/** Undefined where the request was not known at that moment. */
export function bindTo(name: BoundPolicy, moment: Moment, id: string): Bound | undefined {
  const { fleet, residency, requests } = moment
  const open = requests.state.open.get(id)
  if (open === undefined) return undefined
  const { score, sample = 0 }: { score: Score; sample?: number } = POLICIES[name]
  const has = residency.state.byModel.get(open.model)
  const able = [...fleet.state.values()]
    .filter(node => routable(node) && has?.has(node.name))
    .map(({ name: node, slots }) => {
      const look = lookAt(moment, open, { node, slots })
      return { node, connections: look.connections, loaded: look.loaded, value: score(look) }
    })
    .sort((a, b) => a.value - b.value || (a.node < b.node ? -1 : 1))
  const value = able[0]?.value
  if (sample > 0 && able.length > sample) {
    // Who loses against all others is never the better of two.
    const worst = able.at(-1)!.value
    const chances = able.filter(
      (one, i) => i < able.length - 1 || one.value < worst || able.at(-2)?.value === worst,
    )
    return { nodes: chances, by: 'chance' }
  }
  const best = able.filter(one => one.value === value)
  return { nodes: best, by: best.length > 1 ? 'turn' : 'score' }
}

function lookAt(
  { residency, requests, estimates }: Moment,
  { model, tokens: own }: Open,
  { node, slots }: { readonly node: string; readonly slots: number },
): Choosable {
  const here = [...requests.state.open.values()].filter(
    other => other.node === node && (other.state === 'running' || other.state === 'answering'),
  )
  const replica = replicaId(model, node)
  const cost = ({ promptTokens, outputTokens }: Open['tokens']): number => promptTokens + outputTokens
  return {
    slots,
    speed: estimates.state.speed.get(node) ?? 1,
    connections: runningOn(requests.state, node),
    sameModel: runningOn(requests.state, node, model),
    tokens: here.reduce((sum, { tokens }) => sum + cost(tokens), 0),
    ownTokens: cost(own),
    workMs: here.reduce(
      (sum, { model, tokens }) => sum + runEstimateMs(estimates.state, replicaId(model, node), tokens),
      0,
    ),
    ownMs: runEstimateMs(estimates.state, replica, own),
    loadMs: loadEstimateMs(estimates.state, replica),
    loaded: residency.state.inMemory.get(node)?.get(model)?.state === 'resident',
  }
}
