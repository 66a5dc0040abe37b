/**
 * Follows the journal of a house: every fact once it is on the house's disk, in order, without a gap, over lost
 * connections and restarts of the house. Needs nothing but fetch, so that it runs in a browser, too.
 *
 *   const facts = subscribe({ url: 'http://127.0.0.1:11435', from: saved ?? 'start', kinds: ['request'] })
 *   for await (const fact of facts) {
 *     if (fact.type === 'request.completed') count(fact.data.outputTokens)
 *     save(facts.mark)
 *   }
 *
 * With a `name`, the house keeps the mark:
 *
 *   const facts = subscribe({ name: 'billing', types: ['request.completed'], from: 'start' })
 *   for await (const fact of facts) {
 *     count(fact.data.outputTokens)
 *     await facts.ack()
 *   }
 *
 * A fact is handed over once, as long as this runs. Who saves the mark after it has dealt with a fact, and begins there
 * the next time, misses none; what it had dealt with and not saved comes again, with the same seq.
 */
import type { Kind } from '../../machines/index.ts'
import type { Entry } from '../journal/journal.ts'
import { type Connection, connect } from './connection.ts'
import type { Frame } from './frames.ts'
import { Named } from './named.ts'
import { type House, houseOf } from './post.ts'
import { SubscriptionError, type Trouble } from './trouble.ts'

/** A fact, by its `type`. Where its data has been forgotten, `data` is null. docs/facts.md tells what they mean. */
export type Fact = Entry
export type FactType = Fact['type']
export type FactKind = Kind

/** Where a reader is: plain JSON, to be kept and given back as `from`. */
export interface Mark {
  /** The journal's id. Another one has other facts under the same numbers. */
  readonly journal: string
  /** The last fact that has passed, wanted or not. */
  readonly seq: number
  /** `seq:hash` of the last fact that was received: a journal that was put back to an older copy is known by it. */
  readonly seen?: string
}

export interface SubscribeOptions {
  /** Where the house is; `http://127.0.0.1:11435` unless told. */
  readonly url?: string
  /**
   * A mark; or `start`, `now` (unless told), the seq of the first fact, or a time: the first fact that is of that time or
   * later, in the journal's order.
   */
  readonly from?: Mark | 'start' | 'now' | number | Date
  readonly kinds?: readonly FactKind[]
  /** `request.failed`; with a dot at the end, all that begin so. */
  readonly types?: readonly string[]
  /** What a fact is about: a node, a model, `model@node`, a request. */
  readonly ids?: readonly string[]
  /** All facts of requests of these clients, and what else they asked of the house. */
  readonly clients?: readonly string[]
  /** All facts of requests for these models, and of the models, their replicas and policies. */
  readonly models?: readonly string[]
  /** Facts of requests from when they were given to these nodes, and of the nodes, their breakers and replicas. */
  readonly nodes?: readonly string[]
  /** Facts of this time and later; before that time. */
  readonly since?: Date
  readonly until?: Date
  /** Ends the subscription without an error. */
  readonly signal?: AbortSignal
  readonly headers?: Readonly<Record<string, string>>
  readonly fetch?: typeof fetch
  /** How long the house may say nothing; it gives a sign of life every 15 s. 40 s unless told. */
  readonly silenceMaxMs?: number
  /** The longest wait before the next attempt, and at the same time how soon waits grow up to it. 10 s unless told. */
  readonly waitMaxMs?: number
  /** So many attempts in a row may come to nothing; then the error is thrown. 100 unless told, some eight minutes. */
  readonly attemptsMax?: number
  /** Hears of every interruption. What it throws ends the subscription. */
  readonly onTrouble?: (trouble: Trouble) => void
}

/** A named subscription, followed by one reader alone: where another begins, this one ends with an error. */
export interface NamedOptions extends SubscribeOptions {
  /**
   * Its name at the house. It goes on where the last reader of that name had acknowledged. With filters, or `from`, it is
   * made where it is not there; one that is there and wants other facts is an error.
   */
  readonly name: string
  readonly from?: 'start' | 'now' | number | Date
}

export interface Subscription extends AsyncIterable<Fact> {
  /** Right after the fact that was handed over last; undefined until the house has answered. */
  readonly mark: Mark | undefined
}

export interface NamedSubscription extends Subscription {
  /**
   * Has the house remember that this fact and all before it are dealt with; without one, all that were handed over.
   * Resolves when it does. Rejects with a SubscriptionError, after which a later one makes good for it.
   */
  ack(fact?: Pick<Fact, 'seq'>): Promise<void>
}

const SILENCE_MAX_MS = 40_000
const WAIT_MS = 100
const WAIT_MAX_MS = 10_000
const ATTEMPTS_MAX = 100

/** Throws a SubscriptionError where going on would be of no use. */
export function subscribe(options: NamedOptions): NamedSubscription
export function subscribe(options?: SubscribeOptions): Subscription
export function subscribe(options: SubscribeOptions & { readonly name?: string } = {}): Subscription {
  return new Following(options)
}

class Following implements NamedSubscription {
  readonly #options: SubscribeOptions & { readonly name?: string }
  readonly #house: House
  readonly #named: Named | undefined
  #made = false
  readonly #filtered: boolean
  #mark: Mark | undefined
  #attempts = 0

  constructor(options: SubscribeOptions & { readonly name?: string }) {
    this.#options = options
    this.#house = houseOf(options)
    this.#named = options.name === undefined ? undefined : new Named(this.#house, options.name)
    const { name, from, kinds, types, ids, clients, models, nodes, since, until } = options
    this.#filtered = [name, kinds, types, ids, clients, models, nodes, since, until].some(
      it => it !== undefined,
    )
    if (typeof from === 'object' && !(from instanceof Date)) this.#mark = from
  }

  get mark(): Mark | undefined {
    return this.#mark
  }

  async ack(fact?: Pick<Fact, 'seq'>): Promise<void> {
    const seq = fact?.seq ?? this.#mark?.seq
    if (seq !== undefined) await this.#named!.ack(seq)
  }

  /** Goes on at the mark, where it was iterated before. One at a time. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Fact, void, void> {
    const { signal } = this.#options
    while (!signal?.aborted) {
      try {
        const connection = await this.#connect()
        this.#begin(connection)
        for await (const frames of connection.frames) {
          for (const frame of frames) {
            const fact = this.#receive(frame)
            if (fact === undefined) continue
            yield fact
            if (signal?.aborted) return
          }
        }
        const said = `the house at ${this.#house.url} has ended the stream; it is stopping, perhaps`
        throw new SubscriptionError('house.silent', said, { retryable: true })
      } catch (error) {
        if (signal?.aborted) return
        if (!(error instanceof SubscriptionError && error.retryable)) throw error
        await this.#pause(error)
      }
    }
  }

  async #connect(): Promise<Connection> {
    const { signal, silenceMaxMs = SILENCE_MAX_MS } = this.#options
    await this.#make()
    return connect({ ...this.#house, query: this.#query(), silenceMaxMs, signal })
  }

  /** A named subscription, where it was said what it wants. */
  async #make(): Promise<void> {
    const { from, signal } = this.#options
    const given = Object.entries(this.#filter()).filter(
      (pair): pair is [string, string] => pair[1] !== undefined,
    )
    if (this.#named === undefined || this.#made || (given.length === 0 && from === undefined)) return
    const whence =
      from === undefined ? {} : { from: from instanceof Date ? from.toISOString() : String(from) }
    await this.#named.make({ filter: Object.fromEntries(given), ...whence }, signal)
    this.#made = true
  }

  #filter(): Record<string, string | undefined> {
    const { kinds, types, ids, clients, models, nodes, since, until } = this.#options
    return {
      kind: kinds?.join(','),
      type: types?.join(','),
      id: ids?.join(','),
      client: clients?.join(','),
      model: models?.join(','),
      node: nodes?.join(','),
      since: since?.toISOString(),
      until: until?.toISOString(),
    }
  }

  #query(): Record<string, string | undefined> {
    const { name, since, from = 'now' } = this.#options
    const filter = name === undefined ? this.#filter() : { subscription: name }
    if (this.#mark !== undefined) {
      const { journal, seq, seen } = this.#mark
      return { ...filter, after: String(seq), journal, seen }
    }
    if (name !== undefined || (from === 'now' && since !== undefined)) return filter
    return { ...filter, from: from instanceof Date ? from.toISOString() : String(from) }
  }

  #begin({ journal, mark }: Connection): void {
    if (this.#mark === undefined) this.#mark = { journal, seq: mark }
    else if (this.#mark.journal !== journal) {
      const said = `the journal at ${this.#house.url} is ${journal}, and the mark is from ${this.#mark.journal}`
      throw new SubscriptionError('events.foreign', said)
    }
  }

  /** A fact that has not been here before; undefined for other news. */
  #receive({ id, event, data }: Frame): Fact | undefined {
    if (event === 'cut') {
      const { code, error, retryable } = JSON.parse(data)
      throw new SubscriptionError(code, error, { retryable })
    }
    const seq = Number(id)
    const mark = this.#mark!
    if (id === '' || !(seq > mark.seq)) return undefined
    this.#attempts = 0
    if (data === '') {
      this.#mark = { ...mark, seq }
      return undefined
    }
    if (!this.#filtered && seq !== mark.seq + 1) {
      throw new SubscriptionError('journal.gap', `fact ${mark.seq + 1} is missing: the next one is ${seq}`)
    }
    const fact = JSON.parse(data) as Fact
    this.#mark = { journal: mark.journal, seq, seen: `${seq}:${fact.hash}` }
    return fact
  }

  /** Waits doubling from 0.1 s, each drawn from nothing to the whole (full jitter), so that many do not come at once. */
  async #pause(error: SubscriptionError): Promise<void> {
    const { signal, waitMaxMs = WAIT_MAX_MS, attemptsMax = ATTEMPTS_MAX, onTrouble } = this.#options
    this.#attempts += 1
    if (this.#attempts > attemptsMax) throw error
    const longestMs = Math.min(waitMaxMs, WAIT_MS * 2 ** Math.min(this.#attempts, 30))
    const waitMs = Math.round(Math.random() * longestMs)
    onTrouble?.({ error, attempt: this.#attempts, waitMs })
    await new Promise<void>(resolve => {
      const over = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', over)
        resolve()
      }
      const timer = setTimeout(over, waitMs)
      signal?.addEventListener('abort', over)
    })
  }
}
