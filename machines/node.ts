/**
 * A node is one Ollama server that the house may send work to. Two things are true of it at once:
 *
 *   reach   joining ──joined──▶ up ◀──returned── down        duty   active ──drained──▶ draining ──emptied──▶ empty
 *                               └──────lost──────▶                  ▲────────resumed───────┴───────────────────┘
 *
 *   unknown ──registered──▶ (reach, duty) ──removed──▶ removed ──registered──▶ (reach, duty)
 *
 * It may be given work while it is `up` and `active`.
 */
import { assign, type SnapshotFrom, setup } from 'xstate'
import { type Decide, entity, type Message, Refusal } from './entity.ts'
import { parseHours } from './hours.ts'

/** Where a node came from: a flag, the API, found at the usual address, or started inside the house. */
export type Origin = 'flag' | 'api' | 'found' | 'embedded'

export type NodeData = {
  readonly url: string
  /** Requests at once per model. */
  readonly slots: number
  /** Models in memory at once (OLLAMA_MAX_LOADED_MODELS of that server). */
  readonly residentMax: number
  readonly labels: { readonly [name: string]: string }
  readonly origin: Origin
  /** How much of the work it should get beside a node of weight 1; above 0, up to 100. */
  readonly weight?: number
  /**
   * When it is wanted, as `18:00-08:00` or `mon-fri@18:00-08:00+sat-sun` (see hours.ts) in the house's local time; at
   * other times only if nobody else can.
   */
  readonly hours?: string
}

/** Why a node counts as gone: no answer, connection refused, or it answers but inference hangs. */
export type LossReason = 'silence' | 'refused' | 'error' | 'wedged'

export type NodeFact =
  | Message<'node.registered', NodeData>
  | Message<'node.joined', { readonly version: string }>
  | Message<'node.lost', { readonly reason: LossReason; readonly model?: string }>
  | Message<'node.returned', { readonly version: string; readonly awayMs: number }>
  | Message<'node.upgraded', { readonly from: string; readonly version: string }>
  | Message<'node.drained', Record<string, never>>
  | Message<'node.emptied', Record<string, never>>
  | Message<'node.resumed', Record<string, never>>
  | Message<'node.removed', Record<string, never>>

export type NodeCommand =
  | Message<'node.register', NodeData>
  /** A probe was answered. */
  | Message<'node.answer', { readonly version: string }>
  /** The k-th probe in a row was not, or its running requests prove it wedged. */
  | Message<'node.lose', { readonly reason: LossReason; readonly model?: string }>
  | Message<'node.drain', Record<string, never>>
  | Message<'node.empty', Record<string, never>>
  | Message<'node.resume', Record<string, never>>
  | Message<'node.remove', Record<string, never>>

export interface NodeContext {
  readonly url: string
  readonly slots: number
  readonly residentMax: number
  readonly labels: Readonly<Record<string, string>>
  readonly origin: Origin
  readonly weight?: number
  readonly hours?: string
  readonly version: string
  /** When it was last lost, milliseconds since the epoch. */
  readonly lostAt: number
}

const machine = setup({ types: { context: {} as NodeContext, events: {} as NodeFact } }).createMachine({
  id: 'node',
  context: { url: '', slots: 1, residentMax: 3, labels: {}, origin: 'flag', version: '', lostAt: 0 },
  initial: 'unknown',
  on: {
    'node.registered': {
      target: '.member',
      reenter: true,
      actions: assign(({ event: { data } }) => ({ weight: 1, hours: '', ...data })),
    },
  },
  states: {
    unknown: {},
    member: {
      type: 'parallel',
      on: {
        'node.upgraded': { actions: assign({ version: ({ event }) => event.data.version }) },
        'node.removed': 'removed',
      },
      states: {
        reach: {
          initial: 'joining',
          states: {
            joining: {
              description: 'registered, but it has not answered yet',
              on: {
                'node.joined': {
                  target: 'up',
                  actions: assign({ version: ({ event }) => event.data.version }),
                },
              },
            },
            up: {
              on: { 'node.lost': { target: 'down', actions: assign({ lostAt: ({ event }) => event.at }) } },
            },
            down: {
              on: {
                'node.returned': {
                  target: 'up',
                  actions: assign({ version: ({ event }) => event.data.version }),
                },
              },
            },
          },
        },
        duty: {
          initial: 'active',
          states: {
            active: { on: { 'node.drained': 'draining' } },
            draining: {
              description: 'finishes what runs, takes nothing new',
              on: { 'node.emptied': 'empty', 'node.resumed': 'active' },
            },
            empty: { on: { 'node.resumed': 'active' } },
          },
        },
      },
    },
    removed: {},
  },
})

type State = SnapshotFrom<typeof machine>

const WEIGHT_MAX = 100

const decide: Decide<State, NodeCommand, NodeFact> = {
  'node.register': (node, { data }) => {
    const { slots, weight = 1, hours } = data
    if (slots < 1) throw new Refusal('node.slots', 'a node needs at least one slot: slots must be 1 or more')
    if (!(weight > 0 && weight <= WEIGHT_MAX)) {
      const rule = `a weight is above 0 and up to ${WEIGHT_MAX}, and 1 without one; to give a node nothing, drain it`
      throw new Refusal('node.weight', `${weight} is no weight: ${rule}`)
    }
    if (hours !== undefined && parseHours(hours) === undefined) {
      const rule = 'hours are written as 18:00-08:00, mon-fri@18:00-08:00 or sat-sun, with + between several'
      throw new Refusal('node.hours', `"${hours}": ${rule}`)
    }
    return node.matches('member') && same(node.context, data) ? [] : [{ type: 'node.registered', data }]
  },
  'node.answer': (node, { at, data: { version } }) => {
    if (node.matches({ member: { reach: 'joining' } })) return [{ type: 'node.joined', data: { version } }]
    if (node.matches({ member: { reach: 'down' } })) {
      return [{ type: 'node.returned', data: { version, awayMs: at - node.context.lostAt } }]
    }
    const from = node.context.version
    return version === from ? [] : [{ type: 'node.upgraded', data: { from, version } }]
  },
  'node.lose': (node, { data }) =>
    node.matches({ member: { reach: 'up' } }) ? [{ type: 'node.lost', data }] : [],
  'node.drain': node => {
    known(node)
    return node.matches({ member: { duty: 'active' } }) ? [{ type: 'node.drained', data: {} }] : []
  },
  'node.empty': () => [{ type: 'node.emptied', data: {} }],
  'node.resume': node => {
    known(node)
    return node.matches({ member: { duty: 'active' } }) ? [] : [{ type: 'node.resumed', data: {} }]
  },
  'node.remove': node => {
    known(node)
    return [{ type: 'node.removed', data: {} }]
  },
}

export const node = entity({ kind: 'node', machine, decide })

function known(state: State): void {
  if (!state.matches('member'))
    throw new Refusal('node.unknown', 'no node of that name; `quipu nodes ls` lists them')
}

function same(context: NodeContext, data: NodeData): boolean {
  const { url, slots, residentMax, origin, labels, weight = 1, hours = '' } = context
  return (
    url === data.url &&
    weight === (data.weight ?? 1) &&
    hours === (data.hours ?? '') &&
    slots === data.slots &&
    residentMax === data.residentMax &&
    origin === data.origin &&
    JSON.stringify(labels) === JSON.stringify(data.labels)
  )
}
