/**
 * What was refused is no fact: nothing came of it, and whoever may knock could fill the disk with knocking. That so many
 * were turned away, and why, is one: counted, at most once a minute. There is one stream, `house`.
 *
 *   counting ──counted──▶ counting
 */
import { assign, type SnapshotFrom, setup } from 'xstate'
import { type Decide, entity, type Message } from './entity.ts'

export type RefusalsFact = Message<
  'refusals.counted',
  {
    /** Milliseconds since the epoch. */
    readonly since: number
    /** By code (docs/errors.md); where there was none, by status, as `http.404`. */
    readonly codes: { readonly [code: string]: number }
  }
>

export type RefusalsCommand = Message<'refusals.count', RefusalsFact['data']>

const machine = setup({ types: { context: {} as object, events: {} as RefusalsFact } }).createMachine({
  id: 'refusals',
  context: {},
  initial: 'counting',
  states: {
    counting: { on: { 'refusals.counted': { target: 'counting', actions: assign({}) } } },
  },
})

const decide: Decide<SnapshotFrom<typeof machine>, RefusalsCommand, RefusalsFact> = {
  'refusals.count': (_counting, { data }) =>
    Object.keys(data.codes).length === 0 ? [] : [{ type: 'refusals.counted', data }],
}

export const refusals = entity({ kind: 'refusals', machine, decide })
