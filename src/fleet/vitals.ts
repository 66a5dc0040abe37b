/** Gauges of the nodes, in RAM only: what each said last. Samples are not history. */
import type { PsRow, TagRow } from '../ollama/ollama.ts'

export interface Vitals {
  readonly tags: readonly TagRow[]
  readonly ps: readonly PsRow[]
  /** When it was last looked at, milliseconds since the epoch, with or without an answer. */
  readonly lookedAt: number
  /** When it last answered, milliseconds since the epoch, and how long that took. */
  readonly seenAt: number
  readonly answerMs: number
  /** Looks in a row without an answer, and what went wrong. */
  readonly misses: number
  readonly error?: string
}

export type VitalsOf = ReadonlyMap<string, Vitals>
