/**
 * Whenever the house has decided to load a model, load it with a request of the house's own: a client that hangs up
 * would take its load with it (Ollama aborts the load whose owner disconnects).
 */
import { type Residence, replicaParts } from '../../machines/replica.ts'
import { optionsOf } from '../../machines/variant.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engine/engine.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import { Failure } from '../failure.ts'
import type { Catalog } from '../projections/catalog.ts'
import type { Fleet } from '../projections/fleet.ts'
import type { Residency } from '../projections/residency.ts'
import type { LoadWish } from './seats.ts'

export interface Loader {
  readonly engine: Engine
  readonly clock: Clock
  readonly config: Pick<Config, 'loadMaxMs'>
  readonly fleet: Fleet
  readonly residency: Residency
  readonly catalog: Catalog
  /** Loads a model on a node; resolves when it is in memory, with what it takes there; throws a Failure. */
  readonly load: (url: string, model: string, wish: LoadOrder) => Promise<Residence | undefined>
  /** Unloads a model from a node; throws a Failure. */
  readonly unload: (url: string, model: string, order: UnloadOrder) => Promise<void>
  /** What the request it is loaded for asked of the load. */
  readonly wish: (request: string) => LoadWish | undefined
  /** Looks at a node again: a load may have evicted something. */
  readonly look: (node: string) => void
}

/** Embedding models are loaded and unloaded by another call. */
export interface UnloadOrder {
  readonly embedding: boolean
  readonly signal: AbortSignal
}

export interface LoadOrder extends LoadWish, UnloadOrder {
  /** Only those that decide how a model is loaded. */
  readonly options?: Readonly<Record<string, unknown>>
}

export const loader = (self: Loader): Reactor => {
  const active = new Map<string, AbortController>()

  const isEmbedding = (model: string): boolean =>
    self.catalog.state.get(model)?.capabilities.join() === 'embedding'

  /** Whoever has to go is sent away first; where that fails, the node sees to it itself. */
  const replace = async (url: string, model: string, order: LoadOrder, victims: readonly string[]) => {
    const { signal } = order
    for (const victim of victims)
      await self.unload(url, victim, { embedding: isEmbedding(victim), signal }).catch(failed)
    return self.load(url, model, order)
  }

  const start = (id: string, request: string, variant: string, victims: readonly string[] = []): void => {
    const { model, node } = replicaParts(id)
    const url = self.fleet.state.get(node)?.url
    if (url === undefined || active.has(id)) return
    const abort = new AbortController()
    active.set(id, abort)
    const began = self.clock.monotonic()
    const timer = self.clock.after(self.config.loadMaxMs, () => abort.abort())
    const order: LoadOrder = {
      ...self.wish(request),
      ...(variant !== '' && { options: optionsOf(variant) }),
      embedding: isEmbedding(model),
      signal: abort.signal,
    }
    replace(url, model, order, victims)
      .then(
        residence => {
          const ms = Math.round(self.clock.monotonic() - began)
          const data = { ms, ...(residence && { residence }) }
          self.engine.attempt('replica', id, { type: 'replica.confirm', data })
        },
        error => {
          failed(error)
          const data = { reason: error.code, status: 'status' in error ? Number(error.status) : 0 }
          self.engine.attempt('replica', id, { type: 'replica.fail', data })
        },
      )
      .finally(() => {
        timer.cancel()
        active.delete(id)
        self.look(node)
      })
  }

  const stop = (node: string): void => {
    for (const [id, abort] of active) if (replicaParts(id).node === node) abort.abort()
  }

  return reactor(self, {
    on: {
      'replica.loading': (_self, { id, data: { request, variant = '', evicts, evictsAlso = [] } }) =>
        start(id, request, variant, evicts === undefined ? [] : [evicts, ...evictsAlso]),
      'node.lost': (_self, { id }) => stop(id),
      'node.removed': (_self, { id }) => stop(id),
    },
    resume: ({ residency }) => {
      for (const replicas of residency.state.byNode.values()) {
        for (const { id, state, variant } of replicas.values())
          if (state === 'loading') start(id, '', variant)
      }
    },
  })
}

/** The world said no; anything else is a bug. */
function failed(error: unknown): asserts error is Failure {
  if (!(error instanceof Failure)) throw error
}
