/** The samples of the servers: whole, or left aside. */
import { join } from 'node:path'
import { readRings } from '../../stats/files.ts'
import { STEPS } from '../../stats/series.ts'
import { countOf } from '../quantities.ts'
import { type Finding, ok, type Room, warning } from './finding.ts'

export const stats: Room = async ({ dir }) => {
  const findings: Finding[] = []
  const servers = new Set<string>()
  for (const step of STEPS) {
    const path = join(dir, 'stats', step.name)
    const rings = await readRings(path, step, Number.POSITIVE_INFINITY).catch((error: Error) => error)
    if (rings instanceof Error) {
      const says = `${path} cannot be read: ${rings.message}.`
      findings.push(
        warning(says, 'The house leaves it out, and writes it anew within a minute. No fact is in it.'),
      )
    } else for (const { server } of rings) servers.add(server)
  }
  if (findings.length > 0 || servers.size === 0) return findings
  return [ok(`Samples of ${countOf(servers.size, 'server')}.`)]
}
