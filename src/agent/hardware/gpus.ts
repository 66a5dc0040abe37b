/** What the readers of GPUs have in common: what one of them finds. */
import type { Gpu, GpuLoad } from '../../rpc/messages.ts'

export interface Found {
  readonly gpus: readonly Gpu[]
  readonly loads: readonly GpuLoad[]
  /** Whether it found all of its kind that there may be. */
  readonly known: boolean
}

export const NONE: Found = { gpus: [], loads: [], known: true }
export const MEBIBYTE = 1_048_576
