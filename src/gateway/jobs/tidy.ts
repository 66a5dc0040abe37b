/**
 * Gives the spool's room back. What has ended is kept for a while, and less long where there is no room for what is open;
 * then whatever ended first goes first. What is open is never touched.
 */
import type { Clock, Timer } from '../../clock.ts'
import type { Config } from '../../config.ts'
import type { Engine } from '../../engine/engine.ts'
import { type Reactor, reactor } from '../../engine/reactor.ts'
import { Failure } from '../../failure.ts'
import type { Job, JobsProjection } from '../../projections/jobs.ts'
import { answerPart, isAnswer, type Proof, type SpoolLike } from './parts.ts'

export interface TidyNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly config: Pick<Config, 'keepFinishedMs' | 'spoolMaxBytes'>
  readonly jobs: JobsProjection
  readonly spool: SpoolLike
}

export interface Gone {
  readonly id: string
  /** What was given back to the disk. */
  readonly bytes: number
}

type Why = 'asked' | 'age' | 'room'

/** How often it is looked for what is old: within as long as that is kept, but for these bounds. */
const LOOK_MIN_MS = 1_000
const LOOK_MAX_MS = 60_000
/** What is erased at once shares its writes to the disk. */
const BATCH = 64
/** Each that has ended and is kept has a row in memory: about 1 KB. */
const FINISHED_MAX = 100_000
const FACTS_AT_ONCE = 1_000
/** The last tenth of the spool is for answers. */
const BODIES_SHARE = 0.9

export class Tidy {
  readonly reactor: Reactor
  readonly #needs: TidyNeeds
  #timer: Timer | undefined
  #last: Promise<unknown> = Promise.resolve()
  #looking = false
  #closed = false

  constructor(needs: TidyNeeds) {
    this.#needs = needs
    const ended = (): void => {
      if (this.#crowdedBytes(0) > 0 || needs.jobs.state.finished.size > FINISHED_MAX) this.#look()
    }
    this.reactor = reactor(needs, {
      on: {
        'request.completed': ended,
        'request.failed': ended,
        'request.expired': ended,
        'request.cancelled': ended,
      },
      resume: () => this.#look(),
    })
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  /**
   * Before anything runs: drops what a crash has left behind. Items of jobs that were never admitted, answers that no
   * fact knows of; and where items went without the fact, the fact is written. Items in `others` are none of jobs.
   */
  async sweep(others: ReadonlySet<string> = new Set()): Promise<void> {
    const { engine, jobs, spool } = this.#needs
    const strays: string[] = []
    const there = new Set<string>()
    for (const { id, parts } of spool.items()) {
      if (others.has(id)) continue
      const job = jobs.state.all.get(id)
      if (job === undefined) strays.push(id)
      else there.add(id)
      const answer = job?.digest === undefined ? undefined : answerPart(job.attempt)
      for (const { part } of job === undefined ? [] : parts)
        if (isAnswer(part) && part !== answer) await spool.drop(id, part)
    }
    await spool.erase(strays)
    let count = 0
    for (const id of [...jobs.state.finished.keys()]) {
      if (there.has(id)) continue
      engine.commit('spool', id, { type: 'spool.erase', data: { why: 'age', bytes: 0 } })
      count += 1
      // A spool that is gone as a whole is more facts than may wait for the disk at once.
      if (count % FACTS_AT_ONCE === 0) await engine.settled()
    }
  }

  /** Makes room for a body. Throws a Failure `spool.full` where what is open leaves none. */
  async admit(bytes: number): Promise<void> {
    if (this.#crowdedBytes(bytes) > 0) await this.free(this.#crowdedBytes(bytes))
    if (this.#crowdedBytes(bytes) <= 0) return
    const message = 'the spool is full of jobs that have not ended, and the rest of it is for their answers'
    throw new Failure('spool.full', `${message}; try again later, or see --spool-max`, { retryable: true })
  }

  /** Gives back so many bytes, or as many as there are of what has ended. */
  async free(bytes: number): Promise<void> {
    for (let freed = 0; freed < bytes; ) {
      const [oldest] = this.#needs.jobs.state.finished.keys()
      if (oldest === undefined) return
      const [gone] = await this.erase([oldest], 'room')
      freed += gone?.bytes ?? 0
    }
  }

  /** Erases what has ended, and then says so. Rejects with the spool's Failure, or the journal's. */
  erase(ids: readonly string[], why: Why): Promise<readonly Gone[]> {
    return this.#erase(ids, why, known => this.#needs.spool.erase(known))
  }

  /** The same, because somebody asked for it and wants to see that nothing is left; `dir` is the data folder. */
  prove(ids: readonly string[], dir: string, by: string): Promise<readonly Proof[]> {
    return this.#erase(ids, 'asked', known => this.#needs.spool.eraseAndProve(known, dir), by)
  }

  /** All that ended so long ago, now, because somebody asked for it. */
  async clear(olderThanMs: number): Promise<readonly Gone[]> {
    const { clock } = this.#needs
    const now = clock.now()
    const gone: Gone[] = []
    for (;;) {
      const old = this.#oldest(({ endedAt = 0 }) => now - endedAt >= olderThanMs)
      if (old.length === 0) return gone
      gone.push(...(await this.erase(old, 'asked')))
    }
  }

  #erase<Row extends Gone>(
    ids: readonly string[],
    why: Why,
    how: (known: readonly string[]) => Promise<readonly Row[]>,
    by = 'tidy',
  ): Promise<readonly Row[]> {
    // One after the other: two must not both say of the same job that they have erased it.
    const erased = this.#last.then(async () => {
      const { engine, jobs } = this.#needs
      const known = ids.filter(id => jobs.state.finished.has(id))
      const rows = await how(known)
      const bytes = new Map(rows.map(row => [row.id, row.bytes]))
      for (const id of known) {
        engine.commit('spool', id, { type: 'spool.erase', data: { why, bytes: bytes.get(id) ?? 0 }, by })
      }
      return rows
    })
    this.#last = erased.catch(() => {})
    return erased
  }

  #look(): void {
    if (this.#looking || this.#closed) return
    this.#looking = true
    this.#timer?.cancel()
    this.#tidy()
      .catch(error => {
        if (!(error instanceof Failure)) throw error // the disk does not let us: again in a minute
      })
      .finally(() => {
        this.#looking = false
        const { clock, config } = this.#needs
        const againMs = Math.min(Math.max(config.keepFinishedMs, LOOK_MIN_MS), LOOK_MAX_MS)
        if (!this.#closed) this.#timer = clock.after(againMs, () => this.#look())
      })
  }

  async #tidy(): Promise<void> {
    const { engine, clock, config, jobs } = this.#needs
    while (engine.writable && !this.#closed) {
      const old = this.#oldest(({ endedAt = 0 }) => clock.now() - endedAt >= config.keepFinishedMs)
      if (old.length > 0) {
        await this.erase(old, 'age')
        continue
      }
      const surplus = jobs.state.finished.size - FINISHED_MAX
      const crowded = this.#crowdedBytes(0) > 0 ? 1 : 0
      let left = Math.max(surplus, crowded)
      const first = this.#oldest(() => left-- > 0)
      if (first.length === 0) return
      await this.erase(first, 'room')
    }
  }

  /** Those that ended first, as far as they fit. */
  #oldest(fits: (job: Job) => boolean): readonly string[] {
    const ids: string[] = []
    for (const job of this.#needs.jobs.state.finished.values()) {
      if (ids.length >= BATCH || !fits(job)) break
      ids.push(job.id)
    }
    return ids
  }

  /** By how much the share for bodies would be exceeded with so many bytes more. */
  #crowdedBytes(bytes: number): number {
    const { spool, config } = this.#needs
    return spool.usage.bytes + bytes - config.spoolMaxBytes * BODIES_SHARE
  }
}
