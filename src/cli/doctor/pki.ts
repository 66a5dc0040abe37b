/** The authority that agents trust: whole, nobody else's to read, and not at its end. */
import { stat } from 'node:fs/promises'
import { Failure } from '../../failure.ts'
import { keyIn, openAuthority, pkiIn } from '../../pki/authority.ts'
import { timeOf } from '../quantities.ts'
import { bad, type Finding, ok, type Room, warning } from './finding.ts'
import { openTo } from './secret.ts'

const SOON_MS = 180 * 86_400_000

export const pki: Room = async ({ dir, now }) => {
  const folder = pkiIn(dir)
  const found = await stat(folder).catch(() => undefined)
  if (found === undefined) return []
  const authority = await openAuthority(folder).catch(error => {
    if (error instanceof Failure) return error
    throw error
  })
  if (authority instanceof Failure) {
    const says = authority.message.split('. ')[0]!
    return [bad(`${says}. No house with --agents starts, and agents get no more certificates.`, RESTORE)]
  }
  const open: Finding[] = [...openTo(folder, found.mode)]
  open.push(...openTo(keyIn(folder), (await stat(keyIn(folder))).mode))
  if (authority.until <= now)
    open.push(bad(`The house's authority has expired on ${timeOf(authority.until)}.`, ANEW))
  else if (authority.until - now < SOON_MS) {
    open.push(
      warning(
        `The house's authority expires on ${timeOf(authority.until)}, and all certificates with it.`,
        ANEW,
      ),
    )
  }
  if (open.length > 0) return open
  return [ok(`The authority of the agents is whole, for its owner alone, until ${timeOf(authority.until)}.`)]
}

const ANEW =
  'Choose a day: stop the house, move the folder `pki` away, run `quipu pki init`, start it, and invite every node again.'
const RESTORE =
  'Restore the folder `pki` from a copy. If it is lost for good, move what is left away, run `quipu pki init`, and invite every node again.'
