/**
 * One call to a stranger, for whoever has something to say: where it may go, how long it may take, what it is signed
 * with, and what became of it.
 */
import { Refusal } from '../../machines/entity.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import { post } from './post.ts'
import { signature } from './signature.ts'
import { type Target, Targets } from './target.ts'

export interface CallerNeeds {
  readonly clock: Clock
  readonly config: { readonly allowedCallbacks: readonly string[] }
}

/** What is said, but for the signature. */
export interface Message {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Outcome {
  /** What was answered; undefined where nothing was. */
  readonly status?: number
  /** Undefined where it was taken, which is what 2xx says. */
  readonly trouble?: Trouble
}

export interface Trouble {
  /** A short word: `status`, or an error's code after its dot. */
  readonly reason: string
  /** Might the same call go well later? */
  readonly retryable: boolean
}

/** From the first look for a name to the status. */
const TIMEOUT_MS = 10_000
/** What says "never again" (RFC 9110, 15.5.11). */
const GONE = 410

export class Caller {
  readonly #clock: Clock
  readonly #targets: Targets

  constructor({ clock, config }: CallerNeeds) {
    this.#clock = clock
    this.#targets = new Targets(config.allowedCallbacks)
  }

  /** May this be called, as far as that can be told now? Throws a Refusal `callback.url` or `callback.address`. */
  check(target: Target): URL {
    return this.#targets.check(target)
  }

  /** Never rejects for what a target does, or is. */
  async call(target: Target, { headers, body }: Message, signal: AbortSignal): Promise<Outcome> {
    const late = new AbortController()
    const timer = this.#clock.after(TIMEOUT_MS, () => late.abort())
    try {
      const status = await post({
        url: this.#targets.check(target),
        headers: { 'user-agent': 'quipu', ...headers, ...this.#signed(target, body) },
        body,
        objection: address => this.#targets.objection(address),
        signal: AbortSignal.any([signal, late.signal]),
      })
      if (status >= 200 && status <= 299) return { status }
      return { status, trouble: { reason: 'status', retryable: status !== GONE } }
    } catch (error) {
      return { trouble: troubleOf(error) }
    } finally {
      timer.cancel()
    }
  }

  #signed({ secret }: Target, body: string): Record<string, string> {
    return secret === undefined ? {} : { 'x-quipu-signature': signature(secret, body, this.#clock.now()) }
  }
}

/** Of a Failure or a Refusal. What is neither is a bug, and thrown again. */
export function troubleOf(error: unknown): Trouble {
  if (!(error instanceof Failure || error instanceof Refusal)) throw error
  const retryable = error instanceof Failure && error.retryable
  return { reason: error.code.slice(error.code.indexOf('.') + 1), retryable }
}
