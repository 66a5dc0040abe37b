/**
 * What an audit does: every record is held against the chain, every fact against its chart, and what was signed against
 * both. All of it before anything is said, and of a copy of the folder (copy.ts).
 *
 * One thread reads, verifies, parses and steps the charts; the tree of signed roots is hashed beside it
 * (proofs/aside.ts). No projection folds but the one of the keys: all of them together cost more than the rest.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { Engine } from '../engine/engine.ts'
import { Failure } from '../failure.ts'
import { Damage, gap } from '../journal/damage.ts'
import type { Entry, Head, Journal } from '../journal/journal.ts'
import { openLevelJournal } from '../journal/level.ts'
import { type SignerKey, signers } from '../projections/signers.ts'
import { TreeAside } from '../proofs/aside.ts'
import { altered, type Checkpoint, nameOf, openCheckpoint, readCheckpoint } from '../proofs/checkpoint.ts'
import { readLatest } from '../proofs/kept.ts'
import type { Verifier } from '../proofs/note.ts'
import { keyring, keysFor, unendorsed } from '../proofs/succession.ts'
import { Meter } from './meter.ts'

/** Looks on while a journal is verified. What it makes of it counts only once verify() has resolved. */
export interface Onlooker {
  /** Facts in order, each page once. */
  see(page: readonly Entry[]): void
  /** What was seen does not count: facts come once more, without those in archive files. Absent where less is no use. */
  again?(): void
}

export interface Wanted {
  /** A folder that nobody else uses. */
  readonly dir: string
  /** Where its archive files are; a whole path. */
  readonly archiveDir: string
  readonly clock: Clock
  readonly signal: AbortSignal
  /** The head of an earlier audit. */
  readonly expected?: Head | undefined
  /** An earlier checkpoint. */
  readonly since?: string | undefined
  /** Who may have signed it; where there are none, whom the journal names. */
  readonly keys?: readonly Verifier[]
  readonly onlookers?: readonly Onlooker[]
  readonly meter?: Pick<Meter, 'tell'>
}

export interface Findings {
  readonly id: string
  readonly head: Head
  readonly ms: number
  /** The first fact that was verified, and the fact that says it may be the first; 0 where it is fact 1. */
  readonly from: number
  readonly vouchedBy: number
  /** What it all comes to; unknown where it did not begin with fact 1. */
  readonly now: undefined | { readonly nodes: number; readonly models: number; readonly openRequests: number }
  /** The folder's own newest checkpoint, or why there is none that counts. */
  readonly signed: { readonly size: number; readonly vkey: string } | { readonly why: string }
  /** Oldest first, and which of them nobody vouches for. */
  readonly keys: readonly SignerKey[]
  readonly unendorsed: readonly SignerKey[]
  /** The checkpoint that it was held against. */
  readonly since: { readonly size: number; readonly vkey: string } | undefined
}

/**
 * Throws what is wrong with the journal, first of all: a Failure `journal.…`; then `audit.rewritten`, `audit.stopped`, and
 * what openCheckpoint() throws of `since`.
 */
export async function verify(wanted: Wanted): Promise<Findings> {
  const { dir, archiveDir, clock, signal, expected, since, keys = [], onlookers = [] } = wanted
  const { journal, endless } = await openCopy(dir, archiveDir, clock)
  const meter = wanted.meter ?? new Meter(() => clock.monotonic())
  const latest = await readLatest(join(dir, 'checkpoints')).catch(asWhy)
  const marks = [
    ...(since === undefined ? [] : [readCheckpoint(since)]),
    ...(latest === undefined || 'why' in latest ? [] : [readCheckpoint(latest.note)]),
  ]
  // A size that was signed and is not there yet shows by itself.
  const tree = marks.length === 0 ? undefined : new TreeAside(marks.map(({ size }) => size))
  try {
    const signing = signers()
    const hashes = new Map<number, string>()
    let vouchedBy = 0
    const places = [expected, ...marks.map(({ size }) => ({ seq: size }))].flatMap(place => place?.seq ?? [])
    /** A trimmed journal whose archive files are away begins with a hash that a fact of its own vouches for. */
    async function* read(after = 0): AsyncGenerator<readonly Entry[]> {
      for await (const page of journal.read({ after })) {
        if (signal.aborted) throw stopped()
        const first = page[0]!.seq
        for (const seq of places) {
          const entry = page[seq - first]
          if (entry !== undefined) hashes.set(seq, entry.hash)
        }
        vouchedBy = page.findLast(entry => vouchesFor(entry, journal.base))?.seq ?? vouchedBy
        for (const onlooker of onlookers) onlooker.see(page)
        if (after === 0) await tree?.add(page.map(({ hash }) => hash))
        yield page
        meter.tell(page.at(-1)!.seq, journal.durable)
      }
    }
    const engine = new Engine(Object.create(journal, { read: { value: () => read() } }) as Journal, clock, [
      signing,
    ])
    const began = clock.monotonic()
    const whole = await engine.replay().then(
      () => true,
      async error => {
        const { base } = journal
        const away = error instanceof Failure && error.code === 'archive.missing'
        if (!away || places.some(seq => seq < base.seq) || onlookers.some(({ again }) => again === undefined))
          throw await pinned(journal, error)
        for (const onlooker of onlookers) onlooker.again?.()
        hashes.set(base.seq, base.hash)
        for await (const _ of read(base.seq));
        return false
      },
    )
    const { head } = journal
    if (endless !== undefined) throw endless
    if (expected !== undefined) compare(expected, head, hashes.get(expected.seq))
    // The hash of a fact covers all that came before it; where the tree cannot be had, it is what is compared.
    const roots = whole ? ((await tree?.roots()) ?? new Map<number, Buffer>()) : undefined
    const facts = { id: journal.id, head, hashes, roots }
    const known = signing.state.keys
    return {
      id: journal.id,
      head,
      ms: clock.monotonic() - began,
      from: whole ? 1 : journal.base.seq + 1,
      vouchedBy: whole ? 0 : vouchedBy,
      now: whole
        ? {
            nodes: engine.count('node'),
            models: engine.count('model'),
            openRequests: engine.count('request'),
          }
        : undefined,
      signed:
        latest === undefined
          ? { why: 'nothing has been signed' }
          : 'why' in latest
            ? latest
            : ownCheckpoint(latest.note, known, facts),
      keys: known,
      unendorsed: unendorsed(known),
      since:
        since === undefined ? undefined : earlier(since, keys.length > 0 ? keys : undefined, known, facts),
    }
  } finally {
    await tree?.close()
    await journal.close()
  }
}

/** What is known of the journal once it has been read. */
interface Facts {
  readonly id: string
  readonly head: Head
  /** By the seqs that somebody asks about; and the roots of the trees that end there. */
  readonly hashes: ReadonlyMap<number, string>
  /** Undefined where the first facts are away. */
  readonly roots: ReadonlyMap<number, Buffer> | undefined
}

/** The folder's own one: where it is this journal's and does not fit it, one of the two is not what it was. */
function ownCheckpoint(note: string, known: readonly SignerKey[], facts: Facts): Findings['signed'] {
  try {
    const claimed = readCheckpoint(note)
    const { size, root, head, origin, vkey } = openCheckpoint(note, keysFor(known, claimed.size))
    if (origin !== nameOf(facts.id)) return { why: `the newest checkpoint is of ${origin}` }
    if (size > facts.head.seq) throw gap(facts.head.seq + 1, { end: size })
    if (facts.hashes.get(size) !== head || !rooted(facts, size, root)) throw altered(size)
    return { size, vkey }
  } catch (error) {
    if (error instanceof Damage) throw error
    return asWhy(error)
  }
}

/** Is this the journal of the checkpoint that somebody kept? */
function earlier(
  note: string,
  trusted: readonly Verifier[] | undefined,
  known: readonly SignerKey[],
  facts: Facts,
): Findings['since'] {
  const { id, head, hashes } = facts
  const checkpoint = openCheckpoint(note, trusted ?? keyring(known.map(({ vkey }) => vkey)))
  const { origin, size, vkey } = checkpoint
  if (origin !== nameOf(id)) throw rewritten(`The checkpoint is of ${origin}, and this is ${nameOf(id)}.`)
  if (size > head.seq) throw shorter(size, head)
  if (hashes.get(size) !== checkpoint.head) throw otherPast(checkpoint, hashes.get(size))
  if (!rooted(facts, size, checkpoint.root)) {
    throw rewritten(
      `The tree over the first ${size} facts is not the one that the checkpoint was signed for.`,
    )
  }
  return { size, vkey }
}

function rooted({ roots }: Facts, size: number, root: Buffer): boolean {
  return roots === undefined || roots.get(size)?.equals(root) === true
}

function vouchesFor(entry: Entry, { seq }: Head): boolean {
  return entry.type === 'archive.trimmed' && entry.data?.until === seq
}

/**
 * A journal whose end is missing does not open, but an audit looks at all that is left first: without the mark it
 * opens. Where it does not even then, something among its last facts is wrong, and perhaps something before them.
 */
async function openCopy(
  dir: string,
  archiveDir: string,
  clock: Clock,
): Promise<{ readonly journal: Journal; readonly endless?: Damage }> {
  const open = (tailFacts?: number): Promise<Journal> =>
    openLevelJournal({ dir, archiveDir, clock, ...(tailFacts !== undefined && { tailFacts }) })
  try {
    return { journal: await open() }
  } catch (error) {
    if (!(error instanceof Damage) || error.seq === undefined) throw error
    await rm(join(dir, 'mark'), { force: true })
    return { journal: await open(Number.POSITIVE_INFINITY), endless: error }
  }
}

/** Where LevelDB itself stumbles, a page is all that it names. One fact at a time says which it is. */
async function pinned(journal: Journal, error: unknown): Promise<unknown> {
  if (!(error instanceof Damage) || error.seq === undefined || error.cause === undefined) return error
  for (let seq = error.seq; seq <= journal.durable; seq += 1) {
    try {
      for await (const _ of journal.records({ after: seq - 1, until: seq }));
    } catch (nearer) {
      if (!(nearer instanceof Damage) || nearer.cause === undefined) return nearer
      const said = nearer.message.replace(', or one soon after it,', '')
      return new Damage('journal.broken', said, { seq, cause: nearer.cause })
    }
  }
  return error
}

function compare({ seq, hash }: Head, head: Head, found: string | undefined): void {
  if (seq > head.seq) throw shorter(seq, head)
  if (found !== undefined && found !== hash) throw other(seq, found, hash)
}

function otherPast({ size, head }: Checkpoint, found = ''): Failure {
  return other(size, found, head)
}

function other(seq: number, found: string, hash: string): Failure {
  return rewritten(
    `Fact ${seq} has the hash ${found}, and ${hash} was expected: this is not the journal of that time, or its past was ` +
      'rewritten since. The chain by itself holds.',
  )
}

function shorter(seq: number, head: Head): Failure {
  const said = `The journal ends at fact ${head.seq}, and fact ${seq} was expected: its end is missing, or it is another.`
  return rewritten(said)
}

function rewritten(said: string): Failure {
  return new Failure('audit.rewritten', said)
}

export function stopped(): Failure {
  return new Failure('audit.stopped', 'The audit was stopped before its end: nothing is proved.')
}

function asWhy(error: unknown): { readonly why: string } {
  if (error instanceof Failure) return { why: error.message }
  throw error
}
