/**
 * A checkpoint says what a journal was at one size (c2sp.org/tlog-checkpoint). Who keeps one somewhere else can tell,
 * years later, whether the past was changed. Five lines and a signature:
 *
 *   quipu/01KDVDNA000000000000000000                 the journal
 *   1234                                             how many facts
 *   CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=     the root of the tree over them (tree.ts)
 *   head VH4QUCLu2JC1D0ygK8Tx3Y6-lpkoC26hVKtIw94T_wM the chain's hash at the last of them
 *
 *   — quipu/01KDVDNA000000000000000000 <signature>
 *
 * The head is there for whoever has the journal: it is compared without hashing a tree. Nothing rests on it alone: the
 * tree's last leaf is the same hash.
 */
import { Failure } from '../failure.ts'
import { Damage } from '../journal/damage.ts'
import { openNote, type Verifier } from './note.ts'
import { HASH_BYTES, type Tree } from './tree.ts'

export interface Checkpoint extends Tree {
  readonly origin: string
  /** The chain's hash at fact `size`, base64url; the origin's where there is none. */
  readonly head: string
}

/** A checkpoint and the note that says so. */
export interface Signed extends Checkpoint {
  readonly note: string
  /** The key that signed it. */
  readonly vkey: string
}

/** What signs for a journal, and the first line of its checkpoints. */
export function nameOf(journalId: string): string {
  return `quipu/${journalId}`
}

export function checkpointText({ origin, size, root, head }: Checkpoint): string {
  return `${origin}\n${size}\n${root.toString('base64')}\nhead ${head}\n`
}

/** Throws a Failure `checkpoint.invalid`. */
export function parseCheckpoint(text: string): Checkpoint {
  const [, origin, size, root, head] =
    /^([^\s+]+)\n(0|[1-9]\d{0,15})\n([\w+/]{43}=)\n(?:head ([\w-]{43})\n)(?:[^\n]+\n)*$/.exec(text) ?? []
  const bytes = Buffer.from(root ?? '', 'base64')
  if (origin === undefined || head === undefined || bytes.length !== HASH_BYTES) {
    throw new Failure('checkpoint.invalid', 'This is not a checkpoint of a Quipu journal.')
  }
  return { origin, size: Number(size), root: bytes, head }
}

/** A signed checkpoint that one of `known` stands for. Throws what openNote() and parseCheckpoint() throw. */
export function openCheckpoint(note: string, known: readonly Verifier[]): Signed {
  const { text, by } = openNote(note, known)
  return { ...parseCheckpoint(text), note, vkey: by.vkey }
}

/** The same, whoever has signed it: to say what it claims to be. */
export function readCheckpoint(note: string): Checkpoint {
  return parseCheckpoint(note.slice(0, note.lastIndexOf('\n\n') + 1))
}

/** The journal has another fact where this one was signed for. */
export function altered(seq: number): Damage {
  const said =
    `Fact ${seq} is not the one that a checkpoint was signed for: this is another journal, or its past was rewritten. ` +
    'Restore the folder from a copy.'
  return new Damage('journal.broken', said, { seq })
}
