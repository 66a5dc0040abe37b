/** The keys that have signed for a journal, one after the other, as its facts name them. Pure. */
import type { SignerKey } from '../projections/signers.ts'
import { parseVkey, type Verifier } from './note.ts'

/** What an endorsement signs. */
export function endorsementText(before: string, vkey: string): string {
  return `quipu.signer.1\n${before}\n${vkey}\n`
}

/** Each once, without what is no key. */
export function keyring(vkeys: readonly (string | undefined)[]): readonly Verifier[] {
  return [...new Set(vkeys)].flatMap(vkey => (vkey === undefined ? [] : (parseVkey(vkey) ?? [])))
}

/** Those that may have signed a journal of that size. */
export function keysFor(keys: readonly SignerKey[], size: number): readonly Verifier[] {
  return keyring(
    keys.filter(({ untilSeq = Number.POSITIVE_INFINITY }) => size < untilSeq).map(({ vkey }) => vkey),
  )
}

/** Rotations that the key before did not endorse, or not this key: it was lost then, or somebody else did it. */
export function unendorsed(keys: readonly SignerKey[]): readonly SignerKey[] {
  return keys.filter(({ vkey, endorsement = '' }, i) => {
    const before = keys[i - 1]
    if (before === undefined) return false
    const text = endorsementText(before.vkey, vkey)
    return parseVkey(before.vkey)?.verify(text, Buffer.from(endorsement, 'base64')) !== true
  })
}
