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
import { keyIn, keysIn } from './keys.ts'
import { readerOf } from './reader.ts'
import type { Erased } from './spool.ts'

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
    const needles = suspects.flatMap(({ key }) => (key === undefined ? [] : [key]))
    const found = await searched(dir, needles)
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

/** The files under `dir`, relative to it, in which each of the needles is found. */
async function searched(
  dir: string,
  needles: readonly Buffer[],
): Promise<ReadonlyMap<Buffer, readonly string[]>> {
  const found = new Map<Buffer, string[]>(needles.map(needle => [needle, []]))
  if (needles.length === 0) return found
  const find = finder(needles)
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    for (const needle of await find(path)) found.get(needle)!.push(path.slice(dir.length + 1))
  }
  return found
}

const CHUNK_BYTES = 1_048_576

/** Which of the needles are in the file. None, where it has vanished meanwhile: a house may be running. */
function finder(needles: readonly Buffer[]): (path: string) => Promise<ReadonlySet<Buffer>> {
  const find = table(needles)
  const overlap = Math.max(...needles.map(({ length }) => length)) - 1
  return async path => {
    const found = new Set<Buffer>()
    const file = await open(path).catch(absent)
    try {
      // A key may lie across two chunks.
      for (let at = 0, end = file === undefined; !end; at += CHUNK_BYTES - overlap) {
        const bytes = await readUpTo(file!, at, CHUNK_BYTES)
        find(bytes, found)
        end = bytes.length < CHUNK_BYTES
      }
    } finally {
      await file?.close()
    }
    return found
  }
}

/** Looks for many at once: the first two bytes in a table, where that says so the first four in a map, then all. */
function table(needles: readonly Buffer[]): (bytes: Buffer, found: Set<Buffer>) => void {
  const starts = new Uint8Array(65_536)
  const byStart = new Map<number, Buffer[]>()
  for (const needle of needles) {
    starts[needle.readUInt16BE(0)] = 1
    const start = needle.readUInt32BE(0)
    byStart.set(start, [...(byStart.get(start) ?? []), needle])
  }
  return (bytes, found) => {
    for (let at = 0; at + 4 <= bytes.length; at += 1) {
      if (starts[(bytes[at]! << 8) | bytes[at + 1]!] === 0) continue
      for (const needle of byStart.get(bytes.readUInt32BE(at)) ?? []) {
        if (needle.equals(bytes.subarray(at, at + needle.length))) found.add(needle)
      }
    }
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
