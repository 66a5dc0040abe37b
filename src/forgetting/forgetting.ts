/**
 * Takes a client's name out of the journal, so that no file of the house has it any more and every fact stands where it
 * stood.
 *
 *   1. Whose name it is goes into a file that nobody else may read: after a crash nothing else would know.
 *   2. The journal is read: which facts have the name, and what will be left of each.
 *   3. `forgetting.ordered`, on the disk: from here on it must be done.
 *   4. The facts are replaced by what is left of them, and the files they lay in are written anew.
 *   5. So are archive files with such facts, each with a fact that says its new digest.
 *   6. Copies forget: snapshots, what is in memory.
 *   7. `forgetting.done`; then the file goes.
 *
 * From 2 on nothing is sealed or trimmed, so that no fact goes from one place to another behind its back. Whatever it was
 * that was cut off, resume() goes on: what has been replaced does not have the name any more.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { Refusal } from '../../machines/entity.ts'
import type { Clock } from '../clock.ts'
import type { Engine } from '../engine/engine.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import { Failure } from '../failure.ts'
import { dataIn, digestAfter, entryOf, hashOf, seqIn, withoutData } from '../journal/chain.ts'
import type { Journal } from '../journal/journal.ts'
import type { Forgettings, Ordered } from '../projections/forgettings.ts'
import { type Errand, errandIn } from './errand.ts'

export interface ForgettingNeeds {
  readonly engine: Engine
  readonly journal: Journal
  readonly clock: Clock
  /** The data folder. */
  readonly dir: string
  readonly forgettings: Forgettings
  /** How many requests of these are open. */
  readonly open: (names: ReadonlySet<string>) => number
  readonly files: ArchiveFiles
  /** What else has the names: memory, snapshots. Each is called once the journal is without them. */
  readonly copies: readonly ((names: ReadonlySet<string>, left: Left) => Promise<void> | void)[]
  readonly warn: (message: string) => void
}

/** Archive files, each known by its last fact. */
export interface ArchiveFiles {
  /**
   * Nothing is sealed or trimmed until the answer is called, and every fact can be read. Throws a Refusal `archive.busy`,
   * or `forgetting.archived` where files are away that have what the journal has not.
   */
  hold(): Promise<() => void>
  /** Which file has this fact? */
  fileOf(seq: number): number | undefined
  /** Throws a Refusal `forgetting.archived` where one of these is away, a Failure where one is damaged. */
  check(files: ReadonlySet<number>): Promise<void>
  /** Writes these anew, whatever was done of it before. `change` gives a record another text, or undefined. */
  rewrite(
    files: ReadonlySet<number>,
    change: (record: string) => string | undefined,
    id: string,
  ): Promise<void>
}

/** What is left of each fact, by its seq: the record as it lies in the journal now. */
export type Left = (journal: Journal) => AsyncIterable<ReadonlyMap<number, string>>

export interface Forgotten {
  /** Empty where there was nothing to forget. */
  readonly id: string
  readonly facts: number
  /** Facts that keep the name in their header: who asked for them. */
  readonly kept: number
}

/** What stands in the place of a name. */
export const FORGOTTEN = 'forgotten'

/** Replaced by one write. */
const BATCH_FACTS = 500

export class Forgetting {
  readonly reactor: Reactor
  readonly #needs: ForgettingNeeds
  #work: Promise<unknown> | undefined
  #closed = false

  constructor(needs: ForgettingNeeds) {
    this.#needs = needs
    this.reactor = reactor(this, { on: {}, resume: self => self.#resume() })
  }

  /**
   * `names` are one client's. Resolves when it is done. Throws a Refusal `forgetting.open` while it has open requests,
   * `forgetting.archived` where archive files with the name are away, `archive.busy` while files are sealed or trimmed; a
   * Failure `house.busy` while another is under way.
   */
  async forget(names: readonly string[], by: string): Promise<Forgotten> {
    const wanted = new Set(names.map(plain))
    if (wanted.has(FORGOTTEN)) throw new Refusal('request.invalid', `"${FORGOTTEN}" is no client`)
    if (this.#work !== undefined) {
      const message = 'another client is being forgotten, and one at a time may be; try again'
      throw new Failure('house.busy', message, { retryable: true })
    }
    const work = this.#forget(wanted, by).finally(() => {
      this.#work = undefined
    })
    this.#work = work
    return work
  }

  /** What is under way goes on at the next start. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#work?.catch(() => {})
  }

  #resume(): void {
    this.#work ??= this.#finish()
      .catch(error => {
        if (!(error instanceof Failure || error instanceof Refusal)) throw error
        this.#needs.warn(`a forgetting could not be brought to its end: ${error.message}`)
      })
      .finally(() => {
        this.#work = undefined
      })
  }

  async #forget(names: ReadonlySet<string>, by: string): Promise<Forgotten> {
    await this.#needs.engine.settled()
    // The file has room for one: what was cut off before comes first.
    await this.#finish()
    return this.#held(() => this.#decide(names, by))
  }

  /** While nothing is sealed or trimmed. */
  async #held<Answer>(attempt: () => Promise<Answer>): Promise<Answer> {
    const release = await this.#needs.files.hold()
    try {
      return await attempt()
    } finally {
      release()
    }
  }

  async #decide(names: ReadonlySet<string>, by: string): Promise<Forgotten> {
    const { engine, journal, clock, dir, files, open } = this.#needs
    const count = open(names)
    if (count > 0) {
      const said = `${count} of its requests are open: wait for their end, or call them off`
      throw new Refusal('forgetting.open', said)
    }
    const id = clock.id()
    const until = journal.durable
    let facts = 0
    let kept = 0
    let digest = ''
    const touched = new Set<number>()
    for await (const page of this.#pages(until)) {
      for (const record of page) {
        if (headerNames(record, names)) kept += 1
        const left = leftOf(record, names, id)
        if (left === undefined) continue
        facts += 1
        note(touched, files.fileOf(seqIn(record)))
        digest = digestAfter(digest, entryOf(left, hashOf(left)).forgotten!)
      }
    }
    if (facts === 0) return { id: '', facts, kept }
    await files.check(touched)
    const errand = await errandIn(dir).write({ id, names: [...names] })
    await engine.dispatch('forgetting', id, {
      type: 'forgetting.order',
      data: { facts, until, digest, kept },
      by,
    })
    await this.#carryOut(errand, { facts, until, digest, kept })
    return { id, facts, kept }
  }

  /** After a crash: what has been ordered is carried out, what had not been is left. */
  async #finish(): Promise<void> {
    const { dir, forgettings, warn } = this.#needs
    const carryOut = async (): Promise<void> => {
      const errand = await errandIn(dir).read()
      for (const [id, ordered] of [...forgettings.state]) {
        if (errand?.id === id) await this.#carryOut(errand, ordered)
        else
          warn(`forgetting ${id} was cut off, and whose name it was is not known any more; ask for it again`)
      }
    }
    // At a start it is held before anybody can ask for a sealing.
    if (forgettings.state.size > 0) await this.#held(carryOut)
    const errand = await errandIn(dir).read()
    if (errand !== undefined && !forgettings.state.has(errand.id)) await errandIn(dir).remove()
  }

  async #carryOut({ id, names: list }: Errand, { until }: Ordered): Promise<void> {
    const { engine, journal, dir, copies, files } = this.#needs
    const names = new Set(list)
    const touched = new Set<number>()
    await journal.replace(this.#without(names, id, until, touched), until)
    await files.rewrite(
      touched,
      record => {
        this.#goOn()
        return seqIn(record) > until ? undefined : leftOf(record, names, id)
      },
      id,
    )
    for (const forget of copies) await forget(names, left(id, until))
    await engine.dispatch('forgetting', id, { type: 'forgetting.end', data: {} })
    await errandIn(dir).remove()
  }

  /**
   * What is to stand in the place of the facts with these names, as far as they are not in archive files alone. All files
   * that have such facts go into `touched`, done or not.
   */
  async *#without(
    names: ReadonlySet<string>,
    id: string,
    until: number,
    touched: Set<number>,
  ): AsyncGenerator<ReadonlyMap<number, string>> {
    const { files, journal } = this.#needs
    let batch = new Map<number, string>()
    for await (const page of this.#pages(until)) {
      for (const record of page) {
        const left = leftOf(record, names, id)
        const seq = seqIn(record)
        if (left !== undefined || isLeft(record, id)) note(touched, files.fileOf(seq))
        if (left === undefined || seq <= journal.base.seq) continue
        batch.set(seq, left)
        if (batch.size < BATCH_FACTS) continue
        yield batch
        batch = new Map()
      }
    }
    if (batch.size > 0) yield batch
  }

  async *#pages(until: number): AsyncGenerator<readonly string[]> {
    for await (const page of this.#needs.journal.records({ until })) {
      this.#goOn()
      yield page
      await turn()
    }
  }

  #goOn(): void {
    if (this.#closed)
      throw new Failure('journal.closed', 'the house is stopping; it goes on with the next start')
  }
}

function note(files: Set<number>, file: number | undefined): void {
  if (file !== undefined) files.add(file)
}

/** Is this what one forgetting left? */
function isLeft(record: string, id: string): boolean {
  return record.includes(` ${id} {`)
}

/** For copies of the journal: the records of one forgetting as they are now. */
function left(id: string, until: number): Left {
  return async function* (journal) {
    for await (const page of journal.records({ until })) {
      const found = page.filter(record => isLeft(record, id))
      if (found.length > 0) yield new Map(found.map(record => [seqIn(record), record]))
    }
  }
}

/** The record without the name; undefined where it has none of these, or had it taken out before. */
function leftOf(record: string, names: ReadonlySet<string>, id: string): string | undefined {
  if (!record.includes('"type":"request.admitted"')) return undefined
  const data = dataIn(record) as { readonly client?: unknown } | undefined
  if (typeof data?.client !== 'string' || !names.has(plain(data.client))) return undefined
  return withoutData(record, id, { ...data, client: FORGOTTEN })
}

/** Somebody asked for something under that name, and the header of what came of it is what the chain covers. */
function headerNames(record: string, names: ReadonlySet<string>): boolean {
  const header = record.slice(record.indexOf('\n') + 1, record.lastIndexOf('\n'))
  const [, by] = /"by":("(?:[^"\\]|\\.)*")\}$/.exec(header) ?? []
  return by !== undefined && names.has(plain(JSON.parse(by)))
}

/** An IPv4 address looks like either, depending on what the house listens on. */
function plain(client: string): string {
  return client.replace(/^::ffff:/i, '')
}
