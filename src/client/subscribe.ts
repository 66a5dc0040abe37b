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
 * A fact is handed over once, as long as this runs. Who saves the mark after it has dealt with a fact, and begins there
 * the next time, misses none; what it had dealt with and not saved comes again, with the same seq.
 */
import type { Kind } from '../../machines/index.ts'
import type { Entry } from '../journal/journal.ts'
import { type Connection, connect } from './connection.ts'
import type { Frame } from './frames.ts'
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

export interface Subscription extends AsyncIterable<Fact> {
  /** Right after the fact that was handed over last; undefined until the house has answered. */
  readonly mark: Mark | undefined
}

const SILENCE_MAX_MS = 40_000
const WAIT_MS = 100
const WAIT_MAX_MS = 10_000
const ATTEMPTS_MAX = 100

/** Throws a SubscriptionError where going on would be of no use. */
export function subscribe(options: SubscribeOptions = {}): Subscription {
  return new Following(options)
}

class Following implements Subscription {
  readonly #options: SubscribeOptions
  readonly #url: string
  readonly #filtered: boolean
  #mark: Mark | undefined
  #attempts = 0

  constructor(options: SubscribeOptions) {
    this.#options = options
    this.#url = (options.url ?? 'http://127.0.0.1:11435').replace(/\/+$/, '')
    const { from, kinds, types, ids, clients, models, nodes, since, until } = options
    this.#filtered = [kinds, types, ids, clients, models, nodes, since, until].some(it => it !== undefined)
    if (typeof from === 'object' && !(from instanceof Date)) this.#mark = from
  }

  get mark(): Mark | undefined {
    return this.#mark
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
        const said = `the house at ${this.#url} has ended the stream; it is stopping, perhaps`
        throw new SubscriptionError('house.silent', said, { retryable: true })
      } catch (error) {
        if (signal?.aborted) return
        if (!(error instanceof SubscriptionError && error.retryable)) throw error
        await this.#pause(error)
      }
    }
  }

  #connect(): Promise<Connection> {
    const { signal, silenceMaxMs = SILENCE_MAX_MS, headers = {} } = this.#options
    return connect({
      url: this.#url,
      query: this.#query(),
      headers,
      // Looked up when it is needed, so that a test may put another one in its place.
      fetch: this.#options.fetch ?? ((input, init) => fetch(input, init)),
      silenceMaxMs,
      signal,
    })
  }

  #query(): Record<string, string | undefined> {
    const { kinds, types, ids, clients, models, nodes, since, until, from = 'now' } = this.#options
    const filter = {
      kind: kinds?.join(','),
      type: types?.join(','),
      id: ids?.join(','),
      client: clients?.join(','),
      model: models?.join(','),
      node: nodes?.join(','),
      since: since?.toISOString(),
      until: until?.toISOString(),
    }
    if (this.#mark !== undefined) {
      const { journal, seq, seen } = this.#mark
      return { ...filter, after: String(seq), journal, seen }
    }
    if (from === 'now' && since !== undefined) return filter
    return { ...filter, from: from instanceof Date ? from.toISOString() : String(from) }
  }

  #begin({ journal, mark }: Connection): void {
    if (this.#mark === undefined) this.#mark = { journal, seq: mark }
    else if (this.#mark.journal !== journal) {
      const said = `the journal at ${this.#url} is ${journal}, and the mark is from ${this.#mark.journal}`
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
