/**
 * The inside of a simulated node without its doors: models in memory, slots, and how long things take. For
 * simulations of thousands of requests that nobody sends over a wire; the rules are those of runner.ts.
 */
import type { Clock } from '../clock.ts'
import { type Client, Gone, sleep } from './client.ts'
import { parseName } from './names.ts'
import { type Heard, type Lease, residency, type Wanted } from './runner.ts'
import { emptyStore, type StoredModel, shipped } from './store.ts'
import { tune } from './tuning.ts'

export interface BareOptions {
  readonly clock: Clock
  /** Requests at once per model, and models in memory at once. */
  readonly slots: number
  readonly resident: number
  readonly keepAliveMs: number
  loadMs(model: string): number
  /** Is there memory for a model beside those that are loaded? Without it, only their number counts. */
  readonly fits?: ((model: string, loaded: readonly string[]) => boolean) | undefined
  /** Told when a model begins to load, is loaded, or is gone from memory (or its load was broken off). */
  heard(model: string, what: Heard): void
}

/** What a request takes once it has a slot, and who hears how it goes on. A cut one is never heard of again. */
export interface Stay {
  readonly promptMs: number
  readonly outputMs: number
  started(): void
  /** The first byte. */
  begun(): void
  ended(): void
}

export interface BareNode {
  /** Sends a request of a model. Answers how to hang up. */
  run(model: string, stay: Stay): () => void
  /** Loads a model with a request that has no prompt, and says when it is in memory. Answers how to hang up. */
  load(model: string, loaded: () => void): () => void
  /** As keep_alive 0 without a prompt: gone at once, or when the last request on it ends. */
  unload(model: string): void
  /** What is in memory; a model being loaded is not. */
  resident(): readonly string[]
  /** As if killed: whoever is there is cut, nothing stays in memory. */
  kill(): void
}

export function bareNode({
  clock,
  slots,
  resident,
  keepAliveMs,
  loadMs,
  fits,
  heard,
}: BareOptions): BareNode {
  const models = new Map<string, StoredModel>()
  const names = new Map<StoredModel, string>()
  const callers = new Set<Caller>()
  const memory = residency({
    clock,
    slots,
    resident,
    keepAliveMs,
    maxQueue: Number.POSITIVE_INFINITY,
    scale: ms => ms,
    loadMs: model => loadMs(names.get(model)!),
    ...(fits && {
      fits: (model: StoredModel, loaded: readonly StoredModel[]) =>
        fits(
          names.get(model)!,
          loaded.map(other => names.get(other)!),
        ),
    }),
    heard: (model, what) => heard(names.get(model)!, what),
  })
  const store = emptyStore()

  function wanted(name: string): Wanted {
    let model = models.get(name)
    if (model === undefined) {
      model = store.put(parseName(name), shipped(0, { name }), 0)
      models.set(name, model)
      names.set(model, name)
    }
    return { model, options: tune(model, undefined, undefined, model.contextLength).load }
  }

  /** A visit ends by itself, or when its caller hangs up; then nobody hears of it. */
  function receive(name: string, visit: (lease: Lease, caller: Caller) => Promise<void>): () => void {
    const caller = new Caller()
    callers.add(caller)
    const serve = async (): Promise<void> => {
      const lease = await memory.acquire(wanted(name), caller)
      try {
        await visit(lease, caller)
      } finally {
        lease.end()
      }
    }
    serve()
      .catch(error => {
        if (!(error instanceof Gone)) throw error
      })
      .finally(() => callers.delete(caller))
    return () => caller.leave()
  }

  return {
    run: (name, { promptMs, outputMs, started, begun, ended }) =>
      receive(name, async (lease, caller) => {
        await lease.slot(caller)
        started()
        await sleep(clock, promptMs, caller)
        begun()
        await sleep(clock, outputMs, caller)
        lease.end()
        ended()
      }),
    load: (name, loaded) =>
      receive(name, async lease => {
        lease.end()
        loaded()
      }),
    unload: name => memory.unload(wanted(name).model.blob),
    resident: () => memory.list().map(({ model }) => names.get(model)!),
    kill() {
      for (const caller of callers) caller.leave()
      memory.reset()
    },
  }
}

class Caller implements Client {
  gone = false
  readonly #wishes = new Set<() => void>()

  whenGone(run: () => void): () => void {
    if (this.gone) run()
    else this.#wishes.add(run)
    return () => this.#wishes.delete(run)
  }

  leave(): void {
    if (this.gone) return
    this.gone = true
    for (const run of [...this.#wishes]) run()
  }
}
