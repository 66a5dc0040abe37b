/**
 * What the spool holds of a job: its question and its answer, until it is erased. The id is the job's.
 *
 *   kept ──erased──▶ erased
 */
import { type SnapshotFrom, setup } from 'xstate'
import { type Decide, entity, type Message } from './entity.ts'

/** Somebody asked for it, it was old, or there was no room. */
export type ErasedWhy = 'asked' | 'age' | 'room'

export type SpoolFact = Message<
  'spool.erased',
  {
    readonly why: ErasedWhy
    /** Given back to the disk. */
    readonly bytes: number
  }
>

export type SpoolCommand = Message<'spool.erase', SpoolFact['data']>

const machine = setup({ types: { context: {} as object, events: {} as SpoolFact } }).createMachine({
  id: 'spool',
  context: {},
  initial: 'kept',
  states: {
    kept: { on: { 'spool.erased': 'erased' } },
    erased: { type: 'final' },
  },
})

const decide: Decide<SnapshotFrom<typeof machine>, SpoolCommand, SpoolFact> = {
  'spool.erase': (_kept, { data }) => [{ type: 'spool.erased', data }],
}

export const spool = entity({ kind: 'spool', machine, decide })
