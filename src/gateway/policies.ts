/**
 * Policies as people write and read them: a keep-alive in any form that Ollama takes, and what in a policy does nothing
 * as things are. A warning refuses nothing: a node may come tomorrow.
 */
import { Refusal } from '../../machines/entity.ts'
import { canonicalName, sourceOf } from '../../machines/name.ts'
import type { PolicyData } from '../../machines/policy.ts'
import type { Fleet, FleetNode } from '../projections/fleet.ts'
import type { Policies } from '../projections/policies.ts'
import type { Residency } from '../projections/residency.ts'
import { keepAliveSeconds } from './keepalive.ts'
import type { NewPolicy, Policy } from './schema/policies.ts'
import type { Given, Told } from './schema/words.ts'

export interface PolicyNeeds {
  readonly fleet: Fleet
  readonly residency: Residency
  readonly policies: Policies
}

/** The name that requests for a model come under. Throws a Refusal. */
export function modelNamed(text: string): string {
  const model = canonicalName(sourceOf(text.trim()).name)
  if (model !== undefined) return model
  const rule = 'it is [host/][namespace/]model[:tag], with %2F for each slash where it stands in a path'
  throw new Refusal('request.invalid', `"${text}" is no name of a model: ${rule}`)
}

/** What a policy says, from what was sent. Throws a Refusal. */
export function policyFrom({ keepAliveS, keepAliveMaxS, ...rest }: Given<typeof NewPolicy>): PolicyData {
  const stays = secondsFrom('keepAliveS', keepAliveS)
  const most = secondsFrom('keepAliveMaxS', keepAliveMaxS)
  if (most === FOREVER) {
    const rule =
      'for ever is no limit; leave keepAliveMaxS out, or say keepAliveS to keep it in memory for ever'
    throw new Refusal('request.invalid', `body: ${rule}`)
  }
  return {
    ...rest,
    ...(stays !== undefined && { keepAliveS: stays }),
    ...(most !== undefined && { keepAliveMaxS: most }),
  }
}

const FOREVER = -1

function secondsFrom(name: string, value: number | string | undefined): number | undefined {
  if (value === undefined) return undefined
  const seconds = keepAliveSeconds(value)
  if (seconds !== undefined) return seconds === Number.POSITIVE_INFINITY ? FOREVER : seconds
  const rule =
    'seconds as a number, or a duration with its units as a text, such as "5m" or "1h30m"; -1 for ever'
  throw new Refusal('request.invalid', `body: ${name} is not a keep-alive: ${rule}`)
}

export function allPolicies(needs: PolicyNeeds): readonly Told<typeof Policy>[] {
  return [...needs.policies.state.keys()].sort().map(model => onePolicy(needs, model))
}

/** Throws a Refusal. */
export function onePolicy(needs: PolicyNeeds, model: string): Told<typeof Policy> {
  const policy = needs.policies.state.get(model)
  if (policy !== undefined) return { model, ...policy, warnings: warningsOf(needs, model, policy) }
  throw new Refusal('policy.unknown', `there is no policy for ${model}; see /quipu/policies`)
}

/** What in a policy does nothing now, or not what one might think; each a sentence that says what to do. */
export function warningsOf(
  { fleet, residency }: Pick<PolicyNeeds, 'fleet' | 'residency'>,
  model: string,
  policy: PolicyData,
): string[] {
  const all = [...fleet.state.values()]
  const able = all.filter(node => admits(policy, node))
  const holders = residency.state.byModel.get(model) ?? new Map<string, unknown>()
  const warnings = (['nodes', 'avoid', 'prefer'] as const).flatMap(rule =>
    (policy[rule] ?? [])
      .filter(name => !fleet.state.has(name))
      .map(name => `${rule}: no node is called ${name}; see /quipu/nodes`),
  )
  if (able.length === 0 && all.length > 0) {
    warnings.push(`no node there is may run ${model}, so its requests wait in vain`)
  } else if (holders.size > 0 && !able.some(({ name }) => holders.has(name))) {
    const names = able.map(({ name }) => name).join(', ')
    warnings.push(`no node that may run ${model} has it; pull it to one with X-Quipu-Nodes: ${names}`)
  } else if (holders.size === 0) {
    warnings.push(`no node has ${model} yet`)
  }
  const shut = able.filter(({ name }) => policy.prefer?.includes(name)).length === 0
  if (policy.prefer !== undefined && shut && able.length > 0)
    warnings.push('prefer: none of these is a node that may run it')
  if (policy.numCtx !== undefined) warnings.push(aboutV1(policy.numCtx))
  const { replicasMin = 0, replicasMax = Number.POSITIVE_INFINITY } = policy
  if (able.length < replicasMin) {
    const few = able.length === 1 ? 'only one node may' : `only ${able.length} nodes may`
    warnings.push(`replicas: ${few} run ${model}, so there cannot be ${replicasMin} copies`)
  }
  const elsewhere = [...holders.keys()].filter(name => !able.some(node => node.name === name))
  if (Number.isFinite(replicasMax) && elsewhere.length > 0)
    warnings.push(
      `replicas: its copies on nodes that may not run it will be taken away: ${elsewhere.join(', ')}`,
    )
  return warnings
}

/** See docs/adr/0021-policies.md: a node loads anew for a request that asks for another length, or for none. */
function aboutV1(numCtx: number): string {
  return (
    `numCtx: clients of /v1 get each node's own context length, and where that is not ${numCtx} the model is loaded ` +
    `anew whenever they and others take turns; set it in the Modelfile, or OLLAMA_CONTEXT_LENGTH=${numCtx} on the nodes`
  )
}

function admits({ nodes, avoid, labels = {} }: PolicyData, node: FleetNode): boolean {
  if (nodes !== undefined && !nodes.includes(node.name)) return false
  if (avoid?.includes(node.name)) return false
  return Object.entries(labels).every(([name, value]) => node.labels[name] === value)
}
