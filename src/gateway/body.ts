/**
 * Bodies of requests: read whole up to a limit, or passed on as they come. A client may be slow, but not so slow that it
 * holds a connection for nothing; and all bodies together may not fill the memory of the machine.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { totalmem } from 'node:os'
import { PassThrough, type Readable } from 'node:stream'
import { Refusal } from '../../machines/entity.ts'
import type { Clock, Timer } from '../clock.ts'

/** A body must come in at this pace on average, after a while of grace. 64 MiB may take half an hour. */
const PACE_BYTES_PER_S = 32 * 1024
const GRACE_MS = 30_000
/** An upload may take days, but not a minute without a byte. */
const STALL_MS = 60_000
const STALL_CHECK_MS = 10_000
/** Of a body nobody wants, this much is read and thrown away, so that the client comes to read why. */
const UNWANTED_BYTES_MAX = 8 * 1024 * 1024
const FIRST_BYTES = 64 * 1024
/** Bodies of requests that wait or run, all together. */
const HELD_BYTES_MAX = Math.max(1024 ** 3, totalmem() / 4)

const FULL = 'the house holds as many bytes of waiting requests as it can; try again later'

export class Bodies {
  readonly #clock: Clock
  readonly #heldBytesMax: number
  #heldBytes = 0

  constructor(clock: Clock, { heldBytesMax = HELD_BYTES_MAX } = {}) {
    this.#clock = clock
    this.#heldBytesMax = heldBytesMax
  }

  /** Breaks the connection, or calls `late`, when a whole body does not come in at a tolerable pace. */
  pace(req: IncomingMessage, late: () => void = () => req.socket.destroy()): void {
    const began = this.#clock.monotonic()
    const before = req.socket.bytesRead
    this.#watch(req, GRACE_MS, () => {
      const allowedMs = GRACE_MS + ((req.socket.bytesRead - before) / PACE_BYTES_PER_S) * 1_000
      const leftMs = allowedMs - (this.#clock.monotonic() - began)
      if (leftMs > 0) return leftMs
      late()
      return undefined
    })
  }

  /** Breaks the connection when an upload stands still, whoever of the two ends it is that does not go on. */
  stall(req: IncomingMessage): void {
    let { bytesRead } = req.socket
    let movedAt = this.#clock.monotonic()
    this.#watch(req, STALL_CHECK_MS, () => {
      const now = this.#clock.monotonic()
      if (req.socket.bytesRead > bytesRead) movedAt = now
      bytesRead = req.socket.bytesRead
      if (now - movedAt < STALL_MS) return STALL_CHECK_MS
      req.socket.destroy()
      return undefined
    })
  }

  /**
   * The whole body. It counts against the memory of all until the response is closed. Rejects with a Refusal
   * `request.too-large`, `house.memory` or, where nobody waits for an answer any more, `request.gone`.
   */
  whole(req: IncomingMessage, res: ServerResponse, bytesMax: number): Promise<Buffer> {
    if (!hasBody(req)) return Promise.resolve(Buffer.alloc(0))
    const promised = Number(req.headers['content-length'] ?? 0)
    return new Promise((resolve, reject) => {
      // Grown by doubling, not gathered in pieces: a client may send it in chunks of one byte.
      let held = Buffer.alloc(0)
      let size = 0
      const grow = (needed: number): void => {
        const bytes = Math.min(Math.max(needed, held.length * 2, FIRST_BYTES), promised || bytesMax)
        this.#heldBytes += bytes - held.length
        const larger = Buffer.allocUnsafeSlow(bytes)
        held.copy(larger, 0, 0, size)
        held = larger
      }
      const take = (chunk: Buffer): void => {
        const needed = size + chunk.length
        if (needed > bytesMax) return refuse('request.too-large', tooLarge(bytesMax))
        if (this.#heldBytes + chunk.length > this.#heldBytesMax) return refuse('house.memory', FULL)
        if (needed > held.length) grow(needed)
        chunk.copy(held, size)
        size = needed
      }
      const done = (): void => {
        stop()
        const { length } = held
        const release = (): void => {
          this.#heldBytes -= length
        }
        if (res.closed) release()
        else res.once('close', release)
        resolve(held.subarray(0, size))
      }
      const gone = (): void => refuse('request.gone', 'the client went away before its request was whole')
      const refuse = (code: string, message: string): void => {
        stop()
        this.#heldBytes -= held.length
        reject(new Refusal(code, message))
      }
      const stop = (): void => {
        req.off('data', take).off('end', done).off('close', gone)
      }
      req.on('data', take).on('end', done).on('close', gone)
      if (promised > bytesMax) refuse('request.too-large', tooLarge(bytesMax))
    })
  }

  /** The body as it comes, for a node. When the node has enough of it, the rest is thrown away. */
  stream(req: IncomingMessage): Readable {
    const body = new PassThrough()
    body.on('error', () => {}) // whoever sends it hears of it too
    req.pipe(body)
    req.once('close', () => {
      if (!req.complete) body.destroy(new Error('the client went away'))
    })
    body.once('close', () => {
      req.unpipe(body)
      if (!req.complete) discard(req)
    })
    return body
  }

  /** Calls `check` after some milliseconds, and again after as many as it says, until the body is here. */
  #watch(req: IncomingMessage, firstMs: number, check: () => number | undefined): void {
    let timer: Timer
    const wait = (ms: number): void => {
      timer = this.#clock.after(ms, () => {
        const nextMs = check()
        if (nextMs !== undefined) wait(nextMs)
      })
    }
    wait(firstMs)
    const stop = (): void => timer.cancel()
    req.once('end', stop)
    req.once('close', stop)
  }
}

function tooLarge(bytesMax: number): string {
  return `the request body is larger than ${bytesMax} bytes; see --body-max (QUIPU_BODY_MAX)`
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return 'transfer-encoding' in headers || Number(headers['content-length'] ?? 0) > 0
}

/** Reads on and forgets, up to a point: closing at once would take from the client the answer that says why. */
export function discard(req: IncomingMessage): void {
  let left = UNWANTED_BYTES_MAX
  req.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) req.socket.destroy()
  })
  req.resume()
}
