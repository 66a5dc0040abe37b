/**
 * Under which name the house knows a client. With `--pseudonyms on` that is a keyed hash: facts, metrics and lists then tell
 * one client from another, and not who it is. The key is a file beside the journal that nobody else may read; without it
 * a pseudonym leads nowhere, and with it only a name that somebody guesses can be checked.
 */
import { createHmac } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { openSecret } from './secret.ts'

/** The same name gives the same pseudonym, and a pseudonym itself. */
export type Naming = (name: string) => string

/** In the data folder. */
const KEY = 'pseudonyms.key'
/** No name that a client may give itself begins so, and no address. */
const MARK = '~'
/** 96 bits: of a million clients no two are alike. */
const CHARACTERS = 16

export const plainNames: Naming = name => name

/** Makes the key where it is not there yet. Throws a Failure `secret.unreadable`. */
export async function openNaming(dir: string, on: boolean): Promise<Naming> {
  if (!on) return plainNames
  return pseudonyms(await openSecret(dir, KEY))
}

/** Clients by name with commas between, or by what they are written down as: who asks need not know which. */
export function eitherName(text: string, naming: Naming): string {
  return text
    .split(',')
    .flatMap(name => [name.trim(), naming(name.trim())])
    .join(',')
}

/** The same with no name among them, to be written down. */
export function writtenNames(text: string, naming: Naming): string {
  return text
    .split(',')
    .map(name => naming(name.trim()))
    .join(',')
}

/** For who asks by a name: all that it may be known under, whether pseudonyms are on now or were once. */
export async function namesOf(dir: string, name: string): Promise<readonly string[]> {
  const there = await stat(join(dir, KEY)).catch(() => undefined)
  if (there === undefined) return [name]
  return [...new Set([name, pseudonyms(await openSecret(dir, KEY))(name)])]
}

export function pseudonyms(key: Buffer): Naming {
  return name => {
    if (name.startsWith(MARK) || name === '') return name
    // An IPv4 address looks like either, depending on what the house listens on.
    const digest = createHmac('sha256', key)
      .update(name.replace(/^::ffff:/i, ''))
      .digest('base64url')
    return MARK + digest.slice(0, CHARACTERS)
  }
}
