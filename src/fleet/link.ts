/**
 * A line to the agent of one node, whoever dialled whom. A node whose URL is `agent://NAME` has an agent that attaches to
 * the house; one whose URL is `grpc://HOST:PORT` has an agent that listens, and is dialled.
 *
 * Whatever cannot be had is a Failure: `agent.away` where no line is up, `agent.broken` where it broke, `agent.answer`
 * where the agent said no.
 */
import type { Call, Outgoing, Receiver } from '../call.ts'
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
