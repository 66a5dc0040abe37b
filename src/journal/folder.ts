/**
 * The folder a journal lives in:
 *
 *   journal.json   which journal this is. Comes last at init; without it nothing is opened
 *   journal/       LevelDB's files
 *   mark           how far the journal is known to have come (mark.ts)
 *   lock           who has the folder open (lock.ts)
 *
 * Where its CURRENT file is missing, LevelDB would make an empty database and delete every table of the old one
 * (60,000 facts, seen). So it is told to make one at init only, and init only happens where there is nothing.
 */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import { unreadable } from './damage.ts'

const FORMAT = 1

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
  const id = idIn(text, dir)
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
  const identity = { id, createdAt: new Date(clock.now()).toISOString(), format: FORMAT }
  await draft.writeFile(`${JSON.stringify(identity)}\n`)
  await draft.sync()
  await draft.close()
  await build()
  await rename(draftIn(dir), identityIn(dir))
  await syncFolder(dir)
  await syncFolder(dirname(dir))
  return id
}

function idIn(text: string, dir: string): string {
  let identity: unknown
  try {
    identity = JSON.parse(text)
  } catch {}
  const { id, format } = (identity ?? {}) as { id?: unknown; format?: unknown }
  if (typeof id !== 'string' || typeof format !== 'number') {
    throw unreadable(identityIn(dir))
  }
  if (format > FORMAT) {
    throw new Failure(
      'journal.newer',
      `The journal in ${dir} has format ${format}, and this Quipu knows ${FORMAT}.`,
    )
  }
  return id
}

export function missing(what: string): Failure {
  return new Failure('journal.missing', `${what}. Nothing was touched. Restore the folder from a copy.`)
}

/** Makes what was created, renamed or removed in the folder last. */
export async function syncFolder(dir: string): Promise<void> {
  if (process.platform === 'win32') return // It cannot open a folder to sync it.
  const folder = await open(dir)
  await folder.sync()
  await folder.close()
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
