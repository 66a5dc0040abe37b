/**
 * How much of the disk the data folder may take. The journal drops nothing, so what can be held back is new work:
 *
 *   fine ──80 %──▶ tight ──100 %──▶ full          full: nothing new is taken
 *   fine ◀──75 %── tight ◀── 95 %── full          what runs goes on, and so does every door of the house's own
 *
 * The folder is looked through at an interval. The journal's own reserve (src/journal/level.ts) stays beneath it: that one
 * asks what is left on the disk, and this one what the house takes of it.
 */
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock, Timer } from '../clock.ts'
import type { Config } from '../config.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import { Failure } from '../failure.ts'

export interface BudgetNeeds {
  readonly clock: Clock
  /** 0: no budget. May be turned while the house runs. */
  readonly config: Pick<Config, 'diskBudgetBytes'>
  /** The data folder. */
  readonly dir: string
  readonly warn: (message: string) => void
}

export type Standing = 'fine' | 'tight' | 'full'

const TIGHT = 0.8
const TIGHT_NO_MORE = 0.75
const FULL_NO_MORE = 0.95
const LOOK_MS = 10_000
/** Closer to the limit it is looked more often: a busy house writes 50 MB in this time. */
const LOOK_CLOSELY_MS = 2_000
/** Looking takes at most a fiftieth of the time, however many files there are. */
const REST_TIMES = 50
const BLOCK_BYTES = 512
/** Files asked about at once. */
const AT_ONCE = 64

export class Budget {
  /** A budget that is set anew holds at once. */
  readonly reactor: Reactor
  readonly #needs: BudgetNeeds
  #usedBytes = 0
  #standing: Standing = 'fine'
  #timer: Timer | undefined
  #looking: Promise<void> | undefined
  #closed = false

  constructor(needs: BudgetNeeds) {
    this.#needs = needs
    const look = (): void => {
      this.#judge()
      void this.look()
    }
    this.reactor = reactor(this, { on: { 'setting.set': look, 'setting.reset': look }, resume: () => {} })
  }

  /** What the folder takes, as of the last look. */
  get usedBytes(): number {
    return this.#usedBytes
  }

  /** 0 where there is none. */
  get budgetBytes(): number {
    return this.#needs.config.diskBudgetBytes
  }

  get standing(): Standing {
    return this.#standing
  }

  /** Looks through the folder now, and from now on. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    await this.#looking
  }

  async #look(): Promise<void> {
    const { clock, dir, warn } = this.#needs
    if (this.#closed) return
    this.#timer?.cancel()
    const began = clock.monotonic()
    try {
      this.#usedBytes = await bytesIn(dir, () => this.#closed)
      this.#judge()
    } catch (error) {
      warn(`the data folder cannot be looked through: ${(error as Error).message}`)
    }
    if (this.#closed) return
    const usual = this.#standing === 'fine' ? LOOK_MS : LOOK_CLOSELY_MS
    this.#timer = clock.after(
      Math.max(usual, REST_TIMES * (clock.monotonic() - began)),
      () => void this.look(),
    )
  }

  /** Where it stands otherwise than before, that is told. */
  #judge(): void {
    const { budgetBytes, warn } = { ...this.#needs, budgetBytes: this.budgetBytes }
    const share = budgetBytes === 0 ? 0 : this.#usedBytes / budgetBytes
    const before = this.#standing
    this.#standing = standingAt(share, before)
    if (this.#standing === before) return
    const sizes = `${mebibytes(this.#usedBytes)} of ${mebibytes(budgetBytes)}`
    if (this.#standing === 'full')
      warn(`the data folder takes ${sizes}: nothing new is taken; archive and trim, or raise disk-budget`)
    else if (this.#standing === 'tight' && before === 'fine')
      warn(`the data folder takes ${sizes}, its disk budget: nothing new is taken once that is all`)
    else
      warn(
        `the data folder takes ${sizes}: ${before === 'full' ? 'requests are taken again' : 'there is room again'}`,
      )
  }
}

export function standingAt(share: number, before: Standing): Standing {
  if (share >= 1 || (before === 'full' && share >= FULL_NO_MORE)) return 'full'
  if (share >= TIGHT || (before !== 'fine' && share >= TIGHT_NO_MORE)) return 'tight'
  return 'fine'
}

/** What everything under a folder takes on the disk. Files that go meanwhile take nothing. */
export async function bytesIn(dir: string, enough: () => boolean = () => false): Promise<number> {
  let bytes = 0
  const folders = [dir]
  for (let folder = folders.pop(); folder !== undefined && !enough(); folder = folders.pop()) {
    const entries = (await readdir(folder, { withFileTypes: true }).catch(absent)) ?? []
    for (let at = 0; at < entries.length; at += AT_ONCE) {
      const sizes = entries.slice(at, at + AT_ONCE).map(async entry => {
        const path = join(folder as string, entry.name)
        if (entry.isDirectory()) folders.push(path)
        return ((await lstat(path).catch(absent))?.blocks ?? 0) * BLOCK_BYTES
      })
      bytes += (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
    }
  }
  return bytes
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw new Failure('archive.unreadable', error.message, { cause: error })
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 1_048_576)} MiB`
}
