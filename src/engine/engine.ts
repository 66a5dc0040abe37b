/**
 * command → decide → append → apply → react
 *
 * One thread, one order. A decision, its place in the journal and its effect on RAM happen in the same turn of the
 * event loop, so that the next decision sees the last one without locks. Nobody outside hears of it before it is
 * on disk.
 */
import { type Message, Refusal } from '../../machines/entity.ts'
import { type Command, type CommandTo, entities, type Kind } from '../../machines/index.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import type { Entry, Head, Journal, Staged } from '../journal/journal.ts'
import { Alarms } from './alarms.ts'
import { Chart, type State } from './chart.ts'
import { type Folds, foldsOf } from './folds.ts'
import type { Reactor } from './reactor.ts'

/** A command as a door gives it; the engine stamps the time. */
export type Ask<C extends Message = Command> = C extends Message
  ? { readonly type: C['type']; readonly data: C['data']; readonly by?: string }
  : never

/** Where the engine stands: the last fact it has applied, and the latest time that any fact so far bears. */
export interface Position extends Head {
  /** Milliseconds since the epoch; of a clock that was set back, not that of the last one. */
  readonly latestAt: number
}

/** Every stream that has not ended, by kind: as much of its state as its chart cannot tell. */
export type Streams = Readonly<Record<string, readonly Stream[]>>
export type Stream = readonly [id: string, value: State['value'], context: object]

/** What an engine can go on from, instead of from the first fact. The projections must hold what they held there. */
export interface Resting extends Position {
  readonly streams: Streams
}

export interface Replay {
  readonly from?: Resting | undefined
  /** Called after each page. */
  readonly progress?: (seq: number) => void
}

/** Facts that only say what became of bytes on their way: nobody waits for them, so they need no write of their own. */
const RECORDS: ReadonlySet<string> = new Set(['request.begun', 'request.completed', 'request.abandoned'])

type Rows = Record<string, (state: State, command: Message) => readonly { type: string; data: unknown }[]>

export class Engine {
  readonly #journal: Journal
  readonly #clock: Clock
  readonly #alarms: Alarms
  readonly #charts: Record<Kind, Chart>
  /** Every stream that has not ended, by kind and id. A finished one is forgotten. */
  readonly #states: Record<Kind, Map<string, State>>
  readonly #folds: ReturnType<typeof foldsOf>
  readonly #deciders: Reactor[] = []
  readonly #reactors: Reactor[] = []
  /** Facts that the disk has not confirmed, and so no reactor has heard of; oldest first. */
  #unheard: Entry[] = []
  #seq = 0
  #hash = ''
  #latestAt = 0
  #unwatch: () => void = () => {}
  #stalled = false

  constructor(journal: Journal, clock: Clock, projections: readonly Folds[]) {
    this.#journal = journal
    this.#clock = clock
    this.#alarms = new Alarms(clock)
    const each = <T>(make: (kind: Kind) => T): Record<Kind, T> =>
      Object.fromEntries(Object.keys(entities).map(kind => [kind, make(kind as Kind)])) as Record<Kind, T>
    this.#charts = each(kind => new Chart(entities[kind].machine))
    this.#states = each(() => new Map())
    this.#folds = foldsOf(projections)
  }

  /**
   * Rebuilds RAM from the journal, verifying the chain and that every fact is one its chart accepts. What lies before
   * `from` is not looked at.
   */
  async replay({ from, progress = () => {} }: Replay = {}): Promise<Head> {
    if (from !== undefined) this.resume(from)
    for await (const page of this.#journal.read({ after: this.#seq })) {
      this.fold(page)
      progress(this.#seq)
    }
    return this.#journal.head
  }

  /** Takes up the streams as they stood. */
  resume({ seq, hash, latestAt, streams }: Resting): void {
    this.#seq = seq
    this.#hash = hash
    this.#latestAt = latestAt
    for (const kind of Object.keys(this.#states) as Kind[]) {
      const chart = this.#charts[kind]
      this.#states[kind] = new Map(
        streams[kind]?.map(([id, value, context]) => [id, chart.resume(value, context)]),
      )
    }
  }

  /** Applies facts that are in the journal already and follow the last one applied. */
  fold(entries: readonly Entry[]): void {
    for (const entry of entries) this.#apply(entry, this.#step(entry))
  }

  get position(): Position {
    return { seq: this.#seq, hash: this.#hash, latestAt: this.#latestAt }
  }

  /** Of now; the contexts are those of the engine itself, which never changes one. */
  streams(): Streams {
    const told = ([id, { value, context }]: [string, State]): Stream => [id, value, context]
    return Object.fromEntries(
      Object.entries(this.#states).map(([kind, states]) => [kind, [...states].map(told)]),
    )
  }

  /** Lets the reactors see what is undone, then listens. */
  start(...reactors: readonly Reactor[]): void {
    for (const reactor of reactors)
      (reactor.hears === 'decided' ? this.#deciders : this.#reactors).push(reactor)
    this.#unwatch = this.#journal.watch(() => this.#react())
    for (const reactor of reactors) reactor.resume()
    for (const kind of Object.keys(this.#states) as Kind[]) {
      for (const [id, state] of this.#states[kind]) this.#arm(kind, id, state)
    }
  }

  /** May intake go on? False while the journal's disk does not write. */
  get writable(): boolean {
    return this.#journal.writable
  }

  /** How many of a kind there are that have not ended. */
  count(kind: Kind): number {
    return this.#states[kind].size
  }

  state(kind: Kind, id: string): State {
    return this.#states[kind].get(id) ?? this.#charts[kind].initial
  }

  /** Decides, appends, applies, now. Throws a Refusal. What follows outside must await `settled()`. */
  commit<K extends Kind>(kind: K, id: string, ask: Ask<CommandTo<K>>): readonly Entry[] {
    const { facts, state } = this.#decide(kind, id, ask as Ask)
    if (facts.length === 0) return []
    const entries = this.#journal.stage(
      kind,
      id,
      facts,
      facts.every(({ type }) => RECORDS.has(type)),
    )
    for (const entry of entries) {
      this.#apply(entry, state)
      this.#unheard.push(entry)
    }
    this.#arm(kind, id, state)
    for (const entry of entries) for (const decider of this.#deciders) decider.react(entry)
    return entries
  }

  /** Commits, and waits for the disk. */
  async dispatch<K extends Kind>(kind: K, id: string, ask: Ask<CommandTo<K>>): Promise<readonly Entry[]> {
    const entries = this.commit(kind, id, ask)
    await this.#journal.flushed()
    return entries
  }

  /** Commits for a reactor: a command that lost a race is refused, and that is an answer, not an error. */
  attempt<K extends Kind>(kind: K, id: string, ask: Ask<CommandTo<K>>): readonly Entry[] {
    try {
      return this.commit(kind, id, ask)
    } catch (error) {
      if (error instanceof Refusal) return []
      throw error
    }
  }

  /** Resolves when everything decided so far is on disk. */
  settled(): Promise<void> {
    return this.#journal.flushed()
  }

  close(): void {
    this.#unwatch()
    this.#alarms.close()
  }

  /** Conclusions become facts: each must be one the chart accepts, or the command came out of turn. */
  #decide(kind: Kind, id: string, ask: Ask): { facts: readonly Staged[]; state: State } {
    const chart = this.#charts[kind]
    const command = { ...ask, at: this.#clock.now() }
    let state = this.state(kind, id)
    const decide = (entities[kind].decide as unknown as Rows)[command.type]
    if (decide === undefined) throw new TypeError(`${kind} has no row for ${command.type}`)
    const facts = decide(state, command).map(({ type, data }) => {
      const fact = { type, at: command.at, data, ...(ask.by === undefined ? {} : { by: ask.by }) } as Staged
      const next = chart.step(state, fact)
      if (next === undefined) {
        throw new Refusal('engine.out-of-turn', `${kind} ${id} is ${said(state)} and cannot take ${type}`)
      }
      state = next
      return fact
    })
    return { facts, state }
  }

  #step(entry: Entry): State {
    const { kind, id } = entry as { kind: Kind; id: string }
    if (!known.has(entry.type)) throw newer(entry)
    const state = this.state(kind, id)
    const next = this.#charts[kind].step(state, entry)
    if (next === undefined) {
      const where = `fact ${entry.seq}: ${kind} ${id} is ${said(state)} and cannot take ${entry.type}`
      throw new Failure(
        'journal.unacceptable',
        `${where}. The journal was written by another version, or by hand.`,
      )
    }
    return next
  }

  #apply(entry: Entry, state: State): void {
    const { kind, id } = entry as { kind: Kind; id: string }
    this.#seq = entry.seq
    this.#hash = entry.hash
    if (entry.at > this.#latestAt) this.#latestAt = entry.at
    if (state.status === 'active') this.#states[kind].set(id, state)
    else this.#states[kind].delete(id)
    const folds = this.#folds.get(entry.type)
    if (folds !== undefined) for (const fold of folds) fold(entry)
  }

  #arm(kind: Kind, id: string, state: State): void {
    const chart = this.#charts[kind]
    if (!chart.timed) return
    const deadline = state.status === 'active' ? chart.deadline(state) : undefined
    this.#alarms.set(`${kind}/${id}`, deadline?.at, () => {
      this.attempt(kind, id, { type: deadline!.issue, data: {}, by: 'alarm' } as never)
    })
  }

  #resume(): void {
    for (const reactor of [...this.#deciders, ...this.#reactors]) reactor.resume()
  }

  /** Tells what the disk has confirmed; and where it writes again after it did not, lets all see what is undone. */
  #react(): void {
    if (this.#stalled && this.#journal.writable) this.#resume()
    this.#stalled = !this.#journal.writable
    const durable = this.#journal.durable
    const heard = this.#unheard.findIndex(({ seq }) => seq > durable)
    const entries = heard === -1 ? this.#unheard : this.#unheard.slice(0, heard)
    this.#unheard = heard === -1 ? [] : this.#unheard.slice(heard)
    for (const entry of entries) for (const reactor of this.#reactors) reactor.react(entry)
  }
}

/** Every fact that this release knows. */
const known: ReadonlySet<string> = new Set(Object.values(entities).flatMap(({ machine }) => machine.events))

function newer({ seq, type }: Entry): Failure {
  const how = 'a newer Quipu wrote it. Start that one, or restore a copy from before it.'
  return new Failure('journal.newer', `Fact ${seq} is of a type that is not known here, ${type}: ${how}`)
}

function said(state: State): string {
  return typeof state.value === 'string' ? state.value : JSON.stringify(state.value)
}
