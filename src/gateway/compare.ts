/**
 * What a decision is compared with: a balancer's policy by its name, or this house's own with something set otherwise,
 * as in `swap-cost=1,prefer=gpu-1+gpu-2`.
 */
import { Refusal } from '../../machines/entity.ts'
import type { PolicyData } from '../../machines/policy.ts'
import { durationMs } from '../config.ts'

/** As scheduler/hindsight.ts takes it. */
export interface Otherwise {
  readonly weights?: { readonly asGood?: number; readonly swapCost?: number; readonly slowMinMs?: number }
  readonly starveMs?: number
  readonly policy?: PolicyData
}

export type Comparison =
  | { readonly name: string; readonly bound: true }
  | { readonly name: string; readonly bound: false; readonly otherwise: Otherwise }

/** What one word asks for. Throws an Error that says what would be right. */
const KEYS: Readonly<Record<string, (text: string) => Otherwise>> = {
  'swap-cost': text => ({ weights: { swapCost: numberIn(text) } }),
  'as-good': text => ({ weights: { asGood: numberIn(text) } }),
  'slow-min': text => ({ weights: { slowMinMs: durationMs(text) } }),
  starve: text => ({ starveMs: durationMs(text) }),
  nodes: text => ({ policy: { nodes: text.split('+') } }),
  avoid: text => ({ policy: { avoid: text.split('+') } }),
  prefer: text => ({ policy: { prefer: text.split('+') } }),
}

/** Throws a Refusal `request.invalid` that names what there is. */
export function comparisonOf(text: string, bound: readonly string[]): Comparison {
  if (bound.includes(text)) return { name: text, bound: true }
  let otherwise: Otherwise = {}
  for (const pair of text.split(',')) {
    const [, key = '', value = ''] = /^([a-z-]+)=(.+)$/.exec(pair) ?? []
    const row = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined
    if (row === undefined) throw unknown(pair, bound)
    try {
      const { weights, policy, ...rest } = row(value)
      otherwise = {
        ...otherwise,
        ...rest,
        ...(weights && { weights: { ...otherwise.weights, ...weights } }),
        ...(policy && { policy: { ...otherwise.policy, ...policy } }),
      }
    } catch (error) {
      throw new Refusal('request.invalid', `query: compare: ${key}: ${(error as Error).message}`)
    }
  }
  return { name: text, bound: false, otherwise }
}

function unknown(word: string, bound: readonly string[]): Refusal {
  const said = `there is nothing called "${word}" to compare with; there are ${bound.join(', ')}`
  return new Refusal('request.invalid', `query: compare: ${said}, and ${Object.keys(KEYS).join('=, ')}=`)
}

function numberIn(text: string): number {
  const number = Number(text)
  if (!(number >= 0 && number < 1e6)) throw new TypeError(`"${text}" is not a number from 0 up`)
  return number
}
