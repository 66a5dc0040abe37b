/**
 * What was found when the house read its own journal again (src/proofs/scrub.ts). The id is `journal`.
 *
 *   whole ──damaged──▶ damaged ──damaged──▶ damaged
 *
 * A place that is found damaged every day is told of once, as long as nothing else is found in between.
 */
import { assign, type SnapshotFrom, setup } from 'xstate'
import { type Decide, entity, type Message } from './entity.ts'

export type ScrubFact = Message<
  'scrub.damaged',
  {
    /** The first fact that is missing or not what was written; not there where a whole table cannot be trusted. */
    readonly seq?: number
    /** LevelDB's file, then. */
    readonly table?: string
    /** `journal.gap`, `journal.broken` or `archive.damaged`. */
    readonly code: string
  }
>

export type ScrubCommand = Message<'scrub.report', ScrubFact['data']>

export interface ScrubContext {
  /** Places that were told of, the last ones. */
  readonly told: readonly string[]
}

/** As many as a scrub reports of. */
const TOLD_MAX = 16

const placeOf = ({ seq, table, code }: ScrubFact['data']): string => `${seq ?? table} ${code}`

const machine = setup({ types: { context: {} as ScrubContext, events: {} as ScrubFact } }).createMachine({
  id: 'scrub',
  context: { told: [] },
  initial: 'whole',
  on: {
    'scrub.damaged': {
      target: '.damaged',
      actions: assign({
        told: ({ context, event }) => [...context.told, placeOf(event.data)].slice(-TOLD_MAX),
      }),
    },
  },
  states: { whole: {}, damaged: {} },
})

const decide: Decide<SnapshotFrom<typeof machine>, ScrubCommand, ScrubFact> = {
  'scrub.report': ({ context }, { data }) =>
    context.told.includes(placeOf(data)) ? [] : [{ type: 'scrub.damaged', data }],
}

export const scrub = entity({ kind: 'scrub', machine, decide })
