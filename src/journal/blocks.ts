/**
 * Are LevelDB's tables what LevelDB wrote? Asked of the files themselves, without LevelDB: it does not look at the
 * checksums when it reads, and some flipped bits make it abort the process in the middle of a read (an assertion on
 * the length of a key, dbformat.h:99), which nothing can catch.
 *
 * A table (its doc/table_format.md) is blocks, an index of them, and a footer that says where the index is:
 *
 *   block    bytes, 1 byte (0 plain, 1 Snappy), CRC-32C of both, masked
 *   index    a block; each value in it is where a block of facts is. In the meta index: where the filters are
 *   footer   48 bytes: where the meta index and the index are (varints), zeros, the magic number
 */
import { type FileHandle, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Where a table is not what was written. */
export interface BadTable {
  readonly name: string
  /** Byte in the file where the damaged part begins. */
  readonly at: number
}

const TABLE = /^\d+\.(ldb|sst)$/
const FOOTER_BYTES = 48
const TRAILER_BYTES = 5
const MAGIC = Buffer.from('57fb808b247547db', 'hex')

/** Checks every table in LevelDB's folder, one at a time; `seen` hears how many bytes of how many were. */
export async function badTables(
  folder: string,
  seen: (bytes: number) => void | Promise<void> = () => {},
): Promise<readonly BadTable[]> {
  const found: BadTable[] = []
  for (const name of ((await readdir(folder).catch(absent)) ?? []).filter(name => TABLE.test(name)).sort()) {
    const file = await open(join(folder, name)).catch(absent)
    // LevelDB drops tables that it has merged into others.
    if (file === undefined) continue
    try {
      const at = await damageIn(file, seen)
      if (at !== undefined) found.push({ name, at })
    } finally {
      await file.close()
    }
  }
  return found
}

/** The first byte of the first part that does not verify. */
async function damageIn(
  file: FileHandle,
  seen: (bytes: number) => void | Promise<void>,
): Promise<number | undefined> {
  const { size } = await file.stat()
  const footerAt = size - FOOTER_BYTES
  if (footerAt < 0) return 0
  const footer = await bytesAt(file, footerAt, FOOTER_BYTES)
  if (!footer.subarray(FOOTER_BYTES - MAGIC.length).equals(MAGIC)) return footerAt
  const handles = new Reader(footer)
  const meta = handleOf(handles)
  const index = handleOf(handles)
  if (!within(meta, footerAt) || !within(index, footerAt)) return footerAt
  // What follows the two is zeros; one that is not is harmless, and a sign all the same.
  if (footer.subarray(handles.at, FOOTER_BYTES - MAGIC.length).some(byte => byte !== 0)) return footerAt
  for (const list of [index, meta]) {
    const listed = await block(file, list)
    if (listed === undefined) return list.at
    for (const handle of valuesIn(listed)) {
      if (!within(handle, footerAt)) return list.at
      if ((await block(file, handle)) === undefined) return handle.at
      await seen(handle.length + TRAILER_BYTES)
    }
  }
  return undefined
}

interface Handle {
  readonly at: number
  readonly length: number
}

function within({ at, length }: Handle, end: number): boolean {
  return at + length + TRAILER_BYTES <= end
}

/** The block's own bytes, unpacked; undefined where they are not what was written. */
async function block(file: FileHandle, { at, length }: Handle): Promise<Buffer | undefined> {
  const bytes = await bytesAt(file, at, length + TRAILER_BYTES)
  if (bytes.length < length + TRAILER_BYTES) return undefined
  const masked = bytes.readUInt32LE(length + 1)
  if (unmask(masked) !== crc32c(bytes.subarray(0, length + 1))) return undefined
  const content = bytes.subarray(0, length)
  return bytes[length] === 1 ? unpacked(content) : content
}

async function bytesAt(file: FileHandle, at: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, at + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return bytes.subarray(0, done)
}

/** The values of a block: shared, own and value lengths (varints), then own bytes of the key, then the value. */
function* valuesIn(content: Buffer): Generator<Handle> {
  const restarts = content.readUInt32LE(content.length - 4)
  const reader = new Reader(content.subarray(0, content.length - 4 - 4 * restarts))
  while (reader.left) {
    reader.varint()
    const own = reader.varint()
    reader.varint()
    reader.at += own
    yield handleOf(reader)
  }
}

function handleOf(reader: Reader): Handle {
  return { at: reader.varint(), length: reader.varint() }
}

class Reader {
  readonly #bytes: Buffer
  at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get left(): boolean {
    return this.at < this.#bytes.length
  }

  /** Seven bits a byte, the lowest first. What is no varint is as far away as can be. */
  varint(): number {
    let value = 0
    for (let scale = 1; scale < 2 ** 70; scale *= 128) {
      const byte = this.#bytes[this.at++]
      // A last byte of nothing says what is said without it: LevelDB never writes one.
      if (byte === undefined || (byte === 0 && scale > 1)) break
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
    return Number.POSITIVE_INFINITY
  }
}

/** Snappy (its format_description.txt): literals, and copies of what came before. Only for bytes that have been verified. */
function unpacked(packed: Buffer): Buffer {
  const reader = new Reader(packed)
  const out = Buffer.allocUnsafe(reader.varint())
  let at = reader.at
  let end = 0
  while (at < packed.length) {
    const tag = packed[at++]!
    if ((tag & 3) === 0) {
      let length = tag >> 2
      if (length >= 60) {
        const width = length - 59
        length = packed.readUIntLE(at, width)
        at += width
      }
      length += 1
      packed.copy(out, end, at, at + length)
      at += length
      end += length
      continue
    }
    const width = [0, 1, 2, 4][tag & 3]!
    const near = (tag & 3) === 1
    const length = near ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1
    const back = near ? ((tag >> 5) << 8) | packed[at]! : packed.readUIntLE(at, width)
    at += width
    // Byte by byte: a copy may reach into what it writes.
    for (let i = 0; i < length; i += 1, end += 1) out[end] = out[end - back]!
  }
  return out
}

function unmask(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0
  return ((rotated >>> 17) | (rotated << 15)) >>> 0
}

/** CRC-32C (Castagnoli), eight bytes a step (M. Kounavis and F. Berry, 2005); node:zlib has the other polynomial only. */
const SLICES = ((): readonly Int32Array[] => {
  const slices = Array.from({ length: 8 }, () => new Int32Array(256))
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    slices[0]![byte] = crc
  }
  for (let byte = 0; byte < 256; byte += 1)
    for (let slice = 1; slice < 8; slice += 1) {
      const before = slices[slice - 1]![byte]!
      slices[slice]![byte] = (before >>> 8) ^ slices[0]![before & 255]!
    }
  return slices
})()

export function crc32c(bytes: Uint8Array): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = SLICES as unknown as Int32Array[] & { length: 8 }
  let crc = -1
  let at = 0
  for (const end = bytes.length - 7; at < end; at += 8) {
    const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24))
    crc =
      t7![low & 255]! ^
      t6![(low >>> 8) & 255]! ^
      t5![(low >>> 16) & 255]! ^
      t4![low >>> 24]! ^
      t3![bytes[at + 4]!]! ^
      t2![bytes[at + 5]!]! ^
      t1![bytes[at + 6]!]! ^
      t0![bytes[at + 7]!]!
  }
  for (; at < bytes.length; at += 1) crc = (crc >>> 8) ^ t0![(crc ^ bytes[at]!) & 255]!
  return ~crc >>> 0
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
