/**
 * Whenever a node has failed too often, open its breaker; whenever its trial goes well, close it; whenever one that
 * failed only now and then is needed after all, put it on trial.
 */
import type { Clock } from '../clock.ts'
import type { Engine } from '../engine/engine.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import type { BreakersProjection } from '../projections/breakers.ts'
import type { Fleet } from '../projections/fleet.ts'
import type { RequestsProjection } from '../projections/requests.ts'
import type { Residency } from '../projections/residency.ts'
import { type Ground, needed, verdict } from './trial.ts'

export interface Trips {
  readonly engine: Engine
  readonly clock: Clock
  readonly fleet: Fleet
  readonly residency: Residency
  readonly requests: RequestsProjection
  readonly breakers: BreakersProjection
}

export const trips = (self: Trips): Reactor =>
  reactor(self, {
    hears: 'decided',
    on: {
      'request.retried': trip,
      'request.failed': trip,
      'request.begun': (trips, { data: { node, status } }) => {
        if (status < 500 && trips.breakers.state.nodes.get(node)?.state === 'halfOpen') {
          trips.engine.attempt('breaker', node, { type: 'breaker.heal', data: {} })
        }
        trip(trips) // an answer may show that another node's 500 was its own fault
      },
      'request.admitted': recall,
      'breaker.tripped': recall,
      'node.registered': recall,
      'node.lost': recall,
      'node.drained': recall,
      'node.removed': recall,
      'replica.found': recall,
      'replica.removed': recall,
    },
    resume: trips => {
      trip(trips)
      recall(trips)
    },
  })

function trip(self: Trips): void {
  const { engine, clock, breakers } = self
  for (const node of breakers.state.failing) {
    const view = breakers.state.nodes.get(node)!
    const found = verdict(node, view, ground(self))
    if (found === undefined) continue
    const { reason, failures } = view
    const data = { reason, failures, chance: clock.random(), ...found }
    engine.attempt('breaker', node, { type: 'breaker.trip', data })
  }
}

function recall(self: Trips): void {
  for (const node of self.breakers.state.ejected) {
    if (needed(node, ground(self))) {
      self.engine.attempt('breaker', node, { type: 'breaker.probe', data: {}, by: 'trips' })
    }
  }
}

function ground({ fleet, residency, requests, breakers }: Trips): Ground {
  return {
    fleet: fleet.state,
    residency: residency.state,
    requests: requests.state,
    breakers: breakers.state,
  }
}
