/** Three ways to read a part: all of it, its head, and on as it grows. */
import { type FileHandle, open } from 'node:fs/promises'
import type { Json } from '../../machines/entity.ts'
import type { Failure } from '../failure.ts'
import { damaged, diskFailure, gone } from './disk.ts'
import { endIn } from './frames.ts'
import { type Frame, type Reader, readerOf } from './reader.ts'
import type { Stored } from './spool.ts'

/** A part, as it stands at the moment. */
export interface Source {
  readonly id: string
  readonly part: string
  readonly key: Buffer
  /** Where its file is: at the first of these, or at the next where it has just been renamed. */
  readonly paths: readonly string[]
  /** File bytes that are written. */
  readonly length: number
  /**
   * `whole` and `growing`: every byte up to `length` is owed. `torn`: it was being written when the process died, so it
   * goes as far as it makes sense.
   */
  readonly state: 'whole' | 'growing' | 'torn'
  /** Why there is nothing to read any more: it was dropped or erased, or the spool is closed. */
  readonly lost: Failure | undefined
  /** Resolves when it has grown or changed its state; rejects with the signal's reason. */
  changed(signal: AbortSignal): Promise<void>
}

/** Undefined where nothing of it can be read, not even its head. */
export async function readAll(source: Source): Promise<Stored | undefined> {
  // What is there now: a part that grows while it is read has no end.
  const now = { ...source }
  return reading(source, async reader => {
    const head = await headFrom(reader, now)
    if (head === undefined) return undefined
    const bytes = Buffer.allocUnsafeSlow(now.length)
    let length = 0
    let frame = await nextFrom(reader, now)
    while (frame?.kind === 'data') {
      length += frame.plain.copy(bytes, length)
      frame = await nextFrom(reader, now)
    }
    const ended = now.state === 'whole' && frame?.kind === 'end'
    const digest = ended ? { digest: endIn(frame!.plain).digest } : {}
    return { head, bytes: bytes.subarray(0, length), ended, ...digest }
  })
}

export function readHead(source: Source): Promise<Json | undefined> {
  return reading(source, reader => headFrom(reader, { ...source }))
}

export async function* followed(
  source: Source,
  from: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, void> {
  signal.throwIfAborted()
  // There is no file before the first byte.
  while (source.state === 'growing' && source.length === 0) await growth(source, 0, signal)
  const file = await opened(source)
  try {
    const reader = await readerOf(file, source.key, source.id, source.part)
    let skip = from
    for (;;) {
      signal.throwIfAborted()
      const now = { ...source }
      if (now.lost !== undefined) throw now.lost
      const frame = await nextFrom(reader, now, skip)
      if (frame === undefined) {
        if (now.state === 'torn') throw gone(`The rest of ${source.id}.${source.part}`)
        await growth(source, now.length, signal)
      } else if (frame.kind === 'data') {
        const { plain, length } = frame
        const rest = plain.subarray(skip)
        skip = Math.max(0, skip - length)
        if (rest.length > 0) yield rest
      } else if (frame.kind === 'end') {
        // Nobody hears of an end before it is one.
        while (source.state === 'growing') await growth(source, now.length, signal)
        return
      }
    }
  } catch (error) {
    throw diskFailure(error, pathOf(source))
  } finally {
    await file.close()
  }
}

async function reading<T>(source: Source, use: (reader: Reader) => Promise<T>): Promise<T> {
  const file = await opened(source)
  try {
    return await use(await readerOf(file, source.key, source.id, source.part))
  } catch (error) {
    throw diskFailure(error, pathOf(source))
  } finally {
    await file.close()
  }
}

async function opened(source: Source): Promise<FileHandle> {
  try {
    for (const path of source.paths) {
      const file = await open(path).catch(absent)
      if (file !== undefined) return file
    }
  } catch (error) {
    throw diskFailure(error, pathOf(source))
  }
  throw source.lost ?? damaged(pathOf(source), 'it is not there')
}

/** Waits where there is nothing beyond `length` yet. */
async function growth(source: Source, length: number, signal: AbortSignal): Promise<void> {
  if (source.lost !== undefined) throw source.lost
  if (source.state === 'growing' && source.length === length) await source.changed(signal)
}

/** The head, where so much of the part makes sense. */
async function headFrom(reader: Reader, now: Now): Promise<Json | undefined> {
  const frame = await nextFrom(reader, now)
  if (frame === undefined) return undefined
  return JSON.parse(frame.plain.toString())
}

type Now = Pick<Source, 'id' | 'part' | 'paths' | 'length' | 'state'>

/** The next frame; undefined where there is none yet, or where a torn part ends. */
async function nextFrom(reader: Reader, now: Now, skip?: number): Promise<Frame | undefined> {
  const { at } = reader
  const frame = await reader.next(now.length, skip)
  const missing = now.state === 'whole' || (now.state === 'growing' && at < now.length)
  if (frame === undefined && missing)
    throw damaged(pathOf(now), `byte ${at} and what follows is not what was written`)
  if (frame?.kind === 'end' && reader.at < now.length) throw damaged(pathOf(now), `it goes on after its end`)
  return frame
}

function pathOf({ paths }: Pick<Source, 'paths'>): string {
  return paths.at(-1)!
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
