/**
 * How much memory is there for models on a node, and how much does a model take? Pure, and from facts alone: what an agent
 * said of the machine, and what Ollama said of copies that were in memory. Where that is not known, the answer is that it is
 * not known: nobody guesses a machine. (docs/adr/0035 argues the rules and their numbers.)
 *
 *  1. What there is: the memory of all GPUs that have one of their own, together, for Ollama spreads a model over them;
 *     else that of a GPU which shares the machine's; else, on a machine without a GPU, the machine's.
 *  2. Of that, a part is not for models: drivers and displays, the system.
 *  3. What a model takes: what it took when it was last in memory there; else the most it took on any node; else its file
 *     and a quarter.
 *  4. Beside others, a GPU's memory must have a quarter more free than that: Ollama sends others away otherwise, and those
 *     it chooses. (On machines without a GPU it counts models only.)
 *  5. What does not fit goes to the main memory, and answers come the more slowly the more of it there is.
 */
import type { NodeEquipment } from '../../machines/node.ts'
import type { Replica } from './residency.ts'

export interface Memory {
  readonly bytes: number
  /** Of GPUs: what a copy holds of it is what Ollama says is on GPUs. */
  readonly gpu: boolean
}

/** A context of CUDA or ROCm takes 0.3 to 0.5 GB of each GPU, a desktop as much again. */
const GPU_RESERVE_BYTES = 0.5e9
const GPU_RESERVE = 0.05
const SYSTEM_RESERVE_BYTES = 2e9
const SYSTEM_RESERVE = 0.1
/** Weights are most of it; a context of a few thousand tokens and buffers are a tenth to a quarter on top. */
const FILE_FACTOR = 1.25
/** Of what is free, Ollama (0.33, sched.go) lets a model take so much beside others. */
const BESIDE = 0.8
/** Every token reads all of the weights: a GPU's memory gives 500 to 1,000 GB/s, a machine's 50 to 100. */
const OFFLOADED_SLOWER = 10

/** Undefined where it is not known. */
export function memoryOf(equipment: NodeEquipment | undefined): Memory | undefined {
  if (equipment === undefined) return undefined
  const { gpus, gpusKnown, memoryBytes } = equipment
  const own = gpus.filter(({ unified }) => unified !== true)
  if (own.length > 0) {
    if (own.some(({ memoryBytes }) => memoryBytes === undefined)) return undefined
    const bytes = own.reduce(
      (sum, { memoryBytes = 0 }) => sum + spare(memoryBytes, GPU_RESERVE, GPU_RESERVE_BYTES),
      0,
    )
    return { bytes, gpu: true } // (1), (2)
  }
  const shared = gpus.find(({ vendor }) => SHARERS.has(vendor))
  if (shared !== undefined) {
    if (shared.memoryBytes === undefined) return undefined
    return { bytes: spare(shared.memoryBytes, GPU_RESERVE, GPU_RESERVE_BYTES), gpu: true }
  }
  if (!gpusKnown || memoryBytes === undefined) return undefined
  return { bytes: spare(memoryBytes, SYSTEM_RESERVE, SYSTEM_RESERVE_BYTES), gpu: false }
}

/** What a model may be spread over at most, the machine's own memory included. What is larger cannot be loaded at all. */
export function mostOf(equipment: NodeEquipment | undefined): number | undefined {
  const memory = memoryOf(equipment)
  if (memory === undefined || equipment?.memoryBytes === undefined) return undefined
  const main = spare(equipment.memoryBytes, SYSTEM_RESERVE, SYSTEM_RESERVE_BYTES)
  const own = equipment.gpus.some(({ unified }) => unified !== true)
  return own ? memory.bytes + main : Math.max(memory.bytes, main)
}

/** Of GPUs that share the machine's memory, those that Ollama uses. */
const SHARERS: ReadonlySet<string> = new Set(['apple', 'amd', 'nvidia'])

/** The most it took on any node that was seen. Undefined where it never was in memory. */
export function mostTaken(replicas: Iterable<Replica>): number | undefined {
  let most: number | undefined
  for (const { residence } of replicas)
    if (residence !== undefined && residence.sizeBytes > (most ?? 0)) most = residence.sizeBytes
  return most
}

/** (3) */
export function neededBytes(
  { residence, sizeBytes }: Pick<Replica, 'residence' | 'sizeBytes'>,
  elsewhere: number | undefined,
): number {
  return residence?.sizeBytes ?? elsewhere ?? sizeBytes * FILE_FACTOR
}

/** What a copy in memory holds of it. */
export function heldBytes(replica: Replica, { gpu }: Memory): number {
  const { residence, state } = replica
  if (residence === undefined || state === 'loading') return neededBytes(replica, undefined)
  return gpu ? residence.vramBytes : residence.sizeBytes
}

/** (4) So much is free while others stay. */
export function fitsBeside(needed: number, freeBytes: number, { gpu }: Memory): boolean {
  return needed <= freeBytes * (gpu ? BESIDE : 1)
}

/** (5) How many times as long an answer takes where only a part fits. */
export function slowerBy(needed: number, { bytes }: Memory): number {
  return needed <= bytes ? 1 : 1 + (OFFLOADED_SLOWER - 1) * (1 - bytes / needed)
}

function spare(bytes: number, share: number, least: number): number {
  return Math.max(0, bytes - Math.max(least, share * bytes))
}
