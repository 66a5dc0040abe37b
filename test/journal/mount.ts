/** Small disks of their own, where root may have them: on a tmpfs. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A disk of its own, small enough to fill. */
export function mount(mebibytes: number): { disk: string; unmount: () => void } | undefined {
  const disk = mkdtempSync(join(tmpdir(), 'quipu-disk-'))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'quipu-test', disk])
  const unmount = (): void => {
    if (status === 0) spawnSync('umount', ['-l', disk])
    rmdirSync(disk)
  }
  if (status === 0) return { disk, unmount }
  unmount()
  return undefined
}

const tried = mount(1)
tried?.unmount()
/** Why a test that needs one is skipped; false where it need not be. */
export const NO_DISK = tried === undefined && 'a small disk cannot be mounted here: that takes root, on Linux'
