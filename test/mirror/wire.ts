/** Kafka's wire format as a broker reads and writes it: what stands before KIP-482, which is all that kafkajs speaks. */

export class Reading {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  i8(): number {
    return this.#bytes.readInt8(this.#step(1))
  }
  i16(): number {
    return this.#bytes.readInt16BE(this.#step(2))
  }
  i32(): number {
    return this.#bytes.readInt32BE(this.#step(4))
  }
  i64(): bigint {
    return this.#bytes.readBigInt64BE(this.#step(8))
  }
  text(): string {
    return this.nullableText() ?? ''
  }
  nullableText(): string | undefined {
    const length = this.i16()
    return length < 0 ? undefined : this.take(length).toString()
  }
  bytes(): Buffer {
    return this.take(Math.max(0, this.i32()))
  }
  array<T>(item: () => T): T[] {
    const count = this.i32()
    return Array.from({ length: Math.max(0, count) }, item)
  }
  /** Zigzag, seven bits at a time. */
  varint(): number {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = BigInt(this.take(1)[0]!)
      value |= (byte & 0x7fn) << shift
      if (byte < 0x80n) return Number((value >> 1n) ^ -(value & 1n))
    }
  }
  /** Undefined where there is none, as Kafka has it. */
  varbytes(): Buffer | undefined {
    const length = this.varint()
    return length < 0 ? undefined : this.take(length)
  }
  take(length: number): Buffer {
    const at = this.#step(length)
    return this.#bytes.subarray(at, at + length)
  }
  #step(length: number): number {
    const at = this.#at
    this.#at += length
    if (this.#at > this.#bytes.length) throw new RangeError(`${length} bytes wanted, and fewer are there`)
    return at
  }
}

export class Writing {
  readonly #parts: Buffer[] = []

  i8(value: number): this {
    return this.#put(1, bytes => bytes.writeInt8(value))
  }
  i16(value: number): this {
    return this.#put(2, bytes => bytes.writeInt16BE(value))
  }
  i32(value: number): this {
    return this.#put(4, bytes => bytes.writeInt32BE(value))
  }
  i64(value: number | bigint): this {
    return this.#put(8, bytes => bytes.writeBigInt64BE(BigInt(value)))
  }
  text(value: string | null): this {
    if (value === null) return this.i16(-1)
    const bytes = Buffer.from(value)
    return this.i16(bytes.length).raw(bytes)
  }
  bytes(value: Buffer): this {
    return this.i32(value.length).raw(value)
  }
  array<T>(items: readonly T[], write: (item: T) => void): this {
    this.i32(items.length)
    for (const item of items) write(item)
    return this
  }
  raw(bytes: Buffer): this {
    this.#parts.push(bytes)
    return this
  }
  end(): Buffer {
    return Buffer.concat(this.#parts)
  }
  #put(length: number, write: (bytes: Buffer) => void): this {
    const bytes = Buffer.alloc(length)
    write(bytes)
    return this.raw(bytes)
  }
}

/** What a record batch (magic 2) says of itself, and of what is in it. */
export interface Batch {
  readonly bytes: Buffer
  readonly count: number
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly firstSequence: number
}

export interface Message {
  readonly offset: number
  readonly key: string
  readonly value: string
  readonly headers: Readonly<Record<string, string>>
  readonly at: number
}

const CRC_AT = 17
const ATTRIBUTES_AT = 21

/** Undefined where the checksum is wrong. */
export function batchOf(bytes: Buffer): Batch | undefined {
  if (bytes.readUInt32BE(CRC_AT) !== crc32c(bytes.subarray(ATTRIBUTES_AT))) return undefined
  const reading = new Reading(bytes.subarray(ATTRIBUTES_AT + 2 + 4 + 8 + 8))
  const [producerId, producerEpoch, firstSequence] = [reading.i64(), reading.i16(), reading.i32()]
  return { bytes, count: reading.i32(), producerId, producerEpoch, firstSequence }
}

export function messagesOf(bytes: Buffer): readonly Message[] {
  const baseOffset = Number(bytes.readBigInt64BE(0))
  const baseAt = Number(bytes.readBigInt64BE(ATTRIBUTES_AT + 2 + 4))
  const reading = new Reading(bytes.subarray(ATTRIBUTES_AT + 2 + 4 + 8 + 8 + 8 + 2 + 4))
  return reading.array(() => {
    reading.varint() // its length
    reading.i8()
    const at = baseAt + reading.varint()
    const offset = baseOffset + reading.varint()
    const key = reading.varbytes()?.toString() ?? ''
    const value = reading.varbytes()?.toString() ?? ''
    const headers: Record<string, string> = {}
    for (let left = reading.varint(); left > 0; left -= 1) {
      const name = reading.varbytes()!.toString()
      headers[name] = reading.varbytes()?.toString() ?? ''
    }
    return { offset, key, value, headers, at }
  })
}

/** A batch of one message with nothing but a key and a value, as some other producer would send it. */
export function plainBatch(key: string, value: string): Buffer {
  const zigzag = (number: number): Buffer => {
    const bytes: number[] = []
    let left = number >= 0 ? number * 2 : -number * 2 - 1
    for (; left > 0x7f; left = Math.floor(left / 128)) bytes.push((left & 0x7f) | 0x80)
    return Buffer.from([...bytes, left])
  }
  const held = (text: string): Buffer => Buffer.concat([zigzag(Buffer.byteLength(text)), Buffer.from(text)])
  const record = Buffer.concat([Buffer.from([0, 0, 0]), held(key), held(value), zigzag(0)])
  const body = new Writing().i16(0).i32(0).i64(0).i64(0).i64(-1).i16(-1).i32(-1).i32(1)
  const rest = body.raw(zigzag(record.length)).raw(record).end()
  const crc = Buffer.alloc(4)
  crc.writeUInt32BE(crc32c(rest))
  return new Writing()
    .i64(0)
    .i32(rest.length + 9)
    .i32(0)
    .i8(2)
    .raw(crc)
    .raw(rest)
    .end()
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
  return value >>> 0
})

function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 0xff]!
  return (crc ^ 0xffffffff) >>> 0
}
