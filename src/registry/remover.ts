/**
 * Takes copies of models off nodes, one after the other: by the node's own API, and then there is a fact of who did it. The
 * node is looked at before anybody is told, so that `replica.removed` is in the journal, too.
 */
import { replicaId } from '../../machines/replica.ts'
import type { Clock } from '../clock.ts'
import type { Engine } from '../engine/engine.ts'
import { Failure } from '../failure.ts'
import { NodeAnswer, type Ollama } from '../ollama/ollama.ts'
import type { Fleet } from '../projections/fleet.ts'

export interface RemoverNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly fleet: Fleet
  readonly ollama: (url: string) => Pick<Ollama, 'ask'>
  readonly look: (node: string) => Promise<void>
}

/** Why a copy goes, where nobody asked for just that. */
export type Surplus = 'policy' | 'sync' | 'optimize'

const ANSWER_MAX_MS = 30_000
/** A node that says no is not asked again at once. */
const PAUSE_MS = 10 * 60_000

export class Remover {
  readonly #needs: RemoverNeeds
  /** Copies that are being removed; and when the next try makes sense of those that could not be, on a clock that never jumps. */
  readonly #busy = new Set<string>()
  readonly #resting = new Map<string, number>()

  constructor(needs: RemoverNeeds) {
    this.#needs = needs
  }

  /** Whether it could not be removed a short while ago. */
  minds(model: string, node: string): boolean {
    const id = replicaId(model, node)
    const until = this.#resting.get(id)
    if (until !== undefined && until <= this.#needs.clock.monotonic()) this.#resting.delete(id)
    return this.#resting.has(id)
  }

  /** Resolves to why not, in words, where it is still there. */
  async remove(
    model: string,
    node: string,
    { by, cause }: { readonly by: string; readonly cause?: Surplus },
  ): Promise<string | undefined> {
    const { clock, engine, fleet, look, ollama } = this.#needs
    const id = replicaId(model, node)
    const there = fleet.state.get(node)
    if (there === undefined) return 'there is no such node'
    if (there.reach !== 'up') return 'it is not up'
    if (this.#busy.has(id)) return 'it is being removed already'
    this.#busy.add(id)
    const late = new AbortController()
    const timer = clock.after(ANSWER_MAX_MS, () => late.abort())
    try {
      await ollama(there.url).ask('DELETE', '/api/delete', { model }, late.signal)
      const data = { nodes: [node], ...(cause && { cause }) }
      engine.attempt('model', model, { type: 'model.delete', data, by })
      this.#resting.delete(id)
      await look(node)
      return undefined
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      const status = error instanceof NodeAnswer ? error.status : 502
      await look(node)
      // Somebody else was quicker.
      if (status === 404) return undefined
      engine.attempt('model', model, {
        type: 'model.fail',
        data: { verb: 'delete', nodes: [node], status },
        by,
      })
      this.#resting.set(id, clock.monotonic() + PAUSE_MS)
      return error.message
    } finally {
      timer.cancel()
      this.#busy.delete(id)
    }
  }
}
