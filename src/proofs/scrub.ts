/**
 * Reads the whole journal again, a thousand facts at a time, and verifies the chain: once a day, at a twentieth of one
 * core. Old facts are otherwise read when the house starts, and a disk that rots in between says nothing.
 *
 *   waits ──a day after the last one began──▶ reads a page, rests 19 times as long ──the end──▶ waits
 *
 * First the checksums of LevelDB's tables are looked at, without LevelDB: over some damaged ones it ends the process in the
 * middle of a read, which nobody can catch. With one of those, nothing is read through it.
 *
 * What is damaged becomes a fact, a line in the log and a metric, and the rest is read all the same: whether the house
 * can go on is for people to say. Where it stands is written down every minute, and a restart goes on from there.
 */
import { join } from 'node:path'
import type { Clock, Timer } from '../clock.ts'
import type { Engine } from '../engine/engine.ts'
import { Failure } from '../failure.ts'
import { Damage } from '../journal/damage.ts'
import type { Journal } from '../journal/journal.ts'
import { readText, replaceFile } from './disk.ts'

export interface ScrubNeeds {
  readonly engine: Pick<Engine, 'attempt'>
  readonly journal: Journal
  readonly clock: Clock
  readonly config: { readonly scrubMs: number }
  /** The data folder; undefined where the journal is in memory only. Then nothing is read again. */
  readonly dir: string | undefined
  /** LevelDB's tables that are not what was written; `seen` is awaited every few KiB. */
  readonly tables?: (
    seen: () => Promise<void>,
  ) => Promise<readonly { readonly name: string; readonly at: number }[]>
  readonly warn: (message: string) => void
}

/** How it stands, and how the last one ended. */
export interface ScrubState {
  /** Milliseconds since the epoch; 0 where there was none yet. */
  readonly beganAt: number
  /** The last fact read by the one that is under way; undefined while none is. */
  readonly after: number | undefined
  /** Spent reading by the one that is under way. */
  readonly busyMs: number
  /** Places found damaged by the one that is under way. */
  readonly bad: number
  readonly last:
    | { readonly finishedAt: number; readonly facts: number; readonly ms: number; readonly bad: number }
    | undefined
}

const PAGE_FACTS = 1_000
/** For each millisecond of reading, so many of rest: 5 % of a core. */
const REST = 19
/** Of tables, as much as takes so long is read at once. */
const TABLES_MS = 2
/** However quick a page was: the smallest step of the clock says little. */
const REST_MIN_MS = 5
const LOOK_MS = 60_000
/** A house that starts has better things to do. */
const BEGIN_MS = 10_000
const SAVE_MS = 60_000
/** While the disk cannot be read for now. */
const AGAIN_MS = 5_000
/** More places than this in one go are counted, and told of no more. */
const TOLD_MAX = 16

const NOTHING: ScrubState = { beganAt: 0, after: undefined, busyMs: 0, bad: 0, last: undefined }

export class Scrub {
  readonly #needs: ScrubNeeds
  #state = NOTHING
  #savedAt = 0
  #timer: Timer | undefined
  #reading: Promise<void> | undefined
  /** Have the tables been looked at, in this go and by this process? */
  #looked = false
  #wake = (): void => {}
  #closed = false

  constructor(needs: ScrubNeeds) {
    this.#needs = needs
  }

  get state(): ScrubState {
    return this.#state
  }

  /** Where the last house was with it. What cannot be read is left out: then it begins anew. */
  async open(): Promise<void> {
    const { dir, journal, warn } = this.#needs
    if (dir === undefined) return
    try {
      const { id, ...state } = JSON.parse((await readText(join(dir, 'scrub.json'))) ?? '{}')
      if (id === journal.id && typeof state.beganAt === 'number') this.#state = { ...NOTHING, ...state }
    } catch (error) {
      warn(`the state of the scrub cannot be read, and begins anew: ${(error as Error).message}`)
    }
  }

  start(): void {
    if (this.#needs.dir !== undefined) this.#next(BEGIN_MS)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    this.#wake()
    await this.#reading
    if (this.#state.after !== undefined) await this.#save()
  }

  #next(ms: number): void {
    if (this.#closed) return
    this.#timer = this.#needs.clock.after(ms, () => {
      this.#reading = this.#step()
    })
  }

  async #step(): Promise<void> {
    const { clock, config, journal } = this.#needs
    const { after, beganAt } = this.#state
    if (config.scrubMs === 0 || journal.closed) return this.#next(LOOK_MS)
    if (after === undefined) {
      const due = beganAt + config.scrubMs - clock.now()
      // A clock that was put back must not put it off for years.
      if (due > 0 && due <= config.scrubMs) return this.#next(Math.min(due, LOOK_MS))
      this.#state = { ...this.#state, beganAt: clock.now(), after: 0, busyMs: 0, bad: 0 }
      this.#looked = false
      return this.#next(REST_MIN_MS)
    }
    if (!this.#looked && !(await this.#tables())) return this.#closed ? undefined : this.#end(after)
    if (after >= journal.durable) return this.#end(after)
    const began = clock.monotonic()
    const until = Math.min(after + PAGE_FACTS, journal.durable)
    const read = await this.#page(after, until)
    const spent = clock.monotonic() - began
    const busyMs = this.#state.busyMs + spent
    this.#state = { ...this.#state, busyMs, after: read ?? after }
    if (clock.monotonic() - this.#savedAt >= SAVE_MS) await this.#save()
    this.#next(read !== undefined ? Math.max(spent * REST, REST_MIN_MS) : AGAIN_MS)
  }

  async #end(facts: number): Promise<void> {
    const { clock } = this.#needs
    const { bad, busyMs } = this.#state
    const last = { finishedAt: clock.now(), facts, ms: Math.round(busyMs), bad }
    this.#state = { ...this.#state, after: undefined, last }
    await this.#save()
    this.#next(LOOK_MS)
  }

  /** False where LevelDB had better not read them, or the house closes. */
  async #tables(): Promise<boolean> {
    const { clock, tables = async () => [] } = this.#needs
    let began = clock.monotonic()
    let busyMs = 0
    const seen = async (): Promise<void> => {
      const spent = clock.monotonic() - began
      if (spent < TABLES_MS || this.#closed) return
      busyMs += spent
      await new Promise<void>(resolve => {
        this.#wake = resolve
        this.#timer = clock.after(spent * REST, resolve)
      })
      began = clock.monotonic()
    }
    const bad = await tables(seen)
    this.#state = { ...this.#state, busyMs: this.#state.busyMs + busyMs }
    this.#looked = true
    for (const { name, at } of bad) {
      this.#tell(`${name} is not what LevelDB wrote, from byte ${at} on; nothing is read again.`, {
        table: name,
      })
    }
    return bad.length === 0 && !this.#closed
  }

  /** The last fact that was read, or passed over; undefined where it cannot be read for now. */
  async #page(after: number, until: number): Promise<number | undefined> {
    const { journal } = this.#needs
    try {
      for await (const _ of journal.records({ after, until }));
      return until
    } catch (error) {
      if (error instanceof Damage) {
        this.#found(error, after + 1)
        return until
      }
      if (!(error instanceof Failure)) throw error
      // Archive files may be anywhere; what is on this disk is read all the same.
      if (error.code === 'archive.missing' && after < journal.base.seq) return journal.base.seq
      return undefined
    }
  }

  #found({ seq = 0, code, message }: Damage, first: number): void {
    // The record before a page belongs to the page before, which has told of it.
    if (seq < first && this.#state.bad > 0) return
    this.#tell(message, { seq, code })
  }

  #tell(
    message: string,
    place: { readonly seq?: number; readonly table?: string; readonly code?: string },
  ): void {
    const { engine, warn } = this.#needs
    this.#state = { ...this.#state, bad: this.#state.bad + 1 }
    if (this.#state.bad > TOLD_MAX) return
    warn(`The scrub found damage: ${message}`)
    try {
      const data = { code: 'journal.broken', ...place }
      engine.attempt('scrub', 'journal', { type: 'scrub.report', data, by: 'scrub' })
    } catch (error) {
      // The journal takes nothing now; the next scrub finds the same.
      if (!(error instanceof Failure)) throw error
    }
  }

  async #save(): Promise<void> {
    const { clock, dir, journal, warn } = this.#needs
    if (dir === undefined) return
    this.#savedAt = clock.monotonic()
    const text = `${JSON.stringify({ id: journal.id, ...this.#state })}\n`
    await replaceFile(join(dir, 'scrub.json'), text).catch(error => warn((error as Error).message))
  }
}
