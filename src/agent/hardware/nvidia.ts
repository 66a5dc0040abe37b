/**
 * NVIDIA's GPUs, by nvidia-smi. One run answers what they are and how busy they are. Drivers differ in the fields they
 * know, and one that a driver does not know spoils the whole answer: so a shorter list is tried.
 */
import { join } from 'node:path'
import { Failure } from '../../failure.ts'
import type { Gpu, GpuLoad } from '../../rpc/messages.ts'
import { names, type Roots, text } from './files.ts'
import { type Found, MEBIBYTE } from './gpus.ts'
import { known } from './proc.ts'
import type { Tools } from './tools.ts'

/** Known to every driver since 2016 or so. */
const FIELDS = [
  'uuid',
  'name',
  'memory.total',
  'memory.used',
  'utilization.gpu',
  'temperature.gpu',
  'power.draw',
  'power.limit',
  'driver_version',
] as const
/** The reasons for a slow clock have had two names, and partitions are younger than the first. Newest first. */
const FURTHER: readonly (readonly string[])[] = [
  ['clocks_event_reasons.active', 'mig.mode.current'],
  ['clocks_throttle_reasons.active', 'mig.mode.current'],
  ['clocks_throttle_reasons.active'],
  [],
]

/**
 * Bits that say that something is wrong: the hardware slows down (0x8), heat by software (0x20) and by hardware (0x40), and
 * the power supply's brake (0x80). Not 0x4, the limit of power that was set: at full load most cards are there, and
 * should be. Not 0x1, 0x2, 0x10, 0x100: nothing to do, or clocks that somebody asked for.
 */
const HELD_BACK = 0x8 | 0x20 | 0x40 | 0x80

export interface NvidiaReader {
  read(signal: AbortSignal): Promise<Found>
}

export function nvidiaReader(tools: Tools, memoryBytes: () => number | undefined): NvidiaReader {
  /** The list of fields that this driver knows. */
  let list = 0
  return {
    async read(signal) {
      for (;;) {
        const fields = [...FIELDS, ...FURTHER[list]!]
        const { stdout, stderr, exitCode } = await tools.run(
          'nvidia-smi',
          [`--query-gpu=${fields.join(',')}`, '--format=csv,noheader,nounits'],
          signal,
        )
        const said = `${stdout}\n${stderr}`.trim()
        if (/is not a valid field to query/i.test(said) && list < FURTHER.length - 1) {
          list += 1
          continue
        }
        const found = parseNvidia(stdout, fields, memoryBytes())
        // It may end badly for one of several GPUs, and have told of the others.
        if (found.gpus.length > 0) return exitCode === 0 ? found : { ...found, known: false }
        if (/^No devices were found/im.test(said)) return { ...found, known: true }
        const first = said.split('\n')[0] || `ended with ${exitCode}`
        throw new Failure('hardware.tool', `nvidia-smi: ${first}`, { retryable: true })
      }
    },
  }
}

/** A line a GPU. `[N/A]` and everything else that is not a number is unknown. */
export function parseNvidia(csv: string, fields: readonly string[], machineBytes?: number): Found {
  const gpus: Gpu[] = []
  const loads: GpuLoad[] = []
  let all = true
  for (const line of csv.split(/\r?\n/)) {
    if (line.trim() === '') continue
    const cells = line.split(',').map(cell => cell.trim())
    const cell = Object.fromEntries(fields.map((field, i) => [field, cells[i] ?? '']))
    const [id, model] = [cell['uuid']!, cell['name']!]
    if (cells.length !== fields.length || !id.startsWith('GPU-') || gpus.some(gpu => gpu.id === id)) {
      all = false
      continue
    }
    const partitioned = cell['mig.mode.current'] === 'Enabled'
    const memory = figure(cell['memory.total'])
    // A chip that shares the machine's memory has none of its own to tell of (Jetson, GB10).
    const unified = memory === undefined && !partitioned && SHARING.test(model)
    gpus.push({
      id,
      vendor: 'nvidia',
      model: named(model),
      unified,
      driver: named(cell['driver_version']!),
      // Where it is cut into partitions, no model can have all of it.
      ...known({
        memoryBytes: partitioned ? undefined : unified ? machineBytes : bytes(memory),
      }),
    })
    const percent = figure(cell['utilization.gpu'])
    loads.push({
      id,
      ...known({
        utilisation: percent === undefined ? undefined : Math.min(percent / 100, 1),
        memoryUsedBytes: partitioned ? undefined : bytes(figure(cell['memory.used'])),
        temperatureC: figure(cell['temperature.gpu']),
        powerW: figure(cell['power.draw']),
        powerLimitW: figure(cell['power.limit']),
        throttled: heldBack(cell['clocks_event_reasons.active'] ?? cell['clocks_throttle_reasons.active']),
      }),
    })
  }
  return { gpus, loads, known: all }
}

const SHARING = /\b(?:Orin|Thor|Xavier|Tegra|GB10|Jetson)\b/i

/** undefined for `[N/A]`, `[Not Supported]`, `[Insufficient Permissions]`, `[Unknown Error]`, `[GPU is lost]`, `ERR!`. */
function figure(cell: string | undefined): number | undefined {
  return cell !== undefined && /^\d{1,15}(?:\.\d+)?$/.test(cell) ? Number(cell) : undefined
}

function bytes(mebibytes: number | undefined): number | undefined {
  return mebibytes === undefined ? undefined : mebibytes * MEBIBYTE
}

function named(cell: string): string {
  return /^\[.*\]$|^ERR!$|^N\/A$/.test(cell) ? '' : cell
}

/** `0x0000000000000044` */
function heldBack(reasons: string | undefined): boolean | undefined {
  if (reasons === undefined || !/^0x[0-9a-f]{1,16}$/i.test(reasons)) return undefined
  return (BigInt(reasons) & BigInt(HELD_BACK)) !== 0n
}

/** What the driver itself says of the cards it has: their names, where nvidia-smi is not there to ask. */
export async function driversOwn({ proc }: Roots): Promise<readonly Gpu[]> {
  const base = join(proc, 'driver/nvidia/gpus')
  const version = /\b(\d+\.\d+(?:\.\d+)?)\b/.exec(
    (await text(join(proc, 'driver/nvidia/version'))) ?? '',
  )?.[1]
  const gpus: Gpu[] = []
  for (const address of (await names(base)) ?? []) {
    const about = (await text(join(base, address, 'information'))) ?? ''
    const say = (name: string): string | undefined => new RegExp(`^${name}:\\s*(.*\\S)`, 'm').exec(about)?.[1]
    const [model, uuid] = [say('Model'), say('GPU UUID')]
    if (model === undefined) continue
    // Until somebody has used the card, its UUID is question marks.
    const id = uuid === undefined || uuid.includes('?') ? address : uuid
    gpus.push({ id, vendor: 'nvidia', model, unified: false, driver: version ?? '' })
  }
  return gpus
}
