/**
 * What a node is invited with: `quipu-`, and 64 characters that are a secret and the fingerprint of the house's authority.
 * The first half proves the node to the house, the second the house to the node, before the first is told.
 */
import { createHash, randomBytes } from 'node:crypto'

const SECRET_BYTES = 16
const FINGERPRINT_BYTES = 32

export interface Token {
  /** As somebody types it. In no log, no fact, no error. */
  readonly text: string
  /** SHA-256 of the authority's certificate, base64url. */
  readonly authority: string
}

export function newToken(authority: string): Token {
  const bytes = Buffer.concat([randomBytes(SECRET_BYTES), Buffer.from(authority, 'base64url')])
  return { text: `quipu-${bytes.toString('base64url')}`, authority }
}

/** Undefined for what no house has written. */
export function readToken(text: string): Token | undefined {
  const body = /^quipu-([A-Za-z0-9_-]{64})$/.exec(text.trim())?.[1]
  if (body === undefined) return undefined
  const bytes = Buffer.from(body, 'base64url')
  if (bytes.length !== SECRET_BYTES + FINGERPRINT_BYTES) return undefined
  return { text: `quipu-${body}`, authority: bytes.subarray(SECRET_BYTES).toString('base64url') }
}

/** All that the journal keeps of one. A secret of 128 random bits needs no slow hash. */
export function tokenHash(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
