/**
 * The roots of every 256 facts, one after the other in a file: an eighth of a byte for each fact. With them a proof in a
 * journal of a hundred million facts reads 256 records, and not all of them. What they say is never believed as such: a
 * proof made with them is held against a signed root before it leaves the house.
 */
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { diskFailure } from './disk.ts'
import { HASH_BYTES } from './tree.ts'

export class Tiles {
  readonly #path: string
  readonly #file: FileHandle
  #saved: number
  /** Not in the file yet. */
  #fresh: Buffer[] = []

  private constructor(path: string, file: FileHandle, saved: number) {
    this.#path = path
    this.#file = file
    this.#saved = saved
  }

  /** Rejects with a Failure `checkpoint.disk`. */
  static async open(path: string): Promise<Tiles> {
    try {
      await mkdir(dirname(path), { recursive: true })
      const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o644)
      const { size } = await file.stat()
      return new Tiles(path, file, Math.floor(size / HASH_BYTES))
    } catch (error) {
      throw diskFailure(path, error)
    }
  }

  get count(): number {
    return this.#saved + this.#fresh.length
  }

  /** What is beyond is forgotten: it was ahead of the checkpoint. */
  cut(count: number): void {
    this.#saved = Math.min(this.#saved, count)
    this.#fresh = []
  }

  add(root: Buffer): void {
    this.#fresh.push(root)
  }

  /** Rejects with a Failure `checkpoint.disk`; then the same are written again the next time. */
  async save(): Promise<void> {
    const going = this.#fresh.slice()
    if (going.length === 0) return
    try {
      await this.#file.write(Buffer.concat(going), 0, going.length * HASH_BYTES, this.#saved * HASH_BYTES)
      await this.#file.datasync()
    } catch (error) {
      throw diskFailure(this.#path, error)
    }
    this.#saved += going.length
    this.#fresh = this.#fresh.slice(going.length)
  }

  /** The roots of tiles `from` to `to` - 1. Rejects with a Failure `checkpoint.disk`. */
  async read(from: number, to: number): Promise<readonly Buffer[]> {
    const saved = this.#saved
    const fresh = this.#fresh
    const bytes = Buffer.alloc(Math.max(0, Math.min(to, saved) - from) * HASH_BYTES)
    try {
      if (bytes.length > 0) await this.#file.read(bytes, 0, bytes.length, from * HASH_BYTES)
    } catch (error) {
      throw diskFailure(this.#path, error)
    }
    const roots: Buffer[] = []
    for (let at = 0; at < bytes.length; at += HASH_BYTES) roots.push(bytes.subarray(at, at + HASH_BYTES))
    return [...roots, ...fresh.slice(Math.max(0, from - saved), Math.max(0, to - saved))]
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}
