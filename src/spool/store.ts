/**
 * The spool in a folder beside the journal. An item's parts are files, sealed with the item's own key.
 *
 *   spool/                 0700; under the journal's lock: open the journal first
 *     keys                 the items' keys, in slots (keys.ts); to erase an item is to write zeros over its key
 *     ID.NAME.part         a part that is whole: sealed (frames.ts), synced, never changed
 *     ID.NAME.open         one that is being written (draft.ts), or was when the process died
 *
 * Killed anywhere, it opens again: whatever was acknowledged is there, whatever has lost its key is removed.
 */
import { chmod, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Json } from '../../machines/entity.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import { syncFolder } from '../replace.ts'
import { closed, damaged, diskFailure, FOLDER_MODE, gone } from './disk.ts'
import { Draft } from './draft.ts'
import { FRAME_BYTES, sealer } from './frames.ts'
import { openKeys } from './keys.ts'
import { prove } from './proof.ts'
import { followed, readAll, readHead, type Source } from './read.ts'
import { blocksOf, roomIn } from './room.ts'
import type { Erased, Part, Spool } from './spool.ts'
import { together, turns } from './together.ts'

export interface SpoolOptions {
  /** The data folder. The spool is in it, and whoever opens it holds the folder's lock. */
  readonly dir: string
  readonly clock: Clock
  /** What all parts together may take on the disk (4 GiB). */
  readonly bytesMax?: number
  /** What stays free on the disk, because the journal needs it more (64 MiB; the journal stops writing at 32). */
  readonly reserveBytes?: number
}

const BYTES_MAX = 4_294_967_296
const RESERVE_BYTES = 67_108_864
/** Whole parts written at once; each has a file open. With 64 a thousand take twice as long, with 1,000 as long. */
const PUTS_MAX = 256
/** Files looked at or removed at once. */
const FILES_MAX = 32

const ID = /^[0-9A-Za-z_-]{1,64}$/
const NAME = /^[a-z]{1,16}(-\d{1,9})?$/

/** A part that nobody writes to. */
interface Lying extends Omit<Part, 'part'> {
  readonly path: string
  /** File bytes. */
  readonly length: number
  /** Dropped or erased, while somebody may be reading it. */
  gone: boolean
}

export async function openSpool(options: SpoolOptions): Promise<Spool> {
  const dir = join(options.dir, 'spool')
  try {
    return await spoolIn(dir, options)
  } catch (error) {
    throw diskFailure(error, dir)
  }
}

async function spoolIn(
  dir: string,
  { dir: dataDir, clock, bytesMax = BYTES_MAX, reserveBytes = RESERVE_BYTES }: SpoolOptions,
): Promise<Spool> {
  if ((await mkdir(dir, { recursive: true })) !== undefined) await syncFolder(dataDir)
  await chmod(dir, FOLDER_MODE)
  const room = roomIn({ dir, clock, bytesMax, reserveBytes })
  const few = turns(FILES_MAX)
  const inTurn = turns(PUTS_MAX)
  const inLine = turns(1)
  const sync = together(() => syncFolder(dir))
  const items = new Map<string, Map<string, Draft | Lying>>()
  const erasing = new Set<string>()
  let isClosed = false
  /** The folder is not what it was when it was last synced. */
  let changed = false

  await look()
  const keysPath = join(dir, 'keys')
  const keys = await openKeys(keysPath, () => {
    if (items.size > 0) throw keyless(keysPath, items.size)
    changed = true
  })
  try {
    await tidy()
    if (changed) await sync()
  } catch (error) {
    await keys.close()
    throw error
  }

  /** What lies in the folder. Names that are not the spool's are left alone. */
  async function look(): Promise<void> {
    const names = new Set(await readdir(dir))
    const found = await Promise.all(
      [...names].sort().map(name =>
        few(async () => {
          const [id = '', part = '', suffix, ...rest] = name.split('.')
          const ended = suffix === 'part'
          if (!(ended || suffix === 'open') || rest.length > 0 || !isName(id, part)) return
          const path = join(dir, name)
          // Something that was to be removed and could not be.
          if (!ended && names.has(`${id}.${part}.part`)) return rm(path, { force: true })
          const { size, mtimeMs } = await stat(path)
          const at = Math.floor(mtimeMs)
          return { id, part, lying: { path, length: size, bytes: blocksOf(size), at, ended, gone: false } }
        }),
      ),
    )
    for (const row of found) if (row) lay(row.id, row.part, row.lying)
  }

  /** A crash leaves files whose key has been dropped, and keys whose files were never made. */
  async function tidy(): Promise<void> {
    // With a slot that makes no sense the key may only be damaged: reading says so.
    const orphans = keys.damaged > 0 ? [] : [...items].filter(([id]) => keys.slotOf(id) === undefined)
    for (const [id, parts] of orphans) {
      await Promise.all([...parts.values()].map(part => few(() => remove(part as Lying))))
      items.delete(id)
      changed = true
    }
    await keys.dropOthers(items.keys())
  }

  function lay(id: string, part: string, lying: Lying): void {
    const parts = items.get(id) ?? new Map<string, Draft | Lying>()
    items.set(id, parts.set(part, lying))
    room.has(lying.bytes)
  }

  async function remove(lying: Lying): Promise<void> {
    await rm(lying.path, { force: true })
    if (!lying.gone) room.give(lying.bytes)
    lying.gone = true
  }

  /** Without parts there is no item, and no use for its key. */
  function forget(id: string, part: string): void {
    const parts = items.get(id)
    parts?.delete(part)
    if (parts === undefined || parts.size > 0) return
    items.delete(id)
    // Where that fails it is tried with the next key, or at the next start.
    if (!erasing.has(id)) keys.drop([id]).catch(() => {})
  }

  function mind(): void {
    if (isClosed) throw closed()
  }

  function begin(id: string, part: string, head: Json): Draft {
    mind()
    const name = nameOf(id, part)
    if (!isName(id, part)) throw new TypeError(`${name} is no name of a part`)
    if (Buffer.byteLength(JSON.stringify(head)) > FRAME_BYTES)
      throw new RangeError(`The head of ${name} is too large`)
    if (erasing.has(id)) throw gone(id)
    const there = items.get(id)?.get(part)
    if (there instanceof Draft || there?.ended) throw new Error(`${name} is there already`)
    if (there !== undefined) {
      there.gone = true
      room.give(there.bytes)
    }
    const { key, kept } = keys.draw(id)
    const path = join(dir, name)
    const draft = new Draft({
      what: name,
      draftPath: `${path}.open`,
      path: `${path}.part`,
      head,
      sealer: sealer(key, id, part),
      room,
      now: clock.now,
      keyKept: kept,
      syncFolder: sync,
      over(whole) {
        if (!whole) return forget(id, part)
        const { bytes, at, writtenBytes: length } = draft
        items.get(id)?.set(part, { path: `${path}.part`, length, bytes, at, ended: true, gone: false })
      },
    })
    const parts = items.get(id) ?? new Map<string, Draft | Lying>()
    items.set(id, parts.set(part, draft))
    return draft
  }

  /** A part as a reader sees it, whatever becomes of it meanwhile. */
  function sourceOf(id: string, part: string): Source | undefined {
    mind()
    const found = items.get(id)?.get(part)
    if (found === undefined || erasing.has(id)) return undefined
    const key = keys.key(id)
    if (key === undefined) throw damaged(keysPath, `it has no key for ${id}`)
    const lost = (): Failure | undefined => {
      if (isClosed) return closed()
      return erasing.has(id) || items.get(id)?.get(part) === undefined ? gone(nameOf(id, part)) : undefined
    }
    if (!(found instanceof Draft)) {
      const { path, length, ended } = found
      return {
        ...{ id, part, key, paths: [path], length },
        state: ended ? 'whole' : 'torn',
        get lost() {
          return lost()
        },
        changed: () => Promise.resolve(),
      }
    }
    return {
      ...{ id, part, key, paths: found.paths },
      get length() {
        return found.writtenBytes
      },
      get state() {
        return found.whole ? 'whole' : 'growing'
      },
      get lost() {
        return lost() ?? (found.trouble === undefined ? undefined : gone(nameOf(id, part)))
      },
      changed: signal => found.changed(signal),
    }
  }

  async function drop(id: string, part: string): Promise<void> {
    mind()
    const found = items.get(id)?.get(part)
    if (found === undefined) return
    if (found instanceof Draft) return found.drop()
    try {
      await remove(found)
      forget(id, part)
      await sync()
    } catch (error) {
      throw diskFailure(error, found.path)
    }
  }

  /** One after the other: what one of them has done with, another may not touch when it is there again. */
  async function erase(ids: Iterable<string>): Promise<readonly Erased[]> {
    mind()
    const known = [...new Set(ids)].filter(id => items.has(id) || keys.slotOf(id) !== undefined)
    if (known.length === 0) return []
    const rows = known.map(id => ({ id, parts: partsOf(id) }))
    for (const id of known) erasing.add(id)
    try {
      const drafts = known.flatMap(id => [...(items.get(id)?.values() ?? [])]).filter(isDraft)
      const dropped = drafts.map(draft => draft.drop())
      await keys.drop(known)
      await Promise.all(dropped)
      // What ended in that very moment lies there like the others.
      const left = known.flatMap(id => [...(items.get(id)?.values() ?? [])] as Lying[])
      await Promise.all(left.map(lying => few(() => remove(lying))))
      for (const id of known) items.delete(id)
      await sync()
    } catch (error) {
      throw diskFailure(error, dir)
    } finally {
      for (const id of known) erasing.delete(id)
    }
    return rows.map(({ id, parts }) => ({
      id,
      parts: parts.map(({ part }) => part),
      bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
    }))
  }

  function partsOf(id: string): readonly Part[] {
    const parts = items.get(id) ?? []
    return [...parts].map(([part, it]) => ({
      part,
      bytes: it.bytes,
      at: it.at,
      ended: !(it instanceof Draft) && it.ended,
    }))
  }

  return {
    put: (id, part, head, bytes) =>
      inTurn(async () => {
        const draft = begin(id, part, head)
        draft.write(bytes).catch(() => {}) // end() says it, too.
        return draft.end()
      }),

    async open(id, part, head) {
      return begin(id, part, head)
    },

    async read(id, part) {
      const source = sourceOf(id, part)
      const found = items.get(id)?.get(part)
      if (source === undefined) return undefined
      if (found instanceof Draft && found.writtenBytes === 0) {
        return { head: found.head, bytes: Buffer.alloc(0), ended: false }
      }
      return readAll(source)
    },

    async head(id, part) {
      const source = sourceOf(id, part)
      const found = items.get(id)?.get(part)
      if (source === undefined) return undefined
      return found instanceof Draft ? found.head : readHead(source)
    },

    async *follow(id, part, from, signal) {
      const source = sourceOf(id, part)
      if (source === undefined) throw gone(nameOf(id, part))
      yield* followed(source, from, signal)
    },

    parts: partsOf,
    items: () => [...items.keys()].map(id => ({ id, parts: partsOf(id) })),
    drop,
    erase: ids => inLine(() => erase(ids)),

    eraseAndProve: (ids, folder) =>
      inLine(async () => {
        mind()
        const suspects = [...new Set(ids)]
          .map(id => ({ id, key: keys.key(id), slot: keys.slotOf(id) }))
          .filter(({ id, slot }) => slot !== undefined || items.has(id))
        const erased = await erase(suspects.map(({ id }) => id))
        return prove(
          erased.map((row, i) => ({ ...row, ...suspects[i]! })),
          folder,
        )
      }),

    get usage() {
      return { items: items.size, bytes: room.bytes }
    },

    async close() {
      if (isClosed) return
      const drafts = [...items.values()].flatMap(parts => [...parts.values()]).filter(isDraft)
      isClosed = true
      await Promise.all(drafts.map(draft => draft.drop(closed())))
      await inLine(() => keys.close())
    },
  }
}

function nameOf(id: string, part: string): string {
  return `${id}.${part}`
}

function isName(id: string, part: string): boolean {
  return ID.test(id) && NAME.test(part)
}

function isDraft(part: Draft | Lying): part is Draft {
  return part instanceof Draft
}

function keyless(path: string, items: number): Failure {
  const said = `The keys in ${path} are gone, and without them none of the ${items} items beside it can be read`
  return new Failure(
    'spool.missing',
    `${said}. Nothing was touched. Restore the file, or remove the folder to go on without what is in it.`,
  )
}
