/**
 * A broker of Kafka in this process, on loopback: what it keeps, it keeps over its own restarts, as a disk would. It speaks
 * the requests that kafkajs makes of Kafka 4 for a mirror, in the versions that both know, checks the sums of batches and
 * the sequence numbers of producers as a real one does, and fails as it is told to.
 */
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { type Batch, batchOf, type Message, messagesOf, Reading, Writing } from './wire.ts'

/** Kafka's numbers, and the versions that both sides know: from KIP-896's floor to the highest of kafkajs. */
const APIS = {
  produce: [0, 3, 7],
  fetch: [1, 4, 11],
  listOffsets: [2, 1, 3],
  metadata: [3, 0, 6],
  saslHandshake: [17, 0, 1],
  apiVersions: [18, 0, 2],
  createTopics: [19, 2, 3],
  initProducerId: [22, 0, 1],
  describeConfigs: [32, 1, 2],
  saslAuthenticate: [36, 0, 1],
} as const satisfies Record<string, readonly [key: number, min: number, max: number]>
export type Api = keyof typeof APIS

const apiNames = Object.keys(APIS) as readonly Api[]

/** Of Kafka. */
export const ERRORS = {
  CORRUPT_MESSAGE: 2,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  NOT_LEADER_FOR_PARTITION: 6,
  REQUEST_TIMED_OUT: 7,
  MESSAGE_TOO_LARGE: 10,
  NOT_ENOUGH_REPLICAS: 19,
  TOPIC_AUTHORIZATION_FAILED: 29,
  TOPIC_ALREADY_EXISTS: 36,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  INVALID_PRODUCER_EPOCH: 47,
  KAFKA_STORAGE_ERROR: 56,
  SASL_AUTHENTICATION_FAILED: 58,
  PRODUCER_FENCED: 90,
  /** Of a time when kafkajs was not kept any more. */
  INELIGIBLE_REPLICA: 107,
} as const

/** What happens to the next requests of one kind. */
export interface FaultPlan {
  readonly api: Api
  /** How many of them; 1 unless it says. */
  readonly times?: number
  /** Answered with this, and nothing done. */
  readonly code?: number
  /** Done, and not answered: the connection breaks, or stays as silent as a dead one. */
  readonly lost?: 'broken' | 'silent'
}

interface Producer {
  epoch: number
  last: number
  /** The last five, which a repetition is known by. */
  readonly batches: { readonly first: number; readonly last: number; readonly offset: number }[]
}

interface Partition {
  readonly batches: { readonly offset: number; readonly count: number; readonly bytes: Buffer }[]
  low: number
  high: number
  producers: Map<bigint, Producer>
}

interface Topic {
  readonly partitions: readonly Partition[]
  readonly settings: Map<string, string>
}

export class FakeBroker {
  readonly topics = new Map<string, Topic>()
  /** Every request that was read, in order. */
  readonly asked: Api[] = []
  /** Batches that were taken for a repetition. */
  repeated = 0
  batchBytesMax: number
  /** Required of every connection when it is set. */
  account: { readonly user: string; readonly password: string } | undefined
  port = 0
  #server: Server | undefined
  readonly #sockets = new Set<Socket>()
  #faults: (FaultPlan & { left: number })[] = []
  #producers = 1_000n
  #silent = false
  /** What was read while it was stopped, to be done when it goes on: whoever sent it may be gone by then. */
  #stopped: (() => void)[] | undefined

  constructor({ batchBytesMax = 1_048_588 } = {}) {
    this.batchBytesMax = batchBytesMax
  }

  get url(): string {
    return `127.0.0.1:${this.port}`
  }

  get connections(): number {
    return this.#sockets.size
  }

  async start(): Promise<this> {
    this.#server = createServer(socket => this.#serve(socket))
    this.#server.listen(this.port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.port = (this.#server.address() as { port: number }).port
    return this
  }

  /** As if killed: whatever is open breaks off. */
  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    this.#stopped = undefined
    for (const socket of this.#sockets) socket.destroy()
    if (server === undefined) return
    server.close()
    await once(server, 'close')
  }

  /** It takes connections and bytes, and answers nothing: what comes now is gone. */
  set silent(silent: boolean) {
    this.#silent = silent
  }

  /** Like SIGSTOP: the kernel goes on taking bytes. */
  pause(): void {
    this.#stopped ??= []
  }

  /** Like SIGCONT: first of all it does what came meanwhile. */
  resume(): void {
    const waiting = this.#stopped ?? []
    this.#stopped = undefined
    for (const run of waiting) run()
  }

  plan(...faults: readonly FaultPlan[]): void {
    this.#faults.push(...faults.map(fault => ({ ...fault, left: fault.times ?? 1 })))
  }

  get planned(): number {
    return this.#faults.reduce((sum, { left }) => sum + left, 0)
  }

  make(name: string, partitions = 1, settings: Readonly<Record<string, string>> = {}): Topic {
    const topic: Topic = {
      partitions: Array.from({ length: partitions }, () => ({
        batches: [],
        low: 0,
        high: 0,
        producers: new Map(),
      })),
      settings: new Map(Object.entries({ 'cleanup.policy': 'delete', 'retention.ms': '-1', ...settings })),
    }
    this.topics.set(name, topic)
    return topic
  }

  /** Everything in a partition, as a consumer would see it. */
  messages(topic: string, partition = 0): readonly Message[] {
    return this.topics.get(topic)!.partitions[partition]!.batches.flatMap(({ bytes }) => messagesOf(bytes))
  }

  /** What another producer writes. */
  put(topic: string, batch: Buffer, partition = 0): void {
    append(this.topics.get(topic)!.partitions[partition]!, batchOf(batch)!)
  }

  /** As retention does, or an operator. */
  forget(topic: string, before: number, partition = 0): void {
    const found = this.topics.get(topic)!.partitions[partition]!
    found.batches.splice(0, found.batches.filter(({ offset, count }) => offset + count <= before).length)
    found.low = before
  }

  /** Producers are forgotten after a day without a word. */
  forgetProducers(): void {
    for (const { partitions } of this.topics.values()) for (const each of partitions) each.producers.clear()
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket)
    let known = this.account === undefined
    let rest = Buffer.alloc(0)
    socket.on('error', () => {})
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('data', chunk => {
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
        const length = rest.readInt32BE(0)
        const request = rest.subarray(4, 4 + length)
        rest = rest.subarray(4 + length)
        const run = (): void => {
          const told = this.#answer(new Reading(request), known, socket)
          if (told === 'welcome') known = true
        }
        if (this.#stopped === undefined) run()
        else this.#stopped.push(run)
      }
    })
  }

  #answer(request: Reading, known: boolean, socket: Socket): 'welcome' | undefined {
    const [key, version, correlation] = [request.i16(), request.i16(), request.i32()]
    request.nullableText() // the client's name
    const api = apiNames.find(name => APIS[name][0] === key)
    if (api === undefined || version < APIS[api][1] || version > APIS[api][2]) {
      socket.destroy(new Error(`no broker understands request ${key} in version ${version}`))
      return undefined
    }
    this.asked.push(api)
    if (this.#silent) return undefined
    if (!known && api !== 'apiVersions' && !api.startsWith('sasl')) {
      socket.destroy()
      return undefined
    }
    const fault = this.#faults.find(plan => plan.api === api && plan.left > 0)
    if (fault !== undefined) fault.left -= 1
    const { body, welcome } = this.#handle(api, request, fault?.code)
    if (fault?.lost === 'broken') socket.destroy()
    if (fault?.lost !== undefined) return undefined
    const answer = new Writing().i32(correlation).raw(body).end()
    if (!socket.destroyed) socket.write(new Writing().bytes(answer).end())
    return welcome ? 'welcome' : undefined
  }

  #handle(api: Api, request: Reading, code: number | undefined): { body: Buffer; welcome?: boolean } {
    switch (api) {
      case 'apiVersions': {
        const body = new Writing().i16(0)
        body.array(apiNames, name => {
          const [key, min, max] = APIS[name]
          body.i16(key).i16(min).i16(max)
        })
        return { body: body.i32(0).end() }
      }
      case 'saslHandshake': {
        request.text()
        const body = new Writing().i16(0)
        return { body: body.array(['PLAIN'], name => body.text(name)).end() }
      }
      case 'saslAuthenticate': {
        const [, user, password] = request.bytes().toString().split('\0')
        const welcome = user === this.account?.user && password === this.account?.password
        const body = new Writing().i16(welcome ? 0 : ERRORS.SASL_AUTHENTICATION_FAILED)
        body.text(welcome ? null : 'Authentication failed: Invalid username or password')
        return { body: body.bytes(Buffer.alloc(0)).i64(0).end(), welcome }
      }
      case 'metadata':
        return { body: this.#metadata(request, code) }
      case 'createTopics':
        return { body: this.#createTopics(request, code) }
      case 'describeConfigs':
        return { body: this.#describeConfigs(request, code) }
      case 'initProducerId': {
        this.#producers += 1n
        return {
          body: new Writing()
            .i32(0)
            .i16(code ?? 0)
            .i64(this.#producers)
            .i16(0)
            .end(),
        }
      }
      case 'listOffsets':
        return { body: this.#listOffsets(request, code) }
      case 'fetch':
        return { body: this.#fetch(request, code) }
      case 'produce':
        return { body: this.#produce(request, code) }
    }
  }

  #metadata(request: Reading, code: number | undefined): Buffer {
    const wanted = request.array(() => request.text())
    const body = new Writing().i32(0)
    body.array([1], id => body.i32(id).text('127.0.0.1').i32(this.port).text(null))
    body.text('fake').i32(1)
    const names = wanted.length > 0 ? wanted : [...this.topics.keys()]
    body.array(names, name => {
      const topic = this.topics.get(name)
      body.i16(code ?? (topic === undefined ? ERRORS.UNKNOWN_TOPIC_OR_PARTITION : 0))
      body.text(name).i8(0)
      body.array(topic?.partitions ?? [], partition => {
        const self = (): void => void body.i32(1)
        body.i16(0).i32(topic!.partitions.indexOf(partition)).i32(1)
        body.array([1], self).array([1], self).array([], self)
      })
    })
    return body.end()
  }

  #createTopics(request: Reading, code: number | undefined): Buffer {
    const asked = request.array(() => {
      const [name, partitions] = [request.text(), request.i32()]
      request.i16()
      request.array(() => {
        request.i32()
        request.array(() => request.i32())
      })
      const settings = request.array(() => [request.text(), request.text()] as const)
      return { name, partitions, settings }
    })
    const body = new Writing().i32(0)
    body.array(asked, ({ name, partitions, settings }) => {
      const exists = this.topics.has(name)
      body
        .text(name)
        .i16(code ?? (exists ? ERRORS.TOPIC_ALREADY_EXISTS : 0))
        .text(null)
      if (code === undefined && !exists)
        this.make(name, Math.max(1, partitions), Object.fromEntries(settings))
    })
    return body.end()
  }

  #describeConfigs(request: Reading, code: number | undefined): Buffer {
    const asked = request.array(() => {
      const [type, name] = [request.i8(), request.text()]
      return { type, name, names: request.array(() => request.text()) }
    })
    const body = new Writing().i32(0)
    body.array(asked, ({ type, name, names }) => {
      const settings = code === undefined ? (this.topics.get(name)?.settings ?? new Map()) : new Map()
      body
        .i16(code ?? 0)
        .text(null)
        .i8(type)
        .text(name)
      const told = [...settings].filter(([setting]) => names.includes(setting))
      body.array(told, ([setting, value]) => {
        body.text(setting).text(value).i8(0).i8(1).i8(0)
        body.array([], () => {})
      })
    })
    return body.end()
  }

  #listOffsets(request: Reading, code: number | undefined): Buffer {
    request.i32()
    request.i8()
    const asked = request.array(() => ({
      name: request.text(),
      partitions: request.array(() => ({ index: request.i32(), timestamp: Number(request.i64()) })),
    }))
    const body = new Writing().i32(0)
    body.array(asked, ({ name, partitions }) => {
      body.text(name)
      body.array(partitions, ({ index, timestamp }) => {
        const found = this.topics.get(name)?.partitions[index]
        const offset = timestamp === -2 ? found?.low : found?.high
        const error = found === undefined ? ERRORS.UNKNOWN_TOPIC_OR_PARTITION : 0
        body
          .i32(index)
          .i16(code ?? error)
          .i64(-1)
          .i64(offset ?? -1)
      })
    })
    return body.end()
  }

  #fetch(request: Reading, code: number | undefined): Buffer {
    for (const width of [4, 4, 4, 4, 1, 4, 4]) request.take(width)
    const asked = request.array(() => ({
      name: request.text(),
      partitions: request.array(() => {
        const index = request.i32()
        request.i32()
        const offset = Number(request.i64())
        request.i64()
        return { index, offset, bytesMax: request.i32() }
      }),
    }))
    const body = new Writing().i32(0).i16(0).i32(0)
    body.array(asked, ({ name, partitions }) => {
      body.text(name)
      body.array(partitions, ({ index, offset, bytesMax }) => {
        const found = this.topics.get(name)?.partitions[index]
        const high = found?.high ?? -1
        const error = found === undefined ? ERRORS.UNKNOWN_TOPIC_OR_PARTITION : 0
        body
          .i32(index)
          .i16(code ?? error)
          .i64(high)
          .i64(high)
          .i64(found?.low ?? -1)
        body.array([], () => {}).i32(-1)
        body.bytes(
          code === undefined && found !== undefined ? batchesFrom(found, offset, bytesMax) : Buffer.alloc(0),
        )
      })
    })
    return body.end()
  }

  #produce(request: Reading, code: number | undefined): Buffer {
    request.nullableText()
    request.i16()
    request.i32()
    const asked = request.array(() => ({
      name: request.text(),
      partitions: request.array(() => ({ index: request.i32(), bytes: request.bytes() })),
    }))
    const body = new Writing()
    body.array(asked, ({ name, partitions }) => {
      body.text(name)
      body.array(partitions, ({ index, bytes }) => {
        const [error, offset] = code === undefined ? this.#take(name, index, bytes) : ([code, -1] as const)
        body.i32(index).i16(error).i64(offset).i64(-1).i64(0)
      })
    })
    return body.i32(0).end()
  }

  #take(name: string, index: number, bytes: Buffer): readonly [error: number, offset: number] {
    const partition = this.topics.get(name)?.partitions[index]
    if (partition === undefined) return [ERRORS.UNKNOWN_TOPIC_OR_PARTITION, -1]
    if (bytes.length > this.batchBytesMax) return [ERRORS.MESSAGE_TOO_LARGE, -1]
    const batch = batchOf(bytes)
    if (batch === undefined) return [ERRORS.CORRUPT_MESSAGE, -1]
    const { producerId, producerEpoch, firstSequence, count } = batch
    const last = (firstSequence + count - 1) % 2_147_483_648
    const producer = partition.producers.get(producerId)
    if (producer !== undefined) {
      if (producerEpoch < producer.epoch) return [ERRORS.INVALID_PRODUCER_EPOCH, -1]
      const before = producer.batches.find(each => each.first === firstSequence && each.last === last)
      if (before !== undefined) {
        this.repeated += 1
        return [0, before.offset]
      }
      if (firstSequence !== (producer.last + 1) % 2_147_483_648)
        return [ERRORS.OUT_OF_ORDER_SEQUENCE_NUMBER, -1]
    }
    const offset = append(partition, batch)
    const now = producer ?? { epoch: producerEpoch, last, batches: [] }
    now.last = last
    now.batches.push({ first: firstSequence, last, offset })
    if (now.batches.length > 5) now.batches.shift()
    partition.producers.set(producerId, now)
    return [0, offset]
  }
}

function append(partition: Partition, { bytes, count }: Batch): number {
  const offset = partition.high
  const kept = Buffer.from(bytes)
  kept.writeBigInt64BE(BigInt(offset), 0)
  partition.batches.push({ offset, count, bytes: kept })
  partition.high += count
  return offset
}

/** Whole batches from the one that holds the offset; the first of them whatever its size. */
function batchesFrom({ batches }: Partition, offset: number, bytesMax: number): Buffer {
  const wanted = batches.filter(batch => batch.offset + batch.count > offset)
  let size = 0
  const fit = wanted.filter(({ bytes }, index) => {
    size += bytes.length
    return index === 0 || size <= bytesMax
  })
  return Buffer.concat(fit.map(({ bytes }) => bytes))
}
