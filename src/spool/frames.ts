/**
 * How a part lies in its file. Numbers are big-endian.
 *
 *   magic   16 bytes   `quipu.spool.1`, a line feed, zeros
 *   salt    32 bytes   chance, anew for every file that is ever written
 *   frames             one `head`, any number of `data`, one `end`
 *
 *   a frame:  outline  8 bytes   kind (1), length of what is sealed (3), and the four again, inverted
 *             sealed             head: JSON; data: up to 64 KiB; end: how many bytes (8), their SHA-256 (32)
 *             tag     16 bytes   AES-256-GCM over all of it and the outline
 *
 * The key of a file is drawn (HKDF-SHA256) from the item's key, the salt, the item's id and the part's name; the
 * nonce is the frame's number. So a part that is written anew, an attempt that is made again, or a counter that a
 * crash forgot, never meets the same key and nonce twice; and no frame can be moved to another place, part or item.
 * Dropping the item's key drops them all. (The STREAM construction: Hoang, Reyhanitabar, Rogaway, Vizár, 2015.)
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

/** `h`, `d`, `e`. */
const KINDS = { head: 0x68, data: 0x64, end: 0x65 } as const
export type FrameKind = keyof typeof KINDS
const kinds: ReadonlyMap<number, FrameKind> = new Map(
  Object.entries(KINDS).map(([kind, code]) => [code, kind as FrameKind]),
)

/** Plain bytes in one frame at most. */
export const FRAME_BYTES = 65_536
const MAGIC = Buffer.from('quipu.spool.1\n\0\0', 'latin1')
const SALT_BYTES = 32
export const PREFACE_BYTES = MAGIC.length + SALT_BYTES
export const OUTLINE_BYTES = 8
export const TAG_BYTES = 16
export const OVERHEAD_BYTES = OUTLINE_BYTES + TAG_BYTES
/** Plain bytes of the end: a length and a SHA-256. */
const END_BYTES = 40

const CIPHER = 'aes-256-gcm'

export interface Outline {
  readonly kind: FrameKind
  /** Plain bytes, and as many sealed ones. */
  readonly length: number
}

export interface Sealer {
  /** What the file begins with. */
  readonly preface: Buffer
  /** The next frame. */
  seal(kind: FrameKind, plain: Uint8Array): readonly Buffer[]
}

export function sealer(itemKey: Buffer, id: string, part: string): Sealer {
  const salt = randomBytes(SALT_BYTES)
  const key = fileKey(itemKey, salt, id, part)
  let number = 0
  return {
    preface: Buffer.concat([MAGIC, salt]),
    seal(kind, plain) {
      if (plain.length > FRAME_BYTES) throw new RangeError(`a frame of ${plain.length} bytes`)
      const outline = Buffer.allocUnsafe(OUTLINE_BYTES)
      const word = KINDS[kind] * 0x1_00_00_00 + plain.length
      outline.writeUInt32BE(word, 0)
      outline.writeUInt32BE(~word >>> 0, 4)
      const cipher = createCipheriv(CIPHER, key, nonceOf(number), { authTagLength: TAG_BYTES })
      number += 1
      cipher.setAAD(outline)
      const sealed = cipher.update(plain)
      cipher.final()
      return [outline, sealed, cipher.getAuthTag()]
    },
  }
}

export interface Opener {
  /** The plain bytes of frame `number`; undefined where the tag does not fit. */
  open(number: number, outline: Uint8Array, sealed: Uint8Array, tag: Uint8Array): Buffer | undefined
}

/** Undefined where the file does not begin as a part does. */
export function opener(itemKey: Buffer, id: string, part: string, preface: Buffer): Opener | undefined {
  if (preface.length < PREFACE_BYTES || !preface.subarray(0, MAGIC.length).equals(MAGIC)) return undefined
  const key = fileKey(itemKey, preface.subarray(MAGIC.length, PREFACE_BYTES), id, part)
  return {
    open(number, outline, sealed, tag) {
      const decipher = createDecipheriv(CIPHER, key, nonceOf(number), { authTagLength: TAG_BYTES })
      decipher.setAAD(outline)
      decipher.setAuthTag(tag)
      const plain = decipher.update(sealed)
      try {
        decipher.final()
      } catch {
        return undefined
      }
      return plain
    },
  }
}

/** What a frame takes in the file. */
export function sizeOf(plain: Uint8Array): number {
  return OVERHEAD_BYTES + plain.length
}

/** Undefined where these are no frame's first bytes. */
export function outlineIn(bytes: Buffer): Outline | undefined {
  const word = bytes.readUInt32BE(0)
  if (bytes.readUInt32BE(4) !== ~word >>> 0) return undefined
  const kind = kinds.get(word >>> 24)
  return kind === undefined ? undefined : { kind, length: word & 0xff_ff_ff }
}

export function endOf(bytes: number, digest: Buffer): Buffer {
  const plain = Buffer.alloc(END_BYTES)
  plain.writeBigUInt64BE(BigInt(bytes), 0)
  digest.copy(plain, 8)
  return plain
}

export function endIn(plain: Buffer): { readonly bytes: number; readonly digest: string } {
  return { bytes: Number(plain.readBigUInt64BE(0)), digest: plain.toString('hex', 8, END_BYTES) }
}

function fileKey(itemKey: Buffer, salt: Buffer, id: string, part: string): Buffer {
  return Buffer.from(hkdfSync('sha256', itemKey, salt, `quipu.spool.1\n${id}\n${part}`, 32))
}

/** 96 bits, as GCM wants them. */
function nonceOf(number: number): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeUIntBE(number, 6, 6)
  return nonce
}
