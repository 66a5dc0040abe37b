/**
 * The checkpoints a house has signed, as files:
 *
 *   latest         the newest one, an empty line, `frontier`, and the peaks of its tree (tree.ts), base64, one a line
 *   history.json   notes of earlier ones: many of the last hours, fewer the older they are, 128 in all
 */
import { join } from 'node:path'
import { Failure } from '../failure.ts'
import { type Checkpoint, readCheckpoint } from './checkpoint.ts'
import { readText, replaceFile } from './disk.ts'
import { Frontier } from './tree.ts'

const SEAM = '\nfrontier\n'
const KEPT_MAX = 128

const latestIn = (dir: string): string => join(dir, 'latest')
const historyIn = (dir: string): string => join(dir, 'history.json')

export interface Latest {
  readonly note: string
  readonly frontier: Frontier
}

/** Undefined where there is none. Throws a Failure `checkpoint.invalid` where it cannot be read for one. */
export async function readLatest(dir: string): Promise<Latest | undefined> {
  const text = await readText(latestIn(dir))
  if (text === undefined) return undefined
  const seam = text.indexOf(`\n${SEAM}`)
  const note = text.slice(0, seam + 1)
  const peaks = text
    .slice(seam + 1 + SEAM.length)
    .split('\n')
    .slice(0, -1)
  try {
    const { size, root } = readCheckpoint(note)
    const frontier = new Frontier(
      size,
      peaks.map(peak => Buffer.from(peak, 'base64')),
    )
    if (frontier.root().equals(root)) return { note, frontier }
  } catch (error) {
    if (!(error instanceof Failure || error instanceof RangeError)) throw error
  }
  throw new Failure('checkpoint.invalid', `${latestIn(dir)} does not hold what was written there.`)
}

export function latestText(note: string, peaks: readonly Buffer[]): string {
  return `${note}${SEAM}${peaks.map(peak => `${peak.toString('base64')}\n`).join('')}`
}

export async function writeLatest(dir: string, text: string): Promise<void> {
  await replaceFile(latestIn(dir), text)
}

/** Oldest first; empty where the file is not there or cannot be read: it is only a convenience. */
export async function readHistory(dir: string): Promise<readonly string[]> {
  try {
    const notes: unknown = JSON.parse((await readText(historyIn(dir))) ?? '[]')
    return Array.isArray(notes) ? notes.filter(note => typeof note === 'string') : []
  } catch (error) {
    if (error instanceof SyntaxError) return []
    throw error
  }
}

export async function writeHistory(dir: string, notes: readonly string[]): Promise<void> {
  await replaceFile(historyIn(dir), `${JSON.stringify(notes, null, 1)}\n`)
}

/** Without the one whose neighbours are closest, measured by how far back it lies: what stays thins out with age. */
export function thinned<C extends Pick<Checkpoint, 'size'>>(kept: readonly C[]): readonly C[] {
  if (kept.length <= KEPT_MAX) return kept
  const end = kept.at(-1)!.size
  let least = 1
  let closest = Number.POSITIVE_INFINITY
  for (let i = 1; i < kept.length - 1; i += 1) {
    const closeness = (kept[i + 1]!.size - kept[i - 1]!.size) / (end - kept[i]!.size + 1)
    if (closeness < closest) [least, closest] = [i, closeness]
  }
  return kept.toSpliced(least, 1)
}
