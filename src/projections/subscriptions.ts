/** Who reads the journal with a mark that the house keeps, of which facts, and may they? */
import type { Filter, Webhook } from '../../machines/subscription.ts'
import { projection } from './projection.ts'

export interface Subscription {
  readonly name: string
  /** The seq of the fact that made it: another of the same name is another. */
  readonly seq: number
  readonly createdAt: number
  /** Who made it. */
  readonly by?: string
  /** It began with the fact after this one. */
  readonly after: number
  readonly filter: Filter
  readonly webhook?: Webhook
  readonly state: 'active' | 'parked'
  /** Since when it is in this state, milliseconds since the epoch. */
  readonly since: number
  /** While it is parked: why, after how many failures, and what the last was answered with. */
  readonly reason?: string
  readonly failures?: number
  readonly status?: number
}

/** The spool's items that hold where webhooks are called. */
export function targetsOf(all: ReadonlyMap<string, Subscription>): ReadonlySet<string> {
  return new Set([...all.values()].flatMap(({ webhook }) => (webhook === undefined ? [] : [webhook.target])))
}

export type SubscriptionsProjection = ReturnType<typeof subscriptions>

export const subscriptions = () =>
  projection(new Map<string, Subscription>(), {
    'subscription.created': (all, { id, seq, at, by, data }) => {
      const made = by === undefined ? {} : { by }
      all.set(id, { name: id, seq, createdAt: at, ...made, ...data, state: 'active', since: at })
    },
    'subscription.parked': (all, { id, at, data }) => {
      all.set(id, { ...all.get(id)!, state: 'parked', since: at, ...data })
    },
    'subscription.resumed': (all, { id, at }) => {
      const { reason: _why, failures: _count, status: _answer, ...known } = all.get(id)!
      all.set(id, { ...known, state: 'active', since: at })
    },
    'subscription.deleted': (all, { id }) => void all.delete(id),
  })
