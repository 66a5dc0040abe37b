/**
 * Whenever the house has decided to load a model, load it with a request of the house's own: a client that hangs up
 * would take its load with it (Ollama aborts the load whose owner disconnects).
 */
import { type Residence, replicaId, replicaParts } from '../../machines/replica.ts'
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
  /** What the request it is loaded for asked of the load. */
  readonly wish: (request: string) => LoadWish | undefined
  /** Looks at a node again: a load may have evicted something. */
  readonly look: (node: string) => void
}

export interface LoadOrder extends LoadWish {
  /** Embedding models are loaded by another call. */
  readonly embedding: boolean
  readonly signal: AbortSignal
}

export const loader = (self: Loader): Reactor => {
  const active = new Map<string, AbortController>()

  const start = (id: string, request: string): void => {
    const { model, node } = replicaParts(id)
    const url = self.fleet.state.get(node)?.url
    if (url === undefined || active.has(id)) return
    const abort = new AbortController()
    active.set(id, abort)
    const began = self.clock.monotonic()
    const timer = self.clock.after(self.config.loadMaxMs, () => abort.abort())
    const embedding = self.catalog.state.get(model)?.capabilities.join() === 'embedding'
    self
      .load(url, model, { ...self.wish(request), embedding, signal: abort.signal })
      .then(
        residence => {
          const ms = Math.round(self.clock.monotonic() - began)
          const data = { ms, ...(residence && { residence }) }
          self.engine.attempt('replica', id, { type: 'replica.confirm', data })
        },
        error => {
          if (!(error instanceof Failure)) throw error
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
      'replica.loading': (_self, { id, data }) => start(id, data.request),
      'node.lost': (_self, { id }) => stop(id),
      'node.removed': (_self, { id }) => stop(id),
    },
    resume: ({ residency }) => {
      for (const replicas of residency.state.byNode.values()) {
        for (const { model, node, state } of replicas.values()) {
          if (state === 'loading') start(replicaId(model, node), '')
        }
      }
    },
  })
}
