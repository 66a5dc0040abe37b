/** The volume that a folder is on: what it is, and how much is free. */
import { stat, statfs } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { Equipment } from '../../rpc/messages.ts'
import { type Roots, resolved, text, whole, word } from './files.ts'

type Disk = NonNullable<Equipment['disk']>

const NETWORK =
  /^(?:nfs\d*|cifs|smb\w*|afs|ceph|lustre|glusterfs|beegfs|gpfs|webdav|afpfs|9p|fuse\.(?:sshfs|glusterfs|ceph|s3fs|rclone|cephfs|gcsfuse))$/

/** The nearest folder above that is there: a models folder may come with the first model. */
export async function standing(folder: string): Promise<string | undefined> {
  for (let path = resolve(folder); ; path = dirname(path)) {
    const real = await resolved(path)
    if (real !== undefined) return real
    if (path === dirname(path)) return undefined
  }
}

/** What a user may still write. On a server that is gone this hangs, so it has a reading of its own. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs((await standing(folder)) ?? folder)
  return bavail * bsize
}

export async function sizeBytes(folder: string): Promise<number> {
  const { blocks, bsize } = await statfs((await standing(folder)) ?? folder)
  return blocks * bsize
}

/**
 * A volume that shares a pool with others (ZFS, or a server's) is as large as those leave it, and another size each time it
 * is asked. Such a size stays what it was until it is a tenth off.
 */
export function steady(before: number | undefined, now: number | undefined): number | undefined {
  if (before === undefined || now === undefined) return now
  return Math.abs(now - before) <= before / 10 ? before : now
}

export interface Mount {
  /** `254:1`: of the device, or made up. */
  readonly device: string
  readonly mount: string
  readonly fileSystem: string
  /** `/dev/sda1`, `server:/share` */
  readonly source: string
}

/** /proc/self/mountinfo: the mount that the folder is on. Of several at one place the last one covers the others. */
export function findMount(mountinfo: string, folder: string): Mount | undefined {
  let found: Mount | undefined
  for (const line of mountinfo.split('\n')) {
    // id parent major:minor root mount options [more …] - type source options
    const [before = '', after = ''] = line.split(' - ')
    const [, , device, , mount] = before.split(' ').map(unescaped)
    const [fileSystem, source = ''] = after.split(' ').map(unescaped)
    if (device === undefined || mount === undefined || fileSystem === undefined) continue
    const holds = mount === '/' || folder === mount || folder.startsWith(`${mount}/`)
    if (holds && mount.length >= (found?.mount.length ?? 0)) found = { device, mount, fileSystem, source }
  }
  return found
}

/** Space, tab, newline and backslash are written in octal. */
function unescaped(word: string): string {
  return word.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}

/** On Linux. */
export async function linuxDisk(roots: Roots, folder: string): Promise<Disk | undefined> {
  const path = await standing(folder)
  const mounts = await text(join(roots.proc, 'self/mountinfo'))
  if (path === undefined || mounts === undefined) return undefined
  const found = findMount(mounts, path)
  if (found === undefined) return undefined
  const type = await linuxType(roots, found)
  const size = await sizeBytes(path).catch(() => undefined)
  return {
    mount: found.mount,
    fileSystem: found.fileSystem,
    ...(type === undefined ? {} : { type }),
    ...(size === undefined ? {} : { sizeBytes: size }),
  }
}

async function linuxType(roots: Roots, { device, source, fileSystem }: Mount): Promise<string | undefined> {
  if (NETWORK.test(fileSystem)) return 'network'
  // Btrfs and others make up a device of their own; what they were mounted from is one that is there.
  const places = [join(roots.sys, 'dev/block', device)]
  if (source.startsWith('/dev/')) {
    const name = basename((await resolved(source)) ?? source)
    places.push(join(roots.sys, 'class/block', name))
    const numbers = await stat(source).then(
      ({ rdev }) => `${(rdev >> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >> 12) & 0xfff00)}`,
      () => undefined,
    )
    if (numbers !== undefined) places.push(join(roots.sys, 'dev/block', numbers))
  }
  for (const place of places) {
    const block = await resolved(place)
    if (block === undefined) continue
    // A partition has no queue: that of its disk, which is the folder above, counts.
    const disk = (await whole(join(block, 'queue/rotational'))) === undefined ? dirname(block) : block
    const rotational = await whole(join(disk, 'queue/rotational'))
    if (rotational === 0) return 'ssd'
    if (rotational === 1) return (await virtual(disk)) ? undefined : 'hdd'
  }
  return undefined
}

/** A virtual machine's disk says that it rotates, whatever is beneath it, unless it was told otherwise. */
async function virtual(disk: string): Promise<boolean> {
  if (/^(?:vd|xvd|nbd|rbd|loop)/.test(basename(disk))) return true
  return /^(?:QEMU|Virtual|VMware|VBOX|Msft)/i.test(
    `${await word(join(disk, 'device/vendor'))} ${await word(join(disk, 'device/model'))}`,
  )
}
