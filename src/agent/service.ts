/**
 * What an agent does for a house, whichever of them dialled the other. `attach.ts` and `listen.ts` carry it over the wire.
 *
 * Whatever cannot be done is a Failure or a Refusal, and goes over the wire with its code.
 */
import type { Exchange } from '../rpc/exchange.ts'
import type {
  CommandProgress,
  ModelCommandRequest,
  NodeStatus,
  RelayRequest,
  RelayResponse,
} from '../rpc/messages.ts'

export interface StatusTold {
  status(request: { readonly fresh: boolean }, signal: AbortSignal): Promise<NodeStatus>
  /** First all parts, then those that became different. Goes on until the signal ends it. */
  watch(request: { readonly intervalMs: number }, signal: AbortSignal): AsyncIterable<NodeStatus>
}

export interface CommandsTaken {
  /** Its last word is the end. The signal only means that nobody listens any more: the command goes on. */
  command(request: ModelCommandRequest, signal: AbortSignal): AsyncIterable<CommandProgress>
  /** Whether there was a command of that id under way. */
  cancel(id: string): boolean
}

export interface CallsRelayed {
  /** Takes one call of Ollama's API, and answers it. */
  relay(caller: Exchange<RelayRequest, RelayResponse>): void
}

export interface AgentService extends StatusTold, CommandsTaken, CallsRelayed {}
