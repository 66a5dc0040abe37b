/** Whenever the last request on a draining node has ended, say that the node is empty. */
import type { Engine } from '../engine/engine.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import type { Fleet } from '../projections/fleet.ts'
import { type RequestsProjection, runningOn } from '../projections/requests.ts'

export interface Drain {
  readonly engine: Engine
  readonly fleet: Fleet
  readonly requests: RequestsProjection
}

export const drain = (self: Drain): Reactor =>
  reactor(self, {
    hears: 'decided',
    on: {
      'node.drained': check,
      'request.completed': check,
      'request.failed': check,
      'request.retried': check,
      'request.abandoned': check,
      'request.cancelled': check,
    },
    resume: check,
  })

function check({ engine, fleet, requests }: Drain): void {
  for (const { name, duty } of fleet.state.values()) {
    if (duty === 'draining' && runningOn(requests.state, name) === 0) {
      engine.attempt('node', name, { type: 'node.empty', data: {} })
    }
  }
}
