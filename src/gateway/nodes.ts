/**
 * The fleet as clients' requests see it: which nodes are up, which have a model, and what they said last. What a node
 * said a moment ago is good enough; otherwise, and after something was done to it, the house looks again, briefly.
 */
import { createHash } from 'node:crypto'
import { canonicalName } from '../../machines/name.ts'
import type { Clock } from '../clock.ts'
import { type Fleet, type FleetNode, routable } from '../projections/fleet.ts'
import type { Replica, Residency } from '../projections/residency.ts'
import { isZero } from './peek.ts'

export interface NodeVitals {
  readonly tags: readonly {
    readonly name: string
    readonly modified_at?: string
    readonly remote_host?: string
  }[]
  readonly ps: readonly { readonly name: string; readonly expires_at?: string }[]
  readonly seenAt: number
  /** Looks in a row without an answer. */
  readonly misses: number
}

export interface NodesNeeds {
  readonly clock: Clock
  readonly fleet: Fleet
  readonly residency: Residency
  readonly vitals: ReadonlyMap<string, NodeVitals>
  readonly look: (node: string) => Promise<void>
}

/** Nodes that a client named; or why that cannot be. */
export type Named = { readonly nodes: readonly FleetNode[] } | { readonly refused: string }

const FRESH_MS = 1_000
/** A slow node is not waited for: its last words count. */
const LOOK_MAX_MS = 2_000

export class Nodes {
  readonly #needs: NodesNeeds
  /** Nodes that may have changed since they were looked at, and how often something was done to them. */
  readonly #touched = new Map<string, number>()

  constructor(needs: NodesNeeds) {
    this.#needs = needs
  }

  get size(): number {
    return this.#needs.fleet.state.size
  }

  get names(): readonly string[] {
    return [...this.#needs.fleet.state.keys()]
  }

  get all(): readonly FleetNode[] {
    return [...this.#needs.fleet.state.values()].sort(byName)
  }

  get up(): readonly FleetNode[] {
    return this.all.filter(({ reach }) => reach === 'up')
  }

  /** Nodes that take work; where there are none, those that are up. */
  get usable(): readonly FleetNode[] {
    const { up } = this
    const ready = up.filter(routable)
    return ready.length > 0 ? ready : up
  }

  vitals({ name }: FleetNode): NodeVitals | undefined {
    return this.#needs.vitals.get(name)
  }

  /** Something was done to these nodes: what they said before does not count. */
  touch(...names: readonly string[]): void {
    for (const name of names) this.#touched.set(name, (this.#touched.get(name) ?? 0) + 1)
  }

  /** A request there said how long its model is to stay: longer now, or shorter. Nothing, where it did not. */
  stays(name: string, keepAlive: unknown): void {
    if (keepAlive === undefined) return
    this.touch(name)
    if (isZero(keepAlive)) void this.#needs.look(name)
  }

  /** Looks at nodes that have not been looked at for a moment. One that did not answer last time is not waited for. */
  async freshen(): Promise<void> {
    const { clock, vitals } = this.#needs
    const stale = this.up.filter(({ name }) => {
      const { seenAt = 0, misses = 0 } = vitals.get(name) ?? {}
      return this.#touched.has(name) || (misses === 0 && clock.now() - seenAt > FRESH_MS)
    })
    if (stale.length > 0) await this.look(stale)
  }

  /** Looks at them now. */
  async look(nodes: readonly FleetNode[]): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = this.#needs.clock.after(LOOK_MAX_MS, resolve)
      Promise.all(nodes.map(({ name }) => this.#look(name)))
        .finally(() => timer.cancel())
        .then(() => resolve(), reject)
    })
  }

  /** What nobody is known to have may have come since the last look: pulled a moment ago, or behind the house's back. */
  async seek(model: string): Promise<void> {
    if (this.#replicas(model).size === 0) await this.freshen()
  }

  /** Nodes with the model, those that have it in memory first; whether they are up or not. */
  holders(model: string): readonly FleetNode[] {
    const replicas = this.#replicas(model)
    const warm = ({ name }: FleetNode): number => Number(replicas.get(name)?.state === 'resident')
    return this.all.filter(({ name }) => replicas.has(name)).sort((a, b) => warm(b) - warm(a) || byName(a, b))
  }

  /** Nodes that have the model in memory, or load it. */
  warm(model: string): readonly FleetNode[] {
    const replicas = this.#replicas(model)
    return this.up.filter(({ name }) => (replicas.get(name)?.state ?? 'present') !== 'present')
  }

  /** Who could answer for a model, best first: those that have it; where nobody has, anybody, for its own words. */
  answerers(model: string | undefined): readonly FleetNode[] {
    const { usable } = this
    const having = model === undefined ? [] : this.holders(model).filter(node => usable.includes(node))
    return having.length > 0 ? having : usable
  }

  /** Is it only somewhere else, by what a node says of it? Such a model needs no name that says so. */
  isElsewhere(model: string): boolean {
    if (this.#replicas(model).size > 0) return false
    return [...this.#needs.vitals.values()].some(({ tags }) =>
      tags.some(({ name, remote_host }) => Boolean(remote_host) && canonicalName(name) === model),
    )
  }

  /** Those that take work, the one with the fewest bytes of models first. */
  get emptiest(): readonly FleetNode[] {
    const bytes = ({ name }: FleetNode): number => {
      let sum = 0
      for (const { sizeBytes } of this.#needs.residency.state.byNode.get(name)?.values() ?? [])
        sum += sizeBytes
      return sum
    }
    return [...this.usable].sort((a, b) => bytes(a) - bytes(b) || byName(a, b))
  }

  /**
   * The node a client's uploads go to: the same for the same client, and while nodes come and go it changes for as few
   * clients as possible (rendezvous hashing).
   */
  home(client: string): FleetNode | undefined {
    const score = ({ name }: FleetNode): string =>
      createHash('sha256').update(`${client}\n${name}`).digest('hex')
    return [...this.usable].sort((a, b) => (score(a) > score(b) ? -1 : 1))[0]
  }

  /** The nodes that X-Quipu-Nodes names: names with commas between, or `all`. Undefined when it is not there. */
  named(header: string | readonly string[] | undefined): Named | undefined {
    if (header === undefined) return undefined
    const wanted = new Set(
      String(header)
        .split(',')
        .map(name => name.trim())
        .filter(Boolean),
    )
    if (wanted.size === 1 && wanted.has('all')) return { nodes: this.usable }
    const nodes = [...wanted]
      .map(name => this.#needs.fleet.state.get(name))
      .filter(node => node !== undefined)
    if (nodes.length === wanted.size && nodes.length > 0) return { nodes }
    const unknown = [...wanted].filter(name => !this.#needs.fleet.state.has(name))
    const known = this.names.join(', ') || 'none'
    return {
      refused: `X-Quipu-Nodes: no node is called ${unknown.join(', ') || '""'}; there are: ${known}, or say all`,
    }
  }

  async #look(name: string): Promise<void> {
    const touches = this.#touched.get(name)
    await this.#needs.look(name)
    if (this.#touched.get(name) === touches) this.#touched.delete(name)
  }

  #replicas(model: string): ReadonlyMap<string, Replica> {
    return this.#needs.residency.state.byModel.get(model) ?? NONE
  }
}

const NONE: ReadonlyMap<string, Replica> = new Map()

function byName(a: FleetNode, b: FleetNode): number {
  return a.name < b.name ? -1 : 1
}
