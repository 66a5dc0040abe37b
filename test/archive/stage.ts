/** A journal on a disk with its archivist, and nothing else of a house. */
import { join } from 'node:path'
import type { Test } from 'tap'
import { Archivist, type Work } from '../../src/archive/archivist.ts'
import { systemClock as clock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { Archives } from '../../src/journal/archives.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { archivesIn, openLevelJournal } from '../../src/journal/level.ts'
import { archive } from '../../src/projections/archive.ts'

export interface Stage {
  readonly dir: string
  readonly journal: Journal
  readonly engine: Engine
  readonly archivist: Archivist
  readonly archive: ReturnType<typeof archive>
  readonly warnings: string[]
  /** So many facts more, that the charts accept. */
  grow(count: number): Promise<void>
  close(): Promise<void>
}

export interface Setting {
  readonly dir: string
  readonly archiveDir?: string
  /** How many facts a signed checkpoint covers. Default: all there are. */
  readonly proven?: () => number
  /** Are the reactors to hear? Otherwise nothing is done beyond what is asked for. */
  readonly start?: boolean
}

export async function stage({ dir, archiveDir, proven, start = true }: Setting): Promise<Stage> {
  const journal = await openLevelJournal({ dir, clock, create: true, archiveDir })
  try {
    const view = archive()
    const engine = new Engine(journal, clock, [view])
    await engine.replay()
    const warnings: string[] = []
    const archivist = new Archivist({
      engine,
      journal,
      clock,
      archive: view,
      archives: new Archives(archivesIn(dir, archiveDir), journal.id),
      covering: seq => {
        const size = proven?.() ?? journal.durable
        return size >= seq ? { size, note: `a note over ${size}` } : undefined
      },
      warn: message => warnings.push(message),
    })
    if (start) engine.start(archivist.reactor)
    return {
      dir,
      journal,
      engine,
      archivist,
      archive: view,
      warnings,
      async grow(count) {
        const known = journal.head.seq
        for (let seq = known; seq < known + count; seq += 1) {
          // A stream of its own for each, and some that are long.
          const id = seq % 3 === 0 ? 'queue-max' : `knob-${seq}`
          engine.commit('setting', id, { type: 'setting.set', data: { value: `${seq}`, start: 'x' } })
          if (seq % 500 === 0) await engine.settled()
        }
        await engine.settled()
      },
      async close() {
        await archivist.close()
        engine.close()
        await journal.close()
      },
    }
  } catch (error) {
    await journal.close()
    throw error
  }
}

/** What came of it, once it is over. */
export async function outcome({ archivist }: Stage): Promise<Work> {
  await archivist.idle()
  return archivist.work!
}

let houses = 0

export function folder(t: Test): string {
  return join(t.testdir(), `house-${++houses}`)
}
