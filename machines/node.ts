/**
 * A node is one Ollama server that the house may send work to. Three things are true of it at once:
 *
 *   reach   joining ──joined──▶ up ◀──returned── down        duty   active ──drained──▶ draining ──emptied──▶ empty
 *                               └──────lost──────▶                  ▲────────resumed───────┴───────────────────┘
 *   pace    full ──throttled──▶ throttled ──cooled, lost──▶ full
 *
 *   unknown ──registered──▶ (reach, duty, pace) ──removed──▶ removed ──registered──▶ (reach, duty, pace)
 *
 * It may be given work while it is `up` and `active`. What its agent says the machine is, it keeps until it is registered
 * anew.
 */
import { assign, type SnapshotFrom, setup } from 'xstate'
import { type Decide, entity, type Message, Refusal } from './entity.ts'
import { parseHours } from './hours.ts'

/** Where a node came from: a flag, the API, found at the usual address, started inside the house, or its agent attached. */
export type Origin = 'flag' | 'api' | 'found' | 'embedded' | 'agent'

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

/** What the machine is, as its agent found it. Serial numbers are nobody's business, and forever is long. */
export type NodeEquipment = {
  readonly os?: { readonly platform: string; readonly name: string; readonly arch: string }
  readonly cpu?: { readonly model: string; readonly cores?: number }
  readonly memoryBytes?: number
  readonly gpus: readonly {
    readonly vendor: string
    readonly model: string
    readonly memoryBytes?: number
    /** It shares the machine's memory; memoryBytes is then what it may use of that. */
    readonly unified?: true
  }[]
  /** Whether all that there may be were looked for. */
  readonly gpusKnown: boolean
  /** The volume that the models are on. */
  readonly disk?: { readonly fileSystem: string; readonly type?: string; readonly sizeBytes?: number }
  readonly container: boolean
}

/**
 * What slows a machine down for longer than a moment: its driver holds the clock back (heat, power), others work on its
 * GPU or its CPU, or its memory is used up.
 */
export type ThrottleCause = 'heat' | 'power' | 'gpu' | 'cpu' | 'memory'

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
  | Message<'node.equipped', NodeEquipment>
  /** `since`: when what slows it down was first seen, milliseconds since the epoch. */
  | Message<'node.throttled', { readonly cause: ThrottleCause; readonly since: number }>
  | Message<'node.cooled', { readonly cause: ThrottleCause; readonly throttledMs: number }>

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
  /** Its agent has said what the machine is. */
  | Message<'node.equip', NodeEquipment>
  /** It has been slowed down for so long that it counts; or has not been for so long. See src/fleet/overload.ts. */
  | Message<'node.throttle', { readonly cause: ThrottleCause; readonly since: number }>
  | Message<'node.cool', Record<string, never>>

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
  readonly equipment?: NodeEquipment | undefined
  /** While it is throttled: by what, and since which fact. */
  readonly cause: ThrottleCause
  readonly throttledAt: number
}

const charts = setup({ types: { context: {} as NodeContext, events: {} as NodeFact } })
const throttled = charts.assign({
  cause: ({ event, context }) => (event.type === 'node.throttled' ? event.data.cause : context.cause),
  throttledAt: ({ event }) => event.at,
})

const machine = charts.createMachine({
  id: 'node',
  context: {
    url: '',
    slots: 1,
    residentMax: 3,
    labels: {},
    origin: 'flag',
    version: '',
    lostAt: 0,
    cause: 'heat',
    throttledAt: 0,
  },
  initial: 'unknown',
  on: {
    'node.registered': {
      target: '.member',
      reenter: true,
      actions: assign(({ event: { data } }) => ({ weight: 1, hours: '', equipment: undefined, ...data })),
    },
  },
  states: {
    unknown: {},
    member: {
      type: 'parallel',
      on: {
        'node.upgraded': { actions: assign({ version: ({ event }) => event.data.version }) },
        'node.removed': 'removed',
        'node.equipped': { actions: assign({ equipment: ({ event }) => event.data }) },
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
        pace: {
          initial: 'full',
          states: {
            full: { on: { 'node.throttled': { target: 'throttled', actions: throttled } } },
            throttled: {
              description: 'slower than it could be, for longer than a moment',
              on: {
                'node.throttled': { target: 'throttled', actions: throttled },
                'node.cooled': 'full',
                'node.lost': 'full',
              },
            },
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
  'node.equip': (node, { data }) => {
    known(node)
    const { equipment } = node.context
    return equipment !== undefined && alike(equipment, data) ? [] : [{ type: 'node.equipped', data }]
  },
  'node.throttle': (node, { data }) => {
    if (!node.matches({ member: { reach: 'up' } })) return []
    const already = node.matches({ member: { pace: 'throttled' } }) && node.context.cause === data.cause
    return already ? [] : [{ type: 'node.throttled', data }]
  },
  'node.cool': (node, { at }) => {
    if (!node.matches({ member: { pace: 'throttled' } })) return []
    const { cause, throttledAt } = node.context
    return [{ type: 'node.cooled', data: { cause, throttledMs: Math.max(0, at - throttledAt) } }]
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

/** Sizes may differ by so much: a kernel keeps a little more for itself, a pool of disks is as large as what it holds. */
const SIZE_SLACK = 0.05

/** The same machine, as far as it can be told. What was not known, and now is, makes it another. */
function alike(a: unknown, b: unknown, name = ''): boolean {
  if (typeof a === 'number' && typeof b === 'number' && name.endsWith('Bytes'))
    return Math.abs(a - b) <= SIZE_SLACK * Math.max(a, b)
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...names].every(key => alike(a[key as never], b[key as never], key))
}
