/**
 * A journal's messages in a topic of Kafka.
 *
 * One request at a time. After two in a row that nobody answered the caller is told, and opens again, through new sockets
 * and with another broker. One producer id for as long as this object lives, and a fact's sequence number is its seq less
 * that of the first fact under that id: so whatever is sent again, through whichever connection, the broker takes once.
 * Across restarts it is the end of the topic that says where to go on.
 */
import { readFile } from 'node:fs/promises'
import type { KafkaSpec } from '../brokers.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import { hashOf, seqIn } from '../journal/chain.ts'
import { Fault, type OutgoingMessage, type ProducerId, refused, Wire, type WireNeeds } from './kafka.ts'
import { partitionOf } from './partition.ts'
import { type Copy, EPOCH, type Held, type Opened, type Tail, type Topic, type TopicReader } from './topic.ts'

export interface JournalTopicNeeds {
  readonly spec: KafkaSpec
  readonly clock: Clock
  /** From the environment, where no file is named. */
  readonly password: () => string | undefined
}

/** An answer that says "not now" (no leader, too few replicas): tries in all, and the first pause, doubled each time. */
const TRIES_MAX = 5
const PAUSE_MS = 100
/** How far back from the end the journal's last fact is looked for first; then twice as far, and so on. */
const TAIL_MESSAGES = 2_000
/** In a row, without an answer; 4 s each. */
const SILENCES_MAX = 2

export class JournalTopic implements Topic, TopicReader {
  readonly #needs: JournalTopicNeeds
  #wire: Wire | undefined
  /** Which of the brokers is asked first; another one each time. */
  #turn = 0
  #journal = ''
  #partition = 0
  #producer: Producer | undefined
  #next = 1
  #silences = 0

  constructor(needs: JournalTopicNeeds) {
    this.#needs = needs
  }

  // ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────

  async open(journal: string): Promise<Opened> {
    const wire = await this.#connect()
    await this.#make(wire)
    const warnings = await this.#fitness(wire)
    const partitions = wire.partitions()
    const { partition, tail } = await this.#home(wire, journal, partitions)
    this.#journal = journal
    this.#partition = partition
    this.#next = (tail?.seq ?? 0) + 1
    // A topic that was made anew knows nothing of the numbers before.
    if (this.#producer !== undefined && this.#next < this.#producer.firstSeq) this.#producer = undefined
    return { tail, partition, warnings }
  }

  async append(copies: readonly Copy[]): Promise<void> {
    const wire = this.#wire
    if (wire === undefined) throw new Fault('broken', NOT_OPEN)
    const now = this.#needs.clock.now()
    const messages = copies.map(copy => messageOf(this.#journal, copy, now))
    for (let tries = 1; ; tries += 1) {
      try {
        const producer = this.#producer ?? { ...(await wire.producer()), firstSeq: this.#next }
        this.#producer = producer
        const firstSequence = (copies[0]!.seq - producer.firstSeq) % SEQUENCES
        await wire.produce(producer, { partition: this.#partition, firstSequence, messages })
        this.#silences = 0
        this.#next = copies.at(-1)!.seq + 1
        return
      } catch (error) {
        if (!(error instanceof Fault)) throw error
        const { trouble } = error
        this.#silences = trouble === 'silence' ? this.#silences + 1 : 0
        if (trouble === 'numbers') this.#producer = undefined
        if (trouble === 'silence' && this.#silences < SILENCES_MAX) continue
        if ((trouble !== 'later' && trouble !== 'absent') || tries === TRIES_MAX) throw error
        await this.#pause(PAUSE_MS * 2 ** (tries - 1))
        await wire.refresh()
      }
    }
  }

  close(): void {
    this.#wire?.destroy()
    this.#wire = undefined
  }

  /** The partition that holds this journal; where none does, the one that Kafka's own clients would choose by the key. */
  async #home(
    wire: Wire,
    journal: string,
    partitions: readonly number[],
  ): Promise<{ readonly partition: number; readonly tail: Tail | undefined }> {
    const chosen = partitions[partitionOf(journal, partitions.length)]!
    // Where partitions were added since, the key alone would lead elsewhere.
    for (const partition of [chosen, ...partitions.filter(other => other !== chosen)]) {
      const tail = await this.#tailIn(wire, partition, journal)
      if (tail !== undefined) return { partition, tail }
    }
    return { partition: chosen, tail: undefined }
  }

  /** From the end backwards: others may have written there since. Of doubles, the one furthest on. */
  async #tailIn(wire: Wire, partition: number, journal: string): Promise<Tail | undefined> {
    const { low, high } = await wire.range(partition)
    let tail: Tail | undefined
    for (let end = high, reach = TAIL_MESSAGES; end > low && tail === undefined; reach *= 2) {
      const from = Math.max(low, end - reach)
      for await (const page of wire.read(partition, from, end)) {
        for (const { key, value, headers } of page) {
          const record = value?.toString() ?? ''
          const seq = seqIn(record)
          if (key?.toString() !== journal || Number.isNaN(seq)) continue
          const epoch = Number(headers.epoch ?? EPOCH)
          if (tail === undefined || epoch > tail.epoch || (epoch === tail.epoch && seq > tail.seq)) {
            tail = { epoch, seq, hash: hashOf(record) }
          }
        }
      }
      end = from
    }
    return tail
  }

  /** Facts are for ever, so is the topic that is made for them; one that somebody else made is taken as it is. */
  async #make(wire: Wire): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await wire.target()
      } catch (error) {
        if (!(error instanceof Fault) || tries === TRIES_MAX) throw error
        if (error.trouble !== 'absent' && error.trouble !== 'later') throw error
        if (error.trouble === 'absent' && tries === 1) await wire.create()
        await this.#pause(PAUSE_MS * 2 ** (tries - 1))
      }
    }
  }

  /** Throws `mirror.compacted` where the topic would lose facts; warns where it might. */
  async #fitness(wire: Wire): Promise<readonly string[]> {
    const { topic, sasl, ssl } = this.#needs.spec
    const warnings: string[] = []
    if (sasl?.mechanism === 'plain' && ssl === undefined)
      warnings.push('the password goes over the wire in the clear: add ssl')
    let settings: ReadonlyMap<string, string>
    try {
      settings = await wire.settings()
    } catch (error) {
      if (!(error instanceof Fault) || error.trouble !== 'no') throw error
      warnings.push(`nobody knows whether ${topic} keeps everything, because its settings may not be read`)
      return warnings
    }
    if (settings.get('cleanup.policy')?.includes('compact')) {
      throw new Failure(
        'mirror.compacted',
        `${topic} is compacted, and would keep the last fact of a journal alone: set its cleanup.policy to delete`,
        { retryable: true },
      )
    }
    const bounded = ['retention.ms', 'retention.bytes'].filter(name => (settings.get(name) ?? '-1') !== '-1')
    if (bounded.length > 0) {
      const told = bounded.map(name => `${name}=${settings.get(name)}`).join(', ')
      warnings.push(`${topic} forgets (${told}): from what it has lost, no journal can be restored`)
    }
    return warnings
  }

  // ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

  async count(): Promise<number> {
    const wire = await this.#reading()
    let count = 0
    for (const partition of wire.partitions()) {
      const { low, high } = await wire.range(partition)
      count += high - low
    }
    return count
  }

  async *read(): AsyncGenerator<readonly Held[]> {
    let wire: Wire | undefined = await this.#reading()
    for (const partition of wire.partitions()) {
      let { low: offset, high } = await wire.range(partition)
      for (let tries = 1; offset < high; ) {
        try {
          wire ??= await this.#reading()
          for await (const page of wire.read(partition, offset, high)) {
            offset = Number(page.at(-1)!.offset) + 1
            tries = 1
            yield page.map(({ key, value }) => ({
              journal: key?.toString() ?? '',
              record: value?.toString() ?? '',
            }))
          }
          offset = high
        } catch (error) {
          if (!(error instanceof Fault) || error.trouble === 'no' || tries === TRIES_MAX) throw error
          await this.#pause(PAUSE_MS * 2 ** tries)
          tries += 1
          wire = undefined
        }
      }
      wire ??= await this.#reading()
    }
  }

  async #reading(): Promise<Wire> {
    const wire = await this.#connect()
    await wire.target()
    return wire
  }

  // ── connections ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Through new sockets; the old ones are broken off. */
  async #connect(): Promise<Wire> {
    this.close()
    this.#silences = 0
    const { spec, clock } = this.#needs
    const turn = this.#turn++ % spec.brokers.length
    const brokers = [...spec.brokers.slice(turn), ...spec.brokers.slice(0, turn)]
    const wire = new Wire({ topic: spec.topic, brokers, clock, ...(await this.#credentials()) })
    this.#wire = wire
    await wire.connect()
    return wire
  }

  async #credentials(): Promise<Pick<WireNeeds, 'sasl' | 'ssl'>> {
    const { sasl, ssl } = this.#needs.spec
    const credentials: { sasl?: NonNullable<WireNeeds['sasl']>; ssl?: NonNullable<WireNeeds['ssl']> } = {}
    if (sasl !== undefined) {
      const { mechanism, user: username, passwordFile } = sasl
      const password =
        passwordFile === undefined
          ? this.#needs.password()
          : (await textIn(passwordFile)).replace(/\r?\n$/, '')
      if (password === undefined) {
        throw refused(
          'there is no password: name a file with password-file=PATH, or set QUIPU_KAFKA_PASSWORD',
        )
      }
      credentials.sasl = { mechanism, username, password }
    }
    if (ssl !== undefined) {
      const files = Object.entries(ssl) as [keyof typeof ssl, string][]
      const texts = await Promise.all(files.map(async ([name, path]) => [name, await textIn(path)] as const))
      credentials.ssl = Object.fromEntries(texts)
    }
    return credentials
  }

  #pause(ms: number): Promise<void> {
    return new Promise(resolve => this.#needs.clock.after(ms, resolve))
  }
}

const NOT_OPEN = { code: 'mirror.unreachable', said: 'Kafka cannot be reached: the topic is not open' }
/** Sequence numbers are 31 bits, and begin again. */
const SEQUENCES = 2_147_483_648

interface Producer extends ProducerId {
  /** The fact that has the sequence number 0. */
  readonly firstSeq: number
}

function messageOf(journal: string, { seq, hash, type, at, record }: Copy, now: number): OutgoingMessage {
  return {
    key: journal,
    value: record,
    // A clock that was ahead for a while: brokers refuse what is an hour from now.
    timestamp: Math.min(at, now),
    headers: { epoch: String(EPOCH), seq: String(seq), hash, type },
  }
}

async function textIn(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw refused(`${path} cannot be read (${(cause as NodeJS.ErrnoException).code})`, cause)
  }
}
