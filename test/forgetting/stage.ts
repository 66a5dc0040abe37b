/** A journal with an archivist and a forgetting, and nothing else of a house; and ways to look for what is left of a name. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { Test } from 'tap'
import { Archivist } from '../../src/archive/archivist.ts'
import { Rewriting } from '../../src/archive/rewriting.ts'
import { systemClock as clock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { Forgetting } from '../../src/forgetting/forgetting.ts'
import { Archives, type Change } from '../../src/journal/archives.ts'
import type { Entry, Journal } from '../../src/journal/journal.ts'
import { archivesIn, openLevelJournal } from '../../src/journal/level.ts'
import { checkSegment } from '../../src/journal/segment.ts'
import { archive } from '../../src/projections/archive.ts'
import { openOf } from '../../src/projections/forget.ts'
import { forgettings } from '../../src/projections/forgettings.ts'
import { requests } from '../../src/projections/requests.ts'
import { Coverage } from '../../src/report/coverage.ts'

export const NAME = 'margarethe@attic'

export function admit(engine: Engine, id: string, client: string): void {
  const data = { path: '/api/chat', model: 'm:latest', client, priority: 5, bodyBytes: 9 }
  engine.commit('request', id, {
    type: 'request.admit',
    data: { ...data, expiresAt: clock.now() + 60_000, attemptsMax: 1 },
  })
}

export interface House {
  readonly journal: Journal
  readonly engine: Engine
  readonly forgetting: Forgetting
  readonly archivist: Archivist
  readonly archive: ReturnType<typeof archive>
  readonly warned: string[]
  readonly copied: string[]
  /** Resolves when no forgetting is under way any more. */
  done(): Promise<void>
  close(): Promise<void>
}

/** `cut` makes the disk fail at a step, as a crash would end it there. */
export async function open(dir: string, cut: (step: string) => void = () => {}): Promise<House> {
  const journal = await openLevelJournal({ dir, clock, create: true })
  const answers = { archive: archive(), requests: requests(), forgettings: forgettings() }
  const engine = new Engine(journal, clock, Object.values(answers))
  await engine.replay()
  const warned: string[] = []
  const copied: string[] = []
  /** Cut off before the first batch, between two, or before the old bytes are gone. */
  async function* fragile(batches: AsyncIterable<ReadonlyMap<number, string>>) {
    cut('first')
    for await (const batch of batches) {
      const [some, rest] = [new Map([...batch].slice(0, 100)), new Map([...batch].slice(100))]
      yield some
      cut('second')
      yield rest
    }
    cut('last')
  }
  const cutting = Object.create(journal, {
    replace: {
      value: (batches: AsyncIterable<ReadonlyMap<number, string>>, until: number) =>
        journal.replace(fragile(batches), until),
    },
  }) as Journal
  const archives = new Archives(archivesIn(dir), journal.id)
  /** Cut off before a file is written, once it is written, or once that is a fact. */
  const cuttingFiles = Object.create(archives, {
    rewrite: {
      value: async (first: number, last: number, change: Change) => {
        cut('file')
        const sealed = await archives.rewrite(first, last, change)
        cut(`file ${first} written`)
        return sealed
      },
    },
  }) as Archives
  const warn = (message: string): void => void warned.push(message)
  const archived = { ...answers, engine, journal, clock, warn }
  const archivist = new Archivist({
    ...archived,
    archives,
    covering: () => ({ size: journal.durable, note: 'a note' }),
  })
  const forgetting = new Forgetting({
    ...archived,
    journal: cutting,
    dir,
    open: names => openOf(answers, names),
    files: new Rewriting({ ...archived, archives: cuttingFiles, archivist }),
    copies: [
      async (names, left) => {
        cut('copy')
        let facts = 0
        for await (const records of left(journal)) facts += records.size
        copied.push(`${[...names].join()}: ${facts}`)
      },
    ],
  })
  const close = async (): Promise<void> => {
    await forgetting.close()
    await archivist.close()
    engine.close()
    await journal.close()
  }
  const done = (): Promise<void> =>
    new Promise(resolve => {
      const look = (): void => void (answers.forgettings.state.size === 0 && resolve())
      journal.watch(look)
      look()
    })
  return {
    journal,
    engine,
    forgetting,
    archivist,
    archive: answers.archive,
    warned,
    copied,
    done,
    close,
  }
}

/** 1,200 requests, every third of them hers; so much that some lie in LevelDB's tables and some in its log. */
export async function lived(dir: string, operator = 'cli'): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    const house = await open(dir)
    for (let i = 0; i < 400; i += 1) {
      const id = `r${round}-${i}`
      admit(house.engine, id, i % 3 === 0 ? NAME : `other-${i}`)
      house.engine.commit('request', id, { type: 'request.cancel', data: {}, by: i === 3 ? operator : 'cli' })
    }
    await house.engine.settled()
    await house.close()
  }
}

export async function factsOf(dir: string): Promise<readonly Entry[]> {
  const house = await open(dir)
  const all: Entry[] = []
  for await (const page of house.journal.read()) all.push(...page)
  await house.close()
  return all
}

/** Files under a folder that hold these bytes, anywhere, compressed or not. */
export function holding(dir: string, name: string): readonly string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter(path => {
    if (!statSync(join(dir, path)).isFile()) return false
    const bytes = readFileSync(join(dir, path))
    return bytes.includes(name) || (path.includes('.quipu.gz') && gunzipSync(bytes).includes(name))
  })
}

/** Three files of the first facts; those of the first one are there only, if it is `trimmed`. */
export async function archiveSome(t: Test, dir: string, trimmed: boolean): Promise<void> {
  const house = await open(dir)
  for (const seq of [501, 901, 1_201]) {
    house.archivist.seal({ seq }, 'op')
    await house.archivist.idle()
  }
  if (trimmed) {
    house.archivist.trim({ seq: 501 }, 'op')
    await house.archivist.idle()
  }
  t.equal(house.archivist.work?.state, 'done')
  t.equal(house.journal.base.seq, trimmed ? 500 : 0)
  await house.close()
}

export const FILES = [
  '000000000001-000000000500.quipu.gz',
  '000000000501-000000000900.quipu.gz',
  '000000000901-000000001200.quipu.gz',
] as const

/** Every file is what the newest fact says of it, and nothing else is there. */
export async function checkFiles(t: Test, dir: string): Promise<void> {
  const house = await open(dir)
  t.same(readdirSync(join(dir, 'archive')).sort(), FILES)
  for (const file of house.archive.state.files) {
    const path = join(dir, 'archive', file.file)
    await checkSegment(path, house.journal.id, file)
    t.equal(statSync(path).size, file.bytes)
  }
  house.archivist.trim({ seq: 1_201 }, 'op')
  await house.archivist.idle()
  t.match(house.archivist.work, { state: 'done' }, 'trimming takes them for what they are')
  await house.close()
}

export function uncovered(facts: readonly Entry[]): readonly string[] {
  const coverage = new Coverage()
  coverage.see(facts)
  return coverage.complaints
}

export async function replace({ journal }: House, index: number, record: string): Promise<void> {
  async function* batches() {
    yield new Map([[index + 1, record]])
  }
  await journal.replace(batches(), journal.durable)
}

/**
 * Of her name. LevelDB compresses: where a block has it for the first time, the middle of it stands there letter by letter,
 * and how it begins may be taken from what is before it.
 */
export const TRACE = 'garethe@at'
