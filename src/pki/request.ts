/** A key of the agent's own, which never leaves its machine, and the request to certify it. */
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { BACKDATED_MS, pemOf } from './authority.ts'
import { bearerOf, fingerprintOf } from './bearer.ts'
import { makeRequest } from './certificate.ts'
import type { Identity } from './papers.ts'

/** PEM, both. */
export interface KeyAndRequest {
  readonly key: string
  readonly csr: string
}

export function newRequest(): KeyAndRequest {
  const { privateKey } = generateKeyPairSync('ed25519')
  return { key: pemOf(privateKey), csr: makeRequest(privateKey) }
}

/** What an identity says of itself. */
export interface Described {
  readonly node: string
  readonly fingerprint: string
  /** Milliseconds since the epoch. */
  readonly issuedAt: number
  readonly until: number
}

/** Undefined unless it is a node's key, its certificate, and the authority that has signed that. */
export function describe({ key, certificate, authority }: Identity): Described | undefined {
  try {
    const own = new X509Certificate(certificate)
    const issuer = new X509Certificate(authority)
    const bearer = bearerOf(own.raw)
    if (bearer?.role !== 'node' || !own.checkPrivateKey(createPrivateKey(key))) return undefined
    if (!own.verify(issuer.publicKey)) return undefined
    const [from, until] = [own.validFromDate.getTime(), own.validToDate.getTime()]
    const issuedAt = from + BACKDATED_MS.node
    return { node: bearer.node, fingerprint: fingerprintOf(own.raw), issuedAt, until }
  } catch {
    return undefined
  }
}
