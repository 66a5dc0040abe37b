/**
 * Where a doctor looks, in this order. A new room of the data folder is one row here: a function from a folder to
 * findings, that changes nothing.
 */
import { archives } from './archives.ts'
import { checkpoints } from './checkpoints.ts'
import { disk } from './disk.ts'
import { facts } from './facts.ts'
import type { Room } from './finding.ts'
import { folder } from './folder.ts'
import { identity } from './identity.ts'
import { lock } from './lock.ts'
import { machine } from './machine.ts'
import { marks } from './marks.ts'
import { pki } from './pki.ts'
import { secret } from './secret.ts'
import { snapshots } from './snapshots.ts'
import { spool } from './spool.ts'
import { stats } from './stats.ts'
import { tables } from './tables.ts'

export const rooms = {
  machine,
  folder,
  disk,
  lock,
  identity,
  tables,
  facts,
  archives,
  checkpoints,
  snapshots,
  marks,
  secret,
  pki,
  spool,
  stats,
} as const satisfies Readonly<Record<string, Room>>

export type RoomName = keyof typeof rooms

/** Where one of these is bad, there is nothing to look at behind it. */
export const doors: ReadonlySet<RoomName> = new Set(['folder', 'identity'])
