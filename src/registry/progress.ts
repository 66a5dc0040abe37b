/**
 * How far transfers have come: gauges in RAM, one a transfer, out of the lines that nodes say. Never facts: a pull says
 * some ten thousand of them.
 */
import type { CommandStep } from '../rpc/messages.ts'

export interface Progress {
  /** As the node said it last. */
  readonly step: string
  /** Of the blobs that it has come to so far; the first of a model is nearly all of it. */
  readonly bytes: number
  readonly totalBytes?: number
  /** Over the last ten seconds. */
  readonly bytesPerS?: number
  readonly leftMs?: number
  /** When it said so, milliseconds since the epoch. */
  readonly at: number
}

const RATE_OVER_MS = 10_000
/** Less than this says nothing of a rate. */
const RATE_FROM_MS = 500
/** A model has some ten blobs or, cut into tensors, some thousand. */
const BLOBS_MAX = 20_000
const SAMPLES_MAX = 64

export class Gauge {
  readonly #blobs = new Map<string, { readonly total: number; readonly completed: number }>()
  /** Bytes that came over the wire by some moment, in order. */
  readonly #samples: { readonly ms: number; readonly moved: number }[] = []
  #blob = ''
  #moved = 0
  #step = ''
  #at = 0
  #bytes = 0
  #total = 0
  #expected: number

  /** `expectedBytes`: how much the model is on other nodes; 0 where nobody knows. */
  constructor(expectedBytes: number) {
    this.#expected = expectedBytes
  }

  /** `ms` on a clock that never jumps. Answers with how many bytes have come since the last line. */
  tell({ status, digest, totalBytes = 0, completedBytes }: CommandStep, ms: number, at: number): number {
    const before = this.#moved
    this.#step = status
    this.#at = at
    // What is small goes by between two lines; the next blob, or the next step, says that it is there.
    if (this.#blob !== (digest ?? '')) this.#complete()
    if (digest !== undefined && (this.#blobs.has(digest) || this.#blobs.size < BLOBS_MAX)) {
      this.#blob = digest
      this.#put(digest, Math.max(totalBytes, completedBytes ?? 0), completedBytes)
    }
    this.#sample(ms)
    return this.#moved - before
  }

  now(): Progress {
    const total = Math.max(this.#total, this.#expected, this.#bytes)
    const rate = this.#rate()
    const left = rate !== undefined && rate > 0 ? { leftMs: ((total - this.#bytes) / rate) * 1_000 } : {}
    return {
      step: this.#step,
      bytes: this.#bytes,
      ...(total > 0 && { totalBytes: total }),
      ...(rate !== undefined && { bytesPerS: Math.round(rate) }),
      ...('leftMs' in left && { leftMs: Math.round(left.leftMs) }),
      at: this.#at,
    }
  }

  #complete(): void {
    const known = this.#blobs.get(this.#blob)
    if (known !== undefined) this.#put(this.#blob, known.total, known.total)
    this.#blob = ''
  }

  /** What a node has of a blob when it first speaks of it did not come over the wire now. */
  #put(digest: string, total: number, completed: number | undefined): void {
    const known = this.#blobs.get(digest)
    const now = Math.max(completed ?? 0, known?.completed ?? 0)
    if (known !== undefined) this.#moved += now - known.completed
    this.#bytes += now - (known?.completed ?? 0)
    this.#total += total - (known?.total ?? 0)
    this.#blobs.set(digest, { total, completed: now })
  }

  #sample(ms: number): void {
    const last = this.#samples.at(-1)
    if (last !== undefined && ms - last.ms < RATE_OVER_MS / SAMPLES_MAX) return
    this.#samples.push({ ms, moved: this.#moved })
    while (this.#samples.length > 2 && ms - this.#samples[0]!.ms > RATE_OVER_MS) this.#samples.shift()
  }

  #rate(): number | undefined {
    const first = this.#samples[0]
    const last = this.#samples.at(-1)
    if (first === undefined || last === undefined || last.ms - first.ms < RATE_FROM_MS) return undefined
    return ((last.moved - first.moved) / (last.ms - first.ms)) * 1_000
  }
}
