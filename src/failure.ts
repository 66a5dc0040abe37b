/**
 * The world said no: a disk, a wire, another process. Every foreign error becomes one of these at the door of
 * the driver that met it. (A Refusal is the law saying no; anything else thrown is a bug.)
 */
export class Failure extends Error {
  override readonly name = 'Failure'
  /** `driver.reason`, listed in docs/errors.md. */
  readonly code: string
  /** Would the same attempt make sense again, later or elsewhere? */
  readonly retryable: boolean

  constructor(
    code: string,
    message: string,
    { retryable = false, cause }: { retryable?: boolean; cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.retryable = retryable
  }
}
