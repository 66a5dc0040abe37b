/**
 * Sees to it that copies stay in memory for as long as a policy says, where no request can say so itself: OpenAI's and
 * Anthropic's clients have no keep_alive, and a node leaves a copy the one it was loaded with.
 *
 *   loaded by the house ──▶ its load carried the policy's            nothing to do
 *   a native request    ──▶ its body carried it                      nothing to do
 *   loaded by others    ──▶ after the first /v1 answer from it, a load of what is loaded, with the policy's keep_alive
 *
 * Once a residence, whatever comes of it. What is known of a copy is no state: after a restart it is learned anew, for
 * one such call at most.
 */
import { type Residence, replicaId, replicaParts } from '../../machines/replica.ts'
import type { RequestFact } from '../../machines/request.ts'
import type { Clock } from '../clock.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import { Failure } from '../failure.ts'
import type { Ollama } from '../ollama/ollama.ts'
import type { Catalog } from '../projections/catalog.ts'
import type { Fleet } from '../projections/fleet.ts'
import type { History } from '../projections/history.ts'
import type { Policies } from '../projections/policies.ts'
import type { Residency } from '../projections/residency.ts'

type LoadOrder = Parameters<Ollama['load']>[1]
type Completed = Extract<RequestFact, { type: 'request.completed' }>['data']

export interface KeeperNeeds {
  readonly clock: Clock
  readonly fleet: Fleet
  readonly residency: Residency
  readonly catalog: Catalog
  readonly policies: Policies
  readonly history: History
  readonly ollama: (url: string) => Pick<Ollama, 'load' | 'unload'>
  /** Looks at a node again: a model may have left it. */
  readonly look: (node: string) => unknown
}

interface Copy {
  readonly model: string
  readonly node: string
  readonly url: string
}

/** What is in memory answers at once. What is not by now would be loaded, and that is not the idea. */
const ANSWER_MAX_MS = 5_000

export class Keeper {
  readonly reactor: Reactor
  readonly #needs: KeeperNeeds
  /** How long each copy stays, by its id, where the house has said so; seconds. */
  readonly #kept = new Map<string, number>()

  constructor(needs: KeeperNeeds) {
    this.#needs = needs
    const kept = this.#kept
    const forget = (id: string): void => void kept.delete(id)
    const forgetNode = (node: string): void => {
      for (const id of kept.keys()) if (replicaParts(id).node === node) kept.delete(id)
    }
    this.reactor = reactor(needs, {
      on: {
        'request.completed': (_needs, { id, data }) => this.#answered(id, data),
        'replica.loading': (_needs, { id }) => forget(id),
        'replica.loaded': (_needs, { id, data: { ms } }) => {
          if (ms === undefined) forget(id) // by somebody else
        },
        'replica.unloaded': (_needs, { id }) => forget(id),
        'replica.removed': (_needs, { id }) => forget(id),
        'node.lost': (_needs, { id }) => forgetNode(id), // it may come back with the same models, loaded anew
        'node.removed': (_needs, { id }) => forgetNode(id),
      },
      resume: () => {},
    })
  }

  /** Loads a model with the keep_alive that a policy gives it, whoever it is loaded for; else as ordered. */
  async load(url: string, model: string, order: LoadOrder): Promise<Residence | undefined> {
    const { fleet, policies, ollama } = this.#needs
    const keepAliveS = policies.state.get(model)?.keepAliveS
    if (keepAliveS === undefined) return ollama(url).load(model, order)
    const residence = await ollama(url).load(model, { ...order, keepAlive: keepAliveS })
    if (keepAliveS === 0) return residence // no load can say that
    for (const node of fleet.state.values()) {
      if (node.url === url) this.#kept.set(replicaId(model, node.name), keepAliveS)
    }
    return residence
  }

  #answered(id: string, { model, node, status }: Completed): void {
    const { fleet, history, policies, residency } = this.#needs
    const policy = policies.state.get(model)
    const copy = replicaId(model, node)
    if (policy?.keepAliveS === undefined || this.#kept.get(copy) === policy.keepAliveS) return
    const admitted = history.state.get(id)?.[0]
    const url = fleet.state.get(node)?.url
    const replica = residency.state.byNode.get(node)?.get(model)
    if (admitted === undefined || url === undefined || replica?.state !== 'resident' || status >= 300) return
    const native = !(admitted.data as { path: string }).path.startsWith('/v1/')
    if (native && admitted.at < policy.setAt) return // older than the policy; the next one carries it
    if (!native && replica.variant !== '') return // loaded otherwise meanwhile, and by the house
    this.#kept.set(copy, policy.keepAliveS)
    if (!native) void this.#keep({ model, node, url }, policy.keepAliveS)
  }

  /** Without options: it has just answered a request that could have none, so it is not loaded anew for this one. */
  async #keep({ model, node, url }: Copy, keepAlive: number): Promise<void> {
    const { catalog, clock, look, ollama } = this.#needs
    const embedding = catalog.state.get(model)?.capabilities.join() === 'embedding'
    const abort = new AbortController()
    const timer = clock.after(ANSWER_MAX_MS, () => abort.abort())
    const order = { embedding, signal: abort.signal }
    try {
      if (keepAlive !== 0) await ollama(url).load(model, { ...order, keepAlive })
      else await ollama(url).unload(model, order)
      if (keepAlive === 0) look(node)
    } catch (error) {
      if (!(error instanceof Failure)) throw error // the copy stays as long as it would have
    } finally {
      timer.cancel()
    }
  }
}
