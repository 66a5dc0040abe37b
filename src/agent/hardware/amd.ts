/**
 * AMD's GPUs, by what the driver amdgpu shows in /sys: no program is started. What is missing there, a name or the size of
 * the memory, is taken from amd-smi or rocm-smi where one is installed (rocm.ts).
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Gpu, GpuLoad } from '../../rpc/messages.ts'
import { names, type Roots, whole, word } from './files.ts'
import type { Found } from './gpus.ts'
import type { Card } from './pci.ts'
import { known } from './proc.ts'

/** The cards that the bus shows. Those without a driver are named, and nothing else is known of them. */
export async function readAmd(
  roots: Roots,
  cards: readonly Card[],
  memoryBytes: number | undefined,
): Promise<Found> {
  const read = await Promise.all(cards.map(card => readCard(roots, card, memoryBytes)))
  return {
    gpus: read.map(({ gpu }) => gpu),
    loads: read.map(({ load }) => load),
    known: cards.every(({ driver }) => driver === 'amdgpu'),
  }
}

async function readCard(
  roots: Roots,
  card: Card,
  machineBytes: number | undefined,
): Promise<{ readonly gpu: Gpu; readonly load: GpuLoad }> {
  const dir = join(roots.sys, 'bus/pci/devices', card.address)
  const [product, version] = await Promise.all([
    word(join(dir, 'product_name')),
    word(join(roots.sys, 'module/amdgpu/version')),
  ])
  const model = product ?? card.model
  const id = card.address
  const driver = [card.driver ?? '', version ?? ''].join(' ').trim()
  // To read the sensors of a card that sleeps wakes it up, every time, and a laptop with it.
  const asleep = (await word(join(dir, 'power/runtime_status'))) === 'suspended'
  const [vram, vramUsed, gtt, gttUsed, busy, metrics] = await Promise.all([
    whole(join(dir, 'mem_info_vram_total')),
    asleep ? undefined : whole(join(dir, 'mem_info_vram_used')),
    whole(join(dir, 'mem_info_gtt_total')),
    asleep ? undefined : whole(join(dir, 'mem_info_gtt_used')),
    asleep ? undefined : whole(join(dir, 'gpu_busy_percent')),
    asleep ? undefined : readFile(join(dir, 'gpu_metrics')).catch(() => undefined),
  ])
  const unified = metrics === undefined ? inProcessor(vram, machineBytes) : isProcessors(metrics)
  // A processor's GPU has a piece cut out of the memory, and may have of the rest; how much it is told may exceed that.
  const borrowed = gtt === undefined ? undefined : Math.min(gtt, machineBytes ?? gtt)
  const sensors = asleep ? {} : await readSensors(dir)
  return {
    gpu: {
      id,
      vendor: 'amd',
      model,
      unified,
      driver,
      ...known({ memoryBytes: unified ? sum(vram, borrowed) : vram }),
    },
    load: {
      id,
      ...known({
        utilisation: busy === undefined ? undefined : Math.min(Math.max(busy / 100, 0), 1),
        memoryUsedBytes: unified ? sum(vramUsed, gttUsed) : vramUsed,
        throttled: metrics === undefined ? undefined : tooHot(metrics),
      }),
      ...sensors,
    },
  }
}

/** The folder hwmon of the device has one folder, hwmon3 or so. */
async function readSensors(
  device: string,
): Promise<Pick<GpuLoad, 'temperatureC' | 'powerW' | 'powerLimitW'>> {
  const base = join(device, 'hwmon')
  const dir = join(base, (await names(base))?.[0] ?? '-')
  const [temperature, average, now, cap] = await Promise.all(
    ['temp1_input', 'power1_average', 'power1_input', 'power1_cap'].map(name => whole(join(dir, name))),
  )
  return known({
    temperatureC: temperature === undefined ? undefined : temperature / 1_000,
    powerW: watts(average ?? now),
    // A processor's GPU says that its limit is 0: it has none of its own.
    powerLimitW: cap === 0 ? undefined : watts(cap),
  })
}

function watts(microwatts: number | undefined): number | undefined {
  return microwatts === undefined ? undefined : microwatts / 1_000_000
}

function sum(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a + b
}

/** Where it does not say: a card of its own with less than 2 GiB runs no models, and a processor's GPU is cut that or less. */
function inProcessor(vram: number | undefined, machineBytes: number | undefined): boolean {
  return vram !== undefined && machineBytes !== undefined && vram < 2 * 1_024 ** 3
}

/**
 * gpu_metrics, as drivers/gpu/drm/amd/include/kgd_pp_interface.h of Linux has it: its size in two bytes, then its format and
 * revision. Format 1 is of cards, 2 and 3 are of processors.
 */
export function isProcessors(metrics: Uint8Array): boolean {
  return metrics[2] === 2 || metrics[2] === 3
}

/** Where the word is that says alike for all chips what holds the clock back, by format and revision. */
const HELD_BACK_AT: Readonly<Record<string, number>> = { '1.3': 112, '2.2': 120, '2.3': 120, '2.4': 120 }
/** Below it no card of AMD's slows down for heat, whatever it says: Navi 31 says so at rest, with 41 °C. */
const WARM_C = 80

/**
 * Bits 32 to 47 of that word (amdgpu_smu.h) are heat. Power and current are below, and at full load one of them always is at
 * its limit. Other formats have no such word.
 */
export function tooHot(metrics: Uint8Array): boolean | undefined {
  const at = HELD_BACK_AT[`${metrics[2]}.${metrics[3]}`]
  if (at === undefined || metrics.byteLength < at + 8) return undefined
  const view = new DataView(metrics.buffer, metrics.byteOffset, metrics.byteLength)
  const status = view.getBigUint64(at, true)
  // All bits at once is how it says that it has no such reading.
  if (status === 0xffff_ffff_ffff_ffffn) return undefined
  return ((status >> 32n) & 0xffffn) !== 0n && (metrics[2] !== 1 || hottest(view) >= WARM_C)
}

/** Of format 1: six sensors in °C, from the edge of the chip to its supply of power. */
function hottest(view: DataView): number {
  const sensors = [4, 6, 8, 10, 12, 14].map(at => view.getUint16(at, true))
  return Math.max(...sensors.filter(celsius => celsius !== 0xffff), 0)
}
