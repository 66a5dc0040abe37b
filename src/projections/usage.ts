/** Since when is each model known, how often did it answer, and when did it last? */
import type { ModelData } from '../../machines/model.ts'
import { projection } from './projection.ts'

export interface ModelUsage {
  /** As the first node that had it said; sizes in bytes. */
  data: ModelData
  readonly firstAt: number
  /** Requests that it answered, or began to, without an error. */
  count: number
  /** When it last did, milliseconds since the epoch; 0 for never. */
  lastAt: number
  /** No node has it any more. */
  gone: boolean
}

interface Usages {
  readonly models: Map<string, ModelUsage>
  /** The models of open requests that do not count yet: of some of them, no node ever heard. */
  readonly open: Map<string, string>
}

export type Usage = ReturnType<typeof usage>

/** Of models that are gone, as many are remembered; whoever pulls and deletes all day does not fill the memory. */
const GONE_MAX = 1_000

export const usage = () =>
  projection({ models: new Map(), open: new Map() } as Usages, {
    'model.found': ({ models }, { id, at, data }) => {
      const known = models.get(id)
      if (known === undefined) models.set(id, { data, firstAt: at, count: 0, lastAt: 0, gone: false })
      else Object.assign(known, { data, gone: false })
    },
    'model.gone': ({ models }, { id }) => {
      const known = models.get(id)!
      known.gone = true
      // To the end: whoever went first is forgotten first.
      models.delete(id)
      models.set(id, known)
      const gone = [...models].filter(([, model]) => model.gone)
      if (gone.length > GONE_MAX) models.delete(gone[0]![0])
    },
    'request.admitted': ({ open }, { id, data: { model } }) => void open.set(id, model),
    'request.begun': (self, { id, at, data }) => count(self, id, at, data.status),
    // What a worker from outside answers is never begun.
    'request.completed': (self, { id, at, data }) => {
      count(self, id, at, data.status)
      self.open.delete(id)
    },
    'request.failed': end,
    'request.expired': end,
    'request.abandoned': end,
    'request.cancelled': end,
  })

/** Once a request: a job may be begun again. */
function count({ models, open }: Usages, id: string, at: number, status: number): void {
  const model = models.get(open.get(id) ?? '')
  if (model === undefined || status >= 400) return
  model.count += 1
  model.lastAt = at
  open.delete(id)
}

function end({ open }: Usages, { id }: { readonly id: string }): void {
  open.delete(id)
}
