/**
 * What is different between two pictures, thing by thing, and which fact last touched each of them: who, and when. What
 * changed and changed back is not different, and is not told; the journal tells all.
 */
import { replicaParts } from '../../machines/replica.ts'
import type { Entry } from '../journal/journal.ts'
import type { ModelThen, NodeThen, Picture } from './picture.ts'

export interface Change {
  readonly kind: 'node' | 'model' | 'replica' | 'policy' | 'setting'
  /** A node's or a model's name, a replica's `model@node`, a setting's name. */
  readonly id: string
  readonly as: 'new' | 'gone' | 'different'
  /** Of each property that is different, what it was and what it is; empty where there was, or is, none. */
  readonly properties: readonly { readonly name: string; readonly before: string; readonly after: string }[]
  /** The last fact that touched it. */
  readonly last?: Touch
  /** Where that followed by itself: the last one before it that somebody stood behind. A drained node empties, a model comes. */
  readonly asked?: Touch
}

export interface Touch {
  readonly seq: number
  readonly at: number
  readonly type: string
  readonly by?: string
}

/** Remembers, of the facts it is shown, the last one of each thing; and how requests fared. */
export class Between {
  readonly #touches = new Map<string, Touch>()
  readonly #asked = new Map<string, Touch>()
  readonly #removals = new Map<string, Touch>()
  readonly #counts = new Map<string, number>()
  facts = 0

  readonly note = ({ seq, at, kind, id, type, by }: Entry): void => {
    this.facts += 1
    if (kind === 'request') this.#counts.set(type, (this.#counts.get(type) ?? 0) + 1)
    const touch = { seq, at, type, ...(by !== undefined && { by }) }
    // What came of it is told by the copy itself.
    if (kind === 'transfer' && by !== undefined) this.#asked.set(`replica ${id}`, touch)
    if (!KINDS.has(kind)) return
    this.#touches.set(`${kind} ${id}`, touch)
    if (by !== undefined) this.#asked.set(`${kind} ${id}`, touch)
    if (type === 'node.removed') this.#removals.set(id, touch)
  }

  /** How many requests came, and how many ended how. */
  get requests(): Readonly<
    Record<'admitted' | 'completed' | 'failed' | 'expired' | 'abandoned' | 'cancelled', number>
  > {
    const count = (type: string): number => this.#counts.get(type) ?? 0
    return {
      admitted: count('request.admitted'),
      completed: count('request.completed'),
      failed: count('request.failed'),
      expired: count('request.expired'),
      abandoned: count('request.abandoned'),
      cancelled: count('request.cancelled'),
    }
  }

  /** The last fact that tells of such a change. */
  last({ kind, id, as, properties }: Omit<Change, 'last' | 'asked'>): Touch | undefined {
    const own = this.#touches.get(`${kind} ${id}`)
    if (kind === 'node' && as === 'different' && properties.every(({ name }) => name === 'breaker')) {
      return this.#touches.get(`breaker ${id}`) ?? own
    }
    if (as !== 'gone') return own
    // A node takes its replicas with it.
    const removal = this.#removals.get(kind === 'replica' ? replicaParts(id).node : id)
    return own === undefined || (removal !== undefined && removal.seq > own.seq) ? removal : own
  }

  asked({ kind, id }: Pick<Change, 'kind' | 'id'>): Touch | undefined {
    return this.#asked.get(`${kind} ${id}`)
  }
}

/** Kinds of facts that people ask about one by one. */
const KINDS: ReadonlySet<string> = new Set(['node', 'breaker', 'model', 'replica', 'policy', 'setting'])

export function changesBetween(before: Picture, after: Picture, between: Between): readonly Change[] {
  const [was, is] = [thingsIn(before), thingsIn(after)]
  const changes: Change[] = []
  for (const kind of Object.keys(was) as Change['kind'][]) {
    const ids = new Set([...was[kind].keys(), ...is[kind].keys()])
    for (const id of [...ids].sort()) {
      const [a, b] = [was[kind].get(id), is[kind].get(id)]
      const names = new Set([...Object.keys(a ?? {}), ...Object.keys(b ?? {})])
      const properties = [...names].flatMap(name => {
        const [was = '', is = ''] = [a?.[name], b?.[name]]
        return was === is ? [] : [{ name, before: was, after: is }]
      })
      if (a !== undefined && b !== undefined && properties.length === 0) continue
      const as = a === undefined ? 'new' : b === undefined ? 'gone' : 'different'
      const change = { kind, id, as, properties } as const
      const last = between.last(change)
      const asked = last?.by === undefined ? between.asked(change) : undefined
      changes.push({ ...change, ...(last && { last }), ...(asked && { asked }) })
    }
  }
  return changes
}

/** What is told of a thing, property by property. */
type Told = Readonly<Record<string, string>>
type Things = Readonly<Record<Change['kind'], ReadonlyMap<string, Told>>>

function thingsIn({ nodes, models, policies, settings }: Picture): Things {
  return {
    node: new Map(nodes.map(node => [node.name, nodeOf(node)])),
    model: new Map(models.map(({ name, digest }) => [name, { digest }])),
    replica: new Map(models.flatMap(copiesOf)),
    policy: new Map(
      policies.map(({ model, policy }) => [
        model,
        Object.fromEntries(Object.entries(policy).map(([name, value]) => [name, wordOf(value)])),
      ]),
    ),
    setting: new Map(settings.map(({ name, value }) => [name, { value }])),
  }
}

function nodeOf({
  standing,
  url,
  version,
  slots,
  residentMax,
  weight,
  hours,
  labels,
  breaker,
  throttled,
  memoryBytes,
  gpus,
}: NodeThen): Told {
  return {
    standing,
    breaker,
    url,
    version,
    slots: String(slots),
    residentMax: String(residentMax),
    weight: String(weight),
    hours: hours ?? '',
    labels: wordOf(labels),
    throttled: throttled ?? '',
    memory: memoryBytes === undefined ? '' : `${Math.round(memoryBytes / 1e9)} GB`,
    gpus: gpus?.join('; ') ?? '',
  }
}

function copiesOf({ name, nodes }: ModelThen): readonly (readonly [string, Told])[] {
  return nodes.map(({ node, state, variant = '' }) => [`${name}@${node}`, { state, variant }])
}

function wordOf(value: unknown): string {
  if (Array.isArray(value)) return value.join(' ')
  if (typeof value !== 'object' || value === null) return String(value)
  return Object.entries(value)
    .map(([key, held]) => `${key}=${held}`)
    .sort()
    .join(' ')
}
