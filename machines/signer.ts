/**
 * The key that signs a journal's checkpoints (docs/adr/0027-checkpoints.md). There is one at a time; its id is
 * `journal`. Old checkpoints are verified by the keys that these facts name, one after the other.
 *
 *   none ──created──▶ signing ──rotated──▶ signing
 *
 * A key is public, in the form name+id+base64 (src/proofs/note.ts). Its secret half is in a file, and in no fact.
 */
import { assign, type SnapshotFrom, setup } from 'xstate'
import { type Decide, entity, type Message } from './entity.ts'

export type SignerFact =
  | Message<'signer.created', { readonly vkey: string }>
  | Message<
      'signer.rotated',
      {
        readonly vkey: string
        readonly before: string
        /** By the key before, over the new one: base64. Not there where that key had been lost. */
        readonly endorsement?: string
      }
    >

export type SignerCommand =
  | Message<'signer.create', { readonly vkey: string }>
  | Message<'signer.rotate', { readonly vkey: string; readonly endorsement?: string }>

export interface SignerContext {
  /** Empty while there is none. */
  readonly vkey: string
}

const machine = setup({ types: { context: {} as SignerContext, events: {} as SignerFact } }).createMachine({
  id: 'signer',
  context: { vkey: '' },
  initial: 'none',
  states: {
    none: {
      on: {
        'signer.created': { target: 'signing', actions: assign({ vkey: ({ event }) => event.data.vkey }) },
      },
    },
    signing: {
      on: {
        'signer.rotated': { target: 'signing', actions: assign({ vkey: ({ event }) => event.data.vkey }) },
      },
    },
  },
})

const decide: Decide<SnapshotFrom<typeof machine>, SignerCommand, SignerFact> = {
  'signer.create': (signer, { data }) =>
    signer.context.vkey === data.vkey ? [] : [{ type: 'signer.created', data }],
  'signer.rotate': (signer, { data: { vkey, endorsement } }) => {
    const { vkey: before } = signer.context
    if (before === vkey) return []
    const endorsed = endorsement === undefined ? {} : { endorsement }
    return [{ type: 'signer.rotated', data: { vkey, before, ...endorsed } }]
  },
}

export const signer = entity({ kind: 'signer', machine, decide })
