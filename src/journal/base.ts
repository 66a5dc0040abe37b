/**
 * Where a journal begins on this disk, once older facts were let go of: LevelDB has it under the key 0, which is no
 * fact's, written in the same breath as the first of them goes.
 *
 *   {"until":100000,"hash":"…","fact":123456,"lasts":[50000,100000]}
 */
import { unreadable } from './damage.ts'
import type { Head } from './journal.ts'

export interface Base {
  /** The last fact that was let go of, and the chain's hash there. */
  readonly until: number
  readonly hash: string
  /** The fact that says so, `archive.trimmed`: it is still here, and the chain covers it. */
  readonly fact: number
  /** The last fact of each archive file up to there, in order. */
  readonly lasts: readonly number[]
}

export function baseIn(text: string): Base {
  try {
    const base = JSON.parse(text) as Base
    if (Number.isSafeInteger(base.until) && typeof base.hash === 'string' && base.lasts.at(-1) === base.until)
      return base
  } catch {}
  throw unreadable('What the journal says of where it was trimmed')
}

/** Does the fact that it names say so? */
export function vouched({ until, hash }: Base, record: string): boolean {
  const [, header = '', data = ''] = record.split('\n')
  return header.includes('"type":"archive.trimmed"') && data.startsWith(`{"until":${until},"hash":"${hash}"`)
}

export const headOf = ({ until, hash }: Base): Head => ({ seq: until, hash })
