/** LevelDB's files, without LevelDB: are they there, are the tables what was written, what did it say itself? */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { badTables } from '../../journal/blocks.ts'
import { tablesIn } from '../../journal/folder.ts'
import { countOf, sizeOf } from '../quantities.ts'
import { progress } from '../terminal.ts'
import { bad, type Finding, ok, type Room, warning } from './finding.ts'

const RESTORE = 'Restore the folder from a copy, and look at the disk: `dmesg`, `smartctl -a`.'

export const tables: Room = async ({ dir, signal }) => {
  const folder = tablesIn(dir)
  return [...(await manifest(folder)), ...(await checksums(folder, signal)), ...(await diary(folder))]
}

/** CURRENT names the manifest, and the manifest the tables. */
async function manifest(folder: string): Promise<readonly Finding[]> {
  const current = await readFile(join(folder, 'CURRENT'), 'latin1')
  const [, name] = /^(MANIFEST-\d+)\n$/.exec(current) ?? []
  if (name === undefined) return [bad(`${join(folder, 'CURRENT')} does not name a manifest.`, RESTORE)]
  const size = await stat(join(folder, name)).then(
    ({ size }) => size,
    () => undefined,
  )
  if (size === undefined) return [bad(`${join(folder, name)}, which CURRENT names, is gone.`, RESTORE)]
  return size === 0 ? [bad(`${join(folder, name)} is empty.`, RESTORE)] : []
}

async function checksums(folder: string, signal: AbortSignal): Promise<readonly Finding[]> {
  const names = (await readdir(folder)).filter(name => /\.(ldb|sst|log)$/.test(name))
  const sizes = await Promise.all(
    names.map(name =>
      stat(join(folder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  let seenBytes = 0
  const found = await badTables(folder, more => {
    signal.throwIfAborted()
    seenBytes += more
    progress(`${sizeOf(seenBytes)} of ${sizeOf(bytes)} of tables checked`)
  })
  progress('')
  const count = countOf(names.filter(name => !name.endsWith('.log')).length, 'table')
  if (found.length === 0) return [ok(`${count}, ${sizeOf(bytes)} with the log; every checksum is right.`)]
  return found.map(({ name, at }) =>
    bad(
      `${join(folder, name)} is not what was written, from byte ${at} on. LevelDB may end the process when it reads that.`,
      RESTORE,
    ),
  )
}

/** LevelDB says in LOG what it drops, and goes on. It begins a new one whenever it is opened, and keeps one old. */
const TROUBLE =
  /(dropping \d+ bytes|ignoring error|corruption|checksum mismatch|IO error|No space left|missing files)/i

async function diary(folder: string): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  for (const name of ['LOG.old', 'LOG']) {
    const lines = await readFile(join(folder, name), 'utf8').then(troubles, () => [])
    if (lines.length === 0) continue
    const more = lines.length === 1 ? '' : ` (and ${lines.length - 1} more such lines)`
    findings.push(
      warning(
        `LevelDB had trouble, ${name === 'LOG' ? 'the last time it was open' : 'the time before the last'}: "${lines.at(-1)}"${more}.`,
        'If all facts verify below, nothing came of it. Look at the disk all the same: `dmesg`.',
      ),
    )
  }
  return findings
}

/** Lines of trouble, without the time and the thread that stand before. */
export function troubles(text: string): readonly string[] {
  return text
    .split('\n')
    .filter(line => TROUBLE.test(line))
    .map(line => line.replace(/^\S+ \S+ /, ''))
}
