/** Which nodes have been failing, how often in a row, and whose breaker is open? */
import { projection } from './projection.ts'

export interface BreakerView {
  state: 'closed' | 'open' | 'halfOpen'
  /** Failures in a row. */
  failures: number
  round: number
  until: number
  reason: string
}

interface Breakers {
  readonly nodes: Map<string, BreakerView>
  /** Requests that got a 500: whose fault that was is known once another node has answered. */
  readonly suspects: Map<string, string[]>
}

export type BreakersProjection = ReturnType<typeof breakers>

/**
 * A refused connection, a broken one, 502, 503 and 504 are the node's fault. A 500 may as well be the request's (a
 * bad option gives 500 on every node), so it counts only when another node then answers the same request: else one
 * client with a broken prompt could open every breaker.
 */
export const breakers = () =>
  projection({ nodes: new Map(), suspects: new Map() } as Breakers, {
    'request.retried': (self, { id, data: { node, reason, status } }) => {
      if (status === 500) self.suspects.set(id, [...(self.suspects.get(id) ?? []), node])
      else fail(self, node, reason)
    },
    'request.begun': (self, { id, data: { node, status } }) => {
      const suspects = self.suspects.get(id)
      if (suspects !== undefined) {
        self.suspects.delete(id)
        if (status < 500) for (const suspect of suspects) if (suspect !== node) fail(self, suspect, 'error')
      }
      if (status < 500) {
        const view = self.nodes.get(node)
        if (view !== undefined) view.failures = 0
      }
    },
    'request.failed': (self, { id, data: { node, reason, status } }) => {
      self.suspects.delete(id)
      if (node !== undefined && status !== 500 && FAULTS.has(reason)) fail(self, node, reason)
    },
    'request.expired': (self, { id }) => void self.suspects.delete(id),
    'request.abandoned': (self, { id }) => void self.suspects.delete(id),
    'breaker.tripped': (self, { id, at, data: { round, waitMs, reason } }) => {
      Object.assign(view(self, id), { state: 'open', round, until: at + waitMs, reason })
    },
    'breaker.probed': (self, { id }) => {
      Object.assign(view(self, id), { state: 'halfOpen', failures: 0 })
    },
    'breaker.healed': (self, { id }) => {
      Object.assign(view(self, id), { state: 'closed', failures: 0, round: 0, until: 0, reason: '' })
    },
    'node.removed': (self, { id }) => void self.nodes.delete(id),
  })

/** Reasons of `request.failed` that tell against the node; `restart`, say, does not. */
const FAULTS: ReadonlySet<string> = new Set(['refused', 'broken', 'busy', 'error', 'wedged'])

function view(self: Breakers, node: string): BreakerView {
  let found = self.nodes.get(node)
  if (found === undefined) {
    found = { state: 'closed', failures: 0, round: 0, until: 0, reason: '' }
    self.nodes.set(node, found)
  }
  return found
}

function fail(self: Breakers, node: string, reason: string): void {
  const found = view(self, node)
  found.failures += 1
  found.reason = reason
}
