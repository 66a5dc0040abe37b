/** The doors of the archive: what is in files, and what is being put there or let go of. */
import type { FastifyInstance } from 'fastify'
import { Refusal } from '../../machines/entity.ts'
import type { Journal } from '../journal/journal.ts'
import type { ArchiveProjection } from '../projections/archive.ts'
import type { Manners } from './control.ts'
import { doors, hang } from './doors.ts'
import type { Archive, Before } from './schema/journal.ts'
import type { Given, Told } from './schema/words.ts'

export interface ArchiveNeeds {
  readonly journal: Journal
  readonly archive: ArchiveProjection
  readonly archivist: ArchivistLike
}

type When = { readonly seq: number } | { readonly at: number }

/** Begins; throws a Refusal where it cannot. `work` is what is being done, or what came of the last. */
export interface ArchivistLike {
  readonly dir: string
  readonly work: Told<typeof Archive>['work']
  seal(before: When, by: string): void
  trim(before: When, by: string): void
}

export function archiveDoors(app: FastifyInstance, needs: ArchiveNeeds, { told, write }: Manners): void {
  const { archivist } = needs
  hang(app, doors.archive, ({ reply }) => told(reply, archiveView(needs)))
  hang(
    app,
    doors.seal,
    ({ body, by }) => {
      archivist.seal(when(body), by)
      return archiveView(needs)
    },
    write,
  )
  hang(
    app,
    doors.trim,
    ({ body, by }) => {
      archivist.trim(when(body), by)
      return archiveView(needs)
    },
    write,
  )
}

function when({ seq, at }: Given<typeof Before>): When {
  if (seq !== undefined && at === undefined) return { seq }
  if (at !== undefined && seq === undefined) return { at }
  throw new Refusal('request.invalid', 'say before what: either "seq" or "at"')
}

/** What there is, as the doors and the verb tell it. */
export function archiveView({
  journal,
  archive: { state },
  archivist: { dir, work },
}: Omit<ArchiveNeeds, 'archivist'> & { readonly archivist: Pick<ArchivistLike, 'dir' | 'work'> }): Told<
  typeof Archive
> {
  const { files, trimmed } = state
  return {
    dir,
    sealed: files.at(-1)?.last ?? 0,
    trimmed: trimmed?.until ?? 0,
    first: journal.base.seq + 1,
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    files,
    ...(work && { work }),
  }
}
