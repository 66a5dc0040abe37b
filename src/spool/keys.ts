/**
 * The keys of the spool's items, in one file of fixed slots:
 *
 *   slot 0    64 bytes   `quipu.spool.keys.1`, a line feed, zeros
 *   slot 1…   64 bytes   SHA-256 of the item's id (24 of it), its key (32), SHA-256 of slot number and both (8)
 *
 * A slot is written in place and nowhere else; zeros are a free one. So to erase an item is to write zeros over its
 * key. 64 divides every sector's size: a slot is written whole or not at all.
 */
import { hash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { damaged, diskFailure, FILE_MODE, readUpTo, writeAll } from './disk.ts'
import { together } from './together.ts'

export const SLOT_BYTES = 64
const TITLE = Buffer.from('quipu.spool.keys.1\n'.padEnd(SLOT_BYTES, '\0'), 'latin1')
const NAME_BYTES = 24
export const KEY_BYTES = 32
const KEY_END = NAME_BYTES + KEY_BYTES
/** The file grows by so many: whole pages, and a growth that is felt now and then only. */
const GROWTH_SLOTS = 64

export interface Keys {
  /** The item's key, drawn where there is none. It is on the disk once `kept` resolves. */
  draw(id: string): { readonly key: Buffer; readonly kept: Promise<void> }
  key(id: string): Buffer | undefined
  /** Writes zeros over these. Rejects with `spool.disk`: they may still be there, so ask again. */
  drop(ids: Iterable<string>): Promise<void>
  /** The slot of an item whose key is there, or is not known to be gone. */
  slotOf(id: string): number | undefined
  /** All keys but those of these items. */
  dropOthers(ids: Iterable<string>): Promise<void>
  /** Slots that hold neither zeros nor a key: nobody knows whose they were. They go with the next drop of a lost key. */
  readonly damaged: number
  close(): Promise<void>
}

/** Opens the file of keys, or makes it: `making` is told before, and throws where that would be wrong. */
export async function openKeys(path: string, making: () => void): Promise<Keys> {
  const file = await open(path, constants.O_RDWR, FILE_MODE).catch(error => {
    if (error.code !== 'ENOENT') throw error
    making()
    return open(path, constants.O_RDWR | constants.O_CREAT, FILE_MODE)
  })
  try {
    return await keysOf(file, path, making)
  } catch (error) {
    await file.close()
    throw error
  }
}

async function keysOf(file: FileHandle, path: string, making: () => void): Promise<Keys> {
  const { size } = await file.stat()
  /** What the file holds, or will. */
  let image = await readUpTo(file, 0, size)
  const slots = new Map<string, number>()
  /** Kept until their zeros are known to be on the disk. */
  const dropping = new Map<string, number>()
  const kept = new Map<number, Promise<void>>()
  const free: number[] = []
  const broken = new Set<number>()
  /** Where the file may differ from the image. */
  const dirty = new Set<number>()

  if (image.length < SLOT_BYTES || isZero(image)) {
    // New, or cut off while it was made: there was no key yet.
    making()
    image = Buffer.from(TITLE)
    dirty.add(0)
  } else if (!image.subarray(0, SLOT_BYTES).equals(TITLE)) {
    throw damaged(path, 'it does not begin as a file of keys does')
  }
  const whole = Math.floor(image.length / SLOT_BYTES)
  for (let slot = 1; slot < whole; slot += 1) {
    const text = at(image, slot)
    if (isZero(text)) free.push(slot)
    else if (!checkOf(slot, text).equals(text.subarray(KEY_END))) broken.add(slot)
    else slots.set(nameIn(text), slot)
  }
  image = image.subarray(0, whole * SLOT_BYTES)
  let slotsInFile = dirty.has(0) ? 0 : whole
  // The lowest first, so that the file stays as short as it can.
  free.reverse()

  /**
   * Writes what lies within the file, in place: on a full disk that works where growing would not, and to erase is what
   * makes room.
   */
  const sync = together(async () => {
    const round = [...dirty].filter(slot => slot < slotsInFile).sort((a, b) => a - b)
    for (const slot of round) dirty.delete(slot)
    try {
      for (const [first, count] of runs(round)) {
        // A copy: the image goes on changing while the disk writes.
        const bytes = Buffer.from(image.subarray(first * SLOT_BYTES, (first + count) * SLOT_BYTES))
        await writeAll(file, bytes, first * SLOT_BYTES)
        bytes.fill(0)
      }
      await file.datasync()
    } catch (error) {
      // What a failed sync has written nobody knows, so it is written again.
      for (const slot of round) dirty.add(slot)
      throw diskFailure(error, path)
    }
  })

  /** Makes the file as long as the image, with zeros. */
  const grow = together(async () => {
    const from = slotsInFile * SLOT_BYTES
    const { length } = image
    if (from === length) return
    try {
      await writeAll(file, Buffer.alloc(length - from), from)
      await file.datasync()
    } catch (error) {
      throw diskFailure(error, path)
    }
    slotsInFile = length / SLOT_BYTES
  })

  async function keep(slot: number): Promise<void> {
    if (slot >= slotsInFile) await grow()
    await sync()
  }

  function enlarge(): void {
    const first = image.length / SLOT_BYTES
    const larger = Buffer.alloc(image.length + GROWTH_SLOTS * SLOT_BYTES)
    image.copy(larger)
    image.fill(0)
    image = larger
    for (let slot = first + GROWTH_SLOTS - 1; slot >= first; slot -= 1) free.push(slot)
  }

  const keyAt = (slot: number): Buffer => Buffer.from(at(image, slot).subarray(NAME_BYTES, KEY_END))

  async function zero(names: Iterable<string>): Promise<void> {
    const going = new Map<string, number>()
    for (const name of names) {
      const slot = slots.get(name) ?? dropping.get(name)
      if (slot === undefined) continue
      going.set(name, slot)
      dropping.set(name, slot)
      slots.delete(name)
      kept.delete(slot)
      at(image, slot).fill(0)
      dirty.add(slot)
    }
    if (going.size === 0 && dirty.size === 0) return
    await sync()
    for (const [name, slot] of going) if (dropping.delete(name)) free.push(slot)
  }

  if (slotsInFile === 0) await keep(0)
  return {
    draw(id) {
      const name = nameOf(id)
      let slot = slots.get(name)
      if (slot === undefined) {
        if (free.length === 0) enlarge()
        slot = free.pop()!
        const text = at(image, slot)
        text.write(name, 'base64url')
        randomBytes(KEY_BYTES).copy(text, NAME_BYTES)
        checkOf(slot, text).copy(text, KEY_END)
        slots.set(name, slot)
        dirty.add(slot)
        const keeping = keep(slot)
        kept.set(slot, keeping)
        keeping.then(
          () => kept.get(slot!) === keeping && kept.delete(slot!),
          () => {},
        )
      }
      return { key: keyAt(slot), kept: kept.get(slot) ?? Promise.resolve() }
    },

    key(id) {
      const slot = slots.get(nameOf(id))
      return slot === undefined ? undefined : keyAt(slot)
    },

    slotOf: id => slots.get(nameOf(id)) ?? dropping.get(nameOf(id)),

    async drop(ids) {
      const names = [...ids].map(nameOf)
      if (names.some(name => !slots.has(name) && !dropping.has(name))) {
        // One of these may be the key that is looked for, with a bit flipped.
        for (const slot of broken) {
          at(image, slot).fill(0)
          dirty.add(slot)
        }
        broken.clear()
      }
      await zero(names)
    },

    dropOthers(ids) {
      const stay = new Set([...ids].map(nameOf))
      return zero([...slots.keys()].filter(name => !stay.has(name)))
    },

    get damaged() {
      return broken.size
    },

    async close() {
      await sync().catch(() => {})
      await file.close()
    },
  }
}

/** Whose keys are in a file of keys as it lies there; undefined where it is none. */
export function heldBy(raw: Buffer): { has(id: string): boolean; readonly damaged: number } | undefined {
  if (raw.length >= SLOT_BYTES && !isZero(raw) && !at(raw, 0).equals(TITLE)) return undefined
  const names = new Set<string>()
  let damaged = 0
  for (let slot = 1; slot < Math.floor(raw.length / SLOT_BYTES); slot += 1) {
    const text = at(raw, slot)
    if (isZero(text)) continue
    if (checkOf(slot, text).equals(text.subarray(KEY_END))) names.add(nameIn(text))
    else damaged += 1
  }
  return { has: id => names.has(nameOf(id)), damaged }
}

/** The keys in a file of keys as it lies there: for who looks at it without opening it. */
export function keysIn(raw: Buffer): readonly Buffer[] {
  return Array.from({ length: Math.floor(raw.length / SLOT_BYTES) - 1 }, (_, i) => keyIn(raw, i + 1)).filter(
    key => key !== undefined,
  )
}

/** Undefined where the slot is all zeros, or not there. */
export function keyIn(raw: Buffer, slot: number): Buffer | undefined {
  const text = at(raw, slot)
  return isZero(text) ? undefined : text.subarray(NAME_BYTES, KEY_END)
}

function at(image: Buffer, slot: number): Buffer {
  return image.subarray(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES)
}

function isZero(bytes: Buffer): boolean {
  return bytes.every(byte => byte === 0)
}

function nameOf(id: string): string {
  return hash('sha256', id, 'buffer').toString('base64url', 0, NAME_BYTES)
}

function nameIn(text: Buffer): string {
  return text.toString('base64url', 0, NAME_BYTES)
}

function checkOf(slot: number, text: Buffer): Buffer {
  const number = Buffer.alloc(4)
  number.writeUInt32BE(slot)
  const covered = Buffer.concat([number, text.subarray(0, KEY_END)])
  return hash('sha256', covered, 'buffer').subarray(0, SLOT_BYTES - KEY_END)
}

/** 3, 4, 5, 9 as [3, 3 of them], [9, 1]: neighbours are written at once. */
function runs(sorted: readonly number[]): [first: number, count: number][] {
  const found: [number, number][] = []
  for (const slot of sorted) {
    const run = found.at(-1)
    if (run !== undefined && run[0] + run[1] === slot) run[1] += 1
    else found.push([slot, 1])
  }
  return found
}
