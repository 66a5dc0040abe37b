/** Is there a folder, whose is it, and may this user use it? */
import { constants } from 'node:fs'
import { access, lstat, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { bad, type Finding, ok, type Room, warning } from './finding.ts'

export const folder: Room = async ({ dir }) => {
  const found = await stat(dir).catch((error: NodeJS.ErrnoException) => error)
  if (found instanceof Error) {
    if (found.code === 'ENOENT')
      return [
        bad(`There is no folder ${dir}.`, 'Name the right one with --data; `quipu serve` makes a new one.'),
      ]
    return [
      bad(
        `${dir} cannot be looked at: ${found.message}.`,
        'Run this as the user the house runs as, or as root.',
      ),
    ]
  }
  if (!found.isDirectory()) return [bad(`${dir} is not a folder.`, 'Name the right one with --data.')]
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => error)
  if (names instanceof Error)
    return [
      bad(`${dir} cannot be read: ${names.code}.`, 'Run this as the user the house runs as, or as root.'),
    ]
  const findings = [...(await writable(dir)), ...(await owners(dir, names, found.uid))]
  if ((found.mode & 0o002) !== 0)
    findings.push(warning(`Everybody on this machine may write into ${dir}.`, `chmod o-w ${dir}`))
  return findings.length > 0 ? findings : [ok(`${dir} is there, and this user may write to it.`)]
}

async function writable(dir: string): Promise<readonly Finding[]> {
  const refused = await access(dir, constants.R_OK | constants.W_OK | constants.X_OK).catch(error => error)
  if (refused === undefined) return []
  if (refused.code === 'EROFS')
    return [
      bad(
        `${dir} is on a file system that is mounted read-only.`,
        'Linux does that by itself when a disk fails: look at `dmesg`. Then mount it again for writing.',
      ),
    ]
  const next = `chown -R $USER ${dir}, as root; or run the house as the user whose it is.`
  return [bad(`This user may not write to ${dir}.`, next)]
}

/** A verb that was once run as root leaves files that the house's own user cannot write. */
async function owners(dir: string, names: readonly string[], uid: number): Promise<Finding[]> {
  const paths = [
    ...names,
    ...(await readdir(join(dir, 'journal')).catch(() => [])).map(name => join('journal', name)),
  ]
  const others: string[] = []
  for (const path of paths) {
    const found = await lstat(join(dir, path)).catch(() => undefined)
    if (found !== undefined && found.uid !== uid) others.push(path)
  }
  if (others.length === 0) return []
  const [first = '', ...more] = others
  const which = more.length === 0 ? first : `${first} and ${more.length} more`
  return [
    warning(
      `${which} in ${dir} belong to another user than the folder itself (${uid}).`,
      `A verb was perhaps run as root there. chown -R ${uid} ${dir}`,
    ),
  ]
}
