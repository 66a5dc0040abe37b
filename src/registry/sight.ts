/** What the plan is made from, as things stand: views of the journal, and how much room agents say there is. */
import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import type { BreakersProjection } from '../projections/breakers.ts'
import type { Catalog } from '../projections/catalog.ts'
import { type DemandProjection, lately } from '../projections/demand.ts'
import type { Fleet } from '../projections/fleet.ts'
import type { Made } from '../projections/made.ts'
import type { Policies } from '../projections/policies.ts'
import { type RequestsProjection, runningOn, waitingFor } from '../projections/requests.ts'
import type { Residency } from '../projections/residency.ts'
import type { TransfersProjection } from '../projections/transfers.ts'
import { CARE, type Care, type Scene } from './sites.ts'

export interface SightNeeds {
  readonly clock: Clock
  readonly config: Pick<Config, 'healAfterMs'>
  readonly fleet: Fleet
  readonly residency: Residency
  readonly catalog: Catalog
  readonly policies: Policies
  readonly transfers: TransfersProjection
  readonly requests: RequestsProjection
  readonly breakers: BreakersProjection
  readonly demand: DemandProjection
  readonly made: Made
  /** On the volume that a node's models are on, as its agent said lately; undefined where nobody knows. */
  readonly freeBytes: (node: string) => number | undefined
  /** What is there of a transfer that runs. */
  readonly arrivedBytes: (transfer: string) => number
}

export function sceneOf(needs: SightNeeds): Scene {
  const {
    arrivedBytes,
    breakers,
    catalog,
    clock,
    demand,
    fleet,
    freeBytes,
    made,
    policies,
    requests,
    residency,
    transfers,
  } = needs
  const now = clock.now()
  return {
    now,
    nodes: fleet.state.values(),
    policies: policies.state,
    replicas: residency.state.byModel,
    transfers: transfers.state,
    demand: lately(demand.state, now),
    made: made.state,
    sizeOf: model => catalog.state.get(model)?.sizeBytes,
    freeBytes,
    arrivedBytes,
    running: (node, model) => runningOn(requests.state, node, model),
    waiting: model => waitingFor(requests.state, model),
    barred: node => breakers.state.nodes.get(node)?.state === 'open',
  }
}

/** What the house does by itself waits as long as a node may be away; and no longer than that for one that has come. */
export function careOf({ config: { healAfterMs: graceMs } }: SightNeeds): Care {
  return { ...CARE, graceMs, settleMs: Math.min(CARE.settleMs, graceMs) }
}

/** Whoever asks for it now waits for nothing; every other rule holds. */
export function atOnce(care: Care): Care {
  return { ...care, graceMs: 0, settleMs: 0, restMs: 0 }
}
