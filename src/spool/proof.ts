/**
 * That items are erased, shown with what lies on the disk, past everything that a running spool remembers: the file of
 * keys as it is, every file that is left of the item, and the bytes of the old key, looked for in every file of the
 * data folder.
 *
 * What it cannot show: what a copy-on-write file system or an SSD keeps of a block that was written over, what swap
 * holds, and what a backup does. (docs/adr/0015-spool.md)
 */
import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { diskFailure, readUpTo } from './disk.ts'
import { KEY_BYTES, keyIn, keysIn } from './keys.ts'
import { readerOf } from './reader.ts'
import type { Erased } from './spool.ts'
import { turns } from './together.ts'

/** What is known of an item before its key goes. Without the key it has been erased before, though not to the end. */
export interface Suspect extends Erased {
  readonly key: Buffer | undefined
  readonly slot: number | undefined
}

export interface Proof extends Erased {
  /** What is in the slot of its key: zeros, another item's key by now, or still its own. */
  readonly slot: 'zero' | 'another' | 'key'
  /** Files of it that are still there, and those of them that one of the keys there are opens. */
  readonly files: readonly string[]
  readonly readable: readonly string[]
  /** Files of the data folder in which the bytes of its key are found. */
  readonly keyFoundIn: readonly string[]
  readonly proved: boolean
}

/** `dir` is the data folder. Rejects with `spool.disk` where it cannot be read: then nothing is proved. */
export async function prove(suspects: readonly Suspect[], dir: string): Promise<readonly Proof[]> {
  try {
    const spool = join(dir, 'spool')
    const raw = await readFile(join(spool, 'keys'))
    const names = await readdir(spool)
    const known = suspects.flatMap(({ key }) => (key === undefined ? [] : [key]))
    const found = await searched(dir, known)
    return await Promise.all(
      suspects.map(async ({ id, parts, bytes, key, slot: number }) => {
        const held = number === undefined ? undefined : keyIn(raw, number)
        const slot = held === undefined ? 'zero' : key === undefined || held.equals(key) ? 'key' : 'another'
        const files = names.filter(name => name.startsWith(`${id}.`))
        const readable: string[] = []
        for (const file of files) if (await opens(join(spool, file), file, keysIn(raw))) readable.push(file)
        const keyFoundIn = key === undefined ? [] : found.get(key)!
        const proved = slot !== 'key' && files.length === 0 && keyFoundIn.length === 0
        return { id, parts, bytes, slot, files, readable, keyFoundIn, proved }
      }),
    )
  } catch (error) {
    throw diskFailure(error, dir)
  }
}

/** Does any of these keys open the first frame of the file? */
async function opens(path: string, name: string, keys: readonly Buffer[]): Promise<boolean> {
  const [id = '', part = ''] = name.split('.')
  const file = await open(path)
  try {
    const { size } = await file.stat()
    for (const key of keys) {
      if ((await (await readerOf(file, key, id, part)).next(size)) !== undefined) return true
    }
    return false
  } finally {
    await file.close()
  }
}

/** The files under `dir`, relative to it, in which each of the keys is found. */
async function searched(
  dir: string,
  keys: readonly Buffer[],
): Promise<ReadonlyMap<Buffer, readonly string[]>> {
  const found = new Map<Buffer, string[]>(keys.map(key => [key, []]))
  if (keys.length === 0) return found
  const find = finder(keys)
  const few = turns(FILES_MAX)
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  const paths = entries.filter(entry => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
  await Promise.all(
    paths.map(path =>
      few(async () => {
        for (const key of await find(path)) found.get(key)!.push(path.slice(dir.length + 1))
      }),
    ),
  )
  return found
}

/** Files read at once, a chunk in memory for each. */
const FILES_MAX = 8
const CHUNK_BYTES = 1_048_576
const GRAM_BYTES = 4
/** Wherever a key lies, one of the places that are so far apart has four bytes of it. */
const STRIDE_BYTES = KEY_BYTES - GRAM_BYTES + 1

/** Which of the keys are in the file. None, where it has vanished meanwhile: a house may be running. */
function finder(keys: readonly Buffer[]): (path: string) => Promise<ReadonlySet<Buffer>> {
  const find = sieve(keys)
  return async path => {
    const found = new Set<Buffer>()
    const file = await open(path).catch(absent)
    try {
      const size = (await file?.stat())?.size ?? 0
      // A key may lie across two chunks.
      for (let at = 0; at < size; at += CHUNK_BYTES - KEY_BYTES + 1) {
        find(await readUpTo(file!, at, Math.min(CHUNK_BYTES, size - at)), found)
      }
    } finally {
      await file?.close()
    }
    return found
  }
}

interface Gram {
  readonly key: Buffer
  readonly offset: number
}

/** Looks for many at once, and only at every 29th place: there, are these four bytes part of a key? */
function sieve(keys: readonly Buffer[]): (bytes: Buffer, found: Set<Buffer>) => void {
  const grams = new Map<number, Gram[]>()
  /** By the first two of the four: most places are done with at that. */
  const some = new Uint8Array(65_536)
  for (const key of keys) {
    for (let offset = 0; offset < STRIDE_BYTES; offset += 1) {
      const gram = key.readUInt32BE(offset)
      some[gram >>> 16] = 1
      grams.set(gram, [...(grams.get(gram) ?? []), { key, offset }])
    }
  }
  return (bytes, found) => {
    for (let at = 0; at + GRAM_BYTES <= bytes.length; at += STRIDE_BYTES) {
      if (some[(bytes[at]! << 8) | bytes[at + 1]!] === 0) continue
      for (const { key, offset } of grams.get(bytes.readUInt32BE(at)) ?? []) {
        const from = at - offset
        if (from >= 0 && key.equals(bytes.subarray(from, from + KEY_BYTES))) found.add(key)
      }
    }
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
