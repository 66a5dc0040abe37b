/** Whom to ask for GPUs: by platform, and by what the bus says that there may be. */
import { join } from 'node:path'
import { readAmd } from './amd.ts'
import { appleReader } from './apple.ts'
import { exists, type Roots, text, word } from './files.ts'
import { type Found, NONE } from './gpus.ts'
import { readIntel } from './intel.ts'
import { driversOwn, nvidiaReader } from './nvidia.ts'
import { type Bus, type Card, openBus, type Vendor } from './pci.ts'
import { askAmd, ekeOut, type Told } from './rocm.ts'
import type { Tools } from './tools.ts'

export interface GpuReader {
  /** For people. */
  readonly name: string
  readonly read: (signal: AbortSignal) => Promise<Found>
}

export interface GpuReaderNeeds {
  readonly tools: Tools
  readonly roots: Roots
  readonly platform: NodeJS.Platform
  /** Of the machine, where that is known. */
  readonly memoryBytes: () => number | undefined
  readonly monotonic: () => number
}

export function gpuReaders(needs: GpuReaderNeeds): readonly GpuReader[] {
  if (needs.platform === 'darwin') {
    const { read } = appleReader(needs.tools, needs.memoryBytes, needs.monotonic)
    return [{ name: 'GPUs by system_profiler', read }]
  }
  if (needs.platform === 'linux') {
    const bus = openBus(needs.roots, needs.monotonic)
    return [nvidia(needs, bus), amd(needs, bus), intel(needs, bus)]
  }
  // Elsewhere there is no bus to look at, and other GPUs than NVIDIA's may be there.
  const { read } = nvidiaReader(needs.tools, needs.memoryBytes)
  return [
    {
      name: 'GPUs by nvidia-smi',
      read: async signal =>
        (await needs.tools.find('nvidia-smi')) === undefined
          ? { ...NONE, known: false }
          : { ...(await read(signal)), known: false },
    },
  ]
}

function nvidia({ tools, roots, memoryBytes }: GpuReaderNeeds, bus: Bus): GpuReader {
  const reader = nvidiaReader(tools, memoryBytes)
  let last: Found | undefined
  return {
    name: 'GPUs by nvidia-smi',
    async read(signal) {
      const cards = await bus.cards()
      const windows = await underWindows(roots)
      const mine = of(cards, 'nvidia')
      // A tool that came with an image is not asked for cards that are not there.
      if (cards !== undefined && mine.length === 0 && !windows && !(await onBoard(roots))) return NONE
      if ((await tools.find('nvidia-smi')) === undefined)
        return { gpus: await driversOwn(roots), loads: [], known: false }
      // A laptop's card that sleeps would be woken up each time, and never sleep again.
      if (last !== undefined && mine.length > 0 && (await allAsleep(roots, mine)))
        return { ...last, loads: [] }
      const found = await reader.read(signal)
      last = windows ? { ...found, known: false } : found
      return last
    },
  }
}

async function allAsleep({ sys }: Roots, cards: readonly Card[]): Promise<boolean> {
  const states = await Promise.all(
    cards.map(({ address }) => word(join(sys, 'bus/pci/devices', address, 'power/runtime_status'))),
  )
  return states.every(state => state === 'suspended')
}

/** A name that a tool was asked for in vain is asked for again after so long. */
const NAMES_MS = 3_600_000

function amd({ tools, roots, memoryBytes, monotonic }: GpuReaderNeeds, bus: Bus): GpuReader {
  let told: { readonly told: Told; readonly at: number } | undefined
  return {
    name: 'GPUs by amdgpu',
    async read(signal) {
      const cards = await bus.cards()
      if (cards === undefined) return { ...NONE, known: false }
      const mine = of(cards, 'amd')
      if (mine.length === 0) return NONE
      const found = await readAmd(roots, mine, memoryBytes())
      const sizeless = found.gpus.some(gpu => gpu.memoryBytes === undefined)
      const nameless = found.gpus.some(gpu => gpu.model === '')
      if (sizeless || (nameless && (told === undefined || monotonic() - told.at >= NAMES_MS)))
        told = { told: (await askAmd(tools, signal)) ?? new Map(), at: monotonic() }
      if (told === undefined) return found
      // Names last; figures are those of now, or none.
      return ekeOut(
        found,
        sizeless ? told.told : new Map([...told.told].map(([id, { model = '' }]) => [id, { model }])),
      )
    },
  }
}

function intel({ roots }: GpuReaderNeeds, bus: Bus): GpuReader {
  return {
    name: 'GPUs by i915 and xe',
    async read() {
      const cards = await bus.cards()
      return cards === undefined ? { ...NONE, known: false } : await readIntel(roots, of(cards, 'intel'))
    },
  }
}

function of(cards: readonly Card[] | undefined, vendor: Vendor): readonly Card[] {
  return cards?.filter(card => card.vendor === vendor) ?? []
}

/** A Jetson's GPU is on no bus. */
async function onBoard({ proc }: Roots): Promise<boolean> {
  return /nvidia,tegra/.test((await text(join(proc, 'device-tree/compatible'))) ?? '')
}

/** In WSL the GPU is Windows's, and on no bus either. */
async function underWindows({ root }: Roots): Promise<boolean> {
  return await exists(join(root, 'dev/dxg'))
}
