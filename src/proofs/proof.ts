/**
 * Proofs as text that anybody can verify who has the key, without the house and without its journal.
 *
 * That a fact is in the journal (c2sp.org/tlog-proof); `extra` is the hash of the record before it and the record,
 * which together say what the leaf is:
 *
 *   c2sp.org/tlog-proof@v1
 *   extra <base64>
 *   index 1233                                       fact 1234
 *   CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=     the path to the root, a line each
 *
 *   <checkpoint>
 *
 * That the journal goes on where an earlier checkpoint ended, in the words in which a log tells a witness
 * (c2sp.org/tlog-witness); whoever verifies it brings the earlier checkpoint:
 *
 *   old 1000
 *   <the path, a line each>
 *
 *   <checkpoint>
 */
import { Failure } from '../failure.ts'
import { entryOf, hashOf, verify } from '../journal/chain.ts'
import { Damage } from '../journal/damage.ts'
import type { Entry } from '../journal/journal.ts'
import { type Checkpoint, openCheckpoint, type Signed } from './checkpoint.ts'
import type { Verifier } from './note.ts'
import { HASH_BYTES, isConsistent, leafHash, rootByInclusion } from './tree.ts'

const INCLUSION = 'c2sp.org/tlog-proof@v1'
/** A path has 53 hashes at most: so many bits has a number. */
const PATH_MAX = 64

export interface InclusionParts {
  readonly seq: number
  /** The hash of the record before this one: base64url. */
  readonly before: string
  /** The fact as it is stored (journal/chain.ts). */
  readonly record: string
  readonly path: readonly Buffer[]
  readonly note: string
}

export function inclusionText({ seq, before, record, path, note }: InclusionParts): string {
  const extra = Buffer.from(`${before}\n${record}`).toString('base64')
  return `${INCLUSION}\nextra ${extra}\nindex ${seq - 1}\n${linesOf(path)}\n${note}`
}

export function consistencyText(old: number, path: readonly Buffer[], note: string): string {
  return `old ${old}\n${linesOf(path)}\n${note}`
}

const linesOf = (path: readonly Buffer[]): string => path.map(hash => `${hash.toString('base64')}\n`).join('')

export interface Included {
  readonly entry: Entry
  readonly checkpoint: Signed
}

export interface Continued {
  /** The size of the earlier one. */
  readonly old: number
  readonly checkpoint: Signed
}

export function isInclusion(text: string): boolean {
  return text.startsWith(`${INCLUSION}\n`)
}

/**
 * The fact that the text proves to be in the journal of its checkpoint. Throws a Failure `proof.invalid` where it is no
 * such text, `proof.wrong` where it proves nothing, and what openCheckpoint() throws.
 */
export function verifyInclusion(text: string, known: readonly Verifier[]): Included {
  const [, extra = '', index = '', hashes = '', note = ''] =
    /^[^\n]+\nextra ([\w+/]+=*)\nindex (0|[1-9]\d{0,15})\n((?:[\w+/]{43}=\n)*)\n([\s\S]*)$/.exec(text) ?? []
  if (!isInclusion(text) || note === '') throw noProof()
  const checkpoint = openCheckpoint(note, known)
  const held = Buffer.from(extra, 'base64').toString()
  const seam = held.indexOf('\n')
  const record = held.slice(seam + 1)
  const seq = Number(index) + 1
  try {
    verify(record, seq, held.slice(0, seam))
  } catch (error) {
    if (!(error instanceof Damage)) throw error
    throw wrong('the fact in it is not the one that its hash was made of')
  }
  const root = rootByInclusion(leafHash(hashOf(record)), seq - 1, checkpoint.size, pathOf(hashes))
  if (root === undefined || !root.equals(checkpoint.root)) {
    throw wrong(`fact ${seq} is not in the journal that ${checkpoint.origin} has signed`)
  }
  const entry = entryOf(record, hashOf(record))
  if (entry.seq !== seq) throw wrong(`it is of fact ${entry.seq}, and says that it is of fact ${seq}`)
  return { entry, checkpoint }
}

/** Proves that the journal of its checkpoint begins with all that `old` was signed for. Throws as verifyInclusion() does. */
export function verifyConsistency(text: string, old: Checkpoint, known: readonly Verifier[]): Continued {
  const [, size, hashes = '', note = ''] =
    /^old (0|[1-9]\d{0,15})\n((?:[\w+/]{43}=\n)*)\n([\s\S]*)$/.exec(text) ?? []
  if (size === undefined) throw noProof()
  const checkpoint = openCheckpoint(note, known)
  if (checkpoint.origin !== old.origin) {
    throw wrong(`it is of ${checkpoint.origin}, and the earlier checkpoint of ${old.origin}`)
  }
  if (Number(size) !== old.size) {
    throw wrong(`it goes on from fact ${size}, and the earlier checkpoint is of fact ${old.size}`)
  }
  if (!isConsistent(old, checkpoint, pathOf(hashes))) {
    throw wrong(
      `the journal that was signed at fact ${checkpoint.size} does not begin with the one at fact ${size}`,
    )
  }
  return { old: old.size, checkpoint }
}

function pathOf(text: string): readonly Buffer[] {
  const lines = text.split('\n').slice(0, -1)
  const path = lines.map(line => Buffer.from(line, 'base64'))
  if (path.length > PATH_MAX || path.some(({ length }) => length !== HASH_BYTES)) throw noProof()
  return path
}

function noProof(): Failure {
  return new Failure('proof.invalid', 'This is not a proof, such as `quipu prove` writes.')
}

function wrong(why: string): Failure {
  return new Failure('proof.wrong', `It proves nothing: ${why}.`)
}
