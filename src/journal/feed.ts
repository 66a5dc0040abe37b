/**
 * The journal for many readers at once: streams over HTTP and gRPC share one. Those who are up to date cost little, for
 * they are handed the same facts out of memory; those who are behind read the disk, and take turns.
 *
 * A commit wakes every reader, and a thousand of them take a while. So that the house does not spend its one thread on
 * telling, readers are woken in waves: after each comes a rest that is three times as long as the wave took. A wave for
 * a few readers takes no time, and then there is no rest.
 */
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import { type Followed, follow } from './follow.ts'
import type { Entry, Journal } from './journal.ts'
import { Shelf } from './shelf.ts'
import { Turns } from './turns.ts'
import type { Wanted } from './wanted.ts'

export interface FeedNeeds {
  readonly clock: Clock
  readonly journal: Journal
}

/** A part of the journal as one reader is given it. */
export interface Stretch {
  /** The facts of it that are wanted. */
  readonly facts: readonly Entry[]
  /** Its last fact, wanted or not: where to go on. */
  readonly seq: number
}

/** A reader that is up to date costs 30 KB or so, most of it its socket. */
export const READERS_MAX = 2_048
/** One that is behind holds a page of a thousand facts, and has the disk fetch the next: 2 MB or so. */
export const BEHIND_MAX = 64
/** At ten thousand facts a turn, everybody has had one long before. */
const TURN_WAIT_MS = 60_000

/** A wave that is over sooner is followed by no rest. */
const WAVE_MS = 1
const REST = 3
const REST_MAX_MS = 100

export class Feed {
  readonly #clock: Clock
  readonly #paced: Followed
  readonly #readers = new Set<AbortController>()
  /** To read the journal from the disk. */
  readonly turns: Turns
  readonly #listeners = new Set<() => void>()
  #unwatch: (() => void) | undefined
  #resting = false
  #missed = false

  constructor({ clock, journal }: FeedNeeds) {
    this.#clock = clock
    this.turns = new Turns({
      clock,
      atOnceMax: BEHIND_MAX,
      waitingMax: READERS_MAX,
      waitMs: TURN_WAIT_MS,
      what: 'to read the journal from the disk',
    })
    const shelf = new Shelf(journal)
    this.#paced = {
      get durable() {
        return journal.durable
      },
      get closed() {
        return journal.closed
      },
      recent: after => journal.recent(after),
      read: range => shelf.read(range),
      watch: listener => {
        this.#unwatch ??= journal.watch(() => this.#grown(journal.closed))
        this.#listeners.add(listener)
        return () => {
          this.#listeners.delete(listener)
          if (this.#listeners.size > 0) return
          this.#unwatch?.()
          this.#unwatch = undefined
        }
      },
    }
  }

  /** How many there are. */
  get readers(): number {
    return this.#readers.size
  }

  /** Counts a reader in; whoever calls this calls abort() when it is gone. Throws a Failure `events.full`. */
  enter(): AbortController {
    if (this.#readers.size >= READERS_MAX) {
      const message = `${READERS_MAX} read the journal already, and no more than that may; try again`
      throw new Failure('events.full', message, { retryable: true })
    }
    const reader = new AbortController()
    this.#readers.add(reader)
    reader.signal.addEventListener('abort', () => this.#readers.delete(reader))
    return reader
  }

  /** Sends all of them home. */
  close(): void {
    for (const reader of this.#readers) reader.abort()
  }

  /**
   * Everything wanted after a mark, then whatever comes; a stretch may hold no fact. Throws as follow() does, and
   * `house.busy` when too many others are behind.
   */
  async *follow(after: number, wanted: Wanted | undefined, signal: AbortSignal): AsyncGenerator<Stretch> {
    for await (const page of follow(this.#paced, { after, signal, turns: this.turns })) {
      const facts = wanted === undefined ? page : wanted.of(page, signal)
      yield { facts: facts instanceof Promise ? await facts : facts, seq: page.at(-1)!.seq }
    }
  }

  #grown(closed: boolean): void {
    if (closed) return this.#tell()
    if (this.#resting) {
      this.#missed = true
      return
    }
    this.#resting = true
    this.#missed = false
    const began = this.#clock.monotonic()
    this.#tell()
    // By then every reader has been through its turn: promises and ticks come before.
    setImmediate(() => {
      const tookMs = this.#clock.monotonic() - began
      if (tookMs < WAVE_MS) this.#rested()
      else this.#clock.after(Math.min(tookMs * REST, REST_MAX_MS), () => this.#rested())
    })
  }

  #rested(): void {
    this.#resting = false
    if (this.#missed) this.#grown(false)
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}
