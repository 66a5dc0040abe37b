/**
 * `quipu archive`: older facts go into compressed files, and those that are there may leave the disk. A house that runs on
 * the folder does it; where none does, the verb itself, under the folder's lock.
 */
import { join } from 'node:path'
import { Archivist, type Checkpoint } from '../archive/archivist.ts'
import { systemClock } from '../clock.ts'
import { readConfig } from '../config.ts'
import { Engine } from '../engine/engine.ts'
import { Failure } from '../failure.ts'
import { archiveView } from '../gateway/archive.ts'
import type { Index } from '../gateway/schema/house.ts'
import type { Archive } from '../gateway/schema/journal.ts'
import type { Told } from '../gateway/schema/words.ts'
import { Archives } from '../journal/archives.ts'
import { hashOf } from '../journal/chain.ts'
import { identify } from '../journal/folder.ts'
import type { Journal } from '../journal/journal.ts'
import { archivesIn, openLevelJournal } from '../journal/level.ts'
import { copySegment } from '../journal/segment.ts'
import { archive as archiveProjection } from '../projections/archive.ts'
import { type SignerKey, signers } from '../projections/signers.ts'
import { nameOf, openCheckpoint } from '../proofs/checkpoint.ts'
import { readHistory, readLatest } from '../proofs/kept.ts'
import { parseVkey } from '../proofs/note.ts'
import { type Client, clientOf } from './client.ts'
import { sameFolder } from './elsewhere.ts'
import { countOf, sizeOf, timeOf } from './quantities.ts'
import { houseOptions, told } from './settings.ts'
import { type Column, sayTable } from './table.ts'
import { progress, remark, say, sayJson } from './terminal.ts'
import { type Given, jsonOption, misused, momentOf, textOf, type Verb } from './verb.ts'

type View = Told<typeof Archive>
type When = { readonly seq: number } | { readonly at: number }

/** Who does it: the house, or this process. */
interface Desk {
  /** The journal's id. */
  readonly id: string
  look(): Promise<View>
  begin(what: 'seal' | 'trim', when: When): Promise<void>
  close(): Promise<void>
}

const LOOK_MS = 150

export const archive: Verb = {
  usage: ['archive', 'archive --before DATE|SEQ', 'archive --trim'],
  about:
    'Lists the archive files of a journal; with --before, first puts all older facts into files of up to 100,000. The ' +
    'house goes on meanwhile. A file is a list that `zcat` prints; it is read back and verified before it counts. With ' +
    '--trim, facts that are in files leave the database: only under a signed checkpoint, and only where every file can ' +
    'be read. All else reads them out of the files as if they were still there, as long as those are in their folder. ' +
    'Both are facts of their own.',
  options: {
    before: {
      value: 'DATE|SEQ',
      sentence:
        'what is older: than this fact, or than this time (2026-01-31, 2026-01-31T09:05; of this machine)',
    },
    trim: { sentence: 'let go of what is in files; with --before, of those that end before that' },
    to: { value: 'DIR', sentence: 'also copy every file into this folder, and verify the copies' },
    ...told({
      data: 'folder of the journal',
      archiveDir: 'folder of archive files, as seen from the data folder',
    }),
    ...houseOptions,
    ...jsonOption,
  },
  examples: [
    ['quipu archive --before 2026-01-01', 'put the facts of last year into files'],
    ['quipu archive --before 2026-01-01 --trim', 'the same, and take them off the disk'],
    ['quipu archive --to /mnt/nas/quipu', 'copy the files there, and verify the copies'],
  ],
  async run(given) {
    const when = whenOf(given)
    const desk = await deskFor(given)
    try {
      if (when !== undefined) await carryOut(desk, 'seal', when)
      if (given.switches.has('trim'))
        await carryOut(desk, 'trim', when ?? { seq: (await desk.look()).sealed + 1 })
      const view = await desk.look()
      const to = textOf(given, 'to')
      if (to !== undefined) await carryAway(desk.id, view, to)
      if (given.switches.has('json')) sayJson(view)
      else tell(view, to)
    } finally {
      progress('')
      await desk.close()
    }
  },
}

function whenOf(given: Given): When | undefined {
  const text = textOf(given, 'before')
  if (text === undefined) return undefined
  if (!/^\d{1,16}$/.test(text)) return { at: momentOf(given, 'before')! }
  if (Number(text) === 0) throw misused('--before: facts begin with 1')
  return { seq: Number(text) }
}

async function carryOut(desk: Desk, what: 'seal' | 'trim', when: When): Promise<void> {
  await desk.begin(what, when)
  for (;;) {
    const { work } = await desk.look()
    if (work?.state === 'failed') throw new Failure(work.code ?? 'archive.unwritable', work.error ?? '')
    if (work?.state !== 'running') return
    progress(`${what === 'seal' ? 'sealed' : 'verified'}: fact ${countOf(work.seq)} of ${countOf(work.last)}`)
    await new Promise(resolve => setTimeout(resolve, LOOK_MS))
  }
}

async function carryAway(id: string, { dir, files }: View, to: string): Promise<void> {
  for (const [index, file] of files.entries()) {
    progress(`copied: ${index} of ${countOf(files.length, 'file')}`)
    await copySegment(dir, to, id, file)
  }
}

// ── who does it ────────────────────────────────────────────────────────────────────────────────────────────────────

async function deskFor(given: Given): Promise<Desk> {
  const { data: dir, archiveDir } = readConfig(given.flags)
  if ((await identify(dir)) === undefined) return there(clientOf(given))
  try {
    return await here(dir, archiveDir)
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'journal.locked') throw error
    const client = clientOf(given)
    await sameFolder(client, dir, error)
    return there(client)
  }
}

/** No house runs on the folder. */
async function here(dir: string, archiveDir: string): Promise<Desk> {
  const journal = await openLevelJournal({ dir, clock: systemClock, archiveDir })
  const view = archiveProjection()
  const keys = signers()
  const engine = new Engine(journal, systemClock, [view, keys])
  let signed: readonly Checkpoint[] = []
  const archivist = new Archivist({
    engine,
    journal,
    clock: systemClock,
    archive: view,
    archives: new Archives(archivesIn(dir, archiveDir), journal.id),
    covering: seq => signed.find(({ size }) => size >= seq),
    warn: remark,
  })
  const close = async (): Promise<void> => {
    await archivist.close()
    engine.close()
    await journal.close()
  }
  try {
    await engine.replay({
      progress: seq => progress(`${countOf(seq)} of ${countOf(journal.durable, 'fact')} replayed`),
    })
    signed = await signedIn(dir, journal, keys.state.keys)
    engine.start(archivist.reactor)
  } catch (error) {
    await close()
    throw error
  }
  return {
    id: journal.id,
    look: async () => archiveView({ journal, archive: view, archivist }),
    begin: async (what, when) => void archivist[what](when, 'cli'),
    close,
  }
}

/** The checkpoints in the folder that one of the journal's keys has signed, and that are of this very journal. */
async function signedIn(
  dir: string,
  journal: Journal,
  keys: readonly SignerKey[],
): Promise<readonly Checkpoint[]> {
  const folder = join(dir, 'checkpoints')
  const latest = await readLatest(folder)
  const notes = [...(await readHistory(folder)), ...(latest === undefined ? [] : [latest.note])]
  const verifiers = keys.flatMap(({ vkey }) => parseVkey(vkey) ?? [])
  const signed: Checkpoint[] = []
  for (const note of notes) {
    try {
      const { origin, size, head } = openCheckpoint(note, verifiers)
      if (origin !== nameOf(journal.id) || size === 0 || size > journal.durable) continue
      for await (const [record = ''] of journal.records({ after: size - 1, until: size })) {
        if (hashOf(record) === head) signed.push({ size, note })
      }
    } catch (error) {
      if (!(error instanceof Failure && error.code.startsWith('checkpoint.'))) throw error
    }
  }
  return signed
}

async function there(client: Client): Promise<Desk> {
  const { journal } = await client.ask<Told<typeof Index>>('/quipu')
  const paths = { seal: '/quipu/archive', trim: '/quipu/archive/trim' }
  return {
    id: journal.id,
    look: () => client.ask<View>('/quipu/archive'),
    begin: async (what, when) => void (await client.ask(paths[what], { method: 'POST', body: when })),
    close: async () => {},
  }
}

// ── what is said ───────────────────────────────────────────────────────────────────────────────────────────────────

const columns = (trimmed: number): readonly Column<View['files'][number]>[] => [
  { name: 'FILE', cell: ({ file }) => file },
  { name: 'FACTS', right: true, cell: ({ first, last }) => countOf(last - first + 1) },
  { name: 'SIZE', right: true, cell: ({ bytes }) => sizeOf(bytes) },
  { name: 'FROM', cell: ({ firstAt }) => timeOf(firstAt) },
  { name: 'TO', cell: ({ lastAt }) => timeOf(lastAt) },
  { name: 'DATABASE', cell: ({ last }) => (last <= trimmed ? 'trimmed' : 'has them, too') },
]

function tell({ dir, files, bytes, sealed, trimmed }: View, to: string | undefined): void {
  if (files.length === 0) return say('Nothing is archived yet.')
  sayTable(files, columns(trimmed))
  say()
  say(`${countOf(files.length, 'file')}, ${sizeOf(bytes)}, facts 1 to ${countOf(sealed)}, in ${dir}`)
  if (to !== undefined) say(`copied to ${to}, and verified there`)
}
