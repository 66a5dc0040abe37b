/** Runs policies on the same requests and the same fleet. */
import { bound } from './bound.ts'
import { house, type Staff } from './house.ts'
import { type BoundPolicy, expectedOf, POLICIES } from './policies.ts'
import { play, type Run, type Setting } from './world.ts'

export type Policy = 'quipu' | BoundPolicy

export const policyNames = ['quipu', ...(Object.keys(POLICIES) as BoundPolicy[])] as const

export function simulate(policy: Policy, setting: Setting, staff: Staff): Promise<Run> {
  return play(setting, policy === 'quipu' ? house(staff) : bound(policy, expectedOf(setting.arrivals)))
}
