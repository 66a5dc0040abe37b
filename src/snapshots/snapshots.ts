/**
 * What the house knows, kept now and then, so that a start has little to replay: the state of every view and of every open
 * stream, right after one fact. The journal alone is the truth; a snapshot only saves time, and whatever is wrong with
 * one, it is left aside with a line in the log, and nobody is worse off.
 *
 *   snapshots/0000000000200000.snapshot    after fact 200,000; see file.ts
 *   snapshots/0000000000400000.snapshot
 *
 * A snapshot is of use only where its fact is in this journal with the very hash it had, and where the machines and
 * projections that made it are those that run now. Two are kept. What lies before the one a house starts from is not
 * verified by that start.
 */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { serialize } from 'node:v8'
import type { Clock } from '../clock.ts'
import type { Engine, Resting } from '../engine/engine.ts'
import { hashOf } from '../journal/chain.ts'
import type { Journal } from '../journal/journal.ts'
import type { Projection } from '../projections/projection.ts'
import { type States, statesOf } from '../projections/views.ts'
import { type Label, readSnapshot, writeSnapshot } from './file.ts'
import { fingerprint } from './fingerprint.ts'

export interface Snapshot extends Resting {
  readonly views: States
}

export interface SnapshotOptions {
  /** The folder of the house; undefined where nothing is kept. */
  readonly dir: string | undefined
  readonly journal: Journal
  readonly clock: Clock
  /** A snapshot is taken whenever there are so many more facts; 0 for never, and then none is read either. */
  readonly everyFacts: number
  /** Hears why a snapshot cannot be used, or not be written. */
  readonly warn: (message: string) => void
}

/** What snapshots cost, since this process began. */
export interface SnapshotFigures {
  readonly written: number
  readonly failed: number
  /** Of the last one: its fact, how large it is, and for how long nothing else could run, milliseconds. */
  readonly seq: number
  readonly bytes: number
  readonly pauseMs: number
}

/** Whose state is kept. */
interface Source {
  readonly engine: Engine
  readonly answers: Readonly<Record<string, Projection<unknown>>>
}

const KEPT_MAX = 2
const NAME = /^(\d{16})\.snapshot$/

export class Snapshots {
  readonly #options: SnapshotOptions
  readonly #dir: string
  /** Those of use, as far as they have been looked at, newest first. */
  #kept: string[] = []
  #fingerprint: Promise<string> | undefined
  #taking: Promise<void> | undefined
  /** The fact of the last one that was taken, read or given up. */
  #last = 0
  #figures: SnapshotFigures = { written: 0, failed: 0, seq: 0, bytes: 0, pauseMs: 0 }
  #source: Source | undefined
  #unwatch: () => void = () => {}
  /** Grows with each drop(): what was taken before one is not written after it. */
  #drops = 0

  constructor(options: SnapshotOptions) {
    this.#options = options
    this.#dir = join(options.dir ?? '', 'snapshots')
  }

  get figures(): SnapshotFigures {
    return this.#figures
  }

  /** The newest that can be used; with `untilAt`, of those in which no fact is dated later (milliseconds since the epoch). */
  async newest({
    untilAt = Number.POSITIVE_INFINITY,
    untilSeq = Number.POSITIVE_INFINITY,
  } = {}): Promise<Snapshot | undefined> {
    if (!this.#on) return undefined
    const { warn } = this.#options
    const names = await this.#names().catch((error: Error): string[] => {
      warn(`no snapshot can be read from ${this.#dir}: ${error.message}`)
      return []
    })
    for (const name of names) {
      try {
        const { label, content } = await readSnapshot(join(this.#dir, name))
        const why = await this.#unusable(label)
        if (why !== undefined) throw new Error(why)
        if (!this.#kept.includes(name)) this.#kept.push(name)
        if (label.latestAt > untilAt || label.seq > untilSeq) continue
        this.#last = Math.max(this.#last, label.seq)
        const { seq, hash, latestAt } = label
        return { seq, hash, latestAt, ...content() }
      } catch (error) {
        warn(`the snapshot ${join(this.#dir, name)} is not used: ${(error as Error).message}`)
      }
    }
    return undefined
  }

  /** Takes one whenever it is time, from now on. */
  start(engine: Source['engine'], answers: Source['answers']): void {
    const { journal, everyFacts } = this.#options
    if (!this.#on) return
    this.#source = { engine, answers }
    this.#unwatch = journal.watch(() => {
      if (journal.durable - this.#last >= everyFacts && journal.writable) void this.take()
    })
  }

  /** Takes one now, unless one is being taken. Resolves when it is on disk, or has failed. */
  take(): Promise<void> {
    this.#taking ??= this.#write().finally(() => {
      this.#taking = undefined
    })
    return this.#taking
  }

  /**
   * Removes all of them: what they hold of a client is to be forgotten. Those taken later hold what the views hold
   * then. Rejects with what the system says.
   */
  async drop(): Promise<void> {
    this.#drops += 1
    await this.#taking
    this.#kept = []
    for (const name of await this.#names(/^\d{16}\.snapshot/))
      await rm(join(this.#dir, name), { force: true })
  }

  /** Takes a last one where there is anything new, once the engine has stopped. */
  async close(): Promise<void> {
    this.#unwatch()
    await this.#taking
    if (this.#options.journal.durable > this.#last) await this.take()
    this.#source = undefined
  }

  get #on(): boolean {
    return this.#options.dir !== undefined && this.#options.everyFacts > 0
  }

  async #write(): Promise<void> {
    if (this.#source === undefined) return
    const { engine, answers } = this.#source
    const { journal, clock, warn } = this.#options
    const { seq, hash, latestAt } = engine.position
    const drops = this.#drops
    this.#last = seq
    const began = clock.monotonic()
    const body = serialize({ views: statesOf(answers), streams: engine.streams() })
    const pauseMs = clock.monotonic() - began
    try {
      // Not of a fact that the disk may never have.
      await journal.flushed()
      if (drops !== this.#drops) return
      await mkdir(this.#dir, { recursive: true, mode: 0o700 })
      const name = `${String(seq).padStart(16, '0')}.snapshot`
      const label = { fingerprint: await this.#code(), journal: journal.id, seq, hash, latestAt }
      await writeSnapshot(join(this.#dir, name), label, body)
      this.#figures = {
        ...this.#figures,
        written: this.#figures.written + 1,
        seq,
        bytes: body.length,
        pauseMs,
      }
      await this.#prune(name)
    } catch (error) {
      this.#figures = { ...this.#figures, failed: this.#figures.failed + 1 }
      warn(`no snapshot could be written to ${this.#dir}: ${(error as Error).message}`)
    }
  }

  /** Keeps the new one and the one of use before it. Others are older, or were not of use. */
  async #prune(name: string): Promise<void> {
    this.#kept = [name, ...this.#kept.filter(other => other !== name)].slice(0, KEPT_MAX)
    for (const other of await this.#names(/^\d{16}\.snapshot/)) {
      if (!this.#kept.includes(other)) await rm(join(this.#dir, other), { force: true })
    }
  }

  async #unusable({ fingerprint, journal: id, seq, hash }: Label): Promise<string | undefined> {
    const { journal } = this.#options
    if (fingerprint !== (await this.#code())) return 'another version of Quipu took it'
    if (id !== journal.id) return 'it is of another journal'
    if (seq > journal.durable) return `it is of fact ${seq}, and the journal ends at ${journal.durable}`
    const found = seq === journal.base.seq ? journal.base.hash : await this.#hashAt(seq)
    return found === hash ? undefined : `fact ${seq} of the journal is not the one it was taken after`
  }

  async #hashAt(seq: number): Promise<string | undefined> {
    const { journal } = this.#options
    for await (const [record] of journal.records({ after: seq - 1, until: seq }))
      return record && hashOf(record)
    return undefined
  }

  #code(): Promise<string> {
    this.#fingerprint ??= fingerprint()
    return this.#fingerprint
  }

  /** Newest first; none where there is no folder. */
  async #names(pattern = NAME): Promise<string[]> {
    const names = await readdir(this.#dir).catch((error: NodeJS.ErrnoException): string[] => {
      if (error.code !== 'ENOENT') throw error
      return []
    })
    return names
      .filter(name => pattern.test(name))
      .sort()
      .reverse()
  }
}
