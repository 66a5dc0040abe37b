/** Reads the file of a part frame by frame, through a window: nothing but that is held in memory. */
import type { FileHandle } from 'node:fs/promises'
import { readUpTo } from './disk.ts'
import {
  type FrameKind,
  OUTLINE_BYTES,
  OVERHEAD_BYTES,
  opener,
  outlineIn,
  PREFACE_BYTES,
  TAG_BYTES,
} from './frames.ts'

const WINDOW_BYTES = 262_144
const NOTHING = Buffer.alloc(0)

export interface Frame {
  readonly kind: FrameKind
  /** Empty where it was skipped. */
  readonly plain: Buffer
  /** Plain bytes. */
  readonly length: number
}

export interface Reader {
  /** How far it has come in the file, bytes. */
  readonly at: number
  /**
   * The next frame. Undefined where none lies whole and true within the first `limit` bytes of the file; asked again
   * with a higher limit, it goes on. Data of up to `skip` bytes is passed over, and not even verified.
   */
  next(limit: number, skip?: number): Promise<Frame | undefined>
}

export async function readerOf(file: FileHandle, key: Buffer, id: string, part: string): Promise<Reader> {
  const frames = opener(key, id, part, await readUpTo(file, 0, PREFACE_BYTES))
  let at = PREFACE_BYTES
  let number = 0
  let window: Buffer = NOTHING
  let windowAt = at

  async function bytesFrom(length: number, limit: number): Promise<Buffer | undefined> {
    if (at + length > limit) return undefined
    if (at < windowAt || at + length > windowAt + window.length) {
      window = await readUpTo(file, at, Math.min(Math.max(length, WINDOW_BYTES), limit - at))
      windowAt = at
    }
    const bytes = window.subarray(at - windowAt, at - windowAt + length)
    return bytes.length < length ? undefined : bytes
  }

  return {
    get at() {
      return at
    },
    async next(limit, skip = 0) {
      const first = await bytesFrom(OUTLINE_BYTES, limit)
      const outline = first === undefined ? undefined : outlineIn(first)
      if (outline === undefined) return undefined
      const { kind, length } = outline
      const size = OVERHEAD_BYTES + length
      if (at + size > limit) return undefined
      let plain: Buffer | undefined = NOTHING
      if (kind !== 'data' || length > skip) {
        const bytes = await bytesFrom(size, limit)
        if (bytes === undefined) return undefined
        const sealed = bytes.subarray(OUTLINE_BYTES, -TAG_BYTES)
        plain = frames?.open(number, bytes.subarray(0, OUTLINE_BYTES), sealed, bytes.subarray(-TAG_BYTES))
        if (plain === undefined) return undefined
      }
      at += size
      number += 1
      return { kind, plain, length }
    },
  }
}
