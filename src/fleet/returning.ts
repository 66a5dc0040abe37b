/**
 * Calls for a node whose agent is on its way back. The agents of a house that was away dial its successor at random moments
 * (src/agent/attach.ts), so that for its first seconds a house knows nodes that it cannot reach yet. Calls wait for their
 * agent that long, rather than find a healthy node dead.
 */
import type { Call, Outgoing, Receiver } from '../call.ts'
import type { Clock } from '../clock.ts'
import { refused } from './carry.ts'
import type { Links } from './link.ts'

/** Twice as long as an agent waits at most before it dials. */
export const RETURN_MS = 10_000

export interface Return {
  readonly links: Links
  readonly clock: Clock
  readonly node: string
  /** How long it may still take. */
  readonly withinMs: number
}

/** Sends once the agent is there; refused where it does not come. */
export function whenBack({ links, clock, node, withinMs }: Return, out: Outgoing, receiver: Receiver): Call {
  let call: Call | undefined
  const settle = (): void => {
    if (call !== undefined) return
    leave()
    call = links.of(node)?.send(out, receiver) ?? refused(receiver, `the agent of ${node} is not here`)
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
