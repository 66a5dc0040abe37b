/**
 * The journal, fact by fact, into a topic: a follower whose mark is the end of the topic itself.
 *
 *   connecting ──opened, and its end is ours──▶ live ──a Failure──▶ waiting ──after 0 to 0.5, 1, 2 … 30 s: opened──▶ live
 *        └──────── another history, or facts that the journal has no more ──▶ stopped
 *
 * The house waits for none of it. While Kafka is away nothing is kept in memory but one batch: what it has missed is in
 * the journal, and is read from there when it is back.
 */
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import { hashOf, headerOf } from '../journal/chain.ts'
import { type Followed, follow } from '../journal/follow.ts'
import type { Journal } from '../journal/journal.ts'
import type { Copy, Tail, Topic } from './topic.ts'

export interface MirrorNeeds {
  readonly journal: Journal
  readonly clock: Clock
  readonly topic: Topic
  readonly say: (level: 'warn' | 'error', line: string) => void
  readonly onBug: (error: unknown) => void
}

export type MirrorState = 'connecting' | 'live' | 'waiting' | 'stopped'

export interface MirrorStatus {
  readonly state: MirrorState
  /** Since when, ms. */
  readonly since: number
  readonly partition?: number
  /** The last fact that the topic is known to hold; undefined while nobody knows. */
  readonly mirrored?: number
  readonly lagFacts: number
  /** How long the oldest fact that is not there has waited. */
  readonly lagMs: number
  /** Facts taken by the topic since the house began. */
  readonly sent: number
  /** Connections made since then. */
  readonly opened: number
  readonly trouble?: {
    readonly code: string
    readonly message: string
    readonly at: number
    readonly tries: number
  }
  readonly warnings: readonly string[]
}

/** A request to Kafka; a broker takes 1 MiB unless it is told otherwise. 38 k facts/s in hundreds, 81 k in thousands. */
const BATCH_FACTS = 500
const BATCH_CHARACTERS = 400_000
/** After the last fact there was: what comes meanwhile goes together. */
const LINGER_MS = 25
/** Full jitter over waits that double: many houses do not come back at once. */
const WAIT_MS = 500
const WAIT_MAX_MS = 30_000
/** How often a lasting trouble is told again. */
const REMIND_MS = 3_600_000
/** How long the last facts may take when the house closes. What is not there then comes with the next start. */
const DRAIN_MS = 1_000

export class Mirror {
  readonly #needs: MirrorNeeds
  readonly #stop = new AbortController()
  #run: Promise<void> | undefined
  #state: MirrorState = 'connecting'
  #since: number
  #partition: number | undefined
  #mirrored: number | undefined
  /** The next fact for the topic, when it is in hand. */
  #next: { readonly seq: number; readonly at: number } | undefined
  /** When nothing was missing last, or the start. */
  #levelAt: number
  #sent = 0
  #opened = 0
  #tries = 0
  #trouble: { readonly code: string; readonly message: string; readonly at: number } | undefined
  #told: { readonly codes: Set<string>; at: number } | undefined
  #warnings: readonly string[] = []
  #batchCharacters = BATCH_CHARACTERS

  constructor(needs: MirrorNeeds) {
    this.#needs = needs
    this.#since = needs.clock.now()
    this.#levelAt = this.#since
  }

  start(): void {
    this.#run = this.#go().catch(this.#needs.onBug)
  }

  get status(): MirrorStatus {
    const { clock, journal } = this.#needs
    const behind = journal.durable - (this.#mirrored ?? 0)
    const waitingSince = this.#next?.seq === (this.#mirrored ?? 0) + 1 ? this.#next.at : this.#levelAt
    return {
      state: this.#state,
      since: this.#since,
      ...(this.#partition !== undefined && { partition: this.#partition }),
      ...(this.#mirrored !== undefined && { mirrored: this.#mirrored }),
      lagFacts: behind,
      lagMs: behind === 0 ? 0 : Math.max(0, clock.now() - waitingSince),
      sent: this.#sent,
      opened: this.#opened,
      ...(this.#trouble !== undefined && { trouble: { ...this.#trouble, tries: this.#tries } }),
      warnings: this.#warnings,
    }
  }

  /** Gives the last facts a moment, where they can go. */
  async close(): Promise<void> {
    const { clock, journal, topic } = this.#needs
    const late = clock.monotonic() + DRAIN_MS
    while (this.#state === 'live' && this.#mirrored !== journal.durable && clock.monotonic() < late) {
      await this.#pause(LINGER_MS)
    }
    this.#stop.abort()
    topic.close()
    await this.#run
  }

  async #go(): Promise<void> {
    const { journal, topic, clock } = this.#needs
    const { signal } = this.#stop
    while (!signal.aborted && !journal.closed) {
      try {
        await this.#copy()
      } catch (error) {
        if (signal.aborted || journal.closed) break
        if (!(error instanceof Failure)) throw error
        topic.close()
        this.#complain(error)
        if (!error.retryable) return
        await this.#pause(
          clock.random() * Math.min(WAIT_MAX_MS, WAIT_MS * 2 ** Math.min(this.#tries - 1, 16)),
        )
      }
    }
    topic.close()
  }

  async #copy(): Promise<void> {
    const { journal, topic } = this.#needs
    const { signal } = this.#stop
    if (this.#state !== 'waiting') this.#enter('connecting')
    this.#opened += 1
    this.#batchCharacters = BATCH_CHARACTERS
    const { tail, partition, warnings } = await topic.open(journal.id)
    if (tail !== undefined) await this.#compare(tail)
    this.#partition = partition
    this.#warn(warnings)
    this.#reach(tail?.seq ?? 0)
    // There may be nothing to write for hours; then this is all there is to say.
    if (this.#mirrored === journal.durable) this.#recover()
    for await (const page of follow(copiesOf(journal), { after: tail?.seq ?? 0, signal })) {
      let copies = page
      while (copies.length > 0) {
        const batch = copies.slice(0, batchEnd(copies, this.#batchCharacters))
        await this.#send(batch)
        copies = copies.slice(batch.length)
        if (signal.aborted) return
      }
      if (this.#mirrored === journal.durable) await this.#pause(LINGER_MS)
    }
  }

  /** Halved where it is too much at once, and the next ones with it. */
  async #send(batch: readonly Copy[]): Promise<void> {
    const { seq, at } = batch[0]!
    this.#next = { seq, at }
    try {
      await this.#needs.topic.append(batch)
    } catch (error) {
      const large = error instanceof Failure && error.code === 'mirror.too-large'
      if (!large || batch.length === 1) throw large ? tooLarge(batch[0]!, error) : error
      const half = Math.ceil(batch.length / 2)
      this.#batchCharacters = Math.min(this.#batchCharacters, sizeOf(batch.slice(0, half)))
      await this.#send(batch.slice(0, half))
      return this.#send(batch.slice(half))
    }
    this.#sent += batch.length
    this.#reach(batch.at(-1)!.seq)
    this.#recover()
  }

  /** Is the topic's end a fact of this journal? */
  async #compare({ seq, hash }: Tail): Promise<void> {
    const { journal } = this.#needs
    if (seq > journal.durable) {
      throw diverged(`it holds facts up to ${seq}, and the journal ends at ${journal.durable}`)
    }
    for await (const [record = ''] of journal.records({ after: seq - 1, until: seq })) {
      if (hashOf(record) !== hash)
        throw diverged(`its fact ${seq} has the hash ${hash}, and ours ${hashOf(record)}`)
    }
  }

  #reach(seq: number): void {
    this.#mirrored = seq
    if (seq === this.#needs.journal.durable) this.#levelAt = this.#needs.clock.now()
  }

  #recover(): void {
    this.#enter('live')
    this.#tries = 0
    this.#trouble = undefined
    if (this.#told === undefined) return
    this.#told = undefined
    const { lagFacts } = this.status
    this.#needs.say('warn', `Kafka is back, and the mirror goes on; facts still to copy: ${lagFacts}`)
  }

  #complain({ code, message, retryable }: Failure): void {
    const { clock, say } = this.#needs
    this.#tries += 1
    this.#trouble = { code, message, at: clock.now() }
    this.#enter(retryable ? 'waiting' : 'stopped')
    if (!retryable) return say('error', `the mirror to Kafka has stopped: ${message} (${code})`)
    this.#told ??= { codes: new Set(), at: clock.now() }
    if (this.#told.codes.has(code) && clock.now() - this.#told.at < REMIND_MS) return
    this.#told.codes.add(code)
    this.#told.at = clock.now()
    const { lagFacts } = this.status
    say(
      'warn',
      `${message} (${code}); tried again, and the house goes on without; facts not copied: ${lagFacts}`,
    )
  }

  #warn(warnings: readonly string[]): void {
    for (const line of warnings)
      if (!this.#warnings.includes(line)) this.#needs.say('warn', `the mirror to Kafka: ${line}`)
    this.#warnings = warnings
  }

  #enter(state: MirrorState): void {
    if (state === this.#state) return
    this.#state = state
    this.#since = this.#needs.clock.now()
  }

  #pause(ms: number): Promise<void> {
    const { signal } = this.#stop
    return new Promise(resolve => {
      const done = (): void => {
        timer.cancel()
        signal.removeEventListener('abort', done)
        resolve()
      }
      const timer = this.#needs.clock.after(ms, done)
      signal.addEventListener('abort', done)
      if (signal.aborted) done()
    })
  }
}

/** The journal as records, always from the disk: there is one mirror, and memory holds entries only. */
function copiesOf(journal: Journal): Followed<Copy> {
  return {
    get durable() {
      return journal.durable
    },
    get closed() {
      return journal.closed
    },
    watch: listener => journal.watch(listener),
    recent: after => (after < journal.durable ? undefined : []),
    async *read(range) {
      for await (const page of journal.records(range)) yield page.map(copyOf)
    },
  }
}

function copyOf(record: string): Copy {
  const { seq, at, type } = headerOf(record)
  return { seq, at, type, hash: hashOf(record), record }
}

/** How many go together: up to the limits, and at least one. */
function batchEnd(copies: readonly Copy[], charactersMax: number): number {
  let characters = 0
  const end = copies.findIndex(({ record }, index) => {
    characters += record.length
    return index === BATCH_FACTS || (index > 0 && characters > charactersMax)
  })
  return end === -1 ? copies.length : end
}

function sizeOf(copies: readonly Copy[]): number {
  return copies.reduce((sum, { record }) => sum + record.length, 0)
}

function diverged(how: string): Failure {
  return new Failure(
    'mirror.diverged',
    `The topic holds another history of this journal: ${how}. Nothing is written there. Name another topic, or find ` +
      'out which of the two is right.',
  )
}

function tooLarge({ seq, record }: Copy, cause: Failure): Failure {
  const said = `Fact ${seq} is larger than the topic takes (${record.length} characters): raise its max.message.bytes`
  return new Failure('mirror.too-large', said, { retryable: true, cause })
}
