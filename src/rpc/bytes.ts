/**
 * A piece of a body, as a message of its own kind: nearly all messages are one, and nearly all of such a message is the piece.
 * To be written by the general way it is copied twice, and made into objects on both ends; this way it is copied once, into the
 * frame in which it goes, and read where it came. What is not exactly such a message goes the general way.
 */
import type { Method } from './definitions.ts'

/** `bytes data = 2` */
const DATA = (2 << 3) | 2

/**
 * As much of a Buffer as a message that is to be framed needs: how long it is, and to be copied into the frame. The library
 * has no other use for what a serializer gives it.
 */
class Piece {
  readonly length: number
  readonly #head: readonly number[]
  readonly #data: Uint8Array

  constructor(head: readonly number[], data: Uint8Array) {
    this.#head = head
    this.#data = data
    this.length = head.length + data.length
  }

  get byteLength(): number {
    return this.length
  }

  copy(target: Buffer, at: number): number {
    for (let i = 0; i < this.#head.length; i += 1) target[at + i] = this.#head[i]!
    target.set(this.#data, at + this.#head.length)
    return this.length
  }
}

/** The method, whose messages are `{ data }`, or `{ relay: { data } }` where the relay's field of each side is told. */
export function withPieces(
  method: Method,
  relay?: { readonly request: number; readonly response: number },
): Method {
  const { requestSerialize, requestDeserialize, responseSerialize, responseDeserialize } = method
  const [asked, answered] = [tagOf(relay?.request), tagOf(relay?.response)]
  return {
    ...method,
    requestSerialize: message => write(message, asked) ?? requestSerialize(message),
    requestDeserialize: bytes => read(bytes, asked) ?? requestDeserialize(bytes),
    responseSerialize: message => write(message, answered) ?? responseSerialize(message),
    responseDeserialize: bytes => read(bytes, answered) ?? responseDeserialize(bytes),
  }
}

function tagOf(field: number | undefined): number | undefined {
  return field === undefined ? undefined : (field << 3) | 2
}

function write(message: object, tag: number | undefined): Buffer | undefined {
  const { data } = (tag === undefined ? message : ((message as Told).relay ?? {})) as Told
  if (data === undefined) return undefined
  const inner = [DATA, ...varint(data.length)]
  const head = tag === undefined ? inner : [tag, ...varint(inner.length + data.length), ...inner]
  return new Piece(head, data) as unknown as Buffer
}

interface Told {
  readonly relay?: object
  readonly data?: Uint8Array
}

function read(bytes: Buffer, tag: number | undefined): object | undefined {
  let at = 0
  /** Past a tag and a length, where that is what stands here, and all the rest is of that length. */
  const enter = (wanted: number): boolean => {
    if (bytes[at] !== wanted) return false
    let length = 0
    for (let shift = 0, i = at + 1; shift < 28; shift += 7, i += 1) {
      const byte = bytes[i]
      if (byte === undefined) return false
      length |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        at = i + 1
        return length === bytes.length - at
      }
    }
    return false
  }
  if (tag !== undefined && !enter(tag)) return undefined
  if (!enter(DATA)) return undefined
  const data = bytes.subarray(at)
  return tag === undefined ? { data } : { relay: { data } }
}

function varint(number: number): readonly number[] {
  const bytes: number[] = []
  let left = number
  for (; left >= 0x80; left >>>= 7) bytes.push((left & 0x7f) | 0x80)
  bytes.push(left)
  return bytes
}
