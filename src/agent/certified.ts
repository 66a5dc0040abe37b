/** How an agent that has joined a house, and that house, find out who the other is; and how the agent stays known. */
import type { Clock } from '../clock.ts'
import type { Identity, Papers } from '../pki/papers.ts'
import { Channel } from '../rpc/channel.ts'
import { listeningAgent, toHouse } from '../rpc/credentials.ts'
import { houseService } from '../rpc/definitions.ts'
import { PROBE } from '../rpc/limits.ts'
import type { IssuedCertificate } from '../rpc/messages.ts'
import type { Introductions } from './introductions.ts'
import { Renewal } from './renewal.ts'

export interface CertifiedNeeds {
  readonly clock: Clock
  readonly papers: Papers
  /** HOST:PORT where it has joined. */
  readonly house: string
  readonly trySave: () => Promise<unknown>
  readonly save: (identity: Identity) => Promise<void>
  readonly warn: (message: string) => void
}

const ANSWER_MS = 15_000

export function certified(needs: CertifiedNeeds): Introductions {
  const { papers } = needs
  return {
    dialling: () => toHouse(papers),
    serving: () => listeningAgent(papers),
    // TLS has let in nobody but the house.
    admit() {},
    keep(redial) {
      const renewal = new Renewal({ ...needs, redial, renew: csr => renew(needs, csr) })
      renewal.start()
      return () => renewal.close()
    },
  }
}

/** On a line of its own: an agent that only listens has no other. */
async function renew({ clock, papers, house }: CertifiedNeeds, csr: string): Promise<IssuedCertificate> {
  const channel = new Channel({ clock, address: house, dialling: toHouse(papers), probe: PROBE })
  try {
    const answer = await channel.ask<{ certificate: IssuedCertificate }>(
      houseService,
      'Renew',
      { csr },
      { deadlineMs: ANSWER_MS },
    )
    return answer.certificate
  } finally {
    channel.close()
  }
}
