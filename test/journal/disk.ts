/**
 * A disk in memory that fails as it is told and forgets as real ones do, under a journal in virtual time.
 *
 *   write   the batch is in the cache at once; on the platter, and answered, after `syncMs`
 *   crash   the platter stays; of the cache, whatever chance leaves: nothing, or the batches up to one of them
 *
 * After a write that failed, its handle is as LevelDB's is: it goes on to acknowledge what it never keeps.
 */
import type { Clock } from '../../src/clock.ts'
import { Failure } from '../../src/failure.ts'
import { hashOf, originOf } from '../../src/journal/chain.ts'
import { journalOver } from '../../src/journal/commit.ts'
import { illegible } from '../../src/journal/damage.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { type Store, verified } from '../../src/journal/store.ts'

export type Call = 'write' | 'reopen' | 'page'

/** What a call meets. `keeps`: the disk has the batch all the same; otherwise it is lost. */
export interface Fault {
  readonly says: string
  readonly keeps?: boolean
}

export interface DiskOptions {
  readonly clock: Clock
  /** What the `nth` call of its kind (1, 2, …) meets. */
  readonly fault?: (call: Call, nth: number) => Fault | undefined
  /** How long the next sync takes, in ms. */
  readonly syncMs?: () => number
}

export class Disk {
  readonly id: string
  readonly #options: DiskOptions
  readonly #calls = { write: 0, reopen: 0, page: 0 }
  /** Records that a crash leaves. */
  #platter: string[] = []
  /** Batches that are written and not synced. */
  #cache: (readonly string[])[] = []
  /** Handles of before the crash reach nothing any more. */
  #boot = 0

  constructor(id: string, options: DiskOptions) {
    this.id = id
    this.#options = options
  }

  /** What a power cut at this moment leaves at least. */
  get synced(): readonly string[] {
    return this.#platter
  }

  /** The machine stops. Of the batches in the cache, the first `kept` are on the platter. */
  crash(kept: (batches: number) => number): void {
    this.#boot += 1
    for (const batch of this.#cache.slice(0, kept(this.#cache.length))) this.#platter.push(...batch)
    this.#cache = []
  }

  async open(): Promise<Journal> {
    const { id } = this
    const store = this.#store()
    let hash = originOf(id)
    for await (const page of verified(store, id, 0, this.#platter.length)) hash = hashOf(page.at(-1)!)
    return journalOver(store, { id, head: { seq: this.#platter.length, hash }, clock: this.#options.clock })
  }

  #met(call: Call): Fault | undefined {
    this.#calls[call] += 1
    return this.#options.fault?.(call, this.#calls[call])
  }

  #store(): Store {
    const { clock, syncMs = () => 1 } = this.#options
    const boot = this.#boot
    let poisoned = false
    const over = (): Promise<never> => new Promise(() => {})
    const wait = (ms: number): Promise<void> =>
      new Promise(resolve => {
        clock.after(ms, resolve)
      })

    return {
      write: async (seq, records) => {
        if (boot !== this.#boot) return over()
        const fault = this.#met('write')
        // The lie of a handle that has failed.
        if (poisoned) return
        if (seq !== this.#platter.length + 1)
          throw new Error(`written as ${seq}, after ${this.#platter.length}`)
        if (fault === undefined || fault.keeps) this.#cache.push(records)
        await wait(syncMs())
        if (boot !== this.#boot) return over()
        if (fault === undefined || fault.keeps) this.#sync()
        if (fault === undefined) return
        poisoned = true
        throw new Failure('journal.unwritable', fault.says)
      },

      rewrite: async records => {
        if (boot !== this.#boot) return over()
        await wait(syncMs())
        if (boot !== this.#boot) return over()
        for (const [seq, record] of records) this.#platter[seq - 1] = record
      },
      spill: async () => {},
      compact: async () => {},

      page: async (from, until) => {
        if (boot !== this.#boot) return over()
        const fault = this.#met('page')
        if (fault !== undefined) throw illegible(from, new Error(fault.says))
        return this.#platter.slice(from - 1, Math.min(until, from + 999))
      },

      reopen: async () => {
        if (boot !== this.#boot) return over()
        const fault = this.#met('reopen')
        if (fault !== undefined) throw new Failure('journal.unwritable', fault.says)
        poisoned = false
        return this.#platter.length
      },

      close: async () => {},
    }
  }

  #sync(): void {
    for (const batch of this.#cache.splice(0)) this.#platter.push(...batch)
  }
}
