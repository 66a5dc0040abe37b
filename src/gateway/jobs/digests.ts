/**
 * Keyed digests of what may not stand in a fact: an Idempotency-Key together with whom it is of, and a body. HMAC-SHA256,
 * hexadecimal. Each field is hashed first, so that no two lists of fields can run together.
 */
import { createHash, createHmac } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { Refusal } from '../../../machines/entity.ts'

export class Digests {
  readonly #secret: Buffer

  constructor(secret: Buffer) {
    this.#secret = secret
  }

  of(purpose: 'key' | 'body' | 'shared', ...fields: readonly (string | Buffer)[]): string {
    const hmac = createHmac('sha256', this.#secret).update(purpose)
    for (const field of fields) hmac.update(createHash('sha256').update(field).digest())
    return hmac.digest('hex')
  }
}

const KEY = /^[\x21-\x7e]{1,255}$/

/** The key of a request, where it has one. Throws a Refusal `request.invalid` for one that cannot be used. */
export function keyIn(headers: IncomingHttpHeaders): string | undefined {
  const key = headers['idempotency-key']
  return key === undefined ? undefined : checkedKey(String(key))
}

export function checkedKey(key: string): string {
  if (KEY.test(key)) return key
  throw new Refusal('request.invalid', 'an Idempotency-Key is 1 to 255 characters of ASCII, without blanks')
}

/**
 * Whose key it is: the same key of another client is another key. Clients behind one address are told apart by what they
 * log in with, since else the second would be handed the answer of the first.
 */
export function scopeOf(client: string, headers: IncomingHttpHeaders): readonly string[] {
  const apiKey = headers['x-api-key'] // Anthropic's way to log in
  return [client, headers.authorization ?? '', apiKey === undefined ? '' : String(apiKey)]
}
