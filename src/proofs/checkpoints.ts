/**
 * Signs what the journal is: every 1,000 facts, a second after any fact, and when the house stops. A follower, behind
 * the disk: whoever appends waits for none of this.
 *
 * At the start the newest checkpoint gives the tree's right edge, so that no old fact is read again; and it must be one
 * of this journal. A journal that ends before it, or is another one there, was put back or rewritten: that is damage.
 */

import { join } from 'node:path'
import { Refusal } from '../../machines/entity.ts'
import type { Clock, Timer } from '../clock.ts'
import type { Engine } from '../engine/engine.ts'
import { Failure } from '../failure.ts'
import { hashOf, originOf } from '../journal/chain.ts'
import { gap } from '../journal/damage.ts'
import { follow } from '../journal/follow.ts'
import type { Journal } from '../journal/journal.ts'
import type { SignersProjection } from '../projections/signers.ts'
import { altered, checkpointText, nameOf, openCheckpoint, type Signed } from './checkpoint.ts'
import {
  type Latest,
  latestText,
  readHistory,
  readLatest,
  thinned,
  writeHistory,
  writeLatest,
} from './kept.ts'
import { adopt, keyThere, openKey, prepareKey } from './keys.ts'
import type { Signer, Verifier } from './note.ts'
import { type ProverNeeds, proveConsistency, proveInclusion } from './prover.ts'
import { endorsementText, keyring } from './succession.ts'
import { Tiles } from './tiles.ts'
import { Frontier, TILE_LEAVES } from './tree.ts'

export interface CheckpointsNeeds {
  readonly engine: Pick<Engine, 'commit' | 'settled'>
  readonly journal: Journal
  readonly clock: Clock
  readonly signers: SignersProjection
  /** Of their files; undefined where the journal is in memory only. Then nothing is signed. */
  readonly dir: string | undefined
  readonly warn: (message: string) => void
}

export interface Rotation {
  readonly vkey: string
  readonly before: string
  /** The fact that says so. */
  readonly seq: number
}

const SIGN_FACTS = 1_000
const SIGN_MS = 1_000
/** How often the newest goes to the disk, and how often one is put aside for the history. */
const SAVE_MS = 1_000
const KEEP_MS = 60_000
/** How long somebody waits for a checkpoint that covers all there is now. */
const WAIT_MAX_MS = 5_000
/** When it stops, a house that is further behind than this signs what it has come to. */
const BEHIND_MAX_FACTS = 50_000

export class Checkpoints {
  readonly #needs: CheckpointsNeeds
  #signer: Signer | undefined
  /** Why there is no key; why the journal is not followed. */
  #keyless: Failure | undefined
  #lost: Failure | undefined
  /** What open() has to say, until there is a log. */
  readonly #remarks: string[] = []
  #tree = new Frontier()
  #tiles: Tiles | undefined
  #head: string
  #latest: Signed | undefined
  /** The newest one as its file holds it. */
  #latestText = ''
  /** Put aside, oldest first; and as the disk has it. */
  #kept: readonly Signed[] = []
  #savedKept = this.#kept
  #keptAt = Number.NEGATIVE_INFINITY
  #signedAt = Number.NEGATIVE_INFINITY
  #savedAt = Number.NEGATIVE_INFINITY
  #savedText = ''
  #signing: Timer | undefined
  #saving: Promise<void> | undefined
  #troubled = false
  #rotating = false
  readonly #stop = new AbortController()
  #following: Promise<void> = Promise.resolve()
  /** Who waits until the tree has grown. */
  #grown: (() => void)[] = []

  constructor(needs: CheckpointsNeeds) {
    this.#needs = needs
    this.#head = originOf(needs.journal.id)
    if (needs.dir === undefined) {
      this.#keyless = new Failure(
        'checkpoint.none',
        'This journal is in memory only, and nothing signs for it.',
      )
    }
  }

  /** The newest checkpoint. */
  get latest(): Signed | undefined {
    return this.#latest
  }

  /** Why nothing is signed; undefined while all is well. */
  get trouble(): Failure | undefined {
    return this.#keyless ?? this.#lost
  }

  /** The public half of the key that signs now. */
  get vkey(): string | undefined {
    return this.#signer?.vkey
  }

  /** How many facts are in the tree; the rest is on its way there. */
  get size(): number {
    return this.#tree.size
  }

  /** Of those that are kept, the one of the smallest journal that has fact `seq`; undefined where none goes so far. */
  covering(seq: number): Signed | undefined {
    const latest = this.#latest === undefined ? [] : [this.#latest]
    return [...this.#kept, ...latest].find(({ size }) => size >= seq)
  }

  /**
   * After the replay, and before anything is told outside. Throws Damage where the newest checkpoint is not one of this
   * journal. A key that is not there, or not the right one, is trouble: nothing is signed, and the house goes on.
   */
  async open(): Promise<void> {
    const { dir, journal, signers } = this.#needs
    if (dir === undefined) return
    const name = nameOf(journal.id)
    try {
      this.#signer = await openKey(dir, name, signers.state.keys.at(-1)?.vkey)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      this.#keyless = error
      this.#remarks.push(error.message)
    }
    // What the key in the file has signed counts, even if this journal does not know it: then it is another journal.
    const known = keyring([...signers.state.keys.map(({ vkey }) => vkey), await keyThere(dir)])
    const found = await this.#found(dir, known)
    if (found !== undefined) await this.#check(found.latest)
    const tiles = await Tiles.open(join(dir, 'tiles'))
    this.#tiles = tiles
    const whole = Math.floor((found?.latest.size ?? 0) / TILE_LEAVES)
    if (found === undefined || tiles.count < whole) {
      tiles.cut(0)
      if (found !== undefined) this.#remarks.push(`${join(dir, 'tiles')} is not complete, and is made again`)
      return
    }
    tiles.cut(whole)
    this.#tree = found.frontier
    this.#head = found.latest.head
    this.#latest = found.latest
    this.#kept = (await readHistory(dir)).flatMap(note => {
      const kept = opened(note, known)
      return kept === undefined || kept.size > found.latest.size ? [] : [kept]
    })
    this.#savedKept = this.#kept
  }

  /** The key becomes a fact where the journal names none, and from now on it is signed. */
  start(): void {
    const { engine, journal, warn } = this.#needs
    for (const remark of this.#remarks.splice(0)) warn(remark)
    if (this.#tiles === undefined) return
    if (this.#signer !== undefined) {
      engine.commit('signer', 'journal', {
        type: 'signer.create',
        data: { vkey: this.#signer.vkey },
        by: 'house',
      })
    }
    this.#following = this.#follow(journal)
  }

  /** Signs all that is durable now; on the disk once it resolves. Rejects with a Failure: `checkpoint.behind`, … */
  async sign(): Promise<Signed> {
    if (this.trouble !== undefined) throw this.trouble
    await this.#reached(this.#needs.journal.durable)
    this.#signNow()
    await this.#save()
    return this.#latest!
  }

  /** Proof that fact `seq` is in the journal. Rejects with a Refusal `proof.unknown`, or what signing and proving reject with. */
  async inclusion(seq: number): Promise<string> {
    const checkpoint = await this.#over(seq)
    return proveInclusion(this.#prover(), seq, checkpoint)
  }

  /** Proof that the journal of now begins with what it was at `old` facts. Rejects as inclusion() does. */
  async consistency(old: number): Promise<string> {
    const checkpoint = await this.#over(old)
    return proveConsistency(this.#prover(), old, checkpoint)
  }

  /** The newest checkpoint, if it goes so far; else one that is made now. */
  async #over(seq: number): Promise<Signed> {
    const { durable } = this.#needs.journal
    if (seq > durable)
      throw new Refusal('proof.unknown', `there is no fact ${seq}; the last one is ${durable}`)
    if (this.trouble !== undefined) throw this.trouble
    return this.#latest !== undefined && this.#latest.size >= seq ? this.#latest : this.sign()
  }

  #prover(): ProverNeeds {
    return { journal: this.#needs.journal, tiles: this.#tiles! }
  }

  /**
   * Another key from now on. `lost`: the old one is gone, so that it cannot endorse the new one; refused while it is
   * there. Throws a Refusal `signer.there`, or what signing throws.
   */
  async rotate(by: string, { lost = false } = {}): Promise<Rotation> {
    const { dir, engine, journal, signers } = this.#needs
    const before = signers.state.keys.at(-1)?.vkey
    if (dir === undefined || before === undefined) throw this.trouble ?? none()
    if (lost && this.#signer !== undefined) {
      throw new Refusal(
        'signer.there',
        'the key is there, so that it can endorse the new one; leave --lost out',
      )
    }
    if (!lost && this.trouble !== undefined) throw this.trouble
    if (this.#rotating) throw new Refusal('signer.busy', 'another rotation is under way')
    this.#rotating = true
    try {
      const next = await prepareKey(dir, nameOf(journal.id))
      const endorsement = this.#signer?.signature(endorsementText(before, next.vkey))
      const data = { vkey: next.vkey, ...(endorsement !== undefined && { endorsement }) }
      const [fact] = engine.commit('signer', 'journal', { type: 'signer.rotate', data, by })
      await engine.settled()
      await adopt(dir)
      this.#signer = next
      this.#keyless = undefined
      return { vkey: next.vkey, before, seq: fact!.seq }
    } finally {
      this.#rotating = false
      this.#due()
    }
  }

  /** Signs what there is, once nothing more comes. */
  async close(): Promise<void> {
    const { journal } = this.#needs
    if (this.#tiles === undefined) return
    await journal.flushed().catch(() => {})
    if (journal.durable - this.#tree.size <= BEHIND_MAX_FACTS) {
      await this.#reached(journal.durable).catch(() => {})
    }
    this.#stop.abort()
    await this.#following
    this.#signing?.cancel()
    this.#signNow()
    this.#keep(true)
    await this.#save()
    await this.#tiles.close()
  }

  /** The newest checkpoint on the disk, where it is one that somebody known has signed. */
  async #found(
    dir: string,
    known: readonly Verifier[],
  ): Promise<{ readonly latest: Signed; readonly frontier: Frontier } | undefined> {
    const { journal } = this.#needs
    let found: Latest | undefined
    try {
      found = await readLatest(dir)
      if (found === undefined) return undefined
      const latest = openCheckpoint(found.note, known)
      if (latest.origin === nameOf(journal.id)) return { latest, frontier: found.frontier }
      this.#remarks.push(
        `the newest checkpoint is of ${latest.origin}; the tree is made again from the journal`,
      )
    } catch (error) {
      if (!(error instanceof Failure) || error.code === 'checkpoint.disk') throw error
      this.#remarks.push(`the newest checkpoint does not count, and the tree is made again: ${error.message}`)
    }
    return undefined
  }

  /** Is this journal the one that was signed? */
  async #check({ size, head }: Signed): Promise<void> {
    const { journal } = this.#needs
    if (journal.durable < size) throw gap(journal.durable + 1, { end: size })
    let { hash } = journal.base
    if (size !== journal.base.seq) {
      for await (const [record] of journal.records({ after: size - 1, until: size })) hash = hashOf(record!)
    }
    if (hash !== head) throw altered(size)
  }

  async #follow(journal: Journal): Promise<void> {
    try {
      for await (const page of follow(journal, { after: this.#tree.size, signal: this.#stop.signal })) {
        for (const { hash } of page) {
          const tile = this.#tree.append(hash)
          if (tile !== undefined) this.#tiles?.add(tile)
        }
        this.#head = page.at(-1)!.hash
        for (const tell of this.#grown.splice(0)) tell()
        this.#due()
      }
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      this.#lost = error
      for (const tell of this.#grown.splice(0)) tell()
      this.#needs.warn(`Nothing is signed any more: ${error.message}`)
    }
  }

  /** Resolves when the tree has so many leaves. Rejects with a Failure `checkpoint.behind`. */
  async #reached(size: number): Promise<void> {
    const { clock } = this.#needs
    const until = clock.monotonic() + WAIT_MAX_MS
    while (this.#tree.size < size) {
      const leftMs = until - clock.monotonic()
      if (this.#lost !== undefined) throw this.#lost
      if (leftMs <= 0) throw behind(this.#tree.size, size)
      await new Promise<void>(resolve => {
        const timer = clock.after(leftMs, resolve)
        this.#grown.push(() => {
          timer.cancel()
          resolve()
        })
      })
    }
  }

  #due(): void {
    const { clock } = this.#needs
    const fresh = this.#tree.size - (this.#latest?.size ?? 0)
    if (fresh === 0) return
    const waited = clock.monotonic() - this.#signedAt
    if (fresh >= SIGN_FACTS || waited >= SIGN_MS) return this.#signNow()
    this.#signing ??= clock.after(SIGN_MS - waited, () => this.#signNow())
  }

  #signNow(): void {
    const { clock, journal } = this.#needs
    this.#signing?.cancel()
    this.#signing = undefined
    if (this.#signer === undefined || this.#rotating) return
    const { size } = this.#tree
    if (size === 0) return
    if (size === this.#latest?.size && this.#latest.vkey === this.#signer.vkey) return
    const checkpoint = { origin: nameOf(journal.id), size, root: this.#tree.root(), head: this.#head }
    const note = this.#signer.note(checkpointText(checkpoint))
    this.#latest = { ...checkpoint, note, vkey: this.#signer.vkey }
    this.#latestText = latestText(note, this.#tree.peaks)
    this.#signedAt = clock.monotonic()
    this.#keep()
    if (this.#signedAt - this.#savedAt >= SAVE_MS) void this.#save()
  }

  #keep(last = false): void {
    const now = this.#needs.clock.monotonic()
    const latest = this.#latest
    if (latest === undefined || (!last && now - this.#keptAt < KEEP_MS)) return
    this.#keptAt = now
    if (this.#kept.at(-1)?.note !== latest.note) this.#kept = thinned([...this.#kept, latest])
  }

  /** One at a time. Where the disk does not take it, it is warned of once, and the next one comes in its place. */
  async #save(): Promise<void> {
    while (this.#saving !== undefined) await this.#saving
    this.#saving = this.#write().finally(() => {
      this.#saving = undefined
    })
    await this.#saving
  }

  async #write(): Promise<void> {
    const { clock, dir, warn } = this.#needs
    const [text, kept] = [this.#latestText, this.#kept]
    if (dir === undefined || text === this.#savedText) return
    this.#savedAt = clock.monotonic()
    try {
      // Tiles may be ahead of the checkpoint, and are cut at the next start; it must never be ahead of them.
      await this.#tiles?.save()
      await writeLatest(dir, text)
      this.#savedText = text
      if (kept !== this.#savedKept)
        await writeHistory(
          dir,
          kept.map(({ note }) => note),
        )
      this.#savedKept = kept
      this.#troubled = false
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      if (!this.#troubled) warn(`The newest checkpoint is not on the disk: ${error.message}`)
      this.#troubled = true
    }
  }
}

function opened(note: string, known: readonly Verifier[]): Signed | undefined {
  try {
    return openCheckpoint(note, known)
  } catch (error) {
    if (error instanceof Failure) return undefined
    throw error
  }
}

function behind(size: number, wanted: number): Failure {
  const said = `Of ${wanted} facts, ${size} are in the tree that is signed; the rest follows. Ask again in a while.`
  return new Failure('checkpoint.behind', said, { retryable: true })
}

function none(): Failure {
  return new Failure('checkpoint.none', 'Nothing has been signed for this journal yet.')
}
