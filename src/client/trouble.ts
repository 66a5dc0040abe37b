/** What comes between a subscription and its house. */

/** `code` is one of docs/errors.md: the house's own word, or `house.absent`, `house.silent`, `house.refused`. */
export class SubscriptionError extends Error {
  override readonly name = 'SubscriptionError'
  readonly code: string
  /** May it be over by itself? Where it may not, the subscription ends with this error. */
  readonly retryable: boolean

  constructor(
    code: string,
    message: string,
    { retryable = false, cause }: { readonly retryable?: boolean; readonly cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.retryable = retryable
  }
}

/** Told of before each new attempt. */
export interface Trouble {
  readonly error: SubscriptionError
  /** How many attempts in a row have come to nothing: 1 at first. */
  readonly attempt: number
  /** Until the next one. */
  readonly waitMs: number
}
