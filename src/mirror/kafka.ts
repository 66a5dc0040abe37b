/**
 * The wire to Kafka. The only importer of kafkajs 2.2.4, which is the last there will be, and of which only the lower half
 * is used: connections, SASL, TLS, and the codecs. What lies above retries without a bound, gives each new client a new
 * producer id, and reads through consumer groups only. Cured here, besides:
 *
 *   - Everything has a deadline, and sockets are broken off, not waited for. (A socket into nowhere kept kafkajs busy for
 *     more than 45 s; a new one takes 4 ms.)
 *   - Error codes that kafkajs does not know (90 and above) are known.
 *   - The queue of requests does not poll while it is empty: on Node 24 that was a timer every millisecond.
 */
import { createRequire } from 'node:module'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'

/** How long a broker may take to answer. */
const ANSWER_MS = 4_000
const CONNECT_MS = 3_000
/** Beyond all of kafkajs's own deadlines: a broker that is silent in the middle of a SASL exchange meets none of them. */
const SILENCE_MS = ANSWER_MS + CONNECT_MS + 1_000
/** How long the leader may wait for its replicas. Shorter than ANSWER_MS, so that it says so itself. */
const REPLICAS_MS = 3_000
/** There are none; the request asks all the same. */
const TRANSACTION_MS = 60_000
const FETCH_BYTES = 1_048_576
const FETCH_WAIT_MS = 500
/** Answers without a message where there must be some. */
const EMPTY_MAX = 5

export interface WireNeeds {
  readonly topic: string
  /** `host:port`; the first is asked first. */
  readonly brokers: readonly string[]
  readonly clock: Clock
  readonly sasl?: { readonly mechanism: string; readonly username: string; readonly password: string }
  readonly ssl?: { readonly ca?: string; readonly cert?: string; readonly key?: string }
}

/** One topic through one set of connections. Throws a Fault, whatever went wrong. */
export class Wire {
  readonly #needs: WireNeeds
  readonly #topic: string
  readonly #cluster: Cluster
  readonly #sockets = new Set<Socket>()
  readonly #broken: Promise<never>
  #breakOff: (error: Error) => void = () => {}

  constructor(needs: WireNeeds) {
    this.#needs = needs
    this.#topic = needs.topic
    this.#broken = new Promise((_, reject) => {
      this.#breakOff = reject
    })
    this.#broken.catch(() => {})
    this.#cluster = new ClusterOfKafkajs({
      logger: SILENT,
      brokers: needs.brokers,
      clientId: 'quipu',
      sasl: needs.sasl,
      ssl: needs.ssl,
      connectionTimeout: CONNECT_MS,
      authenticationTimeout: ANSWER_MS,
      reauthenticationThreshold: 10_000,
      requestTimeout: ANSWER_MS,
      enforceRequestTimeout: true,
      metadataMaxAge: 300_000,
      allowAutoTopicCreation: false,
      maxInFlightRequests: 1,
      retry: { retries: 0 },
      socketFactory: options => this.#socket(options),
    })
  }

  connect(): Promise<void> {
    return this.#within(this.#cluster.connect())
  }

  /** Where the topic is led, asked of the brokers. */
  target(): Promise<void> {
    return this.#within(this.#cluster.addTargetTopic(this.#topic))
  }

  refresh(): Promise<void> {
    // What is wrong shows in the request that comes next.
    return this.#within(this.#cluster.refreshMetadata()).catch((_fault: Fault) => {})
  }

  partitions(): readonly number[] {
    const found = this.#cluster.findTopicPartitionMetadata(this.#topic).map(({ partitionId }) => partitionId)
    return found.sort((a, b) => a - b)
  }

  async create(): Promise<void> {
    const topic = {
      topic: this.#topic,
      numPartitions: 1,
      configEntries: [
        { name: 'cleanup.policy', value: 'delete' },
        { name: 'retention.ms', value: '-1' },
        { name: 'retention.bytes', value: '-1' },
      ],
    }
    // Nothing is known of the brokers yet: asking for a topic that is not there told nothing.
    await this.#within(this.#cluster.refreshMetadata())
    const broker = await this.#within(this.#cluster.findControllerBroker())
    await this.#within(broker.createTopics({ topics: [topic], timeout: REPLICAS_MS }))
  }

  async settings(): Promise<ReadonlyMap<string, string>> {
    const broker = await this.#within(this.#cluster.findControllerBroker())
    const resource = { type: TOPIC_RESOURCE, name: this.#topic, configNames: [...SETTINGS] }
    const { resources } = await this.#within(broker.describeConfigs({ resources: [resource] }))
    return new Map(
      resources[0]!.configEntries.map(({ configName, configValue }) => [configName, configValue]),
    )
  }

  async producer(): Promise<ProducerId> {
    const broker = await this.#within(this.#cluster.findControllerBroker())
    const { producerId, producerEpoch } = await this.#within(
      broker.initProducerId({ transactionTimeout: TRANSACTION_MS }),
    )
    return { id: producerId, epoch: producerEpoch }
  }

  async produce({ id, epoch }: ProducerId, data: Batch): Promise<void> {
    const broker = await this.#leader(data.partition)
    await this.#within(
      broker.produce({
        producerId: id,
        producerEpoch: epoch,
        acks: -1,
        timeout: REPLICAS_MS,
        topicData: [{ topic: this.#topic, partitions: [data] }],
      }),
    )
  }

  /** The first offset there is, and the one after the last. */
  async range(partition: number): Promise<{ readonly low: number; readonly high: number }> {
    const broker = await this.#leader(partition)
    const at = async (timestamp: number): Promise<number> => {
      const topics = [{ topic: this.#topic, partitions: [{ partition, timestamp }] }]
      const { responses } = await this.#within(
        broker.listOffsets({ replicaId: -1, isolationLevel: UNCOMMITTED, topics }),
      )
      return Number(responses[0]!.partitions[0]!.offset)
    }
    return { low: await at(EARLIEST), high: await at(LATEST) }
  }

  /** The messages from `from` to just before `end`. */
  async *read(partition: number, from: number, end: number): AsyncGenerator<readonly IncomingMessage[]> {
    let empty = 0
    for (let offset = from; offset < end; ) {
      const broker = await this.#leader(partition)
      const wanted = { partition, fetchOffset: offset, maxBytes: FETCH_BYTES }
      const { responses } = await this.#within(
        broker.fetch({
          replicaId: -1,
          isolationLevel: UNCOMMITTED,
          maxWaitTime: FETCH_WAIT_MS,
          minBytes: 1,
          maxBytes: FETCH_BYTES,
          topics: [{ topic: this.#topic, partitions: [wanted] }],
        }),
      )
      const { messages } = responses[0]!.partitions[0]!
      // A batch comes whole, though what is wanted begins in its middle.
      const page = messages.filter(
        message => Number(message.offset) >= offset && Number(message.offset) < end,
      )
      const last = page.at(-1)
      if (last !== undefined) {
        offset = Number(last.offset) + 1
        empty = 0
        const content = page.filter(({ isControlRecord }) => !isControlRecord)
        if (content.length > 0) yield content
      } else if (messages.length > 0) {
        return
      } else if (++empty === EMPTY_MAX) {
        throw unreachable(
          'broken',
          `partition ${partition} gives nothing at offset ${offset}, where something must be`,
        )
      }
    }
  }

  /** kafkajs itself would wait for answers that never come. */
  destroy(): void {
    const gone = new Error('the connection was given up')
    this.#breakOff(gone)
    for (const socket of this.#sockets) socket.destroy(gone)
    this.#cluster.disconnect().catch(() => {})
  }

  async #leader(partition: number): Promise<Broker> {
    const [nodeId] = Object.keys(this.#cluster.findLeaderForPartitions(this.#topic, [partition]))
    return this.#within(this.#cluster.findBroker({ nodeId: nodeId ?? '-1' }))
  }

  async #within<T>(attempt: Promise<T>): Promise<T> {
    let late = (): void => {}
    const silence = new Promise<never>((_, reject) => {
      late = () => reject(new Silence())
    })
    const timer = this.#needs.clock.after(SILENCE_MS, late)
    try {
      return await Promise.race([attempt, silence, this.#broken])
    } catch (error) {
      throw faultOf(error)
    } finally {
      timer.cancel()
    }
  }

  #socket({ host, port, ssl, onConnect }: SocketOptions): Socket {
    const socket = ssl
      ? connectTls({ host, port, ...(isIP(host) === 0 && { servername: host }), ...ssl }, onConnect)
      : connect({ host, port }, onConnect)
    socket.setKeepAlive(true, 10_000)
    socket.setNoDelay(true)
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    return socket
  }
}

class Silence extends Error {}

export interface ProducerId {
  readonly id: string
  readonly epoch: number
}

const TOPIC_RESOURCE = 2
const SETTINGS = ['cleanup.policy', 'retention.ms', 'retention.bytes'] as const
const EARLIEST = -2
const LATEST = -1
/** Up to the last message that is safe, whatever transactions others have open. */
const UNCOMMITTED = 0

// ── what went wrong ──────────────────────────────────────────────────────────────────────────────────────────────

/**
 * silence: nobody answered; broken: the connection; later: the broker says "not now"; numbers: it does not take our
 * sequence numbers any more; absent: there is no such topic; no: what remains.
 */
type Trouble = 'silence' | 'broken' | 'later' | 'numbers' | 'absent' | 'no'

/** In our words; never with what was sent. */
export class Fault extends Failure {
  readonly trouble: Trouble

  constructor(
    trouble: Trouble,
    { code, said }: { readonly code: string; readonly said: string },
    cause?: unknown,
  ) {
    super(code, said, { retryable: true, cause })
    this.trouble = trouble
  }
}

const UNKNOWN_TOPIC = 3
/** MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE. */
const TOO_LARGE = new Set([10, 18])
/**
 * OUT_OF_ORDER_SEQUENCE_NUMBER, DUPLICATE_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, INVALID_PRODUCER_ID_MAPPING,
 * UNKNOWN_PRODUCER_ID, PRODUCER_FENCED. What comes after the last is unknown here, too, and no reason to go on.
 */
const PRODUCER_FENCED = 90
const NUMBERS_LOST = new Set([45, 46, 47, 49, 59, PRODUCER_FENCED])

function faultOf(thrown: unknown): Fault {
  const error = rootOf(thrown)
  if (error instanceof Fault) return error
  const { name, message } = error
  if (error instanceof Silence || name === 'KafkaJSRequestTimeoutError') {
    return unreachable('silence', 'a broker does not answer', error)
  }
  const code = codeOf(error)
  if (code === undefined) {
    const no = name === 'KafkaJSSASLAuthenticationError' || name === 'KafkaJSNotImplemented'
    return no ? refused(message, error) : unreachable('broken', message, error)
  }
  if (code === UNKNOWN_TOPIC) return unreachable('absent', `a broker says: ${message}`, error)
  if (TOO_LARGE.has(code)) return new Fault('no', { code: 'mirror.too-large', said: message }, error)
  if (NUMBERS_LOST.has(code) || code > PRODUCER_FENCED) {
    return unreachable('numbers', `a broker does not take our sequence numbers any more: ${message}`, error)
  }
  return error.retriable === true
    ? unreachable('later', `a broker says: ${message}`, error)
    : refused(message, error)
}

/** kafkajs wraps an error into others, one for each layer that gave up. */
function rootOf(thrown: unknown): KafkajsError {
  let error = (thrown instanceof Error ? thrown : new Error(String(thrown))) as KafkajsError
  while (!(error instanceof Fault) && error.name !== 'KafkaJSProtocolError' && error.cause instanceof Error) {
    error = error.cause as KafkajsError
  }
  return error
}

/** kafkajs knows codes up to 88, and tells others in a sentence only. */
function codeOf({ type, code, message }: KafkajsError): number | undefined {
  if (type === undefined) return undefined
  if (type !== 'KAFKAJS_UNKNOWN_ERROR_CODE') return Number(code)
  return Number(/\d+$/.exec(message)?.[0] ?? code)
}

function unreachable(trouble: Trouble, why: string, cause?: unknown): Fault {
  return new Fault(trouble, { code: 'mirror.unreachable', said: `Kafka cannot be reached: ${why}` }, cause)
}

export function refused(why: string, cause?: unknown): Fault {
  return new Fault('no', { code: 'mirror.refused', said: `Kafka does not take it: ${why}` }, cause)
}

// ── kafkajs, as far as it is used ────────────────────────────────────────────────────────────────────────────────

interface KafkajsError extends Error {
  readonly type?: string
  readonly code?: number | string
  readonly retriable?: boolean
}

export interface OutgoingMessage {
  readonly key: string
  readonly value: string
  readonly timestamp: number
  readonly headers: Readonly<Record<string, string>>
}

export interface IncomingMessage {
  readonly offset: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, Buffer>>
  readonly isControlRecord: boolean
}

export interface Batch {
  readonly partition: number
  readonly firstSequence: number
  readonly messages: readonly OutgoingMessage[]
}

interface SocketOptions {
  readonly host: string
  readonly port: number
  readonly ssl: object | undefined
  readonly onConnect: () => void
}

interface Broker {
  createTopics(request: object): Promise<unknown>
  describeConfigs(request: object): Promise<{
    readonly resources: readonly {
      readonly configEntries: readonly { readonly configName: string; readonly configValue: string }[]
    }[]
  }>
  initProducerId(request: object): Promise<{ readonly producerId: string; readonly producerEpoch: number }>
  produce(request: object): Promise<unknown>
  listOffsets(request: object): Promise<{
    readonly responses: readonly { readonly partitions: readonly { readonly offset: string }[] }[]
  }>
  fetch(request: object): Promise<{
    readonly responses: readonly {
      readonly partitions: readonly { readonly messages: readonly IncomingMessage[] }[]
    }[]
  }>
}

interface Cluster {
  connect(): Promise<void>
  disconnect(): Promise<void>
  addTargetTopic(topic: string): Promise<void>
  refreshMetadata(): Promise<void>
  findTopicPartitionMetadata(topic: string): readonly { readonly partitionId: number }[]
  findLeaderForPartitions(topic: string, partitions: readonly number[]): Readonly<Record<string, unknown>>
  findBroker(which: { readonly nodeId: string }): Promise<Broker>
  findControllerBroker(): Promise<Broker>
}

interface RequestQueue {
  readonly pending: readonly unknown[]
  readonly throttledUntil: number
  throttleCheckTimeoutId: NodeJS.Timeout | null
  checkPendingRequests(): void
  scheduleCheckPendingRequests(): void
}

const load = createRequire(import.meta.url)
const ClusterOfKafkajs = load('kafkajs/src/cluster') as new (options: {
  readonly socketFactory: (options: SocketOptions) => Socket
  readonly [option: string]: unknown
}) => Cluster
const QueueOfKafkajs = load('kafkajs/src/network/requestQueue') as { readonly prototype: RequestQueue }

/** As of kafkajs itself, between checks of a queue that is full. */
const CHECK_MS = 10

/**
 * Without this a queue that has once been used sets a timer for a moment that is long past, for ever: 1 ms each, and on
 * Node 24 a warning (tulios/kafkajs#1751, #1704). Only a queue that holds something needs to be looked at again.
 */
QueueOfKafkajs.prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
  if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return
  const waitMs = this.throttledUntil - Date.now()
  this.throttleCheckTimeoutId = setTimeout(
    () => {
      this.throttleCheckTimeoutId = null
      this.checkPendingRequests()
    },
    waitMs > 0 ? waitMs : CHECK_MS,
  )
}

/** What kafkajs would say, the house says itself, once. */
const SILENT: Logger = { namespace: () => SILENT, error() {}, warn() {}, info() {}, debug() {} }

interface Logger {
  readonly namespace: () => Logger
  error(): void
  warn(): void
  info(): void
  debug(): void
}
