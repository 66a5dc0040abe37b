/** What is stored is not what was written. Nothing is served past this point, and nothing repairs itself. */
import { Failure } from '../failure.ts'

export class Damage extends Failure {
  /** The first fact that is missing or altered; undefined where LevelDB cannot even open its files. */
  readonly seq: number | undefined

  constructor(
    code: 'journal.gap' | 'journal.broken' | 'archive.damaged',
    message: string,
    { seq, cause }: { seq?: number; cause?: unknown } = {},
  ) {
    super(code, message, { cause })
    this.seq = seq
  }
}

const REMEDY = 'Restore the folder from a copy.'

/** `found` is the next fact there is; `end` how far the journal had come, where it stops before. */
export function gap(seq: number, { found, end }: { found?: number; end?: number } = {}): Damage {
  const where = found === undefined ? 'the journal ends before it' : `the next one there is ${found}`
  const known = end === undefined ? '' : `, and it had come to fact ${end}`
  return new Damage('journal.gap', `Fact ${seq} is missing: ${where}${known}. ${REMEDY}`, { seq })
}

export function broken(seq: number): Damage {
  return new Damage('journal.broken', `Fact ${seq} is not what was written. ${REMEDY}`, { seq })
}

/** LevelDB stumbles over its own files somewhere after `seq` - 1; what it could still read of the page is not told. */
export function illegible(seq: number, cause: unknown): Damage {
  const why = cause instanceof Error ? ` (${cause.message})` : ''
  return new Damage('journal.broken', `Fact ${seq}, or one soon after it, cannot be read${why}. ${REMEDY}`, {
    seq,
    cause,
  })
}

export function unreadable(what: string, cause?: unknown): Damage {
  const why = cause instanceof Error ? ` (${cause.message})` : ''
  return new Damage('journal.broken', `${what} cannot be read${why}. ${REMEDY}`, { cause })
}

/** A block's checksum is wrong. LevelDB itself would not look, and some of these abort it. */
export function tableBroken(path: string, at: number): Damage {
  return new Damage('journal.broken', `${path} is not what was written, from byte ${at} on. ${REMEDY}`)
}

/** Another process wrote where this one did. */
export function foreign(seq: number): Damage {
  const said = `Fact ${seq} on the disk is not the one this house wrote: another one writes to the same folder.`
  return new Damage('journal.broken', said, { seq })
}
