/** The spool: its keys, what lies there without one, how much it takes. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { heldBy } from '../../spool/keys.ts'
import { countOf, sizeOf } from '../quantities.ts'
import { bad, type Finding, ok, type Room, warning } from './finding.ts'
import { openTo } from './secret.ts'

const PART = /^([\w-]{1,64})\.[a-z]{1,16}(?:-\d{1,9})?\.(part|open)$/

export const spool: Room = async ({ dir }) => {
  const folder = join(dir, 'spool')
  const found = await stat(folder).catch(() => undefined)
  if (found === undefined) return []
  const keys = join(folder, 'keys')
  const parts = (await readdir(folder)).map(name => PART.exec(name)).filter(part => part !== null)
  const sizes = await Promise.all(
    parts.map(([name]) =>
      stat(join(folder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  const ids = new Set(parts.map(([, id = '']) => id))
  const findings: Finding[] = [...openTo(folder, found.mode)]
  const raw = await readFile(keys).catch(() => undefined)
  if (raw === undefined) {
    if (ids.size > 0) {
      const says = `${keys} is gone, and without it nothing of ${countOf(ids.size, 'item')} can be read: no house starts.`
      findings.push(bad(says, `Restore it. Or remove ${folder}, to go on without what is in it.`))
    }
    return findings
  }
  findings.push(...openTo(keys, (await stat(keys)).mode))
  const held = heldBy(raw)
  if (held === undefined) {
    const says = `${keys} does not begin as a file of keys does: no house starts.`
    return [...findings, bad(says, `Restore it. Or remove ${folder}, to go on without what is in it.`)]
  }
  if (held.damaged > 0) {
    const says = `${countOf(held.damaged, 'key')} of the spool ${held.damaged === 1 ? 'is' : 'are'} damaged.`
    findings.push(
      warning(says, 'Whose they were, cannot be read any more. Everything else can. Look at the disk.'),
    )
  }
  const orphans = [...ids].filter(id => !held.has(id)).length
  if (orphans > 0) {
    const says = `${countOf(orphans, 'item')} in the spool ${orphans === 1 ? 'has' : 'have'} no key: a crash left ${orphans === 1 ? 'it' : 'them'}, or the file of keys is of another day.`
    const next =
      'The next start removes them. If the folder was put together from two copies, take one of them whole.'
    findings.push(warning(says, next))
  }
  if (findings.length > 0) return findings
  return [ok(`${countOf(ids.size, 'item')} of jobs in the spool, ${sizeOf(bytes)}; each has its key.`)]
}
