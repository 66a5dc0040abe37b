/**
 * A line to the agent of one node, whoever dialled whom. A node whose URL is `agent://NAME` has an agent that attaches to
 * the house; one whose URL is `grpc://HOST:PORT` has an agent that listens, and is dialled.
 *
 * Whatever cannot be had is a Failure: `agent.away` where no line is up, `agent.broken` where it broke, `agent.timeout`
 * where nothing came in time, `agent.answer` where the agent said no, or one of the agent's own.
 */
import type { Call, Outgoing, Receiver } from '../call.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import type { CommandProgress, ModelCommandRequest, NodeStatus } from '../rpc/messages.ts'

export interface Link {
  /** The name of the node. */
  readonly node: string
  status(options: { readonly fresh: boolean; readonly signal: AbortSignal }): Promise<NodeStatus>
  /** First all parts, then those that became different; none, where nothing did. Ends by throwing, or by the signal. */
  watch(options: { readonly intervalMs: number; readonly signal: AbortSignal }): AsyncIterable<NodeStatus>
  /** Its last word is the end. The signal leaves the command to itself; cancel() stops it. */
  command(request: ModelCommandRequest, signal: AbortSignal): AsyncIterable<CommandProgress>
  cancel(id: string, signal: AbortSignal): Promise<boolean>
  /** A call of Ollama's API, through the agent. */
  send(out: Outgoing, receiver: Receiver): Call
}

export interface Links {
  /** The line that is up now. */
  of(node: string): Link | undefined
  /** Tells of lines that came up and went down. Answers with how to stop that. */
  listen(heard: (node: string, up: boolean) => void): () => void
}

/** For a status, fresh or not, and for stopping a command. */
export const DEADLINE_MS = 15_000

/** No line is up. */
export function away(node: string): Failure {
  return new Failure('agent.away', `the agent of ${node} is not here`, { retryable: true })
}

/** Of the line itself, in the words of who looks at agents; what the agent said stays as it is. */
export function ours(failure: Failure): Failure {
  const { code, message, retryable } = failure
  if (code === 'rpc.broken' || code === 'rpc.cancelled') {
    return new Failure('agent.broken', message, { retryable, cause: failure })
  }
  if (code === 'rpc.timeout') return new Failure('agent.timeout', message, { retryable, cause: failure })
  if (code === 'rpc.answer') return new Failure('agent.answer', message, { retryable, cause: failure })
  return failure
}

/** With a signal of its own, which is aborted in time. */
export async function within<T>(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController()
  const timer = clock.after(ms, () => late.abort())
  try {
    return await run(AbortSignal.any([signal, late.signal]))
  } finally {
    timer.cancel()
  }
}
