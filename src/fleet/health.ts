/**
 * Looks at every node again and again, and turns what it sees into commands: answers and silences, models that
 * appear, load, unload, vanish. What changed becomes a fact; what did not leaves no trace.
 *
 * A node that answers probes but not inference is wedged. Its running requests give it away: when one has been
 * silent for long, the node must pass an inference call (an empty prompt to a loaded model, which real work does not
 * delay) or it counts as lost, and comes back only when such a call succeeds.
 */
import { canonicalName } from '../../machines/name.ts'
import type { LossReason } from '../../machines/node.ts'
import { replicaId } from '../../machines/replica.ts'
import type { Clock, Timer } from '../clock.ts'
import type { Engine } from '../engine/engine.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import { Failure } from '../failure.ts'
import { NodeAnswer, type Ollama, type PsRow, residenceOf, type TagRow } from '../ollama/ollama.ts'
import type { Catalog } from '../projections/catalog.ts'
import type { Fleet } from '../projections/fleet.ts'
import type { Residency } from '../projections/residency.ts'
import type { Vitals, VitalsOf } from './vitals.ts'

export interface HealthNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly fleet: Fleet
  readonly residency: Residency
  readonly catalog: Catalog
  readonly ollama: (url: string) => Ollama
  readonly forget: (url: string) => void
  readonly settings: {
    readonly probeMs: number
    readonly lostAfter: number
    readonly suspectMs: number
    /** Rows of models that run elsewhere count only when the house lets them through. */
    readonly cloud: boolean
  }
  /** Running requests by how long nothing has come from their node. */
  readonly silences: () => Iterable<{
    readonly node: string
    readonly model: string
    readonly silentMs: number
  }>
}

const PROBE_TIMEOUT_MS = 5_000
/** A suspect must pass its call within this part of the silence that made it one. */
const PROOF_PART = 1 / 3
/** After a silence the next look comes sooner. */
const SECOND_LOOK_MS = 1_000

interface Watch {
  url: string
  timer?: Timer
  /** A look under way, and whether somebody wants another one after it. */
  looking?: Promise<void>
  again: boolean
  proving: boolean
}

export class Health {
  readonly reactor: Reactor
  readonly #needs: HealthNeeds
  readonly #watches = new Map<string, Watch>()
  readonly #vitals = new Map<string, Vitals>()
  #patrol: Timer | undefined
  #closed = false

  constructor(needs: HealthNeeds) {
    this.#needs = needs
    /** The next looks were set by the old pace; after these they go by the new one. */
    const turned = (self: Health, { id }: { readonly id: string }): void => {
      if (id === 'probe-every') for (const name of self.#watches.keys()) void self.look(name)
    }
    this.reactor = reactor(this as Health, {
      on: {
        'node.registered': (self, { id }) => self.#follow(id),
        'node.removed': (self, { id }) => {
          self.#unfollow(id)
          for (const model of needs.catalog.state.keys()) self.#forgetModel(model)
        },
        'request.retried': (self, { data: { node } }) => void self.look(node),
        'setting.set': turned,
        'setting.reset': turned,
      },
      resume: self => {
        for (const name of needs.fleet.state.keys()) self.#follow(name)
        self.#walk()
      },
    })
  }

  get vitals(): VitalsOf {
    return this.#vitals
  }

  /** Looks at a node now. Resolves when what is seen from now on has been turned into commands. */
  look(name: string): Promise<void> {
    const watch = this.#watches.get(name)
    if (watch === undefined || this.#closed) return Promise.resolve()
    if (watch.looking !== undefined) {
      watch.again = true
      return watch.looking.then(() => this.#watches.get(name)?.looking)
    }
    watch.timer?.cancel()
    watch.looking = this.#probe(name, watch).finally(() => {
      delete watch.looking
      if (this.#closed || this.#watches.get(name) !== watch) return
      if (watch.again) {
        watch.again = false
        void this.look(name)
        return
      }
      const { clock, settings } = this.#needs
      const missed = (this.#vitals.get(name)?.misses ?? 0) > 0
      const lost = this.#needs.fleet.state.get(name)?.reach === 'down'
      const base = missed && !lost ? Math.min(SECOND_LOOK_MS, settings.probeMs) : settings.probeMs
      watch.timer = clock.after(base * (0.8 + 0.4 * clock.random()), () => void this.look(name))
    })
    return watch.looking
  }

  close(): void {
    this.#closed = true
    this.#patrol?.cancel()
    for (const { timer } of this.#watches.values()) timer?.cancel()
  }

  #follow(name: string): void {
    const url = this.#needs.fleet.state.get(name)?.url
    if (url === undefined) return
    const watch = this.#watches.get(name)
    if (watch !== undefined && watch.url !== url) this.#needs.forget(watch.url)
    if (watch === undefined || watch.url !== url) {
      watch?.timer?.cancel()
      this.#watches.set(name, { url, again: false, proving: false })
    }
    void this.look(name)
  }

  #unfollow(name: string): void {
    const watch = this.#watches.get(name)
    watch?.timer?.cancel()
    this.#watches.delete(name)
    this.#vitals.delete(name)
    if (watch !== undefined) this.#needs.forget(watch.url)
  }

  async #probe(name: string, watch: Watch): Promise<void> {
    const { clock, engine, fleet, ollama } = this.#needs
    const began = clock.monotonic()
    const seenFrom = clock.now()
    try {
      const client = ollama(watch.url)
      const loss = fleet.state.get(name)?.loss
      const [version, tags, ps] = await this.#within(PROBE_TIMEOUT_MS, signal =>
        Promise.all([client.version(signal), client.tags(signal), client.ps(signal)]),
      )
      if (fleet.state.get(name)?.reach === 'down' && loss?.reason === 'wedged')
        await this.#prove(client, loss.model)
      if (this.#watches.get(name) !== watch) return
      const answerMs = Math.round(clock.monotonic() - began)
      const seenAt = clock.now()
      this.#vitals.set(name, { tags, ps, lookedAt: seenAt, seenAt, answerMs, misses: 0 })
      engine.attempt('node', name, { type: 'node.answer', data: { version }, by: 'health' })
      this.#compare(name, tags, ps, seenFrom)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      if (this.#watches.get(name) === watch) this.#miss(name, error)
    }
  }

  #miss(name: string, failure: Failure): void {
    const before = this.#vitals.get(name) ?? { tags: [], ps: [], seenAt: 0, answerMs: 0, misses: 0 }
    const misses = before.misses + 1
    const lookedAt = this.#needs.clock.now()
    this.#vitals.set(name, { ...before, lookedAt, misses, error: failure.message })
    if (misses < this.#needs.settings.lostAfter) return
    const reason = LOSSES[failure.code] ?? 'silence'
    this.#needs.engine.attempt('node', name, { type: 'node.lose', data: { reason }, by: 'health' })
  }

  /** What the node has and holds in memory, against what the journal says it does. */
  #compare(name: string, tags: readonly TagRow[], ps: readonly PsRow[], seenFrom: number): void {
    const { engine, residency, settings } = this.#needs
    const listed = new Set<string>()
    const replicas = residency.state.byNode
    /** What changed while we looked is newer than what we saw. */
    const moved = new Set(
      [...(replicas.get(name)?.values() ?? [])].filter(r => r.since >= seenFrom).map(r => r.model),
    )
    for (const row of tags) {
      if (row.remote_host && !settings.cloud) continue
      const model = canonicalName(row.name)
      if (model === undefined) continue
      listed.add(model)
      const digest = row.digest ?? ''
      const sizeBytes = row.size ?? 0
      const id = replicaId(model, name)
      // A node of that name was removed, and its copies with it; their charts have not heard of that.
      if (!replicas.get(name)?.has(model)) engine.attempt('replica', id, { type: 'replica.remove', data: {} })
      engine.attempt('replica', id, { type: 'replica.find', data: { digest, sizeBytes } })
      this.#learn(model, row)
    }
    const resident = new Map(ps.map(row => [canonicalName(row.name), row]))
    /** What a load of the house's own is about to displace may still be seen. */
    const loads = [...(replicas.get(name)?.values() ?? [])].some(({ state }) => state === 'loading')
    for (const { model, state } of [...(replicas.get(name)?.values() ?? [])]) {
      const id = replicaId(model, name)
      if (moved.has(model)) continue
      const row = resident.get(model)
      if (!listed.has(model)) {
        engine.attempt('replica', id, { type: 'replica.remove', data: {} })
        this.#forgetModel(model)
      } else if (row !== undefined && state === 'present' && !loads) {
        const residence = residenceOf(row)
        engine.attempt('replica', id, { type: 'replica.confirm', data: { residence } })
      } else if (row === undefined && state === 'resident') {
        engine.attempt('replica', id, { type: 'replica.unload', data: {} })
      }
    }
  }

  /** The first node that has a model describes it; a later digest does not make it another model. */
  #learn(model: string, row: TagRow): void {
    const { engine, catalog } = this.#needs
    if (catalog.state.has(model)) return
    const said = (key: string): string =>
      typeof row.details?.[key] === 'string' ? (row.details[key] as string) : ''
    const data = {
      digest: row.digest ?? '',
      sizeBytes: row.size ?? 0,
      family: said('family'),
      parameterSize: said('parameter_size'),
      quantization: said('quantization_level'),
      capabilities: row.capabilities ?? [],
    }
    engine.attempt('model', model, { type: 'model.find', data })
  }

  #forgetModel(model: string): void {
    const { engine, residency } = this.#needs
    if ((residency.state.byModel.get(model)?.size ?? 0) > 0) return
    engine.attempt('model', model, { type: 'model.lose', data: {} })
  }

  /** Once a second at most: whose running requests have been silent for too long? */
  #walk(): void {
    const { clock, settings } = this.#needs
    this.#patrol?.cancel()
    if (this.#closed) return
    this.#patrol = clock.after(Math.min(1_000, settings.suspectMs / 2), () => this.#walk())
    for (const { node, model, silentMs } of this.#needs.silences()) {
      if (silentMs >= settings.suspectMs) void this.#suspect(node, model)
    }
  }

  async #suspect(name: string, model: string): Promise<void> {
    const watch = this.#watches.get(name)
    const node = this.#needs.fleet.state.get(name)
    if (watch === undefined || watch.proving || node?.reach !== 'up') return
    watch.proving = true
    try {
      await this.#prove(this.#needs.ollama(watch.url), model)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      const data = { reason: 'wedged', model } as const
      this.#needs.engine.attempt('node', name, { type: 'node.lose', data, by: 'health' })
    } finally {
      // The next proof is asked for when as much silence again has passed.
      this.#needs.clock.after(this.#needs.settings.suspectMs, () => {
        watch.proving = false
      })
    }
  }

  /** Any answer to inference will do, a refusal too: what is wedged gives none. */
  async #prove(client: Ollama, model = ''): Promise<void> {
    const embedding = this.#needs.catalog.state.get(model)?.capabilities.join() === 'embedding'
    try {
      await this.#within(this.#needs.settings.suspectMs * PROOF_PART, signal =>
        client.load(model, { embedding, signal }),
      )
    } catch (error) {
      if (!(error instanceof NodeAnswer)) throw error
    }
  }

  async #within<T>(ms: number, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const abort = new AbortController()
    const timer = this.#needs.clock.after(ms, () => abort.abort())
    try {
      return await run(abort.signal)
    } finally {
      timer.cancel()
    }
  }
}

const LOSSES: Readonly<Record<string, LossReason>> = {
  'ollama.timeout': 'silence',
  'ollama.refused': 'refused',
  'ollama.broken': 'refused',
  'ollama.answer': 'error',
}
