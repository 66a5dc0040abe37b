/**
 * Whom a certificate speaks for. That stands in one place of it, the URI of its alternative name: `urn:quipu:house`, or
 * `urn:quipu:node:` and the node's name, percent-encoded. Its subject is for people.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { nodeNamePattern } from '../nodename.ts'

export type Bearer = { readonly role: 'house' } | { readonly role: 'node'; readonly node: string }

const NODE = 'urn:quipu:node:'

export function uriOf(bearer: Bearer): string {
  return bearer.role === 'house' ? 'urn:quipu:house' : NODE + encodeURIComponent(bearer.node)
}

/**
 * Of a certificate whose signature is known to be good. Undefined where it says nothing of that, or anything beside it: what
 * is read is written again, and must be all there is. A name has no character that could be taken for two names.
 */
export function bearerOf(certificate: Uint8Array): Bearer | undefined {
  try {
    const said = new X509Certificate(certificate).subjectAltName
    const bearer: Bearer = said?.startsWith(`URI:${NODE}`)
      ? { role: 'node', node: decodeURIComponent(said.slice(`URI:${NODE}`.length)) }
      : { role: 'house' }
    if (bearer.role === 'node' && !nodeNamePattern.test(bearer.node)) return undefined
    return said === `URI:${uriOf(bearer)}` ? bearer : undefined
  } catch {
    return undefined
  }
}

/** SHA-256 of a certificate: what it is told apart by. */
export function fingerprintOf(certificate: Uint8Array): string {
  return createHash('sha256').update(certificate).digest('base64url')
}
