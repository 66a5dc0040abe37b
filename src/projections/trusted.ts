/** Which agents may come, with which certificates, and until when; and who was sent away? */
import type { Certified, Invitation } from '../../machines/agent.ts'
import { projection } from './projection.ts'

export interface Agent {
  /** Of the node, and of the agent beside it. */
  readonly node: string
  readonly state: 'invited' | 'trusted' | 'revoked'
  /** Since when it is in this state, milliseconds since the epoch. */
  readonly since: number
  /** A token that is open; who has one may be trusted already. */
  readonly invitation?: Invitation
  /** SHA-256 of the last token that was used, base64url. */
  readonly used?: string
  readonly certificate?: Certified
  /** The certificate before: until when it is taken for new lines, and when it ends by itself. */
  readonly before?: { readonly serial: string; readonly takenUntil: number; readonly until: number }
  /** Why it was revoked. */
  readonly reason?: string
}

export type TrustedProjection = ReturnType<typeof trusted>

export const trusted = () =>
  projection(new Map<string, Agent>(), {
    'agent.invited': (all, { id, at, data }) => {
      const {
        state,
        since,
        reason: _why,
        ...known
      } = all.get(id) ?? { state: 'revoked', since: at, node: id }
      const standing =
        state === 'trusted' ? ({ state, since } as const) : ({ state: 'invited', since: at } as const)
      all.set(id, { ...known, ...standing, invitation: data })
    },
    'agent.joined': (all, { id, at, data: { serial, fingerprint, until } }) => {
      const used = all.get(id)?.invitation?.tokenHash
      const certificate = { serial, fingerprint, until }
      all.set(id, { node: id, state: 'trusted', since: at, certificate, ...(used !== undefined && { used }) })
    },
    'agent.renewed': (all, { id, data: { serial, fingerprint, until, before, beforeUntil } }) => {
      const known = all.get(id)!
      const { certificate, before: earlier } = known
      // The answer with the present one was lost: then the one before it goes on being that.
      const ends = certificate?.serial === before ? certificate.until : (earlier?.until ?? beforeUntil)
      all.set(id, {
        ...known,
        certificate: { serial, fingerprint, until },
        before: { serial: before, takenUntil: beforeUntil, until: ends },
      })
    },
    'agent.revoked': (all, { id, at, data: { reason } }) => {
      const used = all.get(id)?.used
      all.set(id, { node: id, state: 'revoked', since: at, reason, ...(used !== undefined && { used }) })
    },
  })

/** The node that a token was made for, by the hash of it, and whether it is still open. */
export function invitedWith(
  all: ReadonlyMap<string, Agent>,
  fits: (tokenHash: string) => boolean,
): string | undefined {
  let found: string | undefined
  // All of them, so that how long it takes does not tell which.
  for (const { node, invitation, used } of all.values()) {
    for (const hash of [invitation?.tokenHash, used]) if (hash !== undefined && fits(hash)) found = node
  }
  return found
}
