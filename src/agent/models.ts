/**
 * What is on the disk of an Ollama: its models folder, read and never written.
 *
 *   manifests/<host>/<namespace>/<model>/<tag>   JSON; its sha256 is the digest that /api/tags shows
 *   blobs/sha256-<64 hexadecimal>                whole once it has that name; …-partial… while it comes
 *
 * Whatever else lies there is passed over. Both folders may be links, because people move them to larger disks; beneath
 * them a link counts only where it stays inside. Names of files are never taken from a manifest: a digest has a grammar,
 * and what does not have it is not looked for.
 *
 * Manifests are read once. Until something in the folder has another time, only times are read again.
 */
import { createHash } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { lstat, open, opendir, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { displayName, type Name, parseName } from '../../machines/name.ts'
import type { Clock } from '../clock.ts'
import type { ModelPresent } from '../rpc/messages.ts'

/** Of a folder that many have pulled into for years. What comes after that is not told. */
const MODELS_MAX = 5_000
/** Tensor models have some thousand blobs, each a line of a manifest. */
const MANIFEST_BYTES_MAX = 8 * 1024 * 1024
const BLOBS_MAX = 20_000
const MEDIA_TYPE_LENGTH_MAX = 128
/** A file that was written twice within a tick of its file system's clock has the same time both times. */
const TICK_MS = 2_000
/** A blob that is cut short in its place leaves no trace in its folder. */
const LENGTHS_KEPT_MS = 600_000
const AT_ONCE = 16

const DIGEST = /^sha256:[0-9a-f]{64}$/

/** What a manifest says; `blobs` is undefined where something in it is not as it should be. */
interface Manifest {
  readonly digest: string
  readonly sizeBytes: number
  readonly blobs: readonly Layer[] | undefined
}

interface Layer {
  readonly digest: string
  readonly sizeBytes: number
  readonly mediaType: string
}

/** As read of a file that looked like this; `print` is empty where it may have been written in the same tick. */
interface Kept<T> {
  readonly print: string
  readonly held: T
}

export class ModelsFolder {
  readonly #clock: Clock
  readonly #dir: string
  #manifests = new Map<string, Kept<Manifest | undefined>>()
  /** Lengths of the blobs that were looked for, by digest; undefined is absent. */
  #lengths: Kept<Map<string, number | undefined>> = { print: '', held: new Map() }
  #lengthsAt = Number.NEGATIVE_INFINITY

  constructor({ clock, dir }: { readonly clock: Clock; readonly dir: string }) {
    this.#clock = clock
    this.#dir = dir
  }

  /**
   * Ordered by name. Where the manifests may be read and the blobs not, `blobs` are empty. Undefined where there is no such
   * folder, or it may not be read.
   */
  async read({
    fresh = false,
  }: {
    readonly fresh?: boolean
  } = {}): Promise<readonly ModelPresent[] | undefined> {
    const root = await inside(join(this.#dir, 'manifests'))
    if (root === undefined) return undefined
    const found = await this.#scan(root)
    return found && this.#complete(found, await inside(join(this.#dir, 'blobs')), fresh)
  }

  async #scan(root: string): Promise<ReadonlyMap<string, Manifest> | undefined> {
    const hosts = await namesIn(root, root)
    if (hosts === undefined) return undefined
    const places = await descend(root, hosts)
    const kept = new Map<string, Kept<Manifest | undefined>>()
    const found = new Map<string, Manifest>()
    await several(places.slice(0, MODELS_MAX), async ({ path, name }) => {
      const manifest = await this.#manifest(root, path)
      if (manifest === undefined) return
      kept.set(path, manifest)
      if (manifest.held !== undefined) found.set(displayName(name), manifest.held)
    })
    this.#manifests = kept
    return found
  }

  async #manifest(root: string, path: string): Promise<Kept<Manifest | undefined> | undefined> {
    const known = this.#manifests.get(path)
    const seen = await stats(root, path)
    if (seen === undefined || !seen.isFile()) return undefined
    if (known !== undefined && known.print !== '' && known.print === printOf(seen)) return known
    const readAt = this.#clock.now()
    const bytes = await bytesOf(root, path)
    return { print: settled(seen, readAt) ? printOf(seen) : '', held: bytes && manifestIn(bytes) }
  }

  async #complete(
    found: ReadonlyMap<string, Manifest>,
    blobs: string | undefined,
    fresh: boolean,
  ): Promise<readonly ModelPresent[]> {
    const wanted = new Set<string>()
    for (const manifest of found.values()) for (const { digest } of manifest.blobs ?? []) wanted.add(digest)
    const lengths = blobs === undefined ? undefined : await this.#measured(blobs, wanted, fresh)
    const models = [...found].map(
      ([name, { digest, sizeBytes, blobs: layers = [] }]): ModelPresent => ({
        name,
        digest,
        sizeBytes,
        blobs:
          lengths === undefined
            ? []
            : layers.map(layer => ({ ...layer, present: lengths.get(layer.digest) === layer.sizeBytes })),
      }),
    )
    return models.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Undefined where the folder may not be read. */
  async #measured(
    root: string,
    wanted: ReadonlySet<string>,
    fresh: boolean,
  ): Promise<ReadonlyMap<string, number | undefined> | undefined> {
    const seen = await stat(root).catch(() => undefined)
    if (seen === undefined) return undefined
    const now = this.#clock.monotonic()
    const print = printOf(seen)
    const same = this.#lengths.print === print && now - this.#lengthsAt < LENGTHS_KEPT_MS && !fresh
    const lengths = same ? this.#lengths.held : new Map<string, number | undefined>()
    const readAt = this.#clock.now()
    let refused = false
    await several(
      [...wanted].filter(digest => !lengths.has(digest)),
      async digest => {
        const file = await stats(root, join(root, digest.replace(':', '-')), () => {
          refused = true
        })
        lengths.set(digest, file?.isFile() ? file.size : undefined)
      },
    )
    if (refused) return undefined
    for (const digest of lengths.keys()) if (!wanted.has(digest)) lengths.delete(digest)
    this.#lengths = { print: settled(seen, readAt) ? print : '', held: lengths }
    if (!same) this.#lengthsAt = now
    return lengths
  }
}

interface Place {
  readonly path: string
  readonly name: Name
}

/** The files four levels down whose path is a name. */
async function descend(root: string, hosts: readonly string[]): Promise<readonly Place[]> {
  let level = hosts.map(host => [host])
  for (let depth = 1; depth < 4; depth += 1) {
    const next: string[][] = []
    await several(level, async parts => {
      if (next.length > MODELS_MAX) return
      for (const name of (await namesIn(root, join(root, ...parts))) ?? []) next.push([...parts, name])
    })
    level = next
  }
  return level
    .flatMap(parts => {
      const [host, namespace, model, tag] = parts as [string, string, string, string]
      const name = parseName(`${host}/${namespace}/${model}:${tag}`)
      return name === undefined ? [] : [{ path: join(root, ...parts), name }]
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** Names that a part of a model's name may have; so none that leads out. Undefined where it is no folder to be read. */
async function namesIn(root: string, path: string): Promise<readonly string[] | undefined> {
  if (path !== root && !(await stats(root, path))?.isDirectory()) return undefined
  const names: string[] = []
  try {
    for await (const { name } of await opendir(path, { bufferSize: 256 })) {
      if (!/^\w[\w.:-]{0,349}$/.test(name)) continue
      if (names.push(name) >= MODELS_MAX) break
    }
  } catch {
    return undefined
  }
  return names
}

/** A folder by its real name; undefined where there is none. */
async function inside(path: string): Promise<string | undefined> {
  const real = await realpath(path).catch(() => undefined)
  if (real === undefined) return undefined
  return (await stat(real).catch(() => undefined))?.isDirectory() ? real : undefined
}

/** Of a file, or of what a link leads to that stays inside. */
async function stats(root: string, path: string, refused?: () => void): Promise<Stats | undefined> {
  try {
    const seen = await lstat(path)
    if (!seen.isSymbolicLink()) return seen
    const real = await realpath(path)
    return real.startsWith(root + sep) ? await stat(real) : undefined
  } catch (error) {
    if (DENIED.has((error as NodeJS.ErrnoException).code ?? '')) refused?.()
    return undefined
  }
}

const DENIED: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EIO', 'ESTALE'])

/** Another file by the same path has another number, another content another length or time. */
function printOf({ dev, ino, size, mtimeMs, ctimeMs }: Stats): string {
  return `${dev}.${ino}.${size}.${mtimeMs}.${ctimeMs}`
}

function settled({ mtimeMs, ctimeMs }: Stats, readAt: number): boolean {
  return Math.max(mtimeMs, ctimeMs) < readAt - TICK_MS
}

/** A pipe in the place of a file is not waited for, a link put there meanwhile not followed. */
async function bytesOf(root: string, path: string): Promise<Buffer | undefined> {
  const real = await realpath(path).catch(() => undefined)
  if (!real?.startsWith(root + sep)) return undefined
  const file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => undefined,
  )
  if (file === undefined) return undefined
  try {
    const { size } = await file.stat()
    if (size > MANIFEST_BYTES_MAX) return undefined
    const bytes = Buffer.alloc(size)
    for (let read = 0; read < size; ) {
      const { bytesRead } = await file.read(bytes, read, size - read, read)
      if (bytesRead === 0) return undefined // cut short while it was read
      read += bytesRead
    }
    return bytes
  } catch {
    return undefined
  } finally {
    await file.close().catch(() => {})
  }
}

/** Undefined where Ollama would pass it over, too. */
function manifestIn(bytes: Buffer): Manifest | undefined {
  let held: { readonly config?: unknown; readonly layers?: unknown }
  try {
    held = JSON.parse(bytes.toString())
  } catch {
    return undefined
  }
  if (typeof held !== 'object' || held === null || Array.isArray(held)) return undefined
  const { config, layers } = held
  const digest = createHash('sha256').update(bytes).digest('hex')
  const rows = [...(Array.isArray(layers) ? layers : []), ...(isEmpty(config) ? [] : [config])]
  const read = rows.length <= BLOBS_MAX ? rows.map(layerOf) : [undefined]
  if (!read.every(layer => layer !== undefined)) return { digest, sizeBytes: 0, blobs: undefined }
  return {
    digest,
    sizeBytes: read.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    blobs: [...new Map(read.map(layer => [layer.digest, layer])).values()],
  }
}

function isEmpty(config: unknown): boolean {
  return config === undefined || config === null || (config as { digest?: unknown }).digest === ''
}

function layerOf(row: unknown): Layer | undefined {
  const { digest, size, mediaType } = (row ?? {}) as Record<string, unknown>
  if (typeof digest !== 'string' || !DIGEST.test(digest.toLowerCase())) return undefined
  if (!Number.isSafeInteger(size) || (size as number) < 0) return undefined
  return {
    digest: digest.toLowerCase(),
    sizeBytes: size as number,
    mediaType: typeof mediaType === 'string' ? mediaType.slice(0, MEDIA_TYPE_LENGTH_MAX) : '',
  }
}

async function several<T>(rows: readonly T[], each: (row: T) => Promise<void>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < rows.length) await each(rows[next++]!)
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, rows.length) }, worker))
}
