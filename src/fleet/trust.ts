/**
 * Whose certificate counts now. What was signed says who somebody is, and the journal whether that still holds: each call is
 * asked about, and lines that are up end with what they were let in for: at once where the agent is revoked or has
 * joined anew, and at the moment at which the certificate ends.
 */
import { Refusal } from '../../machines/entity.ts'
import type { Clock, Timer } from '../clock.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import type { TrustedProjection } from '../projections/trusted.ts'
import type { Principal } from '../rpc/credentials.ts'

export interface TrustNeeds {
  readonly clock: Clock
  readonly trusted: TrustedProjection
  /** Ends the lines of a node: those with this certificate, or all. */
  readonly expel: (node: string, why: Refusal, serial?: string) => void
}

export class Trust {
  readonly reactor: Reactor
  readonly #needs: TrustNeeds
  /** Certificates that were let in, by node, and when each ends. */
  readonly #inside = new Map<string, Map<string, Timer>>()

  constructor(needs: TrustNeeds) {
    this.#needs = needs
    const review = (self: Trust, { id }: { readonly id: string }): void => self.#review(id)
    this.reactor = reactor(this as Trust, {
      on: { 'agent.revoked': review, 'agent.joined': review, 'agent.renewed': review },
      resume: self => {
        for (const node of [...self.#inside.keys()]) self.#review(node)
      },
    })
  }

  /** May whoever this is call, or be called? Throws a Refusal where not. */
  admit(principal: Principal): void {
    if (principal.role !== 'node') throw new Refusal('agent.unknown', 'this certificate is not of a node')
    const { node, serial, until } = principal
    const { clock, trusted } = this.#needs
    const now = clock.now()
    const why = this.#objection(node, serial)
    if (why !== undefined) throw why
    const { certificate, before } = trusted.state.get(node)!
    if (now >= until) throw expired()
    if (serial !== certificate?.serial && now >= (before?.takenUntil ?? 0)) throw outdated()
    const inside = this.#inside.get(node) ?? new Map<string, Timer>()
    if (inside.has(serial)) return
    this.#inside.set(node, inside)
    inside.set(
      serial,
      clock.after(until - now, () => this.#end(node, serial, expired())),
    )
  }

  close(): void {
    for (const inside of this.#inside.values()) for (const timer of inside.values()) timer.cancel()
    this.#inside.clear()
  }

  /** A line goes on with the certificate before for as long as that lasts; only new ones need the present one. */
  #objection(node: string, serial: string): Refusal | undefined {
    const agent = this.#needs.trusted.state.get(node)
    if (agent === undefined) return new Refusal('agent.unknown', `no agent of ${node} was invited`)
    if (agent.state === 'revoked') {
      return new Refusal('agent.revoked', `the agent of ${node} was sent away; it must be invited again`)
    }
    const known = serial === agent.certificate?.serial || serial === agent.before?.serial
    return known ? undefined : outdated()
  }

  #review(node: string): void {
    for (const serial of [...(this.#inside.get(node)?.keys() ?? [])]) {
      const why = this.#objection(node, serial)
      if (why !== undefined) this.#end(node, serial, why)
    }
  }

  #end(node: string, serial: string, why: Refusal): void {
    const inside = this.#inside.get(node)
    inside?.get(serial)?.cancel()
    inside?.delete(serial)
    if (inside?.size === 0) this.#inside.delete(node)
    this.#needs.expel(node, why, serial)
  }
}

function expired(): Refusal {
  return new Refusal('agent.expired', 'the certificate has expired; the node must be invited again')
}

function outdated(): Refusal {
  return new Refusal('agent.outdated', 'this node has another certificate by now; invite it again')
}
