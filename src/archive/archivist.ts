/**
 * Puts facts into archive files, and lets go of what is in them: one thing at a time, while the house goes on.
 *
 * Sealing: a file is written, synced, read back and has its name before `archive.sealed` says so. Trimming: the files are
 * read through once more, `archive.trimmed` is on the disk, and then the records go. Whatever a crash cuts off is
 * harmless: a file that no fact knows of is written over, and resume() deletes what a durable fact says is to go.
 */
import { mkdir, stat } from 'node:fs/promises'
import { Refusal } from '../../machines/entity.ts'
import type { Clock } from '../clock.ts'
import type { Engine } from '../engine/engine.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import { Failure } from '../failure.ts'
import type { Archives } from '../journal/archives.ts'
import { headerOf } from '../journal/chain.ts'
import type { Head, Journal } from '../journal/journal.ts'
import { checkSegment, missing } from '../journal/segment.ts'
import type { ArchiveProjection, SealedFile } from '../projections/archive.ts'

export interface ArchivistNeeds {
  readonly engine: Engine
  readonly journal: Journal
  readonly clock: Clock
  readonly archive: ArchiveProjection
  readonly archives: Archives
  /** The first signed checkpoint at or after a fact. */
  readonly covering: (seq: number) => Checkpoint | undefined
  readonly warn: (message: string) => void
}

export interface Checkpoint {
  /** How many facts it covers. */
  readonly size: number
  /** As it is signed. */
  readonly note: string
}

/** Facts before one, or decided before a time (ms). */
export type Before = { readonly seq: number } | { readonly at: number }

/** What is being done, or what came of it. `seq`: how far it has come, on its way from `first` to `last`. */
export interface Work {
  readonly what: 'seal' | 'trim'
  readonly state: 'running' | 'done' | 'failed'
  readonly first: number
  readonly last: number
  readonly seq: number
  /** Files that were written, or that were read through. */
  readonly files: number
  /** Of the Failure. */
  readonly code?: string
  readonly error?: string
}

/** A file is read whole when it is checked, and carried about: these make it 10 to 20 MB. */
const FILE_FACTS = 100_000
const FILE_CHARACTERS = 67_108_864

export class Archivist {
  readonly reactor: Reactor
  readonly #needs: ArchivistNeeds
  #work: Work | undefined
  #deleting: Promise<void> | undefined
  #running: Promise<void> = Promise.resolve()
  #held = false
  #closed = false

  constructor(needs: ArchivistNeeds) {
    this.#needs = needs
    const finish = (): void => {
      this.#delete().catch(error => {
        if (!(error instanceof Failure)) throw error
        if (!this.#closed) needs.warn(`what was trimmed is still on the disk: ${error.message}`)
      })
    }
    this.reactor = reactor(this, { on: { 'archive.trimmed': finish }, resume: finish })
  }

  /** Where the files are. */
  get dir(): string {
    return this.#needs.archives.dir
  }

  /** What is being done now; else what came of the last. */
  get work(): Work | undefined {
    return this.#work
  }

  /** Resolves when nothing is being done. */
  idle(): Promise<void> {
    return this.#running
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#running
    await this.#deleting?.catch(() => {})
  }

  /**
   * Nothing is sealed or trimmed until the answer is called, and what was trimmed is off the disk. Throws a Refusal
   * `archive.busy`, what trimming throws.
   */
  async hold(): Promise<() => void> {
    this.#free()
    this.#held = true
    const release = (): void => {
      this.#held = false
    }
    await this.#delete().catch(error => {
      release()
      throw error
    })
    return release
  }

  /** Begins to put everything before `before` that is in no file yet into files. Throws a Refusal `archive.busy`. */
  seal(before: Before, by: string): Work {
    const { archive, journal } = this.#needs
    const from = archive.state.files.at(-1)?.last ?? 0
    const last = 'seq' in before ? Math.min(before.seq - 1, journal.durable) : journal.durable
    const until = 'at' in before ? before.at : Number.POSITIVE_INFINITY
    return this.#begin({ what: 'seal', first: from + 1, last }, () => this.#seal(last, until, by))
  }

  /**
   * Begins to let go of every file that ends before `before`. Throws a Refusal: `archive.busy`, `archive.unsealed` where
   * no file does.
   */
  trim(before: Before, by: string): Work {
    const { files, trimmed } = this.#needs.archive.state
    const last = files.findLast(file => ('seq' in before ? file.last < before.seq : file.lastAt < before.at))
    if (last === undefined) {
      const said =
        'no archive file ends before that, so nothing of it may go: first seal it, with `quipu archive --before`'
      throw new Refusal('archive.unsealed', said)
    }
    const first = (trimmed?.until ?? 0) + 1
    return this.#begin({ what: 'trim', first, last: last.last }, () => this.#trim(last, by))
  }

  #begin(work: Pick<Work, 'what' | 'first' | 'last'>, run: () => Promise<void>): Work {
    this.#free()
    this.#work = { ...work, state: 'running', seq: work.first - 1, files: 0 }
    this.#running = run().then(
      () => this.#note({ state: 'done' }),
      error => {
        if (!(error instanceof Failure || error instanceof Refusal)) throw error
        this.#note({ state: 'failed', code: error.code, error: error.message })
      },
    )
    return this.#work
  }

  #free(): void {
    if (this.#held)
      throw new Refusal(
        'archive.busy',
        'a client is being forgotten, in archive files, too; try again after it',
      )
    if (this.#work?.state !== 'running') return
    const { what, seq, last } = this.#work
    throw new Refusal(
      'archive.busy',
      `archive files are in use (${what}: fact ${seq} of ${last}); try again after it`,
    )
  }

  #note(news: Partial<Work>): void {
    this.#work = { ...this.#work!, ...news }
  }

  // ── sealing ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async #seal(last: number, until: number, by: string): Promise<void> {
    const { archive, archives, engine, journal } = this.#needs
    await onDisk(archives.dir, () => mkdir(archives.dir, { recursive: true }))
    for (;;) {
      const before = this.#sealed()
      if (before.seq >= last || this.#closed) return
      const cut = new Cut(journal.records({ after: before.seq, until: last }), until, seq =>
        this.#note({ seq }),
      )
      if (!(await cut.begin())) return
      const checkpoint = (seq: number) => this.#needs.covering(seq)?.note
      const sealed = await onDisk(archives.dir, () =>
        archives.write({ before, records: cut.pages(), checkpoint }),
      )
      const { file, bytes, heading } = sealed
      const { first, last: end, hash, sha256 } = heading
      const data = { first, last: end, firstAt: cut.firstAt, lastAt: cut.lastAt, hash, file, bytes, sha256 }
      engine.commit('archive', 'journal', { type: 'archive.seal', data, by })
      await engine.settled()
      this.#note({ seq: archive.state.files.at(-1)!.last, files: this.#work!.files + 1 })
    }
  }

  #sealed(): Head {
    const file = this.#needs.archive.state.files.at(-1)
    return file === undefined ? this.#needs.journal.base : { seq: file.last, hash: file.hash }
  }

  // ── trimming ─────────────────────────────────────────────────────────────────────────────────────────────────────

  async #trim(last: SealedFile, by: string): Promise<void> {
    const { archive, covering, engine } = this.#needs
    const done = archive.state.trimmed?.until ?? 0
    if (last.last > done) {
      const proven = covering(last.last)?.size ?? 0
      // A law that says no says so before gigabytes are read.
      if (proven >= last.last) await this.#read(last.last, done)
      engine.commit('archive', 'journal', { type: 'archive.trim', data: { until: last.last, proven }, by })
      await engine.settled()
    }
    await this.#delete()
    this.#note({ seq: last.last })
  }

  /** Every file up to there is there, and those that are about to be all there is are what was written. */
  async #read(until: number, done: number): Promise<void> {
    const { archive, archives, journal } = this.#needs
    for (const file of archive.state.files) {
      if (file.last > until || this.#closed) break
      const path = archives.pathOf(file.first, file.last)
      if (file.last > done) await checkSegment(path, journal.id, file)
      else if ((await stat(path).catch(() => undefined)) === undefined)
        throw missing(path, file.first, file.last)
      this.#note({ seq: Math.max(file.last, done), files: this.#work!.files + 1 })
    }
    if (this.#closed) throw new Failure('journal.closed', 'The house is stopping: nothing was trimmed.')
  }

  #delete(): Promise<void> {
    const { archive, journal } = this.#needs
    const { files, trimmed } = archive.state
    if (trimmed === undefined || journal.trim === undefined) return Promise.resolve()
    const lasts = files.filter(({ last }) => last <= trimmed.until).map(({ last }) => last)
    const { until, hash, fact } = trimmed
    this.#deleting = (this.#deleting ?? Promise.resolve())
      .catch(() => {})
      .then(() => journal.trim?.({ until, hash, fact, lasts }))
    return this.#deleting
  }
}

/** As many records as go into one file, from pages that go on. */
class Cut {
  firstAt = 0
  lastAt = 0
  readonly #pages: AsyncIterator<readonly string[]>
  readonly #until: number
  readonly #tell: (seq: number) => void
  #page: readonly string[] = []
  #facts = 0
  #characters = 0

  constructor(pages: AsyncIterable<readonly string[]>, until: number, tell: (seq: number) => void) {
    this.#pages = pages[Symbol.asyncIterator]()
    this.#until = until
    this.#tell = tell
  }

  /** Is there anything? */
  async begin(): Promise<boolean> {
    await this.#next()
    if (this.#page.length > 0) this.firstAt = headerOf(this.#page[0]!).at
    return this.#page.length > 0
  }

  async *pages(): AsyncGenerator<readonly string[]> {
    while (this.#page.length > 0) {
      const last = headerOf(this.#page.at(-1)!)
      this.lastAt = last.at
      yield this.#page
      this.#tell(last.seq)
      await this.#next()
    }
    await this.#pages.return?.()
  }

  /** The next page, as far as it belongs into the file. */
  async #next(): Promise<void> {
    const { value = [] } = (await this.#pages.next()) as { value?: readonly string[] }
    const page: string[] = []
    for (const record of value) {
      const over = this.#facts >= FILE_FACTS || this.#characters + record.length > FILE_CHARACTERS
      if ((over && this.#facts > 0) || headerOf(record).at >= this.#until) break
      this.#facts += 1
      this.#characters += record.length
      page.push(record)
    }
    // What was cut off ends it.
    if (page.length < value.length) this.#facts = Number.POSITIVE_INFINITY
    this.#page = page
  }
}

/** What the folder meets us with is a Failure `archive.unwritable`. */
export async function onDisk<T>(dir: string, attempt: () => Promise<T>): Promise<T> {
  try {
    return await attempt()
  } catch (error) {
    if (error instanceof Failure || (error as NodeJS.ErrnoException).syscall === undefined) throw error
    const said = `Nothing can be archived in ${dir}: ${(error as Error).message}`
    throw new Failure('archive.unwritable', said, { retryable: true, cause: error })
  }
}
