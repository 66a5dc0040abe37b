/** Facts to write down, and ways to look at what came of them. */
import { mulberry32 } from '../../src/clock.ts'
import { Failure } from '../../src/failure.ts'
import type { Entry, Journal, Range, Staged } from '../../src/journal/journal.ts'

/** A fact of any type; the journal does not look into the data. */
export function fact(data: unknown, type = 'node.registered', by?: string): Staged {
  return { at: 1_767_225_600_000, type, data, ...(by === undefined ? {} : { by }) } as unknown as Staged
}

/** `count` facts about shed, one decision each; their data says their number, from `from` on. */
export function write(journal: Journal, count: number, from = journal.head.seq + 1): void {
  for (let number = from; number < from + count; number += 1)
    journal.stage('node', 'shed', [fact({ number })])
}

export async function all(journal: Journal, range?: Range): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const page of journal.read(range)) entries.push(...page)
  return entries
}

export async function texts(journal: Journal): Promise<string[]> {
  const records: string[] = []
  for await (const page of journal.records()) records.push(...page)
  return records
}

/** Waits, in real time, for what the disk does in its own. */
export async function until(holds: () => boolean, what: string, limitMs = 10_000): Promise<void> {
  const end = performance.now() + limitMs
  while (!holds()) {
    if (performance.now() > end) throw new Error(`${what}: not within ${limitMs} ms`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}

/** The code of the Failure that it must end with. */
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
export function chance(): { seed: number; random: () => number; below: (limit: number) => number } {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  const random = mulberry32(seed)
  return { seed, random, below: limit => Math.floor(random() * limit) }
}
