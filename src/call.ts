/** A call to a node: what goes out, what comes back, and how to stop it. Bytes are passed on, never changed. */
import type { Readable } from 'node:stream'
import type { Failure } from './failure.ts'

export interface Outgoing {
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | Readable | null
}

/** What comes back, piece by piece. Exactly one of `end` and `fail` is called, last. */
export interface Receiver {
  /** `headers` as the node wrote them: name, value, name, value … */
  start(status: number, headers: readonly string[]): void
  data(chunk: Buffer): void
  end(): void
  fail(failure: Failure): void
}

/** A call under way. */
export interface Call {
  pause(): void
  resume(): void
  /** Breaks the connection: the node stops working for it. Nothing more comes to the receiver. */
  abort(): void
}

export interface Upstream {
  readonly url: string
  send(out: Outgoing, receiver: Receiver): Call
}
