/**
 * A copy of a journal's folder as it was at one moment, whether a house runs on it or not.
 *
 * LevelDB cannot only read. It lets one process in, and merely opening a database rewrites it: the log becomes a
 * table and is deleted, damage and all. So an audit opens a copy, and leaves the folder itself as it is. (Links
 * instead would save the room, but LevelDB might reuse the number of a table that is not finished, and write
 * through the link.)
 *
 * A house that runs meanwhile only appends to its log; whatever else LevelDB does makes or drops a file, or adds to
 * the manifest. So when neither has happened while the files were copied, the copy is a state the database was in,
 * as after a crash.
 */
import { constants } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Failure } from '../failure.ts'
import { Damage } from '../journal/damage.ts'
import { sizeOf } from './quantities.ts'

export interface Copy {
  readonly dir: string
  remove(): Promise<void>
}

/** Tables stay as they are, so that a later round has little to copy; the second is already rare. */
const ROUNDS_MAX = 20
/** What LevelDB needs beside the copy to open it: what is in the log becomes a table. */
const RESERVE_BYTES = 67_108_864

export async function takeCopy(dir: string, signal: AbortSignal): Promise<Copy> {
  const copy = await mkdtemp(join(tmpdir(), 'quipu-audit-'))
  const remove = (): Promise<void> => rm(copy, { recursive: true, force: true })
  try {
    await copyFile(join(dir, 'journal.json'), join(copy, 'journal.json')).catch(absent)
    // Before the facts: it says how far they must come at least.
    const mark = await steady(join(dir, 'mark'))
    if (mark !== undefined) await writeFile(join(copy, 'mark'), mark)
    // The same holds for what was signed; replaced as a whole, and needed by an audit alone.
    await mkdir(join(copy, 'checkpoints'))
    await copyFile(join(dir, 'checkpoints', 'latest'), join(copy, 'checkpoints', 'latest')).catch(absent)
    await copyTables(join(dir, 'journal'), join(copy, 'journal'), signal)
    return { dir: copy, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

async function copyTables(from: string, to: string, signal: AbortSignal): Promise<void> {
  await mkdir(to)
  let before = await outline(from)
  const bytes = [...before.values()].reduce((sum, size) => sum + size, 0)
  const { bavail, bsize } = await statfs(to)
  if (bavail * bsize < bytes + RESERVE_BYTES) throw tight(to, bytes + RESERVE_BYTES, bavail * bsize)
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    for (const [name, size] of before) {
      signal.throwIfAborted()
      const there = TABLE.test(name) ? await sizeAt(join(to, name)) : undefined
      // The file system shares the blocks where it can.
      if (there !== size) {
        await copyFile(join(from, name), join(to, name), constants.COPYFILE_FICLONE).catch(absent)
      }
    }
    const after = await outline(from)
    if (same(before, after)) return
    before = after
  }
  throw new Failure('journal.unwritable', `The files in ${from} change faster than they can be copied.`, {
    retryable: true,
  })
}

const TABLE = /^\d+\.(ldb|sst)$/
/** Of LevelDB's files, those that hold what it knows. The other two are a lock and a diary. */
const CONTENT = /^(CURRENT|MANIFEST-\d+|\d+\.(ldb|sst|log))$/

/** Every file and its size. */
async function outline(folder: string): Promise<ReadonlyMap<string, number>> {
  const names = ((await readdir(folder).catch(absent)) ?? []).filter(name => CONTENT.test(name)).sort()
  const sizes = await Promise.all(names.map(name => sizeAt(join(folder, name))))
  return new Map(names.map((name, i) => [name, sizes[i] ?? -1]))
}

/** Nothing came, nothing went, and the manifest says what it said. Logs may have grown. */
function same(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): boolean {
  if (before.size !== after.size) return false
  return [...before].every(
    ([name, size]) => after.has(name) && (/\.log$/.test(name) || after.get(name) === size),
  )
}

/** The mark is written in place, at most five times a second: read until two readings agree. */
async function steady(path: string): Promise<Buffer | undefined> {
  let before = await readFile(path).catch(absent)
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const again = await readFile(path).catch(absent)
    if (again === undefined || before?.equals(again)) return again
    before = again
  }
  return before
}

async function sizeAt(path: string): Promise<number | undefined> {
  return (await stat(path).catch(absent))?.size
}

function tight(where: string, neededBytes: number, freeBytes: number): Failure {
  return new Failure(
    'audit.room',
    `a copy of the journal is read, which takes ${sizeOf(neededBytes)}, and ${tmpdir()} has ` +
      `${sizeOf(freeBytes)}; name a folder with more room in TMPDIR (tried ${where})`,
  )
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

/** What was found in the copy, said of the folder it was made of. */
export function ofFolder(dir: string, copy: string, error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const message = error.message.replaceAll(copy, dir)
  if (error instanceof Damage) return reworded(error, message)
  if (error instanceof Failure) return new Failure(error.code, message, { cause: error.cause })
  if ((error as NodeJS.ErrnoException).syscall === undefined) return error
  return new Failure('audit.unreadable', `The journal in ${dir} cannot be read: ${message}`, { cause: error })
}

function reworded({ code, seq, cause }: Damage, message: string): Damage {
  return new Damage(code as Damage['code'] & 'journal.gap', message, { ...(seq && { seq }), cause })
}
