/**
 * The agent of one node: may it come, and with which certificate? Its id is the name of the node, which is what the
 * certificate says; there may be an agent before there is a node of that name, and after.
 *
 *   none ──invited──▶ invited ──joined──▶ trusted ──renewed──▶ trusted
 *                        ▲                │    ▲
 *                        │          invited    joined        the node comes with a new key; until then the old one holds
 *                        │                ▼    │
 *                     invited          rejoining ──renewed──▶ rejoining
 *                        │
 *                     revoked ◀── revoked, from invited, trusted, rejoining
 *
 *   from invited, rejoining: invited again; the last token is the one that counts
 *
 * A token is good for one certificate. It is in no fact, and neither is a key: a token is known by its SHA-256.
 */
import { assign, type SnapshotFrom, setup } from 'xstate'
import { type Decide, entity, type Message, Refusal } from './entity.ts'

export type Invitation = {
  /** SHA-256 of the token, base64url. */
  readonly tokenHash: string
  /** When the token ends, milliseconds since the epoch. */
  readonly until: number
}

/** A certificate, as far as the journal knows it. */
export type Certified = {
  /** Hexadecimal. */
  readonly serial: string
  /** SHA-256 of the certificate, base64url. */
  readonly fingerprint: string
  /** When it ends, milliseconds since the epoch. */
  readonly until: number
}

export type AgentFact =
  | Message<'agent.invited', Invitation>
  | Message<'agent.joined', Certified>
  | Message<
      'agent.renewed',
      Certified & {
        /** The serial of the one before, and until when that is taken, too. */
        readonly before: string
        readonly beforeUntil: number
      }
    >
  | Message<'agent.revoked', { readonly reason: string }>

export type AgentCommand =
  | Message<'agent.invite', Invitation>
  | Message<'agent.join', Certified & { readonly tokenHash: string }>
  | Message<'agent.renew', Certified & { readonly before: string }>
  | Message<'agent.revoke', { readonly reason: string }>

export interface AgentContext {
  readonly invitation: Invitation | null
  /** SHA-256 of the last token that was used. */
  readonly used: string | null
  readonly certificate: Certified | null
  /** The certificate before it, as long as that is taken. */
  readonly before: { readonly serial: string; readonly until: number } | null
}

/**
 * How long the certificate before is taken beside its successor: for lines that are dialled while it changes, and for an
 * agent whose answer, with the successor in it, was lost.
 */
const OVERLAP_MS = 3_600_000

const machine = setup({ types: { context: {} as AgentContext, events: {} as AgentFact } }).createMachine({
  id: 'agent',
  context: { invitation: null, used: null, certificate: null, before: null },
  initial: 'none',
  states: {
    none: {
      on: {
        'agent.invited': { target: 'invited', actions: assign({ invitation: ({ event }) => event.data }) },
      },
    },
    invited: {
      description: 'It has a token, and no certificate yet.',
      on: {
        'agent.invited': { target: 'invited', actions: assign({ invitation: ({ event }) => event.data }) },
        'agent.joined': {
          target: 'trusted',
          actions: assign(({ context, event }) => joined(context, event.data)),
        },
        'agent.revoked': { target: 'revoked', actions: assign(() => revoked) },
      },
    },
    trusted: {
      on: {
        'agent.invited': { target: 'rejoining', actions: assign({ invitation: ({ event }) => event.data }) },
        'agent.renewed': { target: 'trusted', actions: assign(({ event }) => renewed(event.data)) },
        'agent.revoked': { target: 'revoked', actions: assign(() => revoked) },
      },
    },
    rejoining: {
      description: 'It has a certificate, and a token for another.',
      on: {
        'agent.invited': { target: 'rejoining', actions: assign({ invitation: ({ event }) => event.data }) },
        'agent.joined': {
          target: 'trusted',
          actions: assign(({ context, event }) => joined(context, event.data)),
        },
        'agent.renewed': { target: 'rejoining', actions: assign(({ event }) => renewed(event.data)) },
        'agent.revoked': { target: 'revoked', actions: assign(() => revoked) },
      },
    },
    revoked: {
      on: {
        'agent.invited': { target: 'invited', actions: assign({ invitation: ({ event }) => event.data }) },
      },
    },
  },
})

const revoked = { invitation: null, certificate: null, before: null }

function joined(context: AgentContext, { serial, fingerprint, until }: Certified): AgentContext {
  const used = context.invitation?.tokenHash ?? null
  return { invitation: null, used, certificate: { serial, fingerprint, until }, before: null }
}

function renewed({
  serial,
  fingerprint,
  until,
  before,
  beforeUntil,
}: Extract<AgentFact, { type: 'agent.renewed' }>['data']): Pick<AgentContext, 'certificate' | 'before'> {
  return { certificate: { serial, fingerprint, until }, before: { serial: before, until: beforeUntil } }
}

const decide: Decide<SnapshotFrom<typeof machine>, AgentCommand, AgentFact> = {
  'agent.invite': (_agent, { data }) => [{ type: 'agent.invited', data }],

  'agent.join': ({ context }, { at, data: { tokenHash, ...certified } }) => {
    const { invitation, used } = context
    if (tokenHash === used) {
      throw new Refusal('agent.token-used', 'this token has been used; each is good for one certificate')
    }
    if (tokenHash !== invitation?.tokenHash) {
      throw new Refusal('agent.token-wrong', 'the house knows no such token')
    }
    if (at >= invitation.until) {
      throw new Refusal('agent.token-expired', 'this token has expired; ask for another')
    }
    return [{ type: 'agent.joined', data: certified }]
  },

  'agent.renew': (agent, { at, data }) => {
    const { certificate, before } = agent.context
    if (agent.matches('revoked')) {
      throw new Refusal('agent.revoked', 'the certificate of this node was revoked; it must be invited again')
    }
    if (certificate === null) throw new Refusal('agent.unknown', 'no certificate was made for this node')
    if (data.before === certificate.serial) {
      if (at >= certificate.until) {
        throw new Refusal('agent.expired', 'the certificate has expired; the node must be invited again')
      }
      const beforeUntil = Math.min(at + OVERLAP_MS, certificate.until)
      return [{ type: 'agent.renewed', data: { ...data, beforeUntil } }]
    }
    if (data.before === before?.serial && at < before.until) {
      return [{ type: 'agent.renewed', data: { ...data, beforeUntil: before.until } }]
    }
    throw new Refusal('agent.outdated', 'this node has another certificate by now; invite it again')
  },

  'agent.revoke': (agent, { data }) => {
    if (agent.matches('none')) throw new Refusal('agent.none', 'no agent of that name was ever invited')
    return agent.matches('revoked') ? [] : [{ type: 'agent.revoked', data }]
  },
}

export const agent = entity({ kind: 'agent', machine, decide })
