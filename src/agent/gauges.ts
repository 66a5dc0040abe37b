/**
 * Which readings are worth telling anew: a gauge that never stands still would otherwise be told every time. What is told
 * stays the truth to within these steps, because each reading is held against the one that was told last.
 */
import type { GpuLoad, Load } from '../rpc/messages.ts'

const SHARE = 0.02
const MEMORY_BYTES = 16 * 1024 * 1024
const DEGREES = 1
const WATTS = 5
/** Of what flows, a tenth; and what is less than that is silence. */
const FLOW = 0.1
const FLOW_BYTES_PER_S = 10_000

type Step = (told: number, now: number) => boolean

const by =
  (least: number): Step =>
  (told, now) =>
    Math.abs(now - told) >= least
const any: Step = (told, now) => told !== now
const flow: Step = (told, now) => Math.abs(now - told) >= Math.max(FLOW_BYTES_PER_S, told * FLOW)

/** One of many is busy now and then. */
const core: Step = by(0.1)

type LoadGauge = Exclude<keyof Load, 'cores' | 'gpus'>
type CardGauge = Exclude<keyof GpuLoad, 'id' | 'throttled'>

const load: Readonly<Record<LoadGauge, Step>> = {
  uptimeS: (told, now) => now < told,
  cpu: by(SHARE),
  memoryFreeBytes: by(MEMORY_BYTES),
  swapTotalBytes: any,
  swapUsedBytes: by(MEMORY_BYTES),
  diskFreeBytes: by(MEMORY_BYTES),
  receivedBytesPerS: flow,
  sentBytesPerS: flow,
  inFlight: any,
}

const card: Readonly<Record<CardGauge, Step>> = {
  utilisation: by(SHARE),
  memoryUsedBytes: by(MEMORY_BYTES),
  temperatureC: by(DEGREES),
  powerW: by(WATTS),
  powerLimitW: any,
}

/** Whether what was told last has become wrong. A reading that came or went is always worth it. */
export function differs(told: Load, now: Load): boolean {
  return (
    moved<LoadGauge>(load, told, now) ||
    told.cores.length !== now.cores.length ||
    told.cores.some((share, i) => core(share, now.cores[i]!)) ||
    told.gpus.length !== now.gpus.length ||
    told.gpus.some((gpu, i) => cardDiffers(gpu, now.gpus[i]!))
  )
}

function cardDiffers(told: GpuLoad, now: GpuLoad): boolean {
  return told.id !== now.id || told.throttled !== now.throttled || moved<CardGauge>(card, told, now)
}

function moved<K extends string>(
  steps: Readonly<Record<K, Step>>,
  told: { readonly [Gauge in K]?: number },
  now: { readonly [Gauge in K]?: number },
): boolean {
  return (Object.keys(steps) as K[]).some(gauge => {
    const [before, after] = [told[gauge], now[gauge]]
    if (before === undefined || after === undefined) return before !== after
    return steps[gauge](before, after)
  })
}
