/**
 * An agent joins its house: it looks whom it has reached, and only then tells its token. What comes back is who it is from
 * then on.
 */
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import type { Identity } from '../pki/papers.ts'
import { type Described, describe, newRequest } from '../pki/request.ts'
import { readToken } from '../pki/token.ts'
import { Channel } from '../rpc/channel.ts'
import { authorityAt, remedyOf, toHouseOf } from '../rpc/credentials.ts'
import { houseService } from '../rpc/definitions.ts'
import { PROBE } from '../rpc/limits.ts'
import type { IssuedCertificate } from '../rpc/messages.ts'

export interface Joined {
  readonly identity: Identity
  readonly described: Described
}

const ANSWER_MS = 15_000

/**
 * Throws a Failure: `agent.stranger` and `agent.unreachable` before anything is told; `agent.token-wrong`, `-used`,
 * `-expired`, `agent.attempts`, `agent.identity`.
 */
export async function joinHouse(clock: Clock, house: string, text: string): Promise<Joined> {
  const token = readToken(text)
  if (token === undefined) {
    const said = 'that is no token; it is what `quipu pki invite NODE` prints: quipu- and 64 characters'
    throw new Failure('agent.token-wrong', said)
  }
  const authority = await authorityAt(house, token.authority, clock)
  const channel = new Channel({ clock, address: house, dialling: toHouseOf(authority), probe: PROBE })
  try {
    const { key, csr } = newRequest()
    const request = { token: token.text, csr }
    const answer = await channel.ask<{ certificate: IssuedCertificate }>(houseService, 'Join', request, {
      deadlineMs: ANSWER_MS,
    })
    const identity = { key, certificate: answer.certificate.certificate, authority }
    const described = describe(identity)
    if (described !== undefined) return { identity, described }
    throw new Failure('agent.identity', 'what the house sent is no certificate for the key of this agent')
  } catch (error) {
    if (!(error instanceof Failure) || !error.code.startsWith('rpc.')) throw error
    const why = remedyOf(error.message) ?? error.message
    throw new Failure('agent.unreachable', `${house} could not be asked: ${why}`, { cause: error })
  } finally {
    channel.close()
  }
}
