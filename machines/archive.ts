/**
 * What of the journal lies in archive files, and what of that was let go of on the house's own disk. There is one; its
 * id is `journal`.
 *
 *   keeping ──sealed, trimmed, rewritten──▶ keeping
 *
 * Files follow one another without a gap, and only whole ones are trimmed: what left the disk is in files that were
 * read back, under a signed checkpoint. A file is rewritten where a forgetting takes something out of its facts; which
 * facts it holds, and what the chain says of them, stays.
 */
import { assign, type SnapshotFrom, setup } from 'xstate'
import { type Decide, entity, type Message, Refusal } from './entity.ts'

export type ArchiveFact =
  | Message<
      'archive.sealed',
      {
        /** Its first and its last fact. */
        readonly first: number
        readonly last: number
        /** When these two were decided. */
        readonly firstAt: number
        readonly lastAt: number
        /** The chain's hash at the last one. */
        readonly hash: string
        /** Its name, without a folder. */
        readonly file: string
        /** Of the file. */
        readonly bytes: number
        /** Of the records in it, in hex: the same however they are compressed. */
        readonly sha256: string
      }
    >
  | Message<
      'archive.trimmed',
      {
        /** The last fact that was let go of, and the chain's hash there: what is left is verified from it. */
        readonly until: number
        readonly hash: string
        /** The fact up to which a signed checkpoint had gone. */
        readonly proven: number
      }
    >
  | Message<
      'archive.rewritten',
      {
        /** The facts of the file that was written anew. */
        readonly first: number
        readonly last: number
        /** Of the file as it is now; see `archive.sealed`. */
        readonly bytes: number
        readonly sha256: string
        /** Who wanted it: the forgetting that took something out. */
        readonly forgetting: string
      }
    >

/** `proven`: up to which fact there is a signed checkpoint; 0 where there is none. */
export type ArchiveCommand =
  | Message<'archive.seal', Extract<ArchiveFact, { type: 'archive.sealed' }>['data']>
  | Message<'archive.trim', { readonly until: number; readonly proven: number }>
  | Message<'archive.rewrite', Extract<ArchiveFact, { type: 'archive.rewritten' }>['data']>

export interface ArchiveContext {
  /** The ends of the files, in order. */
  readonly ends: readonly { readonly last: number; readonly hash: string }[]
  readonly trimmed: number
}

const machine = setup({ types: { context: {} as ArchiveContext, events: {} as ArchiveFact } }).createMachine({
  id: 'archive',
  context: { ends: [], trimmed: 0 },
  initial: 'keeping',
  states: {
    keeping: {
      on: {
        'archive.sealed': {
          actions: assign({
            ends: ({ context, event: { data } }) => [...context.ends, { last: data.last, hash: data.hash }],
          }),
        },
        'archive.trimmed': {
          actions: assign({ trimmed: ({ event }) => event.data.until }),
        },
        'archive.rewritten': { actions: assign({}) },
      },
    },
  },
})

const decide: Decide<SnapshotFrom<typeof machine>, ArchiveCommand, ArchiveFact> = {
  'archive.seal': ({ context }, { data }) => {
    const next = (context.ends.at(-1)?.last ?? 0) + 1
    if (data.first !== next || data.last < next) {
      throw new Refusal('archive.order', `the next file begins with fact ${next}, and not with ${data.first}`)
    }
    return [{ type: 'archive.sealed', data }]
  },

  'archive.trim': ({ context }, { data: { until, proven } }) => {
    if (until <= context.trimmed) return []
    const end = context.ends.find(({ last }) => last === until)
    if (end === undefined) {
      throw new Refusal(
        'archive.unsealed',
        `no archive file ends with fact ${until}, so nothing up to it may go`,
      )
    }
    if (proven < until) {
      const how =
        proven === 0 ? 'there is no signed checkpoint' : `the last signed checkpoint is of fact ${proven}`
      throw new Refusal('archive.unproven', `${how}, so nothing up to fact ${until} may go yet`)
    }
    return [{ type: 'archive.trimmed', data: { until, hash: end.hash, proven } }]
  },

  'archive.rewrite': ({ context: { ends } }, { data }) => {
    const place = ends.findIndex(({ last }) => last === data.last)
    if (place === -1 || data.first !== (ends[place - 1]?.last ?? 0) + 1) {
      const said = `no archive file holds just the facts ${data.first} to ${data.last}`
      throw new Refusal('archive.unsealed', said)
    }
    return [{ type: 'archive.rewritten', data }]
  },
}

export const archive = entity({ kind: 'archive', machine, decide })
