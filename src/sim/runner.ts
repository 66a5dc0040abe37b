/**
 * Which models are in memory and who may use them: Ollama 0.33's scheduler, in simulated time.
 *
 *   request ── warm, equal load options ───────────────────────────────▶ the runner's slots ──▶ answer
 *      └─ else ─▶ queue (at most maxQueue) ─ one at a time ─▶ evict ─▶ load ─▶ the runner's slots
 *
 *   runner:  loading (not listed) ─▶ busy ◀─▶ idle (keep-alive runs) ─▶ gone
 *
 * The surprises, all of them Ollama's:
 *  - Loads are serial, and while one waits for a busy victim to drain, every other cold request waits too.
 *  - maxQueue counts cold requests only, those for the very model being loaded among them.
 *  - Warm requests wait for a slot without a limit.
 *  - A load belongs to the client whose request caused it: when that client leaves, the load is aborted, and
 *    the next one waiting starts it again.
 *  - keep_alive belongs to the runner: a request without one leaves what the last one set.
 *  - The victim of an eviction is the one with the shortest keep_alive (not the least recently used), an idle
 *    one if there is any.
 */
import type { Clock, Timer } from '../clock.ts'
import { type Client, Gone, sleep } from './client.ts'
import type { StoredModel } from './store.ts'

/** A loaded model serves requests with equal ones; others make it load again. */
export interface LoadOptions {
  readonly numCtx: number
  /** Nobody asked for a context size. Two such requests agree whatever the sizes. */
  readonly numCtxAuto: boolean
  readonly numBatch: number
  readonly numBatchAuto: boolean
  readonly numGpu: number
  readonly mainGpu: number | undefined
  readonly useMmap: boolean | undefined
  readonly numThread: number
  readonly draftNumPredict: number
  readonly shift: boolean
}

export interface Wanted {
  readonly model: StoredModel
  readonly options: LoadOptions
  /** Milliseconds; Infinity is for ever; absent leaves what is. */
  readonly keepAliveMs?: number | undefined
}

/** A request's hold on a loaded model. */
export interface Lease {
  readonly contextLength: number
  /** Waits for a free slot, or answers `undefined` at once when there is one. */
  slot(client: Client): Promise<void> | undefined
  /** The runner's process dies: what comes next loads the model again. */
  crash(): void
  /** The request is over. Gives the slot back too. */
  end(): void
}

export interface Resident {
  readonly model: StoredModel
  readonly expiresAt: number
  readonly contextLength: number
  readonly sizeBytes: number
  readonly inFlight: number
}

export interface Limits {
  readonly clock: Clock
  readonly slots: number
  readonly resident: number
  readonly maxQueue: number
  readonly keepAliveMs: number
  /** Real time for simulated time, asked at every use: a mode may slow a node down. */
  scale(ms: number): number
  loadMs(model: StoredModel): number
  /** Is there memory for a model beside those that are loaded? Without it, only their number counts. */
  readonly fits?: (model: StoredModel, loaded: readonly StoredModel[]) => boolean
  /** Told of what enters memory and leaves it. */
  readonly heard?: (model: StoredModel, what: Heard) => void
}

/** `gone` also ends a load that was broken off. */
export type Heard = 'loading' | 'loaded' | 'gone'

export interface Residency {
  /** Throws Busy when too many cold requests wait already. */
  acquire(wanted: Wanted, client: Client): Lease | Promise<Lease>
  /** As keep_alive 0 without a prompt: gone at once, or when the last request on it ends. */
  unload(blob: string): void
  /** Loaded ones; a model being loaded is not listed. */
  list(): Resident[]
  readonly counters: Readonly<Loads>
  /** Everything out of memory at once, as when the process is killed. */
  reset(): void
}

export interface Loads {
  loads: number
  aborted: number
  evicted: number
  reloaded: number
  expired: number
  waiting: number
}

export class Busy extends Error {
  override readonly name = 'Busy'
}

/** OLLAMA_MAX_LOADED_MODELS=0 on a machine with one GPU or none. */
const AUTO_RESIDENT = 3

/** Ollama stamps "for ever" as Go's longest duration from now, about 292 years. */
const FOREVER_MS = 9_223_372_036_854

interface Runner {
  readonly model: StoredModel
  readonly options: LoadOptions
  readonly contextLength: number
  readonly slots: number
  keepAliveMs: number
  inFlight: number
  busySlots: number
  readonly waiting: Set<() => void>
  /** Set whenever the runner goes idle, and by an unload request. */
  expiresAt: number | undefined
  timer: Timer | undefined
  dead: boolean
}

interface Pending {
  readonly wanted: Wanted
  readonly client: Client
  readonly answer: (lease: Lease) => void
}

export function residency(limits: Limits): Residency {
  const { clock, maxQueue } = limits
  const resident = limits.resident > 0 ? limits.resident : AUTO_RESIDENT
  const loaded = new Map<string, Runner>()
  const queue: Pending[] = []
  const counters: Loads = { loads: 0, aborted: 0, evicted: 0, reloaded: 0, expired: 0, waiting: 0 }
  let working = false
  let afterUnload: (() => void) | undefined

  function acquire(wanted: Wanted, client: Client): Lease | Promise<Lease> {
    const runner = loaded.get(wanted.model.blob)
    if (runner !== undefined && fits(runner, wanted.options)) return use(runner, wanted)
    if (working && queue.length >= maxQueue) throw new Busy()
    return new Promise((resolve, reject) => {
      const forget = client.whenGone(() => reject(new Gone()))
      const answer = (lease: Lease): void => {
        forget()
        resolve(lease)
      }
      queue.push({ wanted, client, answer })
      counters.waiting = queue.length
      void work()
    })
  }

  /** The one worker: a cold request is taken up only when the one before it has its model. */
  async function work(): Promise<void> {
    if (working) return
    working = true
    for (let next = take(); next !== undefined; next = take()) await admit(next)
    working = false
  }

  function take(): Pending | undefined {
    const next = queue.shift()
    counters.waiting = queue.length
    return next
  }

  async function admit(pending: Pending): Promise<void> {
    const { wanted, client } = pending
    while (!client.gone) {
      const runner = loaded.get(wanted.model.blob)
      if (runner !== undefined && fits(runner, wanted.options)) return pending.answer(use(runner, wanted))
      if (runner === undefined && loaded.size < resident && beside(wanted.model)) return load(pending)
      const victim = runner ?? shortestStay()
      if (runner === undefined) counters.evicted += 1
      else counters.reloaded += 1
      await drained(victim)
    }
  }

  /** What is alone is loaded, however much of it fits. */
  function beside(model: StoredModel): boolean {
    if (limits.fits === undefined || loaded.size === 0) return true
    return limits.fits(
      model,
      [...loaded.values()].map(runner => runner.model),
    )
  }

  /** Waits for any unload, then looks again: the victim may have been kept busy and another one have gone. */
  function drained(victim: Runner): Promise<void> | undefined {
    victim.keepAliveMs = 0
    stopTimer(victim)
    if (victim.inFlight === 0) return drop(victim)
    return new Promise(resolve => {
      afterUnload = resolve
    })
  }

  async function load({ wanted, client, answer }: Pending): Promise<void> {
    const { model } = wanted
    limits.heard?.(model, 'loading')
    try {
      await sleep(clock, limits.scale(limits.loadMs(model)), client)
    } catch (error) {
      if (!(error instanceof Gone)) throw error
      counters.aborted += 1
      limits.heard?.(model, 'gone')
      return
    }
    counters.loads += 1
    const runner: Runner = {
      model,
      options: wanted.options,
      contextLength: Math.min(wanted.options.numCtx, model.contextLength),
      slots: model.capabilities.includes('completion') ? limits.slots : 1,
      keepAliveMs: limits.keepAliveMs,
      inFlight: 0,
      busySlots: 0,
      waiting: new Set(),
      expiresAt: undefined,
      timer: undefined,
      dead: false,
    }
    loaded.set(model.blob, runner)
    limits.heard?.(model, 'loaded')
    answer(use(runner, wanted))
  }

  function use(runner: Runner, { keepAliveMs }: Wanted): Lease {
    runner.inFlight += 1
    stopTimer(runner)
    if (keepAliveMs !== undefined) runner.keepAliveMs = keepAliveMs
    let holdsSlot = false
    let over = false
    return {
      contextLength: runner.contextLength,
      slot(client) {
        if (client.gone) throw new Gone()
        if (runner.busySlots < runner.slots) {
          runner.busySlots += 1
          holdsSlot = true
          return undefined
        }
        return new Promise((resolve, reject) => {
          const turn = (): void => {
            forget()
            holdsSlot = true
            resolve()
          }
          const forget = client.whenGone(() => {
            runner.waiting.delete(turn)
            reject(new Gone())
          })
          runner.waiting.add(turn)
        })
      },
      crash() {
        runner.dead = true
      },
      end() {
        if (over) return
        over = true
        if (holdsSlot) passSlot(runner)
        runner.inFlight -= 1
        if (runner.inFlight === 0) idle(runner)
      },
    }
  }

  function passSlot(runner: Runner): void {
    const [next] = runner.waiting
    if (next === undefined) runner.busySlots -= 1
    else {
      runner.waiting.delete(next)
      next()
    }
  }

  function idle(runner: Runner): void {
    if (loaded.get(runner.model.blob) !== runner) return
    if (runner.keepAliveMs <= 0) return drop(runner)
    const stayMs = limits.scale(runner.keepAliveMs)
    runner.expiresAt = clock.now() + Math.min(stayMs, FOREVER_MS)
    if (stayMs < FOREVER_MS)
      runner.timer = clock.after(stayMs, () => {
        counters.expired += 1
        drop(runner)
      })
  }

  function unload(blob: string): void {
    const runner = loaded.get(blob)
    if (runner === undefined) return
    runner.keepAliveMs = 0
    runner.expiresAt = clock.now()
    stopTimer(runner)
    if (runner.inFlight === 0) drop(runner)
  }

  function drop(runner: Runner): undefined {
    stopTimer(runner)
    if (loaded.get(runner.model.blob) === runner) {
      loaded.delete(runner.model.blob)
      limits.heard?.(runner.model, 'gone')
    }
    const resume = afterUnload
    afterUnload = undefined
    resume?.()
    return undefined
  }

  function stopTimer(runner: Runner): void {
    runner.timer?.cancel()
    runner.timer = undefined
  }

  /** (1) idle before busy, (2) the shortest keep_alive, (3) by blob. */
  function shortestStay(): Runner {
    return [...loaded.values()].sort(
      (a, b) =>
        Math.min(a.inFlight, 1) - Math.min(b.inFlight, 1) ||
        compare(a.keepAliveMs, b.keepAliveMs) ||
        compare(a.model.blob, b.model.blob),
    )[0]!
  }

  function list(): Resident[] {
    const now = clock.now()
    return [...loaded.values()]
      .map(runner => ({
        model: runner.model,
        // Busy since it was loaded: nothing has stamped it yet, so Ollama guesses.
        expiresAt: runner.expiresAt ?? now + Math.min(limits.scale(runner.keepAliveMs), FOREVER_MS),
        contextLength: runner.contextLength,
        sizeBytes: runner.model.sizeBytes + runner.contextLength * runner.slots * kvBytes(runner.model),
        inFlight: runner.inFlight,
      }))
      .sort((a, b) => Math.floor(b.expiresAt / 1000) - Math.floor(a.expiresAt / 1000))
  }

  function reset(): void {
    queue.length = 0
    counters.waiting = 0
    for (const runner of [...loaded.values()]) drop(runner)
  }

  return { acquire, unload, list, counters, reset }
}

function fits(runner: Runner, wanted: LoadOptions): boolean {
  if (runner.dead) return false
  const { options, model } = runner
  return (
    ((options.numCtxAuto && wanted.numCtxAuto) ||
      Math.min(wanted.numCtx, model.contextLength) === runner.contextLength) &&
    ((options.numBatchAuto && wanted.numBatchAuto) || wanted.numBatch === options.numBatch) &&
    (wanted.numGpu < 0 || wanted.numGpu === options.numGpu) &&
    wanted.mainGpu === options.mainGpu &&
    (wanted.useMmap === undefined || wanted.useMmap === options.useMmap) &&
    wanted.numThread === options.numThread &&
    wanted.draftNumPredict === options.draftNumPredict &&
    wanted.shift === options.shift
  )
}

/** Not a subtraction: Infinity minus itself is no number. */
function compare<T extends number | string>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** A plausible price of one token of context. */
function kvBytes(model: StoredModel): number {
  return Math.max(1024, Math.floor(model.sizeBytes / 65_536))
}
