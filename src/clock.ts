/**
 * The only source of surprise: the time, timers, new ids, chance. Handed down to everything that needs one,
 * so that the whole house can run under a virtual clock: tests that never sleep, and every failure
 * reproducible from its seed.
 */
import { randomBytes } from 'node:crypto'

export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Wall time, milliseconds since the epoch. It is data: nothing is ordered or measured by it. */
  now(): number
  /** Milliseconds (with a fraction) on a clock that never jumps. For durations. */
  monotonic(): number
  /** A new id: 26 characters of Crockford's base 32, 48 bits of time, then 80 bits of chance (a ULID). */
  id(): string
  /** A number in [0, 1). */
  random(): number
  /** Runs once, `ms` from now. A timer alone does not keep the process alive. */
  after(ms: number, run: () => void): Timer
}

/** Ten bytes at a time out of a pool: asking the kernel for each id costs 15 µs. */
const POOL_BYTES = 4_000
let pool = randomBytes(POOL_BYTES)
let drawn = 0

function chance(): Uint8Array {
  if (drawn === POOL_BYTES) {
    pool = randomBytes(POOL_BYTES)
    drawn = 0
  }
  drawn += 10
  return pool.subarray(drawn - 10, drawn)
}

/** The longest wait a Node timer can hold, in ms (2^31 - 1). A longer one is armed again when it comes round. */
const LONGEST_TIMER_MS = 2_147_483_647

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  id: () => ulid(Date.now(), chance()),
  random: () => Math.random(),
  after(ms, run) {
    let handle: NodeJS.Timeout
    const arm = (left: number): void => {
      const step = Math.min(Math.max(left, 0), LONGEST_TIMER_MS)
      handle = setTimeout(() => (left > step ? arm(left - step) : run()), step).unref()
    }
    arm(ms)
    return { cancel: () => clearTimeout(handle) }
  },
}

export interface VirtualClock extends Clock {
  /** Moves time on by `ms`, running every timer on the way in order, and lets promises settle between them. */
  advance(ms: number): Promise<void>
}

const SETTLING_TURNS = 3

/** A clock that stands still until told to move. The same seed gives the same ids and the same chance. */
export function virtualClock({ seed = 1, start = Date.UTC(2026, 0, 1) } = {}): VirtualClock {
  let time = start
  let order = 0
  const random = mulberry32(seed)
  const pending: Pending[] = []
  /** A promise that a timer kept may stage a fact, the next turn writes it, and who hears of it may do so again. */
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < SETTLING_TURNS; turn += 1) await new Promise(resolve => setImmediate(resolve))
  }

  return {
    now: () => time,
    monotonic: () => time - start,
    random,
    id: () =>
      ulid(
        time,
        Uint8Array.from({ length: 10 }, () => Math.floor(random() * 256)),
      ),
    after(ms, run) {
      order += 1
      const timer: Pending = { at: time + Math.max(ms, 0), order, run }
      push(pending, timer)
      return {
        cancel() {
          timer.run = undefined
        },
      }
    },
    async advance(ms) {
      const end = time + ms
      await settle()
      while (pending.length > 0 && pending[0]!.at <= end) {
        const { at, run } = pop(pending)
        if (run === undefined) continue
        time = Math.max(time, at)
        run()
        await settle()
      }
      time = end
      await settle()
    },
  }
}

/** A timer of a virtual clock; one that was cancelled has nothing to run, and leaves when its time comes. */
interface Pending {
  readonly at: number
  /** Among timers that are due at once, the one that was set first goes first. */
  readonly order: number
  run: (() => void) | undefined
}

/** Timers as a binary heap, the next one first: a simulation has thousands, and most of them never ring. */
function push(heap: Pending[], timer: Pending): void {
  let hole = heap.length
  heap.push(timer)
  while (hole > 0) {
    const parent = (hole - 1) >> 1
    if (!earlier(timer, heap[parent]!)) break
    heap[hole] = heap[parent]!
    hole = parent
  }
  heap[hole] = timer
}

function pop(heap: Pending[]): Pending {
  const first = heap[0]!
  const last = heap.pop()!
  if (heap.length === 0) return first
  let hole = 0
  for (;;) {
    const left = 2 * hole + 1
    if (left >= heap.length) break
    const right = left + 1
    const child = right < heap.length && earlier(heap[right]!, heap[left]!) ? right : left
    if (!earlier(heap[child]!, last)) break
    heap[hole] = heap[child]!
    hole = child
  }
  heap[hole] = last
  return first
}

function earlier(a: Pending, b: Pending): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

/** Mulberry32 (T. Ettinger, public domain): 32 bits of state, enough for tests and simulations. */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

function ulid(time: number, chance: Uint8Array): string {
  let text = ''
  for (let left = time, i = 0; i < 10; i += 1, left = Math.floor(left / 32))
    text = CROCKFORD[left % 32] + text
  for (let i = 0, bits = 0, held = 0; i < chance.length; i += 1) {
    held = (held << 8) | chance[i]!
    for (bits += 8; bits >= 5; bits -= 5) text += CROCKFORD[(held >>> (bits - 5)) & 31]
    held &= (1 << bits) - 1
  }
  return text
}
