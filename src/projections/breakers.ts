/** Which nodes have been failing: how often in a row, how often of late, whose breaker is open, who has just come back? */
import type { Trigger } from '../../machines/breaker.ts'
import { projection } from './projection.ts'

export interface BreakerView {
  state: 'closed' | 'open' | 'halfOpen'
  /** Failures in a row. */
  failures: number
  round: number
  until: number
  reason: string
  /** What opened it last; empty where that is not known. */
  by: Trigger | ''
  /** What became of the last attempts there, oldest first. */
  readonly outcomes: Outcome[]
  /** When it healed, or the node returned, whichever was later; milliseconds since the epoch, 0 for never. */
  backAt: number
}

interface Outcome {
  readonly id: string
  readonly at: number
  readonly ok: boolean
}

export interface Breakers {
  readonly nodes: Map<string, BreakerView>
  /** Those that have failed and are not out: the only ones whose breaker may be due. */
  readonly failing: Set<string>
  /** Those that are out for nothing but the share of failures among their last outcomes. */
  readonly ejected: Set<string>
  /** Requests that got a 500: whose fault that was is known once another node has answered. */
  readonly suspects: Map<string, string[]>
  /** Requests that share another's call to a node: what becomes of it is told once, by the one who leads. */
  readonly riders: Set<string>
}

export type BreakersProjection = ReturnType<typeof breakers>

/** What a share is taken of: the last twenty outcomes, and none from before the last five minutes. */
const OUTCOMES_MAX = 20
const OUTCOMES_MS = 300_000

/**
 * A refused connection, a broken one, 502, 503 and 504 are the node's fault. A 500 may as well be the request's (a
 * bad option gives 500 on every node), so it counts only when another node then answers the same request: else one
 * client with a broken prompt could open every breaker.
 *
 * `busy` is no outcome: a node that says it is full works, so it counts in a row only. `slow` is no failure in a row:
 * one may be slow for once, so it counts in the share only. A stream that began and then broke is one failure.
 */
export const breakers = () =>
  projection(
    {
      nodes: new Map(),
      failing: new Set(),
      ejected: new Set(),
      suspects: new Map(),
      riders: new Set(),
    } as Breakers,
    {
      'request.assigned': ({ riders }, { id, data: { batch = id } }) => {
        if (batch === id) riders.delete(id)
        else riders.add(id)
      },
      'request.retried': (self, { id, at, data: { node, reason, status, leased } }) => {
        if (leased) return // no node failed
        if (status === 500) self.suspects.set(id, [...(self.suspects.get(id) ?? []), node])
        else if (!BLAMELESS.has(reason) && !self.riders.has(id)) fail(self, node, { id, at }, reason)
      },
      'request.begun': (self, { id, at, data: { node, status } }) => {
        const suspects = self.suspects.get(id)
        if (suspects !== undefined) {
          self.suspects.delete(id)
          if (status < 500)
            for (const suspect of suspects) if (suspect !== node) fail(self, suspect, { id, at }, 'error')
        }
        if (status < 500 && !self.riders.has(id)) succeed(self, node, { id, at })
      },
      'request.failed': (self, { id, at, data: { node, reason, status, leased } }) => {
        self.suspects.delete(id)
        const rode = self.riders.delete(id)
        if (rode || leased || node === undefined || status === 500) return
        if (FAULTS.has(reason)) fail(self, node, { id, at }, reason)
      },
      'request.completed': (self, { id }) => void self.riders.delete(id),
      'request.expired': forget,
      'request.abandoned': forget,
      'request.cancelled': forget,
      'breaker.tripped': (self, { id, at, data: { round, waitMs, reason, by } }) => {
        turn(self, id, { state: 'open', round, until: at + waitMs, reason, by: by ?? '' })
        if (by === 'ratio') self.ejected.add(id)
      },
      'breaker.probed': (self, { id }) => turn(self, id, { state: 'halfOpen', failures: 0 }),
      'breaker.healed': (self, { id, at }) => {
        turn(self, id, { state: 'closed', failures: 0, round: 0, until: 0, reason: '', by: '', backAt: at })
      },
      'node.returned': (self, { id, at }) => {
        view(self, id).backAt = at
      },
      'node.removed': (self, { id }) => {
        self.nodes.delete(id)
        self.failing.delete(id)
        self.ejected.delete(id)
      },
    },
  )

/** Reasons of `request.failed` that tell against the node; `restart`, say, does not. */
const FAULTS: ReadonlySet<string> = new Set(['refused', 'broken', 'busy', 'error', 'wedged', 'poison'])
/** Reasons of `request.retried` that do not: the house's, a worker's, or a runner's that died under a node that did not. */
const BLAMELESS: ReadonlySet<string> = new Set(['restart', 'lapsed', 'spool', 'error-line', 'unterminated'])

function forget(self: Breakers, { id }: { id: string }): void {
  self.suspects.delete(id)
  self.riders.delete(id)
}

function view(self: Breakers, node: string): BreakerView {
  let found = self.nodes.get(node)
  if (found === undefined) {
    found = {
      state: 'closed',
      failures: 0,
      round: 0,
      until: 0,
      reason: '',
      by: '',
      outcomes: [],
      backAt: 0,
    }
    self.nodes.set(node, found)
  }
  return found
}

/** What was before its breaker turned is not held against it after. */
function turn(self: Breakers, node: string, change: Partial<BreakerView>): void {
  const found = view(self, node)
  Object.assign(found, change)
  found.outcomes.length = 0
  self.failing.delete(node)
  self.ejected.delete(node)
}

function fail(self: Breakers, node: string, attempt: { id: string; at: number }, reason: string): void {
  const found = view(self, node)
  found.reason = reason
  // On trial, whatever goes wrong tells.
  if (reason !== 'slow' || found.state === 'halfOpen') found.failures += 1
  if (found.state === 'open') return
  if (reason !== 'busy') note(found, attempt, false)
  self.failing.add(node)
}

function succeed(self: Breakers, node: string, attempt: { id: string; at: number }): void {
  const found = view(self, node)
  found.failures = 0
  if (found.state === 'open') return
  note(found, attempt, true)
  if (found.outcomes.every(({ ok }) => ok)) self.failing.delete(node)
}

function note({ outcomes }: BreakerView, { id, at }: { id: string; at: number }, ok: boolean): void {
  const begun = ok ? -1 : outcomes.findLastIndex(outcome => outcome.id === id && outcome.ok)
  if (begun >= 0) outcomes.splice(begun, 1)
  outcomes.push({ id, at, ok })
  while (outcomes.length > OUTCOMES_MAX || outcomes[0]!.at < at - OUTCOMES_MS) outcomes.shift()
}
