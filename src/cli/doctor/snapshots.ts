/** Snapshots make a start quick, and are never needed: a damaged one costs time. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readSnapshot } from '../../snapshots/file.ts'
import { countOf } from '../quantities.ts'
import { type Finding, ok, type Room, warning } from './finding.ts'

export const snapshots: Room = async ({ dir }) => {
  const folder = join(dir, 'snapshots')
  const names = (await readdir(folder).catch(() => [])).filter(name => name.endsWith('.snapshot')).sort()
  const findings: Finding[] = []
  let newest = 0
  for (const name of names) {
    const read = await readSnapshot(join(folder, name)).catch((error: Error) => error)
    if (read instanceof Error) {
      const says = `${join(folder, name)} cannot be read: ${read.message}.`
      findings.push(
        warning(says, 'It is left aside; the next start takes longer. Remove it, and look at the disk.'),
      )
    } else newest = read.label.seq
  }
  if (findings.length > 0 || names.length === 0) return findings
  return [ok(`${countOf(names.length, 'snapshot')}, the newest of fact ${countOf(newest)}.`)]
}
