/**
 * A forgetting is one client that somebody wants to be forgotten. Whose name it was is nowhere in it.
 *
 *   new ──ordered──▶ ordered ──done──▶ done
 *
 * Between the two, facts lose the name, and nothing but the name. What they still say is no longer what the chain
 * covers; the digest in `ordered` is over all of it, so that who alters it later, or takes a name out without any
 * forgetting, is found.
 */
import { type SnapshotFrom, setup } from 'xstate'
import { type Decide, entity, type Message } from './entity.ts'

export type ForgettingFact =
  | Message<
      'forgetting.ordered',
      {
        /** How many facts lose the name. */
        readonly facts: number
        /** The last fact that may be among them. */
        readonly until: number
        /** Over what each of them still says, in order; SHA-256, base64url. See journal/chain.ts. */
        readonly digest: string
        /** Facts that keep the name all the same, because their header has it: who asked for them. */
        readonly kept: number
      }
    >
  | Message<'forgetting.done', Record<string, never>>

export type ForgettingCommand =
  | Message<'forgetting.order', Extract<ForgettingFact, { type: 'forgetting.ordered' }>['data']>
  | Message<'forgetting.end', Record<string, never>>

const machine = setup({ types: { context: {} as object, events: {} as ForgettingFact } }).createMachine({
  id: 'forgetting',
  context: {},
  initial: 'new',
  states: {
    new: { on: { 'forgetting.ordered': 'ordered' } },
    ordered: { on: { 'forgetting.done': 'done' } },
    done: { type: 'final' },
  },
})

const decide: Decide<SnapshotFrom<typeof machine>, ForgettingCommand, ForgettingFact> = {
  'forgetting.order': (_new, { data }) => [{ type: 'forgetting.ordered', data }],
  'forgetting.end': () => [{ type: 'forgetting.done', data: {} }],
}

export const forgetting = entity({ kind: 'forgetting', machine, decide })
