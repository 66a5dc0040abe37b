/**
 * The GPUs of a Mac: system_profiler says which there are, ioreg how busy they are. Apple's own share the machine's memory,
 * and may use a part of it.
 */
import type { Gpu, GpuLoad } from '../../rpc/messages.ts'
import { type Found, MEBIBYTE } from './gpus.ts'
import { known } from './proc.ts'
import type { Tools } from './tools.ts'

/** For the first, a second of a processor: it is asked seldom. */
const LIST_MS = 600_000

export interface AppleReader {
  read(signal: AbortSignal): Promise<Found>
}

export function appleReader(
  tools: Tools,
  memoryBytes: () => number | undefined,
  monotonic: () => number,
): AppleReader {
  let list: { readonly gpus: readonly Gpu[]; readonly at: number } | undefined
  return {
    async read(signal) {
      if (list === undefined || monotonic() - list.at >= LIST_MS) {
        const { stdout } = await tools.run('system_profiler', ['SPDisplaysDataType', '-json'], signal)
        const limit = await tools.run('sysctl', ['-n', 'iogpu.wired_limit_mb'], signal).catch(() => undefined)
        list = { gpus: parseProfile(stdout, memoryBytes(), limit?.stdout), at: monotonic() }
      }
      const { gpus } = list
      const { stdout } = await tools
        .run('ioreg', ['-r', '-d', '1', '-w', '0', '-c', 'IOAccelerator'], signal)
        .catch(() => ({ stdout: '' }))
      return { gpus, loads: parseAccelerators(stdout, gpus), known: true }
    },
  }
}

interface Display {
  readonly _name?: unknown
  readonly sppci_model?: unknown
  readonly spdisplays_vendor?: unknown
  readonly spdisplays_vram?: unknown
  readonly _spdisplays_vram?: unknown
  readonly spdisplays_vram_shared?: unknown
}

/** Throws where it is not what system_profiler prints. */
export function parseProfile(json: string, machineBytes?: number, wiredLimitMiB?: string): readonly Gpu[] {
  const { SPDisplaysDataType: displays } = JSON.parse(json) as { SPDisplaysDataType: readonly Display[] }
  return displays.map((display, i) => {
    const vendor = vendorOf(
      `${display.spdisplays_vendor ?? ''} ${display.sppci_model ?? display._name ?? ''}`,
    )
    const unified = vendor === 'apple' || display.spdisplays_vram_shared !== undefined
    const own = size(display.spdisplays_vram ?? display._spdisplays_vram)
    return {
      // Macs number them, and say nothing else that stays.
      id: `mac:${i}`,
      vendor,
      model: text(display.sppci_model) ?? text(display._name) ?? '',
      unified,
      driver: 'metal',
      ...known({
        memoryBytes:
          vendor === 'apple'
            ? workingSet(machineBytes, wiredLimitMiB)
            : unified
              ? size(display.spdisplays_vram_shared)
              : own,
      }),
    }
  })
}

/**
 * What Metal recommends as the most that models hold at once: what was set with sysctl, else two thirds of the memory up to
 * 32 GiB, and three quarters of more. Measured on many Macs, nowhere promised.
 */
function workingSet(machineBytes: number | undefined, wiredLimitMiB = ''): number | undefined {
  const limit = Number(wiredLimitMiB.trim())
  if (limit > 0) return limit * MEBIBYTE
  if (machineBytes === undefined) return undefined
  return Math.floor(machineBytes <= 32 * 1_024 ** 3 ? (machineBytes * 2) / 3 : (machineBytes * 3) / 4)
}

/** ioreg: an entry a GPU, with its figures in one line. Of several, which is which is told by its class. */
export function parseAccelerators(text: string, gpus: readonly Gpu[]): readonly GpuLoad[] {
  const loads: GpuLoad[] = []
  for (const entry of text.split(/^(?=\+-o )/m)) {
    const kind = /^\+-o (\S+)/.exec(entry)?.[1] ?? ''
    const vendor = vendorOf(kind)
    const figures = /"PerformanceStatistics" = \{(.*)\}\s*$/m.exec(entry)?.[1]
    const gpu = gpus.find(({ vendor: of, id }) => of === vendor && !loads.some(load => load.id === id))
    if (figures === undefined || gpu === undefined) continue
    const say = (name: string): number | undefined => {
      const figure = new RegExp(`"${name}"=(\\d+)(?=[,}]|$)`).exec(figures)?.[1]
      return figure === undefined ? undefined : Number(figure)
    }
    const percent = say('Device Utilization %') ?? say('GPU Activity\\(%\\)')
    loads.push({
      id: gpu.id,
      ...known({
        utilisation: percent === undefined ? undefined : Math.min(percent / 100, 1),
        memoryUsedBytes: gpu.vendor === 'apple' ? say('In use system memory') : say('inUseVidMemoryBytes'),
        temperatureC: say('Temperature\\(C\\)'),
        powerW: say('Total Power\\(W\\)'),
      }),
    })
  }
  return loads
}

function vendorOf(words: string): string {
  if (/apple|^AGX/i.test(words)) return 'apple'
  if (/amd|radeon|ati\b|0x1002/i.test(words)) return 'amd'
  if (/intel|0x8086/i.test(words)) return 'intel'
  if (/nvidia|geforce|0x10de/i.test(words)) return 'nvidia'
  return ''
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined
}

/** `8 GB`, `1536 MB` */
function size(value: unknown): number | undefined {
  const [, figure, unit] = /^(\d+)\s*(MB|GB)$/.exec(text(value) ?? '') ?? []
  return figure === undefined ? undefined : Number(figure) * (unit === 'GB' ? 1_024 : 1) * MEBIBYTE
}
