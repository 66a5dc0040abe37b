/** What an agent says of a whole machine, in a few figures: what tables and samples show. Pure. */
import type { Heard } from './hearsay.ts'

/** What is not known is left out. Shares are 0 to 1. */
export interface Gauges {
  readonly cpu?: number
  readonly memoryBytes?: number
  readonly memoryFreeBytes?: number
  readonly diskFreeBytes?: number
  /** Of each GPU, its model. */
  readonly gpus?: readonly string[]
  /** Of those GPUs that tell both, together. */
  readonly vramBytes?: number
  readonly vramUsedBytes?: number
  /** The mean of those that tell. */
  readonly gpu?: number
  /** Of the hottest. */
  readonly temperatureC?: number
  /** Of those that tell, together. */
  readonly powerW?: number
}

export function gaugesOf({ equipment, load }: Heard): Gauges {
  const known = new Map(load?.gpus.map(gpu => [gpu.id, gpu]))
  const memories = (equipment?.gpus ?? []).flatMap(({ id, memoryBytes }) => {
    const { memoryUsedBytes } = known.get(id) ?? {}
    return memoryBytes === undefined || memoryUsedBytes === undefined
      ? []
      : [{ memoryBytes, memoryUsedBytes }]
  })
  const told = (read: (gpu: NonNullable<typeof load>['gpus'][number]) => number | undefined): number[] =>
    (load?.gpus ?? []).map(read).filter(value => value !== undefined)
  const busy = told(({ utilisation }) => utilisation)
  const warm = told(({ temperatureC }) => temperatureC)
  const drawn = told(({ powerW }) => powerW)
  return {
    ...(load?.cpu !== undefined && { cpu: load.cpu }),
    ...(equipment?.memoryBytes !== undefined && { memoryBytes: equipment.memoryBytes }),
    ...(load?.memoryFreeBytes !== undefined && { memoryFreeBytes: load.memoryFreeBytes }),
    ...(load?.diskFreeBytes !== undefined && { diskFreeBytes: load.diskFreeBytes }),
    ...(equipment !== undefined && { gpus: equipment.gpus.map(({ model }) => model) }),
    ...(memories.length > 0 && {
      vramBytes: sum(memories.map(({ memoryBytes }) => memoryBytes)),
      vramUsedBytes: sum(memories.map(({ memoryUsedBytes }) => memoryUsedBytes)),
    }),
    ...(busy.length > 0 && { gpu: sum(busy) / busy.length }),
    ...(warm.length > 0 && { temperatureC: Math.max(...warm) }),
    ...(drawn.length > 0 && { powerW: sum(drawn) }),
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0)
}
