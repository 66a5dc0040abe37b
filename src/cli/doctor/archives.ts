/** Are the archive files there, one after another, and can they be read? */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '../../failure.ts'
import { identify } from '../../journal/folder.ts'
import { archivesIn } from '../../journal/level.ts'
import { checkSegment, openSegment } from '../../journal/segment.ts'
import { countOf } from '../quantities.ts'
import { progress } from '../terminal.ts'
import { bad, type Finding, ok, type Room, warning } from './finding.ts'

const FILE = /^(\d{12})-(\d{12})\.quipu\.gz$/
const BACK = 'Bring it back from a copy. Facts that were trimmed are nowhere else.'

export const archives: Room = async ({ dir, archiveDir, deep, signal }) => {
  const folder = archivesIn(dir, archiveDir)
  const names = ((await readdir(folder).catch(absent)) ?? []).filter(name => FILE.test(name)).sort()
  const id = await identify(dir)
  if (names.length === 0 || id === undefined) return []
  const findings: Finding[] = []
  let end = 0
  for (const name of names) {
    signal.throwIfAborted()
    const [first = 0, last = 0] = FILE.exec(name)!.slice(1).map(Number)
    if (first > end + 1)
      findings.push(warning(`Facts ${end + 1} to ${first - 1} are in no file in ${folder}.`, BACK))
    end = Math.max(end, last)
    if (deep) progress(`${name} is verified …`)
    const trouble = await troubleIn(join(folder, name), id, deep)
    if (trouble !== undefined) findings.push(bad(trouble.message, BACK))
  }
  if (findings.length > 0) return findings
  const how = deep ? 'verify' : 'are there; --deep reads them through'
  return [ok(`${countOf(names.length, 'archive file')}, facts 1 to ${countOf(end)}, ${how}.`)]
}

async function troubleIn(path: string, id: string, deep: boolean): Promise<Failure | undefined> {
  try {
    const segment = await openSegment(path, id)
    await segment.close()
    if (deep) await checkSegment(path, id, segment.heading)
    return undefined
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
}

/** Up to which fact the files go without a hole, from the first one on. */
export async function covered(folder: string): Promise<number> {
  let end = 0
  for (const name of ((await readdir(folder).catch(absent)) ?? []).filter(name => FILE.test(name)).sort()) {
    const [first = 0, last = 0] = FILE.exec(name)!.slice(1).map(Number)
    if (first > end + 1) break
    end = Math.max(end, last)
  }
  return end
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
