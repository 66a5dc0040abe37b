/**
 * What an agent knows of its node, part by part, for however many ask. Reading is shared: one loop at the shortest interval
 * that somebody wants, and none while nobody watches. Each watcher is first told everything, and then at its own interval
 * the parts that are different since; none of them, where nothing is, so that it knows the agent to be alive.
 *
 *   Ollama ─┐
 *   machine ┼─▶ parts, each with a version ──▶ watcher: versions it was told, when ──▶ the difference
 *   folder ─┘
 *
 * Nothing waits for what hangs: a part that is not there when the others are is told when it comes. What cannot be read any
 * more stays as it was; that Ollama does not answer shows in its version, which is then empty.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Clock, Timer } from '../clock.ts'
import { Failure } from '../failure.ts'
import type { Ollama, PsRow } from '../ollama/ollama.ts'
import type {
  AgentIdentity,
  Equipment,
  Load,
  ModelPresent,
  ModelResident,
  NodeStatus,
  OllamaLimits,
} from '../rpc/messages.ts'
import { differs } from './gauges.ts'
import type { Machine } from './hardware/machine.ts'
import type { Limits } from './limits.ts'
import { ModelsFolder } from './models.ts'
import { Part, type PartNeeds } from './part.ts'
import { presentOf, sameAs } from './present.ts'
import type { StatusTold } from './service.ts'

export interface StatusNeeds {
  readonly clock: Clock
  readonly ollama: Pick<Ollama, 'url' | 'version' | 'tags' | 'ps'>
  readonly name: string
  /** Of the agent. */
  readonly version: string
  readonly startedAt: number
  /** Where Ollama's models may be; of these folders, the one that has what Ollama lists is taken. */
  readonly models?: readonly string[]
  readonly machine?: Pick<Machine, 'equipment' | 'load'>
  readonly limits?: Pick<Limits, 'read'>
  /** Calls that the agent carries to Ollama now. */
  readonly inFlight: () => number
}

type Told = Omit<NodeStatus, 'at'>
type Parts = { readonly [Name in keyof Told]-?: Part<NonNullable<Told[Name]>> }
type PartName = keyof Parts

interface Watcher {
  readonly intervalMs: number
  /** By part, the version it was told. */
  readonly told: Map<PartName, number>
  toldAt: number
  due: boolean
  wake: () => void
}

const INTERVAL_MIN_MS = 1_000
const INTERVAL_MAX_MS = 300_000
/** A tenth either way, so that a fleet that started together does not stay in step. */
const JITTER = 0.1
/** The loop keeps the shortest interval. For a longer one its rounds come a little early or late. */
const EARLY = 0.85
const WATCHERS_MAX = 64
/** How long a round waits for those who are late, and one that was asked to read everything. */
const PATIENCE_MS = 1_000
const FRESH_PATIENCE_MS = 15_000
const OLLAMA_DEADLINE_MS = 5_000
const OWN_DEADLINE_MS = 30_000
/** Who pulls a model is mostly the house itself, or somebody at the machine. */
const PRESENT_EVERY_MS = 30_000
/** A blob that somebody deletes by hand is not missed before a model is loaded. */
const DISK_EVERY_MS = 600_000
const LIMITS_EVERY_MS = 60_000
/** The machine has a calendar of its own. */
const EQUIPMENT_EVERY_MS = 10_000
/** Commands that end in a row are one change. */
const CHANGE_GAP_MS = 1_000
/** For ever is 292 years at Ollama. */
const NEVER_MS = 100 * 365 * 86_400_000

export class Status implements StatusTold {
  readonly #needs: StatusNeeds
  readonly #parts: Parts
  /** Of each folder, what lies in it. Told only together with what Ollama lists. */
  readonly #disks: readonly Part<readonly ModelPresent[]>[]
  /** What Ollama listed when the folders were read last. */
  #listed: readonly string[] = []
  readonly #watchers = new Set<Watcher>()
  #timer: Timer | undefined
  #roundAt = 0
  #change: Timer | undefined
  #changedAt = Number.NEGATIVE_INFINITY
  #readAt = Number.NEGATIVE_INFINITY
  #closed = false

  constructor(needs: StatusNeeds) {
    this.#needs = needs
    const { clock, machine, models = [], limits, ollama } = needs
    const part = <T>(about: Pick<PartNeeds<T>, 'read'> & Partial<PartNeeds<T>>): Part<T> =>
      new Part<T>({
        clock,
        everyMs: 0,
        deadlineMs: OLLAMA_DEADLINE_MS,
        differs: (known, now) => !isDeepStrictEqual(known, now),
        ...about,
      })
    this.#disks = models.map(dir => {
      const folder = new ModelsFolder({ clock, dir })
      return part<readonly ModelPresent[]>({
        everyMs: DISK_EVERY_MS,
        deadlineMs: OWN_DEADLINE_MS,
        read: order => folder.read(order),
      })
    })
    this.#parts = {
      identity: part<AgentIdentity>({
        first: this.#identity(''),
        read: async ({ signal }) => this.#identity(await ollama.version(signal).catch(failed)),
      }),
      equipment: part<Equipment>({
        everyMs: EQUIPMENT_EVERY_MS,
        deadlineMs: OWN_DEADLINE_MS,
        read: async ({ fresh }) => machine?.equipment(fresh),
      }),
      load: part<Load>({ deadlineMs: OWN_DEADLINE_MS, read: () => this.#load(), differs }),
      limits: part<OllamaLimits>({
        everyMs: LIMITS_EVERY_MS,
        deadlineMs: OWN_DEADLINE_MS,
        // What was told cannot be taken back; that nothing is known can be said.
        read: async () => (await limits?.read()) ?? (this.#parts.limits.value && {}),
      }),
      present: part<NonNullable<Told['present']>>({
        everyMs: PRESENT_EVERY_MS,
        read: async ({ signal }) => ({ models: await this.#present(signal) }),
      }),
      resident: part<NonNullable<Told['resident']>>({
        read: async ({ signal }) => ({ models: residentOf(await ollama.ps(signal), clock.now()) }),
      }),
    }
  }

  async status({ fresh }: { readonly fresh: boolean }, signal: AbortSignal): Promise<NodeStatus> {
    if (this.#closed) throw closing()
    if (fresh) {
      for (const part of [...Object.values(this.#parts), ...this.#disks]) part.expire('fresh')
      await this.#read(FRESH_PATIENCE_MS, signal)
    } else if (this.#needs.clock.monotonic() - this.#readAt >= INTERVAL_MIN_MS) {
      await this.#read(PATIENCE_MS, signal)
    }
    return this.#tell(new Map())
  }

  async *watch(
    { intervalMs }: { readonly intervalMs: number },
    signal: AbortSignal,
  ): AsyncGenerator<NodeStatus> {
    if (this.#closed) throw closing()
    if (this.#watchers.size >= WATCHERS_MAX) {
      throw new Failure('agent.busy', `${WATCHERS_MAX} watch this node already`, { retryable: true })
    }
    const { clock } = this.#needs
    const watcher: Watcher = {
      intervalMs: Math.min(Math.max(intervalMs, INTERVAL_MIN_MS), INTERVAL_MAX_MS),
      told: new Map(),
      toldAt: clock.monotonic(),
      due: true,
      wake: () => {},
    }
    this.#watchers.add(watcher)
    try {
      if (clock.monotonic() - this.#readAt >= INTERVAL_MIN_MS) await this.#read(PATIENCE_MS, signal)
      this.#arm()
      while (!signal.aborted) {
        if (this.#closed) throw closing()
        if (watcher.due) {
          watcher.due = false
          watcher.toldAt = clock.monotonic()
          yield this.#tell(watcher.told)
        } else {
          await awakened(watcher, signal)
        }
      }
    } finally {
      this.#watchers.delete(watcher)
      if (this.#watchers.size === 0) this.#rest()
    }
  }

  /** Models were changed: who watches is told at once. */
  changed(what: 'present' | 'resident'): void {
    this.#parts[what].expire()
    if (what === 'present') for (const disk of this.#disks) disk.expire()
    if (this.#watchers.size === 0 || this.#change !== undefined) return
    const { clock } = this.#needs
    this.#change = clock.after(Math.max(0, this.#changedAt + CHANGE_GAP_MS - clock.monotonic()), async () => {
      this.#change = undefined
      this.#changedAt = clock.monotonic()
      await this.#read(PATIENCE_MS)
      for (const watcher of this.#watchers) {
        if (this.#names().some(name => this.#parts[name].version !== (watcher.told.get(name) ?? 0)))
          rouse(watcher)
      }
    })
  }

  close(): void {
    this.#closed = true
    this.#rest()
    for (const part of [...Object.values(this.#parts), ...this.#disks]) part.close()
    for (const { wake } of [...this.#watchers]) wake()
  }

  /** Begins the loop, or lets it come round earlier; never later, however many begin to watch. */
  #arm(): void {
    if (this.#closed || this.#watchers.size === 0) return
    const { clock } = this.#needs
    const intervalMs = Math.min(...[...this.#watchers].map(watcher => watcher.intervalMs))
    const waitMs = intervalMs * (1 - JITTER + 2 * JITTER * clock.random())
    const roundAt = clock.monotonic() + waitMs
    if (this.#timer !== undefined && this.#roundAt <= roundAt) return
    this.#timer?.cancel()
    this.#roundAt = roundAt
    this.#timer = clock.after(waitMs, async () => {
      this.#timer = undefined
      await this.#read(PATIENCE_MS)
      for (const watcher of this.#watchers) {
        if (clock.monotonic() - watcher.toldAt >= watcher.intervalMs * EARLY) rouse(watcher)
      }
      this.#arm()
    })
  }

  #rest(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#change?.cancel()
    this.#change = undefined
  }

  /** Reads what is due, and waits so long for it. */
  #read(patienceMs: number, signal?: AbortSignal): Promise<void> {
    const { clock } = this.#needs
    return new Promise(resolve => {
      const over = (): void => {
        timer.cancel()
        signal?.removeEventListener('abort', over)
        this.#readAt = clock.monotonic()
        resolve()
      }
      const timer = clock.after(patienceMs, over)
      signal?.addEventListener('abort', over, { once: true })
      void Promise.all(this.#names().map(name => this.#parts[name].look())).then(over)
    })
  }

  /** The parts that are different from what was told, and remembers that they are told now. */
  #tell(told: Map<PartName, number>): NodeStatus {
    const status: Record<string, unknown> = {}
    for (const name of this.#names()) {
      const { value, version } = this.#parts[name]
      if (value === undefined || told.get(name) === version) continue
      status[name] = value
      told.set(name, version)
    }
    return { at: this.#needs.clock.now(), ...status }
  }

  #names(): readonly PartName[] {
    return Object.keys(this.#parts) as PartName[]
  }

  #identity(ollamaVersion: string): AgentIdentity {
    const { name, ollama, startedAt, version } = this.#needs
    return { node: name, agentVersion: version, ollamaVersion, ollamaUrl: ollama.url, startedAt }
  }

  async #load(): Promise<Load> {
    const { inFlight, machine } = this.#needs
    const load = (await machine?.load()) ?? { cores: [], gpus: [] }
    return { ...load, inFlight: inFlight() }
  }

  /** The folders are read when Ollama lists something else, and now and then; and they may hang where Ollama does not. */
  async #present(signal: AbortSignal): Promise<readonly ModelPresent[]> {
    const rows = await this.#needs.ollama.tags(signal)
    const listed = rows.map(({ name, digest }) => `${name} ${digest}`).sort()
    if (!isDeepStrictEqual(listed, this.#listed)) for (const disk of this.#disks) disk.expire()
    this.#listed = listed
    await unlessAborted(signal, Promise.all(this.#disks.map(disk => disk.look())))
    const disks = this.#disks.flatMap(({ value }) => (value === undefined ? [] : [value]))
    return presentOf(rows, sameAs(rows, disks))
  }
}

function unlessAborted(signal: AbortSignal, reads: Promise<unknown>): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
    void reads.then(() => resolve())
  })
}

function rouse(watcher: Watcher): void {
  watcher.due = true
  watcher.wake()
}

function awakened(watcher: Watcher, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    watcher.wake = () => {
      signal.removeEventListener('abort', watcher.wake)
      resolve()
    }
    signal.addEventListener('abort', watcher.wake, { once: true })
  })
}

function residentOf(rows: readonly PsRow[], now: number): readonly ModelResident[] {
  return rows
    .map(({ name, size = 0, size_vram = 0, context_length = 0, expires_at = '' }) => {
      const expiresAt = Date.parse(expires_at)
      return {
        name,
        sizeBytes: size,
        vramBytes: size_vram,
        contextLength: context_length,
        expiresAt: expiresAt > 0 && expiresAt - now < NEVER_MS ? expiresAt : 0,
      }
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Ollama does not answer, so it has no version. */
function failed(error: unknown): '' {
  if (error instanceof Failure) return ''
  throw error
}

function closing(): Failure {
  return new Failure('agent.closing', 'the agent ends', { retryable: true })
}
