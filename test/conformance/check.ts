/** A check: one numbered promise of Ollama's, and how to see whether a server keeps it. */
import type { Probe } from './probe.ts'

export interface Check {
  /** The promise, as a sentence. */
  readonly promise: string
  /** Returns if it is kept, throws a Mismatch if not, or a Skip if that cannot be seen here. */
  run(server: Probe): Promise<void>
}

export type Checks = Readonly<Record<number, Check>>
