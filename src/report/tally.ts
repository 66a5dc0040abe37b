/**
 * What a journal comes to, for people who have to answer for it: who asked for what, what became of it, what was done to
 * the house and by whom. Heard fact by fact, in one pass; memory is bounded, whatever the journal's length. The same
 * journal gives the same figures: nothing here asks the time, and ties are broken by name.
 */
import type { Json, On } from '../../machines/entity.ts'
import type { Fact } from '../../machines/index.ts'
import { replicaParts } from '../../machines/replica.ts'
import type { Entry } from '../journal/journal.ts'
import { addTo, emptySpread, quantileOf, type Spread } from '../projections/spread.ts'
import { Periods } from './periods.ts'

/** The ends there are; `open` has none yet. */
export type Ending = 'completed' | 'failed' | 'expired' | 'abandoned' | 'cancelled'
export const ENDINGS: readonly Ending[] = ['completed', 'failed', 'expired', 'abandoned', 'cancelled']

/** One client, model or node. Durations in milliseconds; a wait is until the first turn, or until it was given up. */
export interface Row {
  readonly name: string
  readonly requests: number
  readonly endings: Readonly<Record<Ending, number>>
  readonly retries: number
  readonly promptTokens: number
  readonly outputTokens: number
  readonly waitP50Ms: number | null
  readonly waitP95Ms: number | null
  readonly runMs: number
}

/** Rows of a table, and how many there are beside them, which `others` sums up. */
export interface Table {
  readonly rows: readonly Row[]
  readonly left: number
  readonly others?: Row
}

/** Something that was done to the house itself. */
export interface Deed {
  readonly seq: number
  readonly at: number
  readonly by: string
  readonly type: string
  readonly id: string
  readonly data: { readonly [key: string]: Json } | null
}

/** Names a table keeps apart; whoever comes later is among the others. */
const NAMES_MAX = 10_000
/** Rows of a table. */
const ROWS_MAX = 100
/** Deeds that are listed, the last ones. */
const DEEDS_MAX = 1_000
/** Types of facts, times those who asked for them. */
const ASKED_MAX = 10_000
/** Requests that are open at once; a house lets in a few thousand. */
const OPEN_MAX = 200_000

/** Kinds that tell of the traffic, not of what was done to the house. */
const TRAFFIC: ReadonlySet<string> = new Set(['request', 'replica', 'delivery', 'spool', 'refusals'])
/** What nodes say of themselves. */
const SEEN: ReadonlySet<string> = new Set(['model.found', 'model.gone'])

class Account {
  requests = 0
  readonly endings: Record<Ending, number> = {
    completed: 0,
    failed: 0,
    expired: 0,
    abandoned: 0,
    cancelled: 0,
  }
  retries = 0
  promptTokens = 0
  outputTokens = 0
  runMs = 0
  /** Every wait weighs the same. */
  readonly waits: Spread = emptySpread(Number.POSITIVE_INFINITY)

  row(name: string): Row {
    const { requests, endings, retries, promptTokens, outputTokens, runMs, waits } = this
    const ms = (q: number): number | null => {
      const value = quantileOf(waits, q)
      return value === undefined ? null : Math.round(value)
    }
    const figures = { requests, endings, retries, promptTokens, outputTokens }
    return { name, ...figures, waitP50Ms: ms(0.5), waitP95Ms: ms(0.95), runMs: Math.round(runMs) }
  }
}

class Accounts {
  readonly #named = new Map<string, Account>()
  readonly #others = new Account()
  readonly #othersNames = new Set<string>()

  of(name: string): Account {
    const known = this.#named.get(name)
    if (known !== undefined) return known
    if (this.#named.size >= NAMES_MAX) {
      if (this.#othersNames.size < NAMES_MAX) this.#othersNames.add(name)
      return this.#others
    }
    const account = new Account()
    this.#named.set(name, account)
    return account
  }

  /** Those with most requests first. */
  table(): Table {
    const all = [...this.#named]
      .map(([name, account]) => account.row(name))
      .sort((a, b) => b.requests - a.requests || (a.name < b.name ? -1 : 1))
    const rest = all.slice(ROWS_MAX)
    const left = rest.length + this.#othersNames.size
    return { rows: all.slice(0, ROWS_MAX), left, ...(left > 0 && { others: this.#rest(rest) }) }
  }

  /** Their waits cannot be told from their quantiles, and so are not. */
  #rest(rows: readonly Row[]): Row {
    const name = 'all others'
    const sum = rows.reduce(add, this.#others.row(name))
    return { ...sum, name, waitP50Ms: null, waitP95Ms: null }
  }
}

function add(a: Row, b: Row): Row {
  return {
    ...a,
    requests: a.requests + b.requests,
    endings: Object.fromEntries(ENDINGS.map(e => [e, a.endings[e] + b.endings[e]])) as Record<Ending, number>,
    retries: a.retries + b.retries,
    promptTokens: a.promptTokens + b.promptTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    runMs: a.runMs + b.runMs,
  }
}

/** How often a node was lost, its breaker opened, and models were loaded there. */
export interface Health {
  lost: number
  tripped: number
  loads: number
  failedLoads: number
}

interface Open {
  readonly client: string
  readonly model: string
  readonly admittedAt: number
  waited: boolean
  node: string
}

export class Tally {
  readonly clients = new Accounts()
  readonly models = new Accounts()
  readonly nodes = new Accounts()
  readonly all = new Account()
  readonly periods = new Periods()
  readonly types = new Map<string, number>()
  readonly #open = new Map<string, Open>()
  /** By who, then type: how many facts they asked for. */
  readonly #asked = new Map<string, Map<string, number>>()
  #askedCount = 0
  readonly refused = new Map<string, number>()
  readonly healths = new Map<string, Health>()
  deeds: Deed[] = []
  deedsLeft = 0
  first: Entry | undefined
  last: Entry | undefined
  /** Facts whose data, or some of it, was forgotten. */
  forgotten = 0
  /** How often a fact is older than the one before it, and by how much at most; milliseconds. */
  setBack = { times: 0, mostMs: 0 }
  /** The longest time without any fact. */
  silence = { ms: 0, afterSeq: 0 }

  see(page: readonly Entry[]): void {
    for (const entry of page) this.hear(entry)
  }

  hear(entry: Entry): void {
    const { type, at, by } = entry
    this.first ??= entry
    if (this.last !== undefined) {
      const ms = at - this.last.at
      if (ms < 0) this.setBack = { times: this.setBack.times + 1, mostMs: Math.max(this.setBack.mostMs, -ms) }
      if (ms > this.silence.ms) this.silence = { ms, afterSeq: this.last.seq }
    }
    this.last = entry
    this.types.set(type, (this.types.get(type) ?? 0) + 1)
    if (by !== undefined) this.#ask(by, type)
    if (!TRAFFIC.has(entry.kind) && !SEEN.has(type)) this.#note(entry)
    if (entry.forgotten !== undefined || entry.data === null) this.forgotten += 1
    if (entry.data !== null)
      (rows as Record<string, ((self: Tally, entry: Entry) => void) | undefined>)[type]?.(this, entry)
  }

  /** Who asked for how many of which facts, whoever asked for most first. */
  get asked(): readonly { readonly by: string; readonly types: readonly (readonly [string, number])[] }[] {
    const total = (types: ReadonlyMap<string, number>): number =>
      [...types.values()].reduce((a, b) => a + b, 0)
    return [...this.#asked]
      .sort(([a, of], [b, other]) => total(other) - total(of) || (a < b ? -1 : 1))
      .slice(0, ROWS_MAX)
      .map(([by, types]) => ({ by, types: [...types].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)) }))
  }

  get openCount(): number {
    return this.#open.size
  }

  #ask(by: string, type: string): void {
    const who = this.#asked.has(by) || this.#askedCount < ASKED_MAX ? by : 'all others'
    const types = this.#asked.get(who) ?? new Map<string, number>()
    if (!types.has(type)) this.#askedCount += 1
    types.set(type, (types.get(type) ?? 0) + 1)
    this.#asked.set(who, types)
  }

  #note({ seq, at, by = '', type, id, data }: Entry): void {
    this.deeds.push({ seq, at, by, type, id, data: data as Deed['data'] })
    if (this.deeds.length < 2 * DEEDS_MAX) return
    this.deedsLeft += this.deeds.length - DEEDS_MAX
    this.deeds = this.deeds.slice(-DEEDS_MAX)
  }

  admit(id: string, open: Omit<Open, 'waited' | 'node'>): void {
    for (const account of [this.all, this.clients.of(open.client), this.models.of(open.model)])
      account.requests += 1
    if (this.#open.size < OPEN_MAX) this.#open.set(id, { ...open, waited: false, node: '' })
  }

  turn(id: string, at: number, node: string): void {
    this.nodes.of(node).requests += 1
    const open = this.#open.get(id)
    if (open === undefined) return
    this.#wait(open, at, node)
    open.node = node
  }

  retry(id: string, node: string): void {
    const open = this.#open.get(id)
    const told = open === undefined ? [] : [this.clients.of(open.client), this.models.of(open.model)]
    for (const account of [this.all, this.nodes.of(node), ...told]) account.retries += 1
  }

  end(
    { id, at }: Entry,
    ending: Ending,
    {
      promptTokens = 0,
      outputTokens = 0,
      runMs = 0,
    }: { promptTokens?: number; outputTokens?: number; runMs?: number } = {},
  ): void {
    this.periods.count(at, ending)
    const open = this.#open.get(id)
    this.#open.delete(id)
    if (open !== undefined) this.#wait(open, at)
    const whose = open === undefined ? [] : [this.clients.of(open.client), this.models.of(open.model)]
    if (open !== undefined && open.node !== '') whose.push(this.nodes.of(open.node))
    for (const account of [this.all, ...whose]) {
      account.endings[ending] += 1
      account.promptTokens += promptTokens
      account.outputTokens += outputTokens
      account.runMs += runMs
    }
  }

  /** Once a request: until its first turn, or until it was given up. */
  #wait(open: Open, at: number, node?: string): void {
    if (open.waited) return
    open.waited = true
    const ms = Math.max(0, at - open.admittedAt)
    const accounts = [this.all, this.clients.of(open.client), this.models.of(open.model)]
    if (node !== undefined) accounts.push(this.nodes.of(node))
    for (const { waits } of accounts) addTo(waits, ms)
  }

  health(node: string, what: keyof Health): void {
    let health = this.healths.get(node)
    if (health === undefined) {
      if (this.healths.size >= NAMES_MAX) return
      health = { lost: 0, tripped: 0, loads: 0, failedLoads: 0 }
      this.healths.set(node, health)
    }
    health[what] += 1
  }
}

const rows: On<Fact, Tally> = {
  'request.admitted': (self, { id, at, data: { client, model } }) =>
    self.admit(id, { client, model, admittedAt: at }),
  'request.assigned': (self, { id, at, data: { node } }) => self.turn(id, at, node),
  'request.leased': (self, { id, at, data: { worker } }) => self.turn(id, at, worker),
  'request.retried': (self, { id, data: { node } }) => self.retry(id, node),
  'request.completed': (self, entry) => self.end(entry, 'completed', entry.data),
  'request.failed': (self, entry) => self.end(entry, 'failed'),
  'request.expired': (self, entry) => self.end(entry, 'expired'),
  'request.abandoned': (self, entry) => self.end(entry, 'abandoned'),
  'request.cancelled': (self, entry) => self.end(entry, 'cancelled'),
  'node.lost': (self, { id }) => self.health(id, 'lost'),
  'breaker.tripped': (self, { id }) => self.health(id, 'tripped'),
  'replica.loaded': (self, { id }) => self.health(replicaParts(id).node, 'loads'),
  'replica.failed': (self, { id }) => self.health(replicaParts(id).node, 'failedLoads'),
  'refusals.counted': ({ refused }, { data: { codes } }) => {
    for (const [code, count] of Object.entries(codes)) refused.set(code, (refused.get(code) ?? 0) + count)
  },
}
