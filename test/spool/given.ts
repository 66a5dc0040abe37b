/** A spool in a folder of its own, and ways to look at what lies there. */
import { mkdirSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { mulberry32, systemClock } from '../../src/clock.ts'
import { Failure } from '../../src/failure.ts'
import type { Spool } from '../../src/spool/spool.ts'
import { openSpool, type SpoolOptions } from '../../src/spool/store.ts'

export interface Given {
  /** The data folder, and the spool's inside it. */
  readonly dir: string
  readonly folder: string
  spool: Spool
  /** Lets go of the spool as it is and opens it again. */
  again(options?: Partial<SpoolOptions>): Promise<Spool>
}

export async function given(t: Test, options: Partial<SpoolOptions> = {}): Promise<Given> {
  const dir = options.dir ?? join(t.testdir(), 'data')
  mkdirSync(dir, { recursive: true })
  const open = (more: Partial<SpoolOptions> = {}): Promise<Spool> =>
    openSpool({ clock: systemClock, ...options, ...more, dir })
  const house: Given = {
    dir,
    folder: join(dir, 'spool'),
    spool: await open(),
    async again(more) {
      await house.spool.close()
      house.spool = await open(more)
      return house.spool
    },
  }
  t.teardown(() => house.spool.close())
  return house
}

/** Every file of the folder, and what is in it. */
export async function contents(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).sort()
  const texts = await Promise.all(names.map(name => readFile(join(folder, name), 'latin1')))
  return Object.fromEntries(names.map((name, i) => [name, texts[i]!]))
}

export async function collect(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all)
}

export const patient = (): AbortSignal => new AbortController().signal

/** The Failure that it must end with. */
export async function failure(attempt: () => unknown): Promise<Failure> {
  try {
    await attempt()
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
  throw new Error('it should have failed')
}

/** Chance that can be had again: print `seed`, set SEED. */
export function chance(t: Test) {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  t.comment(`SEED=${seed}`)
  const random = mulberry32(seed)
  const below = (limit: number): number => Math.floor(random() * limit)
  const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => below(256)))
  return { seed, random, below, bytes }
}
