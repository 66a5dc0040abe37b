/** How much the spool may hold, and how much it leaves on the disk for the journal. */
import { statfs } from 'node:fs/promises'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'

export interface Room {
  /** Bytes taken. */
  readonly bytes: number
  /** Rejects with a Failure `spool.full`, and takes nothing. */
  take(bytes: number): Promise<void>
  /** Takes what is there already, however much it is. */
  has(bytes: number): void
  give(bytes: number): void
}

export interface RoomOptions {
  readonly dir: string
  readonly clock: Clock
  readonly bytesMax: number
  readonly reserveBytes: number
}

/** File systems give out whole blocks; this is the usual size. */
const BLOCK_BYTES = 4_096
/** How often the disk is asked what is free: after so long, or so much written. */
const LOOK_MS = 1_000
const LOOK_BYTES = 16_777_216

export function roomIn({ dir, clock, bytesMax, reserveBytes }: RoomOptions): Room {
  let taken = 0
  /** Taken since the disk was asked. */
  let unseen = 0
  let lookedAt = Number.NEGATIVE_INFINITY
  let freeBytes = 0
  let looking: Promise<void> | undefined

  async function look(): Promise<void> {
    try {
      unseen = 0
      const { bavail, bsize } = await statfs(dir)
      freeBytes = bavail * bsize
      lookedAt = clock.monotonic()
    } finally {
      looking = undefined
    }
  }

  return {
    get bytes() {
      return taken
    },
    async take(bytes) {
      if (taken + bytes > bytesMax) throw full(taken, bytesMax)
      // Taken before anything is awaited: of many who ask at once, the last must see what the first took.
      taken += bytes
      unseen += bytes
      try {
        if (clock.monotonic() - lookedAt >= LOOK_MS || unseen >= LOOK_BYTES) {
          looking ??= look()
          await looking
        }
        if (freeBytes - unseen < reserveBytes) throw tight(dir, freeBytes, reserveBytes)
      } catch (error) {
        taken -= bytes
        throw error
      }
    },
    has(bytes) {
      taken += bytes
    },
    give(bytes) {
      taken -= bytes
    },
  }
}

/** What a file of so many bytes takes on the disk. */
export function blocksOf(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES
}

function full(bytes: number, bytesMax: number): Failure {
  return new Failure(
    'spool.full',
    `The spool holds ${mebibytes(bytes)} of ${mebibytes(bytesMax)} that it may. Fetch what is finished and delete it, ` +
      'or let the spool hold more.',
    { retryable: true },
  )
}

function tight(dir: string, freeBytes: number, reserveBytes: number): Failure {
  return new Failure(
    'spool.full',
    `${mebibytes(freeBytes)} are left on the disk of ${dir}, and the spool leaves ${mebibytes(reserveBytes)} to the ` +
      'journal. Make room on that disk.',
    { retryable: true },
  )
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 1_048_576)} MiB`
}
