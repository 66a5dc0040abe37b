/** Files of /proc, /sys and /etc, which may be missing, locked, or something else: then nothing is known. */
import { access, readdir, readFile, readlink, realpath } from 'node:fs/promises'

/** Where the kernel shows itself; other folders in tests. */
export interface Roots {
  readonly proc: string
  readonly sys: string
  readonly etc: string
  /** Where lists of names of devices are, and marks of containers. */
  readonly root: string
}

export const ROOTS: Roots = { proc: '/proc', sys: '/sys', etc: '/etc', root: '/' }

export async function text(path: string): Promise<string | undefined> {
  return await readFile(path, 'utf8').catch(() => undefined)
}

/** Its first word, where that is a whole number. */
export async function whole(path: string): Promise<number | undefined> {
  const said = (await text(path))?.trim()
  return said !== undefined && /^-?\d{1,15}$/.test(said) ? Number(said) : undefined
}

export async function word(path: string): Promise<string | undefined> {
  return (await text(path))?.trim() || undefined
}

/** In order; undefined where it cannot be listed. */
export async function names(path: string): Promise<string[] | undefined> {
  return await readdir(path).then(
    found => found.sort(),
    () => undefined,
  )
}

export async function target(path: string): Promise<string | undefined> {
  return await readlink(path).catch(() => undefined)
}

export async function resolved(path: string): Promise<string | undefined> {
  return await realpath(path).catch(() => undefined)
}

export async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}
