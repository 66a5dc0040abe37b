/**
 * Which facts a reader wants: by kind, type, id and time, and by client, model and node. Shared by all that follow.
 *
 * Most of what a filter asks for stands in the fact. A client and a model do not: of a request's facts, only the
 * admission has them; and its node stands in its assignment. So:
 *
 *   client   all facts of requests from this client, and whatever else it asked of the house (`by`)
 *   model    all facts of requests for this model, of the model itself, its replicas and transfers, and its policy
 *   node     all facts of the node itself, its breaker, its replicas and transfers; of a request, all from the moment on
 *            when it was given to this node, also when others had it later
 *
 * A job's calls and its place in the spool go with the request. Whether a fact is wanted hangs on it and on the facts
 * before it alone, so that the same stretch is the same however often, and from wherever, it is read.
 */
import type { Kind } from '../../machines/index.ts'
import { canonicalName } from '../../machines/name.ts'
import { replicaParts } from '../../machines/replica.ts'
import { momentOf } from './beginning.ts'
import type { Entry } from './journal.ts'
import type { Stories } from './stories.ts'

/** As in a query string: several words with commas between, times as momentOf() reads them. */
export interface Filter {
  readonly kind?: string | undefined
  /** One that ends with a dot stands for all that begin so. */
  readonly type?: string | undefined
  readonly id?: string | undefined
  readonly client?: string | undefined
  readonly model?: string | undefined
  /** Or the worker from outside who had it on a lease. */
  readonly node?: string | undefined
  /** Wall time, ISO 8601 or milliseconds since the epoch: facts of this time and later. */
  readonly since?: string | undefined
  /** Facts before this time. */
  readonly until?: string | undefined
}

/** Pages in order, without a gap: what comes otherwise only costs a search. One for each reader. */
export interface Wanted {
  /**
   * The wanted ones of a page, in order. A promise where facts before the page must be looked for; it may reject with
   * a Failure as a read of the journal, or `house.busy`.
   */
  of(page: readonly Entry[], signal: AbortSignal): readonly Entry[] | Promise<readonly Entry[]>
}

type Test = (entry: Entry) => boolean

/**
 * Undefined where all are wanted. Throws a Refusal `request.invalid` for a time that is none. `naming` says what a client is
 * written down as; who asks by a name means that as well.
 */
export function wantedBy(
  filter: Filter,
  stories: Stories,
  naming: (client: string) => string = client => client,
): Wanted | undefined {
  const plain = plainly(filter)
  const asked = wordsOf(filter.client)
  const clients = asked && new Set([...asked].flatMap(client => [client, naming(client)]))
  const named = wordsOf(filter.model)
  const models = named && new Set([...named].map(name => canonicalName(name) ?? name))
  const nodes = wordsOf(filter.node)
  if ((clients ?? models ?? nodes) !== undefined) {
    return new WantedOf(plain ?? (() => true), { clients, models, nodes }, stories)
  }
  return plain && { of: page => page.filter(plain) }
}

/** What stands in the fact itself. */
function plainly({ kind, type, id, since, until }: Filter): Test | undefined {
  const tests: Test[] = []
  const kinds = wordsOf(kind)
  if (kinds !== undefined) tests.push(entry => kinds.has(entry.kind))
  const types = [...(wordsOf(type) ?? [])]
  if (types.length > 0) {
    const whole = new Set(types.filter(word => !word.endsWith('.')))
    const heads = types.filter(word => word.endsWith('.'))
    tests.push(entry => whole.has(entry.type) || heads.some(head => entry.type.startsWith(head)))
  }
  const ids = wordsOf(id)
  if (ids !== undefined) tests.push(entry => ids.has(entry.id))
  const from = since === undefined ? undefined : momentOf(since)
  if (from !== undefined) tests.push(({ at }) => at >= from)
  const to = until === undefined ? undefined : momentOf(until)
  if (to !== undefined) tests.push(({ at }) => at < to)
  if (tests.length === 0) return undefined
  return entry => tests.every(test => test(entry))
}

function wordsOf(text: string | undefined): ReadonlySet<string> | undefined {
  return text === undefined ? undefined : new Set(text.split(',').map(word => word.trim()))
}

interface Whose {
  readonly clients: ReadonlySet<string> | undefined
  readonly models: ReadonlySet<string> | undefined
  readonly nodes: ReadonlySet<string> | undefined
}

/** What of a filter fits a request so far; all three together mean that it is wanted. */
const CLIENT = 1
const MODEL = 2
const NODE = 4
const ALL = CLIENT | MODEL | NODE

/** Of so many requests what fits is kept, a hundred bytes each. What was dropped is looked for again. */
const KNOWN_MAX = 4_096

class WantedOf implements Wanted {
  readonly #plain: Test
  readonly #whose: Whose
  readonly #stories: Stories
  /** What fits a request of which nothing is known. */
  readonly #anybody: number
  /** By request: what fits. Right as far as this reader has come. */
  readonly #known = new Map<string, number>()
  #next = 0

  constructor(plain: Test, whose: Whose, stories: Stories) {
    this.#plain = plain
    this.#whose = whose
    this.#stories = stories
    const { clients, models, nodes } = whose
    this.#anybody = (clients ? 0 : CLIENT) | (models ? 0 : MODEL) | (nodes ? 0 : NODE)
  }

  of(page: readonly Entry[], signal: AbortSignal): readonly Entry[] | Promise<readonly Entry[]> {
    const first = page[0]?.seq ?? this.#next
    if (first !== this.#next) this.#known.clear()
    this.#next = first + page.length
    const sought = this.#strangers(page)
    if (sought.size === 0) return page.filter(entry => this.#fits(entry))
    return this.#stories.before(sought, first - 1, signal).then(found => {
      for (const id of sought) this.#keep(id, this.#before(found.get(id) ?? [], first))
      return page.filter(entry => this.#fits(entry))
    })
  }

  /** Requests that a page tells of, admitted before it, that nobody knows of. */
  #strangers(page: readonly Entry[]): ReadonlySet<string> {
    const sought = new Set<string>()
    const admitted = new Set<string>()
    for (const entry of page) {
      if (!ofRequest[entry.kind as Kind]) continue
      if (entry.type === 'request.admitted') admitted.add(entry.id)
      if (admitted.has(entry.id)) continue
      const known = this.#known.get(entry.id)
      if (known !== undefined) {
        this.#keep(entry.id, known)
        continue
      }
      const facts = this.#stories.remembered(entry.id)
      if (facts === undefined) sought.add(entry.id)
      else this.#keep(entry.id, this.#before(facts, page[0]!.seq))
    }
    return sought
  }

  #before(facts: readonly Entry[], seq: number): number {
    let fits = this.#anybody
    for (const fact of facts) if (fact.seq < seq) fits = this.#after(fits, fact)
    return fits
  }

  #fits(entry: Entry): boolean {
    if (!ofRequest[entry.kind as Kind]) return this.#plain(entry) && this.#itself(entry)
    const fits = this.#after(this.#known.get(entry.id) ?? this.#anybody, entry)
    this.#keep(entry.id, fits)
    return fits === ALL && this.#plain(entry)
  }

  /** What fits a request once this has happened to it. */
  #after(fits: number, fact: Entry): number {
    const { clients, models, nodes } = this.#whose
    if (fact.data === null) return fits // forgotten
    if (fact.type === 'request.admitted') {
      const { client, model } = fact.data
      return this.#anybody | (clients?.has(client) ? CLIENT : 0) | (models?.has(model) ? MODEL : 0)
    }
    if (fact.type === 'request.assigned' && nodes?.has(fact.data.node)) return fits | NODE
    if (fact.type === 'request.leased' && nodes?.has(fact.data.worker)) return fits | NODE
    return fits
  }

  /** Facts that are not of a request. */
  #itself(entry: Entry): boolean {
    const { clients, models, nodes } = this.#whose
    return (
      (clients === undefined || (entry.by !== undefined && clients.has(entry.by))) &&
      (models === undefined || modelsOf(entry).some(model => models.has(model))) &&
      (nodes === undefined || nodesOf(entry).some(node => nodes.has(node)))
    )
  }

  /** What was looked at last stays longest: more than a page can tell of. */
  #keep(id: string, fits: number): void {
    this.#known.delete(id)
    this.#known.set(id, fits)
    if (this.#known.size > KNOWN_MAX) this.#known.delete(this.#known.keys().next().value!)
  }
}

/** Kinds whose id is a request's. */
const ofRequest: Readonly<Partial<Record<Kind, true>>> = { request: true, delivery: true, spool: true }

function modelsOf({ kind, id }: Entry): readonly string[] {
  if (kind === 'model' || kind === 'policy') return [id]
  return kind === 'replica' || kind === 'transfer' ? [replicaParts(id).model] : []
}

function nodesOf({ kind, id, data }: Entry): readonly string[] {
  if (kind === 'node' || kind === 'breaker') return [id]
  if (kind === 'replica' || kind === 'transfer') return [replicaParts(id).node]
  return kind === 'model' && data !== null && 'nodes' in data ? data.nodes : []
}
