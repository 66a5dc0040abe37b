/** Is there room on the disk, and is it a disk to keep a journal on? */
import { statfs } from 'node:fs/promises'
import { RESERVE_BYTES } from '../../journal/level.ts'
import { countOf, sizeOf } from '../quantities.ts'
import { bad, type Finding, ok, type Room, warning } from './finding.ts'

/** The spool stops at twice the journal's reserve; this is early enough to do something. */
const TIGHT_BYTES = 16 * RESERVE_BYTES
const TIGHT_FILES = 1_000
/** statfs(2), f_type: those where a sync may not be one, and the one that is memory. */
const KINDS: ReadonlyMap<number, readonly [name: string, what: string]> = new Map([
  [0x6969, ['NFS', 'over a network']],
  [0xff534d42, ['CIFS', 'over a network']],
  [0xfe534d42, ['SMB', 'over a network']],
  [0x01021997, ['9P', 'over a network']],
  [0x01021994, ['tmpfs', 'in memory, and gone with the next boot']],
  [0x858458f6, ['ramfs', 'in memory, and gone with the next boot']],
])

export const disk: Room = async ({ dir }) => {
  const { bavail, bsize, ffree, files, type } = await statfs(dir)
  return [room(bavail * bsize), ...inodes(ffree, files), ...kind(type)]
}

function room(freeBytes: number): Finding {
  const says = `${sizeOf(freeBytes)} are free on its disk`
  if (freeBytes < RESERVE_BYTES) {
    const meanwhile = `with less than ${sizeOf(RESERVE_BYTES)} nothing is written, and every request gets 503`
    return bad(`${says}: ${meanwhile}.`, 'Make room. A house that runs goes on by itself, within 16 s.')
  }
  if (freeBytes < TIGHT_BYTES) {
    return warning(
      `${says}, and at ${sizeOf(RESERVE_BYTES)} the house stops taking requests.`,
      'Make room before it comes to that; --spool-max says how much the bodies and answers of jobs may take.',
    )
  }
  return ok(`${says}.`)
}

function inodes(free: number, all: number): readonly Finding[] {
  // Btrfs and some others have no such limit, and say 0.
  if (all === 0 || free >= TIGHT_FILES) return []
  const says = `Only ${countOf(free, 'more file')} can be made on its disk, whatever room there is.`
  const next = 'Remove small files there: `df -i` shows the limit. Each job has up to two files in spool/.'
  return [free < 50 ? bad(says, next) : warning(says, next)]
}

function kind(type: number): readonly Finding[] {
  const [name, what] = KINDS.get(type) ?? []
  if (name === undefined) return []
  const next =
    'A journal is worth what its disk keeps. Move the folder to a local disk while the house is stopped.'
  return [warning(`Its file system is ${name}: ${what}.`, next)]
}
