/**
 * Four fleets to compare policies on. A and B have one model, which every node keeps: only slots and speeds matter.
 * C and D have more models than memory, which is what a house is for.
 */
import type { Fleet, FleetModel, FleetNode } from './fleet.ts'

export interface Preset {
  readonly about: string
  /** How busy it is meant to be. */
  readonly utilisation: number
  readonly fleet: Fleet
}

const SLOTS = 2
const PREFILL_TPS = 1_500
const DECODE_TPS = 40
/** Ollama's own. */
export const KEEP_ALIVE_MS = 300_000

/** By rank of popularity; the names are in no order that would matter. */
const NAMES = ['quill', 'amber', 'fern', 'tide', 'basalt', 'lark'] as const

export const presets = {
  A: { about: '1 model on 5 equal nodes', utilisation: 0.71, fleet: fleet([1, 1, 1, 1, 1], [8], 1) },
  B: {
    about: '1 model on 5 nodes of speed 2 to 0.25',
    utilisation: 0.67,
    fleet: fleet([2, 1.5, 1, 0.5, 0.25], [8], 1),
  },
  C: {
    about: '4 models on 5 equal nodes, 1 in memory',
    utilisation: 0.5,
    fleet: fleet([1, 1, 1, 1, 1], [5, 10, 20, 30], 1),
  },
  D: {
    about: '6 models on 5 nodes of speed 2 to 0.25, 2 in memory',
    utilisation: 0.67,
    fleet: fleet([2, 1.5, 1, 0.5, 0.25], [5, 10, 15, 20, 25, 30], 2),
  },
} as const satisfies Record<string, Preset>

/** Loads in seconds, by popularity. A disk reads 500 MB/s. */
function fleet(speeds: readonly number[], loads: readonly number[], resident: number): Fleet {
  const models = loads.map((seconds, i): FleetModel => {
    const name = `${NAMES[i]}:latest`
    return {
      name,
      sizeBytes: seconds * 5e8,
      loadMs: seconds * 1_000,
      prefillTps: PREFILL_TPS,
      decodeTps: DECODE_TPS,
    }
  })
  const disk = new Map(models.map(({ name }) => [name, {}]))
  const nodes = speeds.map((speed, i): FleetNode => {
    return { name: `node-${i + 1}`, slots: SLOTS, resident, speed, models: disk, off: [] }
  })
  return { keepAliveMs: KEEP_ALIVE_MS, models, nodes }
}
