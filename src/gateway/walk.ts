/**
 * Walks over JSON without reading it: where a value ends, at the speed of memory for long strings and in strides for
 * everything else, so that a body of 64 MiB never holds up the others. As lenient as it can be: whether the JSON is
 * good is for its reader to say.
 *
 *   await strides(walk, () => walk.cross())
 */
import { setImmediate as turn } from 'node:timers/promises'

/** A stride takes some 0.3 ms, and 12 at worst: nothing but short keys at the top, 45 ns a byte (measured). */
const STRIDE_BYTES = 256 * 1024
/** Strings are looked through byte by byte this far; then it pays to search for what ends them. */
const NEAR_BYTES = 64
/** Some 0.5 ms of searching. */
const SEARCH_BYTES = 4 * 1024 * 1024

const QUOTE = 0x22
const BACKSLASH = 0x5c

export class Walk {
  readonly body: Buffer
  /** Where the walk is; at the end of the body when a value never ended. */
  at = 0
  #within: 'nothing' | 'string' | 'word' = 'nothing'
  #depth = 0
  #rest = 0
  /** Up to where there is no quote and no backslash, as far as that was searched for. */
  #next = { [QUOTE]: -1, [BACKSLASH]: -1 }

  constructor(body: Buffer, at = 0) {
    this.body = body
    this.at = at
    this.rest()
  }

  /** Is this the next byte? */
  sees(byte: number): boolean {
    return this.body[this.at] === byte
  }

  /** Has it gone far enough for now? */
  get tired(): boolean {
    return this.at >= this.#rest
  }

  rest(): void {
    this.#rest = this.at + STRIDE_BYTES
  }

  /** Crosses blanks. False when it got tired: rest, then go on. */
  blanks(): boolean {
    const { body } = this
    const stop = Math.min(body.length, this.#rest + 1)
    let { at } = this
    while (at < stop && (body[at] === 0x20 || body[at] === 0x0a || body[at] === 0x0d || body[at] === 0x09))
      at += 1
    this.at = at
    return at < stop || at === body.length
  }

  /** To be called at a value's first byte, before cross(). */
  enter(): void {
    const first = this.body[this.at]
    this.#depth = first === 0x7b || first === 0x5b ? 1 : 0
    this.#within = first === QUOTE ? 'string' : this.#depth === 1 ? 'nothing' : 'word'
    if (this.#within !== 'word') this.at += 1
  }

  /** Goes on crossing the value that was entered. False when it got tired: rest, then go on. */
  cross(): boolean {
    if (this.#within === 'word') return this.#word()
    for (;;) {
      if (this.#within === 'string' && !this.#string()) return false
      if (this.#depth === 0) return true
      if (!this.#structure()) return false
    }
  }

  /** A number, true, false, null: up to what may follow it. */
  #word(): boolean {
    const { body } = this
    const stop = Math.min(body.length, this.#rest + 1)
    let { at } = this
    while (at < stop && body[at] !== 0x2c && body[at] !== 0x7d && body[at] !== 0x5d) at += 1
    this.at = at
    return at < stop || at === body.length
  }

  /** Up to the next string, or the end of the outermost bracket. */
  #structure(): boolean {
    const { body } = this
    const stop = Math.min(body.length, this.#rest + 1)
    let { at } = this
    while (at < stop) {
      const byte = body[at]!
      at += 1
      if (byte === QUOTE) {
        this.#within = 'string'
        break
      }
      if (byte === 0x7b || byte === 0x5b) this.#depth += 1
      else if (byte === 0x7d || byte === 0x5d) {
        this.#depth -= 1
        if (this.#depth === 0) break
      }
    }
    this.at = at
    if (this.#within === 'string' || this.#depth === 0) return true
    if (at < body.length) return false
    this.#depth = 0
    return true
  }

  /** Past the closing quote. */
  #string(): boolean {
    const { body } = this
    let { at } = this
    for (;;) {
      const near = Math.min(at + NEAR_BYTES, body.length)
      while (at < near) {
        const byte = body[at]
        if (byte === QUOTE) {
          this.at = at + 1
          this.#within = 'nothing'
          return true
        }
        at += byte === BACKSLASH ? 2 : 1
      }
      this.at = Math.min(at, body.length)
      if (at >= body.length) {
        this.#within = 'nothing'
        this.#depth = 0
        return true
      }
      if (this.tired) return false
      at = Math.min(this.#search(QUOTE, at), this.#search(BACKSLASH, at))
    }
  }

  #search(byte: 0x22 | 0x5c, from: number): number {
    if (this.#next[byte] < from) {
      const stop = Math.min(this.body.length, from + SEARCH_BYTES)
      const found = this.body.subarray(from, stop).indexOf(byte)
      this.#next[byte] = found < 0 ? stop : from + found
    }
    return this.#next[byte]
  }
}

/** Takes a step again and again until it is done, and lets the others have a turn in between. */
export async function strides(walk: Walk, step: () => boolean): Promise<void> {
  while (!step()) {
    await turn()
    walk.rest()
  }
}
