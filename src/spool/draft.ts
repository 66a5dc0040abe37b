/**
 * A part while it is written. What comes while the disk writes forms the next write: one for all of a small part, and
 * for a stream as many as the disk is good for. What is written can be read at once, by those who follow. The end is
 * one only when all is synced: the file, the item's key, and the folder with the file's final name in it.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import type { Json } from '../../machines/entity.ts'
import { diskFailure, FILE_MODE, gone, writeAll } from './disk.ts'
import { endOf, FRAME_BYTES, type FrameKind, type Sealer, sizeOf } from './frames.ts'
import { blocksOf, type Room } from './room.ts'
import type { Kept, Writing } from './spool.ts'

/** Plain bytes sealed in one go: 1 ms of this thread. */
const WRITE_BYTES = 1_048_576
/** What may wait for the disk before write() lets its caller wait. */
const PENDING_BYTES = 262_144

export interface DraftOptions {
  readonly what: string
  /** Where it is written, and where it lies once it is whole. */
  readonly draftPath: string
  readonly path: string
  readonly head: Json
  readonly sealer: Sealer
  readonly room: Room
  readonly now: () => number
  /** The item's key is on the disk. */
  readonly keyKept: Promise<void>
  readonly syncFolder: () => Promise<void>
  /** It is whole; or there is nothing of it any more. */
  readonly over: (whole: boolean) => void
}

export class Draft implements Writing {
  readonly #with: DraftOptions
  readonly #hash = createHash('sha256')
  readonly #waiters = new Set<() => void>()
  #file: FileHandle | undefined
  /** Until it is sealed. */
  #head: Buffer | undefined
  #digest: Buffer | undefined
  /** All of it has come. */
  #complete = false
  #pending: Uint8Array[] = []
  #pendingBytes = 0
  #plainBytes = 0
  #writtenBytes = 0
  #takenBytes = 0
  #at: number
  #writing: Promise<void> | undefined
  #finishing: Promise<Kept> | undefined
  #ending: Promise<Kept> | undefined
  #clearing: Promise<void> | undefined
  #trouble: unknown
  #whole = false

  constructor(options: DraftOptions) {
    this.#with = options
    this.#head = Buffer.from(JSON.stringify(options.head))
    this.#at = options.now()
    options.keyKept.catch(() => {}) // end() hears of it.
  }

  get head(): Json {
    return this.#with.head
  }

  /** Where it may be found; the second once it has been renamed. */
  get paths(): readonly string[] {
    return [this.#with.draftPath, this.#with.path]
  }

  /** What it takes on the disk. */
  get bytes(): number {
    return this.#takenBytes
  }

  /** When it was last written to. */
  get at(): number {
    return this.#at
  }

  /** So much of the file may be read. */
  get writtenBytes(): number {
    return this.#writtenBytes
  }

  get whole(): boolean {
    return this.#whole
  }

  /** Why there will be no more of it. */
  get trouble(): unknown {
    return this.#trouble
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#mind()
    if (this.#ending !== undefined) throw new Error(`${this.#with.what} has ended`)
    this.#plainBytes += chunk.length
    this.#pendingBytes += chunk.length
    if (chunk.length > 0) this.#pending.push(chunk)
    this.#write()
    while (this.#pendingBytes > PENDING_BYTES && this.#trouble === undefined) await this.changed()
    this.#mind()
  }

  end(): Promise<Kept> {
    this.#ending ??= this.#finished()
    return this.#ending
  }

  async drop(why = gone(this.#with.what)): Promise<void> {
    if (this.#whole) return
    this.#stop(why)
    await this.#cleared()
  }

  /** Resolves when there is more of it, or it is over. Rejects with the signal's reason. */
  changed(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#waiters.delete(settle)
        signal?.removeEventListener('abort', settle)
        if (signal?.aborted) reject(signal.reason)
        else resolve()
      }
      if (signal?.aborted) return settle()
      this.#waiters.add(settle)
      signal?.addEventListener('abort', settle)
    })
  }

  #tell(): void {
    for (const waiter of [...this.#waiters]) waiter()
  }

  #mind(): void {
    if (this.#trouble !== undefined) throw this.#trouble
  }

  #stop(trouble: unknown): void {
    this.#trouble ??= trouble
    this.#pending = []
    this.#pendingBytes = 0
    this.#tell()
  }

  #write(): void {
    this.#writing ??= this.#flush()
  }

  /** One write at a time; the next is whatever came meanwhile. */
  async #flush(): Promise<void> {
    await null // What else this turn brings goes with it.
    try {
      while (this.#trouble === undefined) {
        const frames = this.#due()
        if (frames.length === 0) break
        await this.#append(frames)
      }
    } catch (error) {
      this.#stop(diskFailure(error, this.#with.draftPath))
      void this.#cleared()
    }
    this.#writing = undefined
  }

  #due(): readonly (readonly [FrameKind, Uint8Array])[] {
    const frames: [FrameKind, Uint8Array][] = []
    if (this.#head !== undefined) frames.push(['head', this.#head])
    this.#head = undefined
    const plain = this.#taken()
    if (plain.length > 0) this.#hash.update(plain)
    for (let from = 0; from < plain.length; from += FRAME_BYTES) {
      frames.push(['data', plain.subarray(from, from + FRAME_BYTES)])
    }
    if (this.#complete && this.#pending.length === 0 && this.#digest === undefined) {
      this.#digest = this.#hash.digest()
      frames.push(['end', endOf(this.#plainBytes, this.#digest)])
    }
    return frames
  }

  /** As much of what waits as is sealed in one go. */
  #taken(): Uint8Array {
    const chunks: Uint8Array[] = []
    let left = WRITE_BYTES
    while (left > 0 && this.#pending.length > 0) {
      const chunk = this.#pending[0]!
      chunks.push(chunk.subarray(0, left))
      if (chunk.length > left) this.#pending[0] = chunk.subarray(left)
      else this.#pending.shift()
      left -= Math.min(left, chunk.length)
    }
    this.#pendingBytes -= WRITE_BYTES - left
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
  }

  async #append(frames: readonly (readonly [FrameKind, Uint8Array])[]): Promise<void> {
    const { sealer, room, draftPath, now } = this.#with
    const first = this.#writtenBytes === 0 ? sealer.preface.length : 0
    const length = frames.reduce((sum, [, plain]) => sum + sizeOf(plain), first)
    const blocks = blocksOf(this.#writtenBytes + length) - this.#takenBytes
    await room.take(blocks)
    this.#takenBytes += blocks
    this.#file ??= await open(draftPath, 'w', FILE_MODE)
    const sealed = frames.flatMap(([kind, plain]) => sealer.seal(kind, plain))
    await writeAll(
      this.#file,
      Buffer.concat(first > 0 ? [sealer.preface, ...sealed] : sealed, length),
      this.#writtenBytes,
    )
    this.#writtenBytes += length
    this.#at = now()
    this.#tell()
  }

  async #finished(): Promise<Kept> {
    this.#finishing = this.#finish()
    try {
      return await this.#finishing
    } catch (error) {
      this.#stop(error)
      await this.#cleared()
      throw this.#trouble
    }
  }

  async #finish(): Promise<Kept> {
    const { draftPath, path, keyKept, syncFolder, over } = this.#with
    this.#mind()
    this.#complete = true
    this.#write()
    await this.#writing
    this.#mind()
    try {
      await Promise.all([this.#file!.datasync(), keyKept])
      await this.#file!.close()
      this.#mind()
      await rename(draftPath, path)
      await syncFolder()
    } catch (error) {
      throw diskFailure(error, path)
    }
    this.#mind()
    this.#whole = true
    over(true)
    this.#tell()
    return { bytes: this.#plainBytes, digest: this.#digest!.toString('hex') }
  }

  /** Nothing is left of it once nothing more is done to it. */
  #cleared(): Promise<void> {
    this.#clearing ??= this.#clear()
    return this.#clearing
  }

  async #clear(): Promise<void> {
    await this.#writing
    await this.#finishing?.catch(() => {})
    await this.#file?.close().catch(() => {})
    // Where even that fails it is an orphan, until the spool is opened again.
    for (const path of this.paths) await rm(path, { force: true }).catch(() => {})
    this.#with.room.give(this.#takenBytes)
    this.#takenBytes = 0
    this.#with.over(false)
  }
}
