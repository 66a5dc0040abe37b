/** From what was asked to what a simulation is fed with: mixed, checked against the fleet, and stretched. */
import { canonicalName } from '../../machines/name.ts'
import { Failure } from '../failure.ts'
import { type Fleet, stretched } from './fleet.ts'
import { mixed } from './mix.ts'
import type { Arrival, Asked } from './trace.ts'

export interface Scenario {
  /** How many of the fleet's models are asked for, where the trace names none; the first ones. */
  readonly models: number
  readonly clients: number
  /** How long a request waits for a slot before it leaves; Infinity waits for ever. */
  readonly patienceMs: number
  /** How busy the fleet shall be; undefined leaves the times as they are. */
  readonly utilisation?: number
}

/** Throws a Failure `fleet.model` where a request is for a model that no node has. */
export function arrivalsOf(
  fleet: Fleet,
  asked: readonly Asked[],
  { models, utilisation, ...mix }: Scenario,
  seed: number,
): readonly Arrival[] {
  const named = asked.map(one => (one.model === undefined ? one : { ...one, model: known(one.model) }))
  const arrivals = mixed(named, {
    ...mix,
    seed,
    models: fleet.models.slice(0, models).map(({ name }) => name),
  })
  const there = new Set(fleet.nodes.flatMap(node => [...node.models.keys()]))
  for (const { model } of arrivals) if (!there.has(model)) throw nowhere(model)
  return utilisation === undefined ? arrivals : stretched(fleet, arrivals, utilisation)
}

function known(model: string): string {
  return canonicalName(model) ?? model
}

export function nowhere(model: string): Failure {
  return new Failure(
    'fleet.model',
    `requests ask for ${model}, and no node of the fleet has it: add it under models:, and to a node that lists its models`,
  )
}
