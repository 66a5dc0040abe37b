/** Folders that look like /sys and /proc, made of listings: `path = text`, `path -> target`, `path : bytes in hex`. */
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import type { Roots } from '../../../src/agent/hardware/files.ts'

export async function fixture(name: string): Promise<string> {
  return await readFile(join(import.meta.dirname, 'fixtures', name), 'utf8')
}

export async function folder(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'quipu-hardware-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** One folder with sys, proc, etc and root in it. Listings are texts of fixtures, or written in place. */
export async function machineRoots(
  t: Test,
  listings: {
    readonly sys?: readonly string[]
    readonly proc?: string
    readonly root?: string
    etc?: string
  },
): Promise<Roots> {
  const dir = await folder(t)
  const roots = {
    sys: join(dir, 'sys'),
    proc: join(dir, 'proc'),
    etc: join(dir, 'etc'),
    root: join(dir, 'root'),
  }
  for (const root of Object.values(roots)) await mkdir(root)
  for (const listing of listings.sys ?? []) await unpack(roots.sys, listing)
  for (const name of ['proc', 'root', 'etc'] as const) await unpack(roots[name], listings[name] ?? '')
  return roots
}

export async function unpack(root: string, listing: string): Promise<void> {
  for (const line of listing.split('\n')) {
    const [, path, sign, rest = ''] = /^([^#\s][^=]*?) (=|->|:)(?: (.*))?$/.exec(line) ?? []
    if (path === undefined) continue
    const place = join(root, path)
    await mkdir(dirname(place), { recursive: true })
    if (sign === '->') await symlink(rest, place)
    else if (sign === ':') await writeFile(place, Buffer.from(rest, 'hex'))
    else await writeFile(place, `${rest.replaceAll('\\n', '\n')}\n`)
  }
}
