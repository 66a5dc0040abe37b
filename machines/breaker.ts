/**
 * A breaker keeps traffic off a node that keeps failing. One per node; it has the node's name.
 *
 *   closed ──tripped──▶ open ──probed──▶ halfOpen ──healed──▶ closed
 *                        ▲                  │
 *                        └─────tripped──────┘      each round waits longer
 *
 * While half open, one request at a time may try. The wait is written into the fact, so a restart neither
 * forgets nor shortens it. A brief rest never grows: for a node that only says it is busy, and for one that nobody
 * can stand in for.
 */
import { assign, type SnapshotFrom, setup } from 'xstate'
import { type Deadline, type Decide, entity, type Message } from './entity.ts'

/** What opened it: failures in a row, their share among the last outcomes, or a trial that went wrong. */
export type Trigger = 'row' | 'ratio' | 'trial'

export type BreakerFact =
  | Message<
      'breaker.tripped',
      {
        readonly reason: string
        readonly failures: number
        readonly round: number
        readonly waitMs: number
        readonly by?: Trigger
        /** Of the last outcomes, how many failed: 0 to 1, to a hundredth. */
        readonly share?: number
      }
    >
  | Message<'breaker.probed', Record<string, never>>
  | Message<'breaker.healed', Record<string, never>>

export type BreakerCommand =
  /** `chance` in [0, 1) decides the jitter; `failures` in a row led here, or that `share` of the last outcomes. */
  | Message<
      'breaker.trip',
      {
        readonly reason: string
        readonly failures: number
        readonly chance: number
        readonly by?: Trigger
        readonly share?: number
        /** A short rest, and no round of its own. */
        readonly brief?: boolean
      }
    >
  | Message<'breaker.probe', Record<string, never>>
  | Message<'breaker.heal', Record<string, never>>

export interface BreakerContext {
  /** How often it tripped since it last healed. */
  readonly round: number
  /** When it may be tried again, milliseconds since the epoch. */
  readonly until: number
}

/** Full jitter over an exponential wait: random(0, min(WAIT_MAX, WAIT_MIN · 2^round)), never below the floor. */
const WAIT_MIN_MS = 1_000
const WAIT_MAX_MS = 60_000
const WAIT_FLOOR_MS = 250

const reopen: Deadline<BreakerContext, BreakerCommand> = { at: ({ until }) => until, issue: 'breaker.probe' }

const machine = setup({ types: { context: {} as BreakerContext, events: {} as BreakerFact } }).createMachine({
  id: 'breaker',
  context: { round: 0, until: 0 },
  initial: 'closed',
  on: {
    'breaker.tripped': {
      target: '.open',
      actions: assign(({ event }) => ({ round: event.data.round, until: event.at + event.data.waitMs })),
    },
  },
  states: {
    closed: {},
    open: { meta: { deadline: reopen }, on: { 'breaker.probed': 'halfOpen' } },
    halfOpen: { on: { 'breaker.healed': { target: 'closed', actions: assign({ round: 0, until: 0 }) } } },
  },
})

const decide: Decide<SnapshotFrom<typeof machine>, BreakerCommand, BreakerFact> = {
  'breaker.trip': (breaker, { data: { reason, failures, chance, by, share, brief = false } }) => {
    if (breaker.matches('open')) return []
    const before = breaker.context.round
    const round = brief ? Math.max(1, before) : before + 1
    const spread = Math.min(WAIT_MAX_MS, WAIT_MIN_MS * 2 ** (brief ? 1 : Math.min(round, 16)))
    const waitMs = Math.max(WAIT_FLOOR_MS, Math.round(chance * spread))
    const why = { ...(by !== undefined && { by }), ...(share !== undefined && { share }) }
    return [{ type: 'breaker.tripped', data: { reason, failures, round, waitMs, ...why } }]
  },
  'breaker.probe': () => [{ type: 'breaker.probed', data: {} }],
  'breaker.heal': breaker => (breaker.matches('halfOpen') ? [{ type: 'breaker.healed', data: {} }] : []),
}

export const breaker = entity({ kind: 'breaker', machine, decide })
