/** How a house with an authority, and its agents, find out who the other is: by certificates, and what the journal says of them. */
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { Refusal } from '../../machines/entity.ts'
import type { Reactor } from '../engine/reactor.ts'
import { Failure } from '../failure.ts'
import type { Papers } from '../pki/papers.ts'
import { agentsPort, principalOf, toAgent } from '../rpc/credentials.ts'
import type { Caller } from '../rpc/server.ts'
import type { Introductions } from './introductions.ts'
import { Joining, type JoiningNeeds } from './joining.ts'
import { Trust, type TrustNeeds } from './trust.ts'

export interface CertifiedHouseNeeds extends Omit<JoiningNeeds, 'authority' | 'keyOfRequest'>, TrustNeeds {
  /** The data folder. */
  readonly dir: string
  /** It does not go without. */
  readonly needed: boolean
  readonly warn: (message: string) => void
}

export interface CertifiedHouse {
  readonly introductions: Introductions
  readonly joining: Joining
  readonly reactor: Reactor
  close(): void
}

/**
 * Undefined where there is no authority, and none is needed. What makes certificates is loaded only where there is one. Throws a
 * Failure `pki.missing`, `pki.damaged`, `pki.expired` or `pki.disk`.
 */
export async function openCertified(needs: CertifiedHouseNeeds): Promise<CertifiedHouse | undefined> {
  const { dir, needed, clock, warn } = needs
  const there = await access(join(dir, 'pki')).then(
    () => true,
    () => false,
  )
  if (!needed && !there) return undefined
  const { HousePapers, openAuthority, pkiIn } = await import('../pki/authority.ts')
  const { keyOfRequest } = await import('../pki/certificate.ts')
  const open = async () => {
    const authority = await openAuthority(pkiIn(dir))
    return { authority, house: new HousePapers(authority, clock) }
  }
  const opened = await open().catch(error => {
    if (needed || !(error instanceof Failure)) throw error
    warn(`agents that listen are not dialled: ${error.message}`)
  })
  if (opened === undefined) return undefined
  const { authority, house } = opened
  const trust = new Trust(needs)
  const joining = new Joining({ ...needs, authority, keyOfRequest })
  return {
    introductions: certified({ papers: house.papers, trust, joining }),
    joining,
    reactor: trust.reactor,
    close() {
      trust.close()
      house.close()
    },
  }
}

interface CertifiedNeeds {
  /** The house's own. */
  readonly papers: Papers
  readonly trust: Trust
  readonly joining: Joining
}

function certified({ papers, trust, joining }: CertifiedNeeds): Introductions {
  const gate: Trust['admit'] = principal => trust.admit(principal)
  return {
    identify({ call }) {
      const caller = principalOf(call)
      if (caller?.role !== 'node') throw new Refusal('agent.unknown', 'only the agent of a node attaches')
      // Once more: since the stream was opened it may have been sent away, and nobody cuts a stream whose node is not known.
      gate(caller)
      return caller
    },
    dialling: node => toAgent(papers, node, gate),
    serving: () => agentsPort(papers, gate),
    handlers: {
      Join: {
        answer: async (request, caller) => ({ certificate: await joining.join(request, addressOf(caller)) }),
      },
      Renew: {
        answer: async (request, { call }) => ({
          certificate: await joining.renew(principalOf(call)!, request),
        }),
      },
    },
  }
}

/** Without the port, which is another with each attempt. */
function addressOf({ peer }: Caller): string {
  return peer.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
}
