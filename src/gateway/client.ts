/** A client's socket as the place where an answer goes. One that takes nothing for long is hung up on. */
import type { ServerResponse } from 'node:http'
import type { Clock, Timer } from '../clock.ts'
import type { Ears, Sink } from './sink.ts'

/** A client that reads nothing for this long holds a slot for nothing. */
const READER_STALL_MS = 60_000
/** After the last words of a broken stream, the client has this long to hang up. */
const HANG_UP_MS = 2_000

export class Client implements Sink {
  readonly #res: ServerResponse
  readonly #clock: Clock
  #stall: Timer | undefined

  constructor(res: ServerResponse, clock: Clock) {
    this.#res = res
    this.#clock = clock
  }

  get closed(): boolean {
    return this.#res.destroyed
  }

  hear({ left, drained }: Ears): () => void {
    const res = this.#res
    const flows = (): void => {
      this.#stall?.cancel()
      drained()
    }
    res.on('close', left)
    res.on('drain', flows)
    return () => {
      this.#stall?.cancel()
      res.off('close', left)
      res.off('drain', flows)
    }
  }

  head(status: number, headers: readonly string[]): void {
    const res = this.#res
    res.writeHead(status, [...(res.shouldKeepAlive ? headers : without(headers, 'Connection'))])
  }

  write(chunk: Buffer): boolean {
    if (this.#res.write(chunk)) return true
    this.#stall?.cancel()
    this.#stall = this.#clock.after(READER_STALL_MS, () => this.#res.destroy())
    return false
  }

  end(): void {
    this.#res.end()
    if (this.#res.writableLength > 0) this.#hangUpAfter(READER_STALL_MS)
  }

  /** A stream that broke is never ended as if it were whole: an error in its own framing, then the line goes dead. */
  breakOff(words: string, tail: Buffer): void {
    const res = this.#res
    const { socket } = res
    if (words === '' || socket === null || res.destroyed) {
      res.destroy()
    } else {
      const end = tail.toString('latin1', Math.max(0, tail.length - 2))
      // What was begun is closed first: a line by its end, an event by an empty line.
      const gap = words.startsWith('{') ? (end.endsWith('\n') ? '' : '\n') : end === '\n\n' ? '' : '\n\n'
      // Without the last chunk's terminator; FIN rather than RST, so that what was written is still read.
      res.write(gap + words, () => socket.end())
    }
    this.#hangUpAfter(HANG_UP_MS)
  }

  #hangUpAfter(ms: number): void {
    const timer = this.#clock.after(ms, () => this.#res.destroy())
    this.#res.once('close', () => timer.cancel())
  }
}

function without(headers: readonly string[], name: string): string[] {
  const kept: string[] = []
  for (let i = 0; i < headers.length; i += 2) if (headers[i] !== name) kept.push(headers[i]!, headers[i + 1]!)
  return kept
}
