/**
 * What simulations are made of: the very reactors that decide in a house, and the inside of simulated nodes. The
 * folders do not know each other; the verbs that simulate hand these over, as main.ts does for a house.
 */
import type { Staff } from '../backtest/house.ts'
import { scheduler } from '../scheduler/scheduler.ts'
import { trips } from '../scheduler/trips.ts'

export { bareNode } from '../sim/bare.ts'

export const staff: Staff = house => [scheduler(house), trips(house)]
