/**
 * The machine but for its GPUs. `system` is one on Linux, which tells everything in files (linux.ts); this one is for the
 * others, by systeminformation, whose only importer this is. It is loaded where it is needed: on Linux, that is where the
 * kernel does not know the name of the processor.
 *
 * Of its calls only those are made that start no more than a few quick programs; each is made in the background, and
 * never twice at once, for it cannot be broken off.
 */
import { arch, cpus, release, totalmem, version } from 'node:os'
import type { Equipment } from '../../rpc/messages.ts'
import { freeBytes, sizeBytes, standing } from './disk.ts'
import { known, type Memory, type Ticks, type Traffic } from './proc.ts'
import type { Tools } from './tools.ts'

export interface System {
  /** Whether to read it takes next to nothing, so that whoever asks is told what is now. */
  readonly quick: boolean
  os(signal: AbortSignal): Promise<Equipment['os'] | undefined>
  cpuModel(): Promise<string | undefined>
  ticks(): Promise<ReadonlyMap<string, Ticks>>
  memory(): Promise<Memory>
  traffic(): Promise<ReadonlyMap<string, Traffic>>
  disk(folder: string): Promise<Equipment['disk'] | undefined>
  freeBytes(folder: string): Promise<number>
}

type Library = typeof import('systeminformation')

/** 30 ms and some megabytes: only for those that call it. */
async function library(): Promise<Library> {
  return (await import('systeminformation')).default as unknown as Library
}

/** From its tables of what Arm's numbers mean. */
export async function cpuByLibrary(): Promise<string | undefined> {
  const { manufacturer, brand } = await (await library()).cpu()
  return `${manufacturer} ${brand}`.trim() || undefined
}

/** macOS, Windows and others. */
export function otherSystem(tools: Tools, platform: NodeJS.Platform): System {
  return {
    quick: false,
    async os(signal) {
      const name =
        platform === 'darwin'
          ? await tools.run('sw_vers', [], signal).then(({ stdout }) => macName(stdout))
          : platform === 'win32'
            ? version()
            : undefined
      return { platform, name: name ?? platform, kernel: release(), arch: arch() }
    },
    async cpuModel() {
      return cpus()[0]?.model.trim() || undefined
    },
    async ticks() {
      const each = cpus().map(({ times: { user, nice, sys, idle, irq } }) => {
        const busy = user + nice + sys + irq
        return { busy, total: busy + idle }
      })
      const all = each.reduce((sum, one) => ({ busy: sum.busy + one.busy, total: sum.total + one.total }), {
        busy: 0,
        total: 0,
      })
      return new Map([['cpu', all], ...each.map((one, i) => [`cpu${i}`, one] as const)])
    },
    async memory() {
      const { available, swaptotal, swapfree } = await (await library()).mem()
      // It says 0 where it could not read.
      return known({
        totalBytes: totalmem(),
        availableBytes: available > 0 ? available : undefined,
        swapTotalBytes: Number.isFinite(swaptotal) ? swaptotal : undefined,
        swapFreeBytes: Number.isFinite(swapfree) ? swapfree : undefined,
      })
    },
    async traffic() {
      const rows = await (await library()).networkStats('*')
      return new Map(
        rows
          .filter(
            ({ iface, rx_bytes, tx_bytes }) => !/^lo\d*$|loopback/i.test(iface) && rx_bytes + tx_bytes > 0,
          )
          .map(({ iface, rx_bytes, tx_bytes }) => [iface, { receivedBytes: rx_bytes, sentBytes: tx_bytes }]),
      )
    },
    async disk(folder) {
      const path = await standing(folder)
      if (path === undefined) return undefined
      const { fsSize, diskLayout } = await library()
      const volume = (await fsSize())
        .filter(({ mount }) => mount === '/' || path.toLowerCase().startsWith(mount.toLowerCase()))
        .sort((a, b) => b.mount.length - a.mount.length)[0]
      if (volume === undefined) return undefined
      const kinds = new Set((await diskLayout()).map(({ type }) => type))
      // Which of several disks a volume is on, it does not say: so only where all are of a kind.
      const type = /^(?:nfs|smbfs|cifs|afpfs|webdav)/i.test(volume.type)
        ? 'network'
        : kinds.size === 1
          ? { SSD: 'ssd', NVMe: 'ssd', HD: 'hdd', HDD: 'hdd' }[[...kinds][0]!]
          : undefined
      const size = await sizeBytes(path).catch(() => undefined)
      return {
        mount: volume.mount,
        fileSystem: volume.type.toLowerCase(),
        ...known({ type, sizeBytes: size }),
      }
    },
    freeBytes,
  }
}

/** sw_vers: `macOS 15.3.1` */
export function macName(text: string): string | undefined {
  const say = (name: string): string | undefined =>
    new RegExp(`^${name}:\\s*(.+)$`, 'm').exec(text)?.[1]?.trim()
  const [product, number] = [say('ProductName'), say('ProductVersion')]
  return product === undefined ? undefined : `${product} ${number ?? ''}`.trim()
}
