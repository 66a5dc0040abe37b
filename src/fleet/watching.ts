/**
 * Listens to the agents of nodes: what each said last is a gauge, in RAM only, and what has become different in kind is a
 * command. A node is not believed; see hearsay.ts.
 *
 *   line up ──▶ watched ──heard──▶ known ──nothing heard for three intervals──▶ unknown; asked anew
 *                  ▲                 └──────broken──▶ asked anew, later and later
 *                  └──────────────────────────────────────┘          line down ──▶ nobody is asked
 *
 * What it says of models does not go into the journal from here: it only makes health look sooner, so that there is one
 * way in which the house comes to know what is where.
 */
import { canonicalName } from '../../machines/name.ts'
import type { Clock, Timer } from '../clock.ts'
import type { Engine } from '../engine/engine.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import { Failure } from '../failure.ts'
import type { Fleet } from '../projections/fleet.ts'
import { type RequestsProjection, runningOn } from '../projections/requests.ts'
import type { Replica, Residency } from '../projections/residency.ts'
import { type Gauges, gaugesOf } from './gauges.ts'
import { factOf, type Heard, hear } from './hearsay.ts'
import type { Links } from './link.ts'
import { EASE, type Strain, strained, strainedBy } from './overload.ts'
import { RESIDENT_MAX, SLOTS } from './register.ts'

export interface WatchingNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly fleet: Fleet
  readonly residency: Residency
  readonly requests: RequestsProjection
  readonly links: Links
  /** What an agent that attached was told of its Ollama's limits: that holds, whatever it reads. */
  readonly told: (
    node: string,
  ) => { readonly slots: number | undefined; readonly residentMax: number | undefined } | undefined
  readonly settings: { readonly watchMs: number }
  /** Looks at a node now: it has other models than the house knows of. */
  readonly look: (node: string) => unknown
}

/** What an agent said last, put together. */
export interface Said {
  readonly status: Heard
  /** When, milliseconds since the epoch, by the house's clock; and how long ago. */
  readonly heardAt: number
  readonly ageMs: number
  /** It has not been silent for three intervals: what it said holds. */
  readonly fresh: boolean
}

/** What nodes' agents say, for those who show it. */
export interface Hearing {
  /** Undefined where nothing has been heard since the house began. */
  of(node: string): Said | undefined
  /** In a few figures, while they hold. */
  gauges(node: string): Gauges | undefined
  /** Is a line to its agent up? */
  up(node: string): boolean
}

/** Two words may be late or lost; the third is missed. */
const SILENT_INTERVALS = 3
const AGAIN_MS = 1_000
const AGAIN_MAX_MS = 30_000

/** An agent that says every second that it is another machine, or has other limits, is not to fill the journal. */
const CHANGE_EVERY_MS = 60_000
/** One that speaks without a pause is heard no faster; what it says meanwhile waits on the wire. */
const WORD_EVERY_MS = 200

interface Watched {
  status?: Heard
  heardAt: number
  /** When it was heard last, and when it was asked; on a clock that never jumps. */
  wordAt: number
  askedAt: number
  strain: Strain
  /** When it was last said what machine it is; when it was last registered with other limits, and with which. */
  equippedAt?: number | undefined
  limitedAt?: number
  limits?: Heard['limits']
  /** When health was last asked to look. */
  lookedAt?: number
  /** Calls for a status in a row that ended without a word. */
  failures: number
  /** While it is asked. */
  asked?: AbortController
  again?: Timer
  tick?: Timer
}

export class Watching implements Hearing {
  readonly reactor: Reactor
  readonly #needs: WatchingNeeds
  readonly #nodes = new Map<string, Watched>()
  readonly #stop: () => void
  #closed = false

  constructor(needs: WatchingNeeds) {
    this.#needs = needs
    this.#stop = needs.links.listen((name, up) => (up ? this.#ask(name) : this.#leave(name)))
    const turned = (self: Watching, { id }: { readonly id: string }): void => {
      if (id !== 'watch-every') return
      for (const name of self.#nodes.keys()) if (self.up(name)) self.#ask(name)
    }
    this.reactor = reactor(this as Watching, {
      on: {
        // It begins anew, and has forgotten what machine it is.
        'node.registered': (self, { id }) => {
          Object.assign(self.#of(id), { strain: EASE, equippedAt: undefined })
          if (self.#of(id).asked === undefined) self.#ask(id)
          self.#tell(id)
        },
        'node.lost': (self, { id }) => {
          self.#of(id).strain = EASE
        },
        'node.removed': (self, { id }) => self.#forget(id),
        'setting.set': turned,
        'setting.reset': turned,
      },
      resume: self => {
        for (const { name, throttled } of needs.fleet.state.values()) {
          const watched = self.#of(name)
          if (throttled !== undefined && watched.strain.cause === undefined) {
            watched.strain = strainedBy(throttled.cause, needs.clock.monotonic())
            self.#listen(name)
          }
          if (watched.asked === undefined) self.#ask(name)
        }
      },
    })
  }

  of(name: string): Said | undefined {
    const watched = this.#nodes.get(name)
    if (watched?.status === undefined) return undefined
    const { status, heardAt } = watched
    const ageMs = Math.round(this.#needs.clock.monotonic() - watched.wordAt)
    return { status, heardAt, ageMs, fresh: !this.#silent(watched) }
  }

  gauges(name: string): Gauges | undefined {
    const { status, fresh = false } = this.of(name) ?? {}
    return status === undefined || !fresh ? undefined : gaugesOf(status)
  }

  up(name: string): boolean {
    return this.#needs.links.of(name) !== undefined
  }

  close(): void {
    this.#closed = true
    this.#stop()
    for (const name of [...this.#nodes.keys()]) this.#forget(name)
  }

  #of(name: string): Watched {
    let watched = this.#nodes.get(name)
    if (watched === undefined) {
      const at = this.#needs.clock.monotonic()
      watched = { heardAt: 0, wordAt: at, askedAt: at, strain: EASE, failures: 0 }
      this.#nodes.set(name, watched)
    }
    return watched
  }

  #silent({ wordAt }: Watched): boolean {
    return this.#long(wordAt)
  }

  /** Is it so long ago that words are missed? */
  #long(at: number): boolean {
    const { clock, settings } = this.#needs
    return clock.monotonic() - at > SILENT_INTERVALS * settings.watchMs
  }

  #forget(name: string): void {
    this.#leave(name)
    this.#nodes.get(name)?.tick?.cancel()
    this.#nodes.delete(name)
  }

  /** Asks nobody any more. What was said last stays, and grows old. */
  #leave(name: string): void {
    const watched = this.#nodes.get(name)
    watched?.again?.cancel()
    watched?.asked?.abort()
    delete watched?.asked
  }

  /** Asks anew, whether or not somebody is asked already. */
  #ask(name: string): void {
    this.#leave(name)
    const link = this.#needs.links.of(name)
    if (link === undefined || this.#closed) return
    const watched = this.#of(name)
    const asked = new AbortController()
    watched.asked = asked
    watched.askedAt = this.#needs.clock.monotonic()
    this.#listen(name)
    void this.#hearFrom(name, watched, asked)
  }

  async #hearFrom(name: string, watched: Watched, asked: AbortController): Promise<void> {
    const { clock, links, settings } = this.#needs
    let first = true
    try {
      const words = links.of(name)?.watch({ intervalMs: settings.watchMs, signal: asked.signal }) ?? []
      for await (const word of words) {
        if (watched.asked !== asked) return
        const said = hear(word)
        watched.status = first ? said : { ...watched.status, ...said }
        watched.heardAt = clock.now()
        watched.wordAt = clock.monotonic()
        watched.failures = 0
        first = false
        if (said.present !== undefined || said.resident !== undefined) this.#compare(name, watched, said)
        this.#tell(name)
        await new Promise<void>(resolve => clock.after(WORD_EVERY_MS, resolve))
      }
    } catch (error) {
      if (!(error instanceof Failure) && !asked.signal.aborted) throw error
    }
    if (watched.asked !== asked) return
    delete watched.asked
    const ms = Math.min(AGAIN_MAX_MS, AGAIN_MS * 2 ** watched.failures) * (0.5 + clock.random())
    watched.failures += 1
    watched.again = clock.after(ms, () => this.#ask(name))
  }

  /** Every interval: has it fallen silent? And what is slow cools when nothing is heard of it, too. */
  #listen(name: string): void {
    const { clock, settings } = this.#needs
    const watched = this.#of(name)
    watched.tick?.cancel()
    watched.tick = clock.after(settings.watchMs, () => {
      if (this.#silent(watched)) {
        this.#tell(name)
        if (watched.asked !== undefined && this.#long(watched.askedAt)) this.#ask(name)
      }
      if (this.up(name) || watched.strain.cause !== undefined) this.#listen(name)
    })
  }

  /** What it says, as commands; those that change nothing answer with nothing. */
  #tell(name: string): void {
    const { clock, engine, fleet, settings } = this.#needs
    const watched = this.#nodes.get(name)
    if (watched === undefined || !fleet.state.has(name) || !engine.writable) return
    const at = clock.monotonic()
    const silent = this.#silent(watched)
    if (!silent) {
      this.#equip(name, watched, at)
      this.#limit(name, watched, at)
    }
    watched.strain = strained(
      watched.strain,
      { at, own: this.#own(name, watched), gpus: [], ...(!silent && this.#measured(watched)) },
      settings.watchMs,
    )
    const { cause, seen } = watched.strain
    if (cause !== undefined) {
      const since = Math.round(clock.now() - (at - seen[cause]!.from))
      engine.attempt('node', name, { type: 'node.throttle', data: { cause, since }, by: 'agent' })
    } else if (fleet.state.get(name)?.throttled !== undefined) {
      engine.attempt('node', name, { type: 'node.cool', data: {}, by: 'agent' })
    }
  }

  #equip(name: string, watched: Watched, at: number): void {
    const { engine } = this.#needs
    const { status, equippedAt = Number.NEGATIVE_INFINITY } = watched
    if (status?.equipment === undefined || at - equippedAt < CHANGE_EVERY_MS) return
    const data = factOf(status.equipment)
    if (engine.attempt('node', name, { type: 'node.equip', data, by: 'agent' }).length > 0)
      watched.equippedAt = at
  }

  #measured({ status }: Watched): object {
    const { memoryBytes } = status?.equipment ?? {}
    return { ...status?.load, ...(memoryBytes !== undefined && { memoryBytes }) }
  }

  #own(name: string, { status }: Watched): boolean {
    const { requests, residency } = this.#needs
    if (runningOn(requests.state, name) > 0 || (status?.load?.inFlight ?? 0) > 0) return true
    return [...(residency.state.inMemory.get(name)?.values() ?? [])].some(({ state }) => state === 'loading')
  }

  /** Does the journal know of all that the agent sees, and of nothing else? */
  #compare(name: string, watched: Watched, { present, resident }: Heard): void {
    const { clock, look, residency, settings } = this.#needs
    const known = residency.state.byNode.get(name) ?? NONE
    const replicas = [...known.values()]
    if (replicas.some(({ state }) => state === 'loading')) return // the house's own doing
    const warm = replicas.filter(({ state }) => state === 'resident').map(({ model }) => model)
    if (!differ(present?.models, [...known.keys()]) && !differ(resident?.models, warm)) return
    const at = clock.monotonic()
    if (at - (watched.lookedAt ?? Number.NEGATIVE_INFINITY) < settings.watchMs) return
    watched.lookedAt = at
    look(name)
  }

  /**
   * What its Ollama was started with. Where the house has what the agent said before, or of one that attached what is
   * taken where nothing is said, nobody has set it by hand, and it follows; not while the node is drained, because whoever
   * is registered anew takes work.
   */
  #limit(name: string, watched: Watched, at: number): void {
    const { engine, fleet } = this.#needs
    const { limits: before, limitedAt = Number.NEGATIVE_INFINITY } = watched
    const now = watched.status?.limits
    const node = fleet.state.get(name)
    if (now === undefined || node === undefined) return
    if (node.duty !== 'active' || at - limitedAt < CHANGE_EVERY_MS) return
    // What nobody can read just now, as while Ollama begins anew, was what it was.
    watched.limits = { ...before, ...now }
    const told = this.#needs.told(name)
    const attached = told !== undefined
    const slots = followed(
      node.slots,
      before?.numParallel ?? (attached ? SLOTS : undefined),
      told?.slots === undefined ? now.numParallel : undefined,
    )
    const residentMax = followed(
      node.residentMax,
      before?.maxLoadedModels ?? (attached ? RESIDENT_MAX : undefined),
      told?.residentMax === undefined ? now.maxLoadedModels : undefined,
    )
    if (slots === node.slots && residentMax === node.residentMax) return
    watched.limitedAt = at
    const { url, labels, origin, weight, hours } = node
    const wanted = { ...(weight !== undefined && { weight }), ...(hours !== undefined && { hours }) }
    const data = { url, slots, residentMax, labels, origin, ...wanted }
    engine.attempt('node', name, { type: 'node.register', data, by: 'agent' })
  }
}

const NONE: ReadonlyMap<string, Replica> = new Map()

/** What a node has, where that is what its agent said before; then what the agent says now. 0 is left to Ollama. */
function followed(has: number, was: number | undefined, is: number | undefined): number {
  return is !== undefined && is > 0 && was === has ? is : has
}

/** As the house calls them. What is no name of a model is no model. */
function differ(said: readonly { readonly name: string }[] | undefined, known: readonly string[]): boolean {
  if (said === undefined) return false
  const names = new Set(said.map(({ name }) => canonicalName(name)).filter(name => name !== undefined))
  return names.size !== known.length || known.some(name => !names.has(name))
}
