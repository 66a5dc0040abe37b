/** What signs, with a journal in memory and its files on the disk, in virtual time; and restarts. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type VirtualClock, virtualClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { type SignersProjection, signers as signersOf } from '../../src/projections/signers.ts'
import { Checkpoints } from '../../src/proofs/checkpoints.ts'
import { parseVkey, type Verifier } from '../../src/proofs/note.ts'
import { write } from '../journal/facts.ts'

export interface Stand {
  readonly clock: VirtualClock
  readonly journal: Journal
  readonly engine: Engine
  readonly signers: SignersProjection
  readonly checkpoints: Checkpoints
  readonly warned: string[]
  /** The keys that the journal names. */
  readonly keys: () => readonly Verifier[]
  /** So many facts more, on the disk and in the tree. */
  grow(count: number): Promise<void>
  stop(): Promise<void>
}

export interface StandOptions {
  /** The data folder. */
  readonly dir: string
  readonly records: string[]
  readonly id?: string
  /** Before it is opened. */
  readonly fault?: () => void
}

/** Opened, and not started. */
export async function opened({ dir, records, id = 'J1', fault }: StandOptions): Promise<Stand> {
  const clock = virtualClock({ start: Date.UTC(2026, 0, 1) + records.length })
  const journal = openMemoryJournal({ id, records, clock, ...(fault && { fault }) })
  const signers = signersOf()
  const engine = new Engine(journal, clock, [signers])
  await engine.replay()
  const warned: string[] = []
  const warn = (message: string): void => void warned.push(message)
  const checkpoints = new Checkpoints({
    engine,
    journal,
    clock,
    signers,
    dir: join(dir, 'checkpoints'),
    warn,
  })
  await checkpoints.open()
  return {
    clock,
    journal,
    engine,
    signers,
    checkpoints,
    warned,
    keys: () => signers.state.keys.map(({ vkey }) => parseVkey(vkey)!),
    async grow(count) {
      write(journal, count)
      await journal.flushed()
      await until(() => checkpoints.size === journal.durable)
    },
    async stop() {
      await checkpoints.close()
      engine.close()
      await journal.close()
    },
  }
}

export async function started(t: Test, options: StandOptions): Promise<Stand> {
  const stand = await opened(options)
  stand.checkpoints.start()
  await stand.journal.flushed()
  t.teardown(() => stand.stop().catch(() => {}))
  return stand
}

/** Removed after all that was started on it has been stopped. */
export function dataFolder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'quipu-proofs-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** What comes by itself, in a few turns of the event loop. */
async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 10_000 && !holds(); turn += 1) await new Promise(resolve => setImmediate(resolve))
  if (!holds()) throw new Error('it never came')
}
