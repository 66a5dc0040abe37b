/**
 * A subscription is a reader of the journal whose place the house keeps. Its id is the name that somebody gave it.
 *
 *   new ──created──▶ active ──parked──▶ parked        nobody is given anything until somebody resumes it
 *                      ▲                  │
 *                      └──────resumed─────┘
 *
 *   from active, parked: deleted; then the name is free again
 *
 * How far its readers are is in no fact: a fact of that would itself be delivered, and its delivery be a fact, for ever.
 * The marks lie beside the journal; see src/journal/marks.ts.
 */
import { type SnapshotFrom, setup } from 'xstate'
import { type Decide, entity, type Message, Refusal } from './entity.ts'

/** Which facts it is about, as texts of the query string of /quipu/events; all where it is empty. */
export type Filter = { readonly [field: string]: string }

/** The house brings the facts itself, in batches. Where to, and what they are signed with, are in the spool. */
export type Webhook = {
  /** Scheme, host and port of the target; a path may be a secret. */
  readonly origin: string
  /** The spool's item that holds the rest. */
  readonly target: string
  readonly signed: boolean
  readonly format: 'json' | 'ndjson'
  /** Facts in one batch. */
  readonly batchMax: number
  /** How long the first fact of a batch may wait for others. */
  readonly lingerMs: number
  /** After so many failures in a row nothing more is sent. */
  readonly failuresMax: number
}

export type SubscriptionFact =
  | Message<
      'subscription.created',
      {
        /** It begins with the fact after this one. */
        readonly after: number
        readonly filter: Filter
        readonly webhook?: Webhook
      }
    >
  | Message<
      'subscription.parked',
      {
        /** A short word; `asked` where somebody did. */
        readonly reason: string
        /** In a row, up to this one. */
        readonly failures: number
        /** What the last one was answered with. */
        readonly status?: number
      }
    >
  | Message<'subscription.resumed', Record<string, never>>
  | Message<'subscription.deleted', Record<string, never>>

export type SubscriptionCommand =
  | Message<
      'subscription.create',
      { readonly after: number; readonly filter: Filter; readonly webhook?: Webhook }
    >
  | Message<
      'subscription.park',
      { readonly reason: string; readonly failures: number; readonly status?: number }
    >
  | Message<'subscription.resume', Record<string, never>>
  | Message<'subscription.delete', Record<string, never>>

const machine = setup({ types: { context: {} as object, events: {} as SubscriptionFact } }).createMachine({
  id: 'subscription',
  context: {},
  initial: 'new',
  states: {
    new: { on: { 'subscription.created': 'active' } },
    active: { on: { 'subscription.parked': 'parked', 'subscription.deleted': 'deleted' } },
    parked: { on: { 'subscription.resumed': 'active', 'subscription.deleted': 'deleted' } },
    deleted: { type: 'final' },
  },
})

const decide: Decide<SnapshotFrom<typeof machine>, SubscriptionCommand, SubscriptionFact> = {
  'subscription.create': (subscription, { data }) => {
    if (subscription.matches('new')) return [{ type: 'subscription.created', data }]
    throw new Refusal('subscription.taken', 'there is a subscription of that name already')
  },
  'subscription.park': (subscription, { data }) =>
    subscription.matches('parked') ? [] : [{ type: 'subscription.parked', data }],
  'subscription.resume': subscription =>
    subscription.matches('active') ? [] : [{ type: 'subscription.resumed', data: {} }],
  'subscription.delete': () => [{ type: 'subscription.deleted', data: {} }],
}

export const subscription = entity({ kind: 'subscription', machine, decide })
