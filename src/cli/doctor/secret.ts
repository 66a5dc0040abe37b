/** The house's secret: there, whole, and nobody else's to read. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { bad, type Finding, ok, type Room, warning } from './finding.ts'

const SECRET_BYTES = 32

export const secret: Room = async ({ dir }) => {
  const path = join(dir, 'secret')
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) {
    return [
      warning(
        'There is no `secret`. A house that has run here before has lost it.',
        'The next start makes one. Restore the old one if you have it: with another, Idempotency-Keys of before are not known again.',
      ),
    ]
  }
  if (found.size !== SECRET_BYTES) {
    return [
      bad(
        `${path} has ${found.size} bytes, and a secret has ${SECRET_BYTES}: no house starts.`,
        'Restore it from a copy. Without one, remove it: the next start makes another, and Idempotency-Keys of before are not known again.',
      ),
    ]
  }
  const open = openTo(path, found.mode)
  return open.length > 0 ? open : [ok('The secret is there, for its owner alone.')]
}

/** Bad where others than the owner may read what is his alone. */
export function openTo(path: string, mode: number): readonly Finding[] {
  if (process.platform === 'win32' || (mode & 0o077) === 0) return []
  const says = `Others on this machine may read ${path} (${(mode & 0o777).toString(8)}).`
  return [bad(says, `chmod go-rwx ${path}`)]
}
