/**
 * How agents come by certificates: somebody invites a node, its agent joins with the token, and renews before the
 * certificate ends. The name in it is that of the invitation; of what an agent sends, only its key is used.
 *
 * Anybody may call join. Until the token is right, that costs a hash, and tells only that it is wrong.
 */
import { timingSafeEqual } from 'node:crypto'
import { Refusal } from '../../machines/entity.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engine/engine.ts'
import { Failure } from '../failure.ts'
import type { Naming } from '../naming.ts'
import { nodeNamePattern } from '../nodename.ts'
import type { Authority, Issued } from '../pki/authority.ts'
import { newToken, readToken, tokenHash } from '../pki/token.ts'
import type { TrustedProjection } from '../projections/trusted.ts'
import { invitedWith } from '../projections/trusted.ts'
import type { Principal } from '../rpc/credentials.ts'
import type { IssuedCertificate } from '../rpc/messages.ts'
import { Attempts } from './attempts.ts'

export interface JoiningNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly trusted: TrustedProjection
  readonly config: Pick<Config, 'agentCertificateMs'>
  readonly naming: Naming
  readonly authority: Authority
  /** The key of a request that proves to have been made with it; see pki/certificate.ts. */
  readonly keyOfRequest: (csr: string) => Parameters<Authority['issue']>[1] | undefined
}

export interface Invited {
  readonly node: string
  /** The only time that it is told. */
  readonly token: string
  readonly until: number
}

const TTL_MIN_MS = 60_000
const TTL_MAX_MS = 7 * 86_400_000

export class Joining {
  readonly #needs: JoiningNeeds
  readonly #attempts: Attempts

  constructor(needs: JoiningNeeds) {
    this.#needs = needs
    this.#attempts = new Attempts(needs.clock)
  }

  /** Resolves when the invitation is on the disk. Throws a Failure `node.name`, `agent.ttl`. */
  async invite(node: string, ttlMs: number, by: string): Promise<Invited> {
    const { engine, clock, authority } = this.#needs
    if (!nodeNamePattern.test(node)) {
      const rule = 'a node name is up to 63 letters, digits and . _ : - and begins with a letter or digit'
      // Not with what was typed: it may be a token, put where the name belongs.
      throw new Failure('node.name', rule)
    }
    if (ttlMs < TTL_MIN_MS || ttlMs > TTL_MAX_MS) {
      throw new Failure('agent.ttl', 'a token may last from a minute to a week')
    }
    const { text: token } = newToken(authority.fingerprint)
    const until = clock.now() + ttlMs
    const data = { tokenHash: tokenHash(token), until }
    await engine.dispatch('agent', node, { type: 'agent.invite', by, data })
    return { node, token, until }
  }

  /** Throws a Refusal `agent.token-wrong`, `-used`, `-expired`, `agent.request`; a Failure `agent.attempts`. */
  async join({ token, csr }: { token: string; csr: string }, address: string): Promise<IssuedCertificate> {
    const { engine, trusted, naming } = this.#needs
    this.#attempts.check(address)
    try {
      const read = readToken(token.slice(0, 128))
      const hash = read === undefined ? '' : tokenHash(read.text)
      const node = invitedWith(trusted.state, known => same(known, hash))
      if (node === undefined) throw new Refusal('agent.token-wrong', 'the house knows no such token')
      const issued = this.#issue(node, csr)
      const data = { ...certified(issued), tokenHash: hash }
      await engine.dispatch('agent', node, { type: 'agent.join', by: naming(address), data })
      return this.#told(node, issued)
    } catch (error) {
      if (error instanceof Refusal) this.#attempts.count(address)
      throw error
    }
  }

  /** Throws a Refusal `agent.outdated`, `agent.expired`, `agent.revoked`, `agent.unknown`, `agent.request`. */
  async renew(principal: Principal, { csr }: { csr: string }): Promise<IssuedCertificate> {
    if (principal.role !== 'node') throw new Refusal('agent.unknown', 'only the agent of a node renews')
    const { node, serial } = principal
    const issued = this.#issue(node, csr)
    const data = { ...certified(issued), before: serial }
    await this.#needs.engine.dispatch('agent', node, { type: 'agent.renew', data })
    return this.#told(node, issued)
  }

  #issue(node: string, csr: string): Issued {
    const { authority, clock, config, keyOfRequest } = this.#needs
    const key = keyOfRequest(csr)
    if (key === undefined) {
      throw new Refusal(
        'agent.request',
        'that is no request for a certificate of an Ed25519 key, made with that key',
      )
    }
    return authority.issue({ role: 'node', node }, key, {
      now: clock.now(),
      lifetimeMs: config.agentCertificateMs,
    })
  }

  #told(node: string, { certificate, until }: Issued): IssuedCertificate {
    return { node, certificate, authority: this.#needs.authority.certificate, expiresAt: until }
  }
}

function certified({ serial, fingerprint, until }: Issued) {
  return { serial, fingerprint, until }
}

/** Hashes, so as long as one another. */
function same(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}
