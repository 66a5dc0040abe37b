/**
 * Writes archive files anew where a forgetting takes something out of their facts. It asks for that while it holds the
 * archivist: no other file comes or goes meanwhile.
 *
 * A file is written beside the old one, synced, read back, and takes its name; then `archive.rewritten` says its digest.
 * Whatever a crash cuts off in between is found when it is asked for again: what is changed already is not changed twice.
 */
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Refusal } from '../../machines/entity.ts'
import type { Engine } from '../engine/engine.ts'
import { Failure } from '../failure.ts'
import type { Archives, Change } from '../journal/archives.ts'
import type { Journal } from '../journal/journal.ts'
import { checkSegment, openSegment } from '../journal/segment.ts'
import type { ArchiveProjection, SealedFile } from '../projections/archive.ts'
import { type Archivist, onDisk } from './archivist.ts'

export interface RewritingNeeds {
  readonly engine: Engine
  readonly journal: Journal
  readonly archive: ArchiveProjection
  readonly archives: Archives
  readonly archivist: Pick<Archivist, 'hold'>
  readonly warn: (message: string) => void
}

/** What the folder may hold beside the files that facts know of: those that were cut off, written whole or in part. */
const FILE = /^(\d{12,})-(\d{12,})\.quipu\.gz(\.new)?$/
/** Named in one sentence. */
const NAMED = 3

export class Rewriting {
  readonly #needs: RewritingNeeds

  constructor(needs: RewritingNeeds) {
    this.#needs = needs
  }

  /**
   * Nothing is sealed or trimmed until the answer is called, and whatever was trimmed can be read. Throws a Refusal:
   * `archive.busy`, `forgetting.archived`.
   */
  async hold(): Promise<() => void> {
    const { archive, archivist, journal } = this.#needs
    const release = await archivist.hold()
    try {
      await this.#there(archive.state.files.filter(({ last }) => last <= journal.base.seq))
      return release
    } catch (error) {
      release()
      throw error
    }
  }

  /** The last fact of the file that has this one, which is what it is known by; undefined where none has. */
  fileOf(seq: number): number | undefined {
    const { files } = this.#needs.archive.state
    if (seq > (files.at(-1)?.last ?? 0)) return undefined
    let [low, high] = [0, files.length - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (files[middle]!.last < seq) low = middle + 1
      else high = middle
    }
    return files[low]!.last
  }

  /**
   * Are these files there, and what was written? Throws a Refusal `forgetting.archived` that names those that are not, a
   * Failure `archive.damaged`.
   */
  async check(lasts: ReadonlySet<number>): Promise<void> {
    const { archives, journal } = this.#needs
    const files = this.#known(lasts)
    await this.#there(files)
    for (const file of files)
      await onDisk(archives.dir, () => checkSegment(this.#path(file), journal.id, file))
  }

  /**
   * Writes these files anew as far as `change` wants it, and says so in a fact each. What a sealing that was cut off has left
   * in the folder is changed, too, or removed. Throws a Failure `archive.…`; then it is to be asked for again.
   */
  async rewrite(lasts: ReadonlySet<number>, change: Change, forgetting: string): Promise<void> {
    const { archives, engine } = this.#needs
    await this.#strays(change)
    for (const file of this.#known(lasts)) {
      const { first, last } = file
      const found = await this.#found(file)
      const sealed = await onDisk(archives.dir, () => archives.rewrite(first, last, change))
      const sha256 = sealed?.heading.sha256 ?? found.sha256
      if (sha256 === file.sha256) continue
      const data = { first, last, bytes: sealed?.bytes ?? found.bytes, sha256, forgetting }
      engine.commit('archive', 'journal', { type: 'archive.rewrite', data })
      await engine.settled()
    }
  }

  #known(lasts: ReadonlySet<number>): readonly SealedFile[] {
    return this.#needs.archive.state.files.filter(({ last }) => lasts.has(last))
  }

  #path({ first, last }: Pick<SealedFile, 'first' | 'last'>): string {
    return this.#needs.archives.pathOf(first, last)
  }

  async #there(files: readonly SealedFile[]): Promise<void> {
    const away: string[] = []
    for (const file of files) {
      const path = this.#path(file)
      if ((await stat(path).catch(() => undefined)) === undefined) away.push(path)
    }
    if (away.length > 0) throw carriedAway(away)
  }

  /** As it lies there: the chain holds, with the same end; its digest may be of before a rewriting or of after it. */
  async #found(file: SealedFile): Promise<Pick<SealedFile, 'sha256' | 'bytes'>> {
    const { archives, journal } = this.#needs
    return onDisk(archives.dir, async () => {
      const segment = await openSegment(this.#path(file), journal.id)
      const { heading, size } = segment
      await segment.close()
      await checkSegment(this.#path(file), journal.id, { ...file, sha256: heading.sha256 })
      return { sha256: heading.sha256, bytes: size }
    })
  }

  /** Files no fact knows of. Whole ones may be the archive of a journal that was set back, so they stay. */
  async #strays(change: Change): Promise<void> {
    const { archive, archives, warn } = this.#needs
    const known = new Set(archive.state.files.map(file => this.#path(file)))
    await onDisk(archives.dir, async () => {
      for (const name of await namesIn(archives.dir)) {
        const path = join(archives.dir, name)
        const [, first, last, draft] = FILE.exec(name) ?? []
        if (first === undefined || known.has(path)) continue
        if (draft !== undefined) {
          await rm(path, { force: true })
          continue
        }
        await archives.rewrite(Number(first), Number(last), change).catch(error => {
          if (!(error instanceof Failure)) throw error
          warn(`no fact knows of ${path}, and who is forgotten may be in it: ${error.message}`)
        })
      }
    })
  }
}

async function namesIn(dir: string): Promise<readonly string[]> {
  return readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
}

function carriedAway(paths: readonly string[]): Refusal {
  const more = paths.length > NAMED ? ` and ${paths.length - NAMED} more` : ''
  const said =
    `the name is in archive files that are not there, or may be: ${paths.slice(0, NAMED).join(', ')}${more}; ` +
    'bring them back, or name the folder that has them with --archive-dir, and ask again'
  return new Refusal('forgetting.archived', said)
}
