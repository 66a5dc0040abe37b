/**
 * A model is a name clients ask for. It is known while at least one node has a replica of it.
 *
 *   absent ──found──▶ known ──gone──▶ absent          pulled, created, copied, pushed, deleted, failed:
 *                                                     what people did to it through the house, and who
 */
import { assign, type SnapshotFrom, setup } from 'xstate'
import { type Decide, entity, type Message } from './entity.ts'

/** What /api/tags says of a model; sizes in bytes, digest of the manifest in hex. */
export type ModelData = {
  readonly digest: string
  readonly sizeBytes: number
  readonly family: string
  readonly parameterSize: string
  readonly quantization: string
  readonly capabilities: readonly string[]
}

export type Verb = 'pull' | 'create' | 'copy' | 'push' | 'delete'

type Deed = { readonly nodes: readonly string[] }
/** What the house took away by itself, or after a proposal: a copy that was one too many. Not there where people asked. */
type Surplus = { readonly cause?: 'policy' | 'sync' | 'optimize' }

export type ModelFact =
  | Message<'model.found', ModelData>
  | Message<'model.gone', Record<string, never>>
  | Message<'model.pulled', Deed>
  | Message<'model.created', Deed>
  | Message<'model.copied', Deed & { readonly to: string }>
  | Message<'model.pushed', Deed>
  | Message<'model.deleted', Deed & Surplus>
  | Message<'model.failed', Deed & { readonly verb: Verb; readonly status: number }>

export type ModelCommand =
  | Message<'model.find', ModelData>
  | Message<'model.lose', Record<string, never>>
  | Message<'model.pull', Deed>
  | Message<'model.create', Deed>
  | Message<'model.copy', Deed & { readonly to: string }>
  | Message<'model.push', Deed>
  | Message<'model.delete', Deed & Surplus>
  /** A verb that ended badly: `status` is what the node (or the house, 502) answered. */
  | Message<'model.fail', Deed & { readonly verb: Verb; readonly status: number }>

export interface ModelContext {
  readonly digest: string
  readonly sizeBytes: number
  readonly capabilities: readonly string[]
  /** When somebody last did something to it, or tried; milliseconds since the epoch. */
  readonly touchedAt: number
}

const charts = setup({ types: { context: {} as ModelContext, events: {} as ModelFact } })
const touched = charts.assign({ touchedAt: ({ event }) => event.at })

const machine = charts.createMachine({
  id: 'model',
  context: { digest: '', sizeBytes: 0, capabilities: [], touchedAt: 0 },
  initial: 'absent',
  on: {
    'model.found': {
      target: '.known',
      actions: assign(({ event: { data } }) => ({
        digest: data.digest,
        sizeBytes: data.sizeBytes,
        capabilities: data.capabilities,
      })),
    },
    'model.pulled': { actions: touched },
    'model.created': { actions: touched },
    'model.copied': { actions: touched },
    'model.pushed': { actions: touched },
    'model.deleted': { actions: touched },
    'model.failed': { actions: touched },
  },
  states: { absent: {}, known: { on: { 'model.gone': 'absent' } } },
})

const decide: Decide<SnapshotFrom<typeof machine>, ModelCommand, ModelFact> = {
  'model.find': (model, { data }) =>
    model.matches('known') && model.context.digest === data.digest ? [] : [{ type: 'model.found', data }],
  'model.lose': model => (model.matches('known') ? [{ type: 'model.gone', data: {} }] : []),
  'model.pull': (_model, { data }) => [{ type: 'model.pulled', data }],
  'model.create': (_model, { data }) => [{ type: 'model.created', data }],
  'model.copy': (_model, { data }) => [{ type: 'model.copied', data }],
  'model.push': (_model, { data }) => [{ type: 'model.pushed', data }],
  'model.delete': (_model, { data }) => [{ type: 'model.deleted', data }],
  'model.fail': (_model, { data }) => [{ type: 'model.failed', data }],
}

export const model = entity({ kind: 'model', machine, decide })
