/**
 * What would be on the disk if the power were cut: every call that writes, syncs, renames or removes is noted on its
 * way to the real file system. Of what is not synced nobody knows what is there: chance decides, sector by sector and
 * name by name. What is synced is there.
 */
import fs, { type FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { basename, dirname, join } from 'node:path'

/** What a file holds; names come and go. */
interface Inode {
  now: Buffer
  synced: Buffer
}

export interface Platter {
  /** How often something was synced, by the name of the file, or `.` for the folder. */
  readonly syncs: ReadonlyMap<string, number>
  /** Writes what a power cut now would leave into `to`, a new folder. */
  cut(to: string, below: (limit: number) => number): Promise<void>
  stop(): void
}

const SECTOR_BYTES = 512

/** Notes what happens to the files right in `folder`, which is there and empty. Each sync takes `pause` longer. */
export async function platter(folder: string, pause = async () => {}): Promise<Platter> {
  const inodes = new Map<FileHandle, Inode>()
  const folders = new WeakSet<FileHandle>()
  const names = new Map<FileHandle, string>()
  let now = new Map<string, Inode>()
  let synced = new Map<string, Inode>()
  /** Every state the folder had since it was synced: one of them is on the disk. */
  let since: Map<string, Inode>[] = []
  const syncs = new Map<string, number>()
  const change = (next: Map<string, Inode>): void => {
    now = next
    since.push(next)
  }

  const real = { open: fs.open, rename: fs.rename, rm: fs.rm }
  const probe = await real.open(folder)
  const proto = Object.getPrototypeOf(probe) as Record<
    'write' | 'sync' | 'datasync',
    (...a: any[]) => Promise<any>
  >
  await probe.close()
  const { write, sync, datasync } = proto

  async function noted(file: FileHandle, run: () => Promise<void>): Promise<void> {
    const inode = inodes.get(file)
    const [states, folderNow] = [since.length, now]
    const bytes = inode?.now
    await pause()
    await run()
    const what = folders.has(file) ? '.' : (names.get(file) ?? '')
    syncs.set(what, (syncs.get(what) ?? 0) + 1)
    // What came while it synced may have missed it.
    if (inode !== undefined && bytes !== undefined) inode.synced = bytes
    else if (folders.has(file)) {
      synced = folderNow
      since = since.slice(states)
    }
  }

  Object.assign(fs, {
    async open(path: string, ...rest: any[]) {
      const file = await real.open(path, ...(rest as [string]))
      if (path === folder) folders.add(file)
      if (dirname(path) !== folder) return file
      const name = basename(path)
      names.set(file, name)
      const truncates = rest[0] === 'w'
      const known = now.get(name)
      if (truncates || known === undefined) {
        const inode = known ?? { now: Buffer.alloc(0), synced: Buffer.alloc(0) }
        inode.now = Buffer.alloc(0)
        if (known === undefined) change(new Map(now).set(name, inode))
      }
      inodes.set(file, now.get(name)!)
      return file
    },
    async rename(from: string, to: string) {
      await real.rename(from, to)
      const next = new Map(now)
      next.set(basename(to), next.get(basename(from))!)
      next.delete(basename(from))
      change(next)
    },
    async rm(path: string, ...rest: any[]) {
      await real.rm(path, ...rest)
      const next = new Map(now)
      if (dirname(path) === folder && next.delete(basename(path))) change(next)
    },
  })
  Object.assign(proto, {
    async write(this: FileHandle, bytes: Buffer, offset: number, length: number, position: number) {
      const done = await write.call(this, bytes, offset, length, position)
      const inode = inodes.get(this)
      if (inode !== undefined) {
        const text = Buffer.alloc(Math.max(inode.now.length, position + done.bytesWritten))
        inode.now.copy(text)
        bytes.copy(text, position, offset, offset + done.bytesWritten)
        inode.now = text
      }
      return done
    },
    sync(this: FileHandle) {
      return noted(this, () => sync.call(this))
    },
    datasync(this: FileHandle) {
      return noted(this, () => datasync.call(this))
    },
  })
  syncBuiltinESMExports()

  return {
    syncs,
    async cut(to, below) {
      const states = [synced, ...since]
      // Copied before anything is awaited: the world goes on.
      const files = [...states[below(states.length)]!].map(([name, inode]) => [name, { ...inode }] as const)
      await fs.mkdir(to)
      for (const [name, inode] of files) await fs.writeFile(join(to, name), left(inode, below))
    },
    stop() {
      Object.assign(fs, real)
      Object.assign(proto, { write, sync, datasync })
      syncBuiltinESMExports()
    },
  }
}

/** Some sectors are as they were synced, some as they were written last. */
function left({ now, synced }: Inode, below: (limit: number) => number): Buffer {
  if (now.equals(synced)) return now
  const text = Buffer.alloc(below(2) === 0 ? now.length : synced.length)
  for (let at = 0; at < text.length; at += SECTOR_BYTES) {
    const from = below(2) === 0 ? now : synced
    from.subarray(at, at + SECTOR_BYTES).copy(text, at)
  }
  return text
}
