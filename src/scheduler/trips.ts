/** Whenever a node has failed three times in a row, open its breaker; whenever its trial goes well, close it. */
import type { Clock } from '../clock.ts'
import type { Engine } from '../engine/engine.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import type { BreakersProjection } from '../projections/breakers.ts'

export interface Trips {
  readonly engine: Engine
  readonly clock: Clock
  readonly breakers: BreakersProjection
}

const FAILURES_MAX = 3

export const trips = (self: Trips): Reactor =>
  reactor(self, {
    hears: 'decided',
    on: {
      'request.retried': check,
      'request.failed': check,
      'request.begun': (trips, { data: { node, status } }) => {
        if (status < 500 && trips.breakers.state.nodes.get(node)?.state === 'halfOpen') {
          trips.engine.attempt('breaker', node, { type: 'breaker.heal', data: {} })
        }
        check(trips)
      },
    },
    resume: check,
  })

function check({ engine, clock, breakers }: Trips): void {
  for (const [node, { state, failures, reason }] of breakers.state.nodes) {
    if (state === 'open' || failures < (state === 'halfOpen' ? 1 : FAILURES_MAX)) continue
    const data = { reason, failures, chance: clock.random() }
    engine.attempt('breaker', node, { type: 'breaker.trip', data })
  }
}
