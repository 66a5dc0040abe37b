/**
 * Calls for a node whose agent is on its way back. The agents of a house that was away dial its successor at random moments
 * (src/agent/attach.ts), so that for its first seconds a house knows nodes that it cannot reach yet. Calls wait for their
 * agent that long, rather than find a healthy node dead.
 */
import type { Call, Outgoing, Receiver } from '../call.ts'
import type { Clock } from '../clock.ts'
import { refused } from './carry.ts'
import { away, type Links } from './link.ts'

/** Twice as long as an agent waits at most before it dials. */
export const RETURN_MS = 10_000

export interface Return {
  readonly links: Links
  readonly clock: Clock
  readonly node: string
  /** How long it may still take; none where it is not waited for. */
  readonly withinMs: number
}

/** Sends once the agent is there, at once where it is; refused where it does not come. */
export function whenBack({ links, clock, node, withinMs }: Return, out: Outgoing, receiver: Receiver): Call {
  const send = (): Call | undefined => links.of(node)?.send(out, receiver)
  let call = send()
  if (call !== undefined) return call
  if (withinMs <= 0) return refused(receiver, away(node).message)
  const settle = (): void => {
    if (call !== undefined) return
    leave()
    call = send() ?? refused(receiver, away(node).message)
  }
  const timer = clock.after(withinMs, settle)
  const deaf = links.listen((who, up) => {
    if (who === node && up) settle()
  })
  const leave = (): void => {
    timer.cancel()
    deaf()
  }
  return {
    pause: () => call?.pause(),
    resume: () => call?.resume(),
    abort() {
      leave()
      call?.abort()
    },
  }
}
