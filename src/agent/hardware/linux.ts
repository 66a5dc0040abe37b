/** Linux, from its files. No program is started, unless Arm's kernel does not know what its processor is called. */
import { arch, platform, release } from 'node:os'
import { join } from 'node:path'
import { Failure } from '../../failure.ts'
import { freeBytes, linuxDisk } from './disk.ts'
import { type Roots, text, word } from './files.ts'
import { readCpuModel, readMeminfo, readOsName, readTicks, readTraffic } from './proc.ts'
import { cpuByLibrary, type System } from './system.ts'

export function linuxSystem(roots: Roots): System {
  async function must(path: string): Promise<string> {
    const said = await text(path)
    if (said === undefined) throw new Failure('hardware.unreadable', `${path} cannot be read`)
    return said
  }
  return {
    quick: true,
    async os() {
      const said =
        (await text(join(roots.etc, 'os-release'))) ?? (await text(join(roots.root, 'usr/lib/os-release')))
      return {
        platform: platform(),
        name: readOsName(said ?? '') ?? 'Linux',
        kernel: (await word(join(roots.proc, 'sys/kernel/osrelease'))) ?? release(),
        arch: arch(),
      }
    },
    async cpuModel() {
      return (
        readCpuModel((await text(join(roots.proc, 'cpuinfo'))) ?? '') ??
        // A board says what it is: `NVIDIA Jetson AGX Orin Developer Kit`
        (await word(join(roots.proc, 'device-tree/model')))?.replace(/\0/g, '') ??
        (await cpuByLibrary())
      )
    },
    async ticks() {
      return readTicks(await must(join(roots.proc, 'stat')))
    },
    async memory() {
      return readMeminfo(await must(join(roots.proc, 'meminfo')))
    },
    async traffic() {
      return readTraffic(await must(join(roots.proc, 'net/dev')))
    },
    disk: folder => linuxDisk(roots, folder),
    freeBytes,
  }
}
