/** What people hand over to be believed, or checked: keys, checkpoints, proofs; from files, or typed. */
import { readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { Failure } from '../failure.ts'
import { parseVkey, type Verifier } from '../proofs/note.ts'
import { type Given, listOf, misused, type Options } from './verb.ts'

export const keyOption: Options = {
  key: {
    value: 'VKEY|FILE',
    sentence: 'the public key, name+id+base64, or a file of such, one a line; repeatable',
    list: true,
  },
}

/** The keys that --key names; throws for what is none. */
export async function keysOf(given: Given): Promise<readonly Verifier[]> {
  const keys: Verifier[] = []
  for (const said of listOf(given, 'key')) {
    const typed = parseVkey(said)
    const lines =
      typed !== undefined ? [said] : (await textFrom(said)).split('\n').filter(line => line.trim() !== '')
    const found = lines.flatMap(line => parseVkey(line) ?? [])
    if (found.length === 0 || found.length < lines.length) {
      throw misused(`--key: ${said} is not a public key, such as \`quipu checkpoint key\` prints it`)
    }
    keys.push(...found)
  }
  return keys
}

/** A file, or stdin where it is called `-`. Throws a Failure `cli.file`. */
export async function textFrom(path: string): Promise<string> {
  try {
    return path === '-' ? (await buffer(process.stdin)).toString() : await readFile(path, 'utf8')
  } catch (cause) {
    throw new Failure('cli.file', `${path} cannot be read: ${(cause as Error).message}`, { cause })
  }
}
