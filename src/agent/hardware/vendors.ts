/** Whom to ask for GPUs: by platform, and by what the bus says that there may be. */
import { join } from 'node:path'
import { exists, type Roots, text } from './files.ts'
import { type Found, NONE } from './gpus.ts'
import { driversOwn, nvidiaReader } from './nvidia.ts'
import { cardsOf } from './pci.ts'
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
}

export function gpuReaders(needs: GpuReaderNeeds): readonly GpuReader[] {
  return [nvidia(needs)]
}

function nvidia({ tools, roots, platform, memoryBytes }: GpuReaderNeeds): GpuReader {
  const reader = nvidiaReader(tools, memoryBytes)
  return {
    name: 'GPUs by nvidia-smi',
    async read(signal) {
      const cards = platform === 'linux' ? await cardsOf(roots) : undefined
      const there = cards?.some(({ vendor }) => vendor === 'nvidia') || (await onBoard(roots))
      const tool = await tools.find('nvidia-smi')
      if (tool !== undefined) {
        if (cards !== undefined && !there && !(await paravirtual(roots))) return NONE
        return await reader.read(signal)
      }
      if (!there) return { ...NONE, known: cards !== undefined }
      return { gpus: await driversOwn(roots), loads: [], known: false }
    },
  }
}

/** A Jetson's GPU is on no bus. */
async function onBoard({ proc }: Roots): Promise<boolean> {
  return /nvidia,tegra/.test((await text(join(proc, 'device-tree/compatible'))) ?? '')
}

/** In WSL the GPU is Windows's, and on no bus either. */
async function paravirtual({ root }: Roots): Promise<boolean> {
  return await exists(join(root, 'dev/dxg'))
}
