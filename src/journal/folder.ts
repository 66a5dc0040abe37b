/**
 * The folder a journal lives in:
 *
 *   journal.json   which journal this is, and who may read it. Comes last at init; without it nothing is opened
 *   journal/       LevelDB's files
 *   mark           how far the journal is known to have come (mark.ts)
 *   lock           who has the folder open (lock.ts)
 *
 * Where its CURRENT file is missing, LevelDB would make an empty database and delete every table of the old one
 * (60,000 facts, seen). So it is told to make one at init only, and init only happens where there is nothing.
 */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ANY, later, READS } from '../../machines/releases.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import { replaceFile, syncFolder } from '../replace.ts'
import { unreadable } from './damage.ts'

/** 1 had no `minReader`: 0.1.0 and 0.2.0 refuse what has another format than that. */
const FORMAT = 2
const FIRST_FORMAT = 1

export const tablesIn = (dir: string): string => join(dir, 'journal')
const identityIn = (dir: string): string => join(dir, 'journal.json')
const draftIn = (dir: string): string => join(dir, 'journal.json.new')

/** The id of the journal in `dir`; undefined where there is no trace of one. Anything in between is refused. */
export async function identify(dir: string): Promise<string | undefined> {
  const text = await readFile(identityIn(dir), 'utf8').catch(absent)
  const files = (await readdir(tablesIn(dir)).catch(absent)) ?? []
  if (text === undefined) {
    // A draft is what an init leaves that was cut off: nothing can have been journaled yet.
    const draft = await readFile(draftIn(dir), 'utf8').catch(absent)
    if (files.length === 0 || draft !== undefined) return undefined
    throw missing(`${tablesIn(dir)} has files, but ${identityIn(dir)}, which says whose they are, is gone`)
  }
  const { id } = identityOf(text, dir)
  if (!files.includes('CURRENT')) throw missing(`${join(tablesIn(dir), 'CURRENT')} is gone`)
  return id
}

/**
 * Makes a journal where there is none; `build` makes the database, empty or with what is brought back into it. Cut off
 * anywhere, it starts over.
 */
export async function init(
  dir: string,
  clock: Clock,
  build: () => Promise<void>,
  id = clock.id(),
): Promise<string> {
  await rm(tablesIn(dir), { recursive: true, force: true })
  await mkdir(tablesIn(dir))
  const draft = await open(draftIn(dir), 'w')
  const identity = { id, createdAt: new Date(clock.now()).toISOString(), format: FIRST_FORMAT }
  await draft.writeFile(`${JSON.stringify(identity)}\n`)
  await draft.sync()
  await draft.close()
  await build()
  await rename(draftIn(dir), identityIn(dir))
  await syncFolder(dir)
  await syncFolder(dirname(dir))
  return id
}

interface Identity {
  readonly id: string
  readonly format: number
  /** The oldest release that knows every fact in it. */
  readonly minReader: string
}

function identityOf(text: string, dir: string): Identity {
  let identity: Partial<Identity> | null = null
  try {
    identity = JSON.parse(text)
  } catch {}
  const { id, format, minReader = ANY } = identity ?? {}
  if (typeof id !== 'string' || typeof format !== 'number' || !/^\d+\.\d+\.\d+$/.test(String(minReader))) {
    throw unreadable(identityIn(dir))
  }
  const how = 'Start that one, or restore a copy from before it.'
  if (format > FORMAT) {
    const said = `The journal in ${dir} has format ${format}, and this Quipu knows ${FORMAT}: a newer one wrote it. ${how}`
    throw new Failure('journal.newer', said)
  }
  if (later(READS, minReader) !== READS) {
    const said = `The journal in ${dir} has facts that only Quipu ${minReader} and later know, and this one knows those of ${READS}. ${how}`
    throw new Failure('journal.newer', said)
  }
  return { ...identity, id, format, minReader }
}

/** The oldest release that may read the journal in `dir`. */
export async function readerIn(dir: string): Promise<string> {
  return identityOf(await readFile(identityIn(dir), 'utf8'), dir).minReader
}

/** Says from now on that only this release and later ones may read it. Whole or not at all, and on the disk. */
export async function raiseReader(dir: string, minReader: string): Promise<void> {
  const identity = identityOf(await readFile(identityIn(dir), 'utf8'), dir)
  await replaceFile(identityIn(dir), [`${JSON.stringify({ ...identity, format: FORMAT, minReader })}\n`])
}

export function missing(what: string): Failure {
  return new Failure('journal.missing', `${what}. Nothing was touched. Restore the folder from a copy.`)
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
