/**
 * `quipu forget`: the name of a client is taken out of the journal. A house that runs on the folder does it; where none
 * does, the verb itself, under the folder's lock.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Archivist } from '../archive/archivist.ts'
import { Rewriting } from '../archive/rewriting.ts'
import { systemClock } from '../clock.ts'
import { readConfig } from '../config.ts'
import { Engine } from '../engine/engine.ts'
import { Failure } from '../failure.ts'
import { Forgetting, type Forgotten } from '../forgetting/forgetting.ts'
import type { Index } from '../gateway/schema/house.ts'
import type { Told } from '../gateway/schema/words.ts'
import { Archives } from '../journal/archives.ts'
import { identify } from '../journal/folder.ts'
import { archivesIn, openLevelJournal } from '../journal/level.ts'
import { namesOf } from '../naming.ts'
import { archive } from '../projections/archive.ts'
import { openOf } from '../projections/forget.ts'
import { forgettings } from '../projections/forgettings.ts'
import { requests } from '../projections/requests.ts'
import { type Client, clientOf } from './client.ts'
import { countOf } from './quantities.ts'
import { houseOptions, told } from './settings.ts'
import { remark, say, sayJson } from './terminal.ts'
import { type Given, jsonOption, misused, textOf, type Verb } from './verb.ts'

/** The journal is read twice, and its files are written anew. */
const ANSWER_MAX_MS = 3_600_000

export const forget: Verb = {
  usage: ['forget --client NAME'],
  about:
    'Takes the name of a client out of every fact: `forgotten` stands in its place, in the journal, in archive files, in ' +
    'snapshots and in memory, and the old bytes are in no file of the house any more. The facts stay, and the chain verifies as before; ' +
    'an audit finds whoever takes out a name by other means. What it asked for after this begins is new. What backups, ' +
    'mirrors and receivers of webhooks hold is out of reach, and so is who asked for a change of the house: those are ' +
    'counted. Bodies and answers that are kept of it: quipu erase.',
  options: {
    client: { value: 'NAME', sentence: 'as `quipu requests` shows it' },
    ...told({
      data: 'folder of the journal',
      archiveDir: 'folder of archive files, as seen from the data folder',
    }),
    ...houseOptions,
    ...jsonOption,
  },
  examples: [['quipu forget --client 10.0.0.7', 'nobody can tell any more that 10.0.0.7 asked for anything']],
  async run(given) {
    const client = textOf(given, 'client')
    if (client === undefined || client === '') throw misused('forget needs --client NAME')
    const { data: dir, archiveDir } = readConfig(given.flags)
    const done = await here(dir, archiveDir, client).catch(error => {
      if (!(error instanceof Failure) || error.code !== 'journal.locked') throw error
      return there(given, dir, client, error)
    })
    if (given.switches.has('json')) return sayJson(done)
    tell(done)
  },
}

/** No house runs on the folder. */
async function here(dir: string, archiveDir: string, client: string): Promise<Forgotten> {
  const journal = await openLevelJournal({ dir, archiveDir, clock: systemClock })
  try {
    const answers = { archive: archive(), requests: requests(), forgettings: forgettings() }
    const engine = new Engine(journal, systemClock, Object.values(answers))
    await engine.replay()
    const archives = new Archives(archivesIn(dir, archiveDir), journal.id)
    const archived = { ...answers, engine, journal, clock: systemClock, archives, warn: remark }
    const archivist = new Archivist({ ...archived, covering: () => undefined })
    const forgetting = new Forgetting({
      ...archived,
      dir,
      open: names => openOf(answers, names),
      files: new Rewriting({ ...archived, archivist }),
      copies: [() => rm(join(dir, 'snapshots'), { recursive: true, force: true })],
    })
    try {
      return await forgetting.forget(await namesOf(dir, client), 'cli')
    } finally {
      await forgetting.close()
      await archivist.close()
      engine.close()
    }
  } finally {
    await journal.close()
  }
}

/** A house runs on the folder: that one, and no other that may be found at the address. */
async function there(given: Given, dir: string, client: string, locked: Failure): Promise<Forgotten> {
  const house: Client = clientOf(given)
  const { journal } = await house.ask<Told<typeof Index>>('/quipu')
  if (journal.id !== (await identify(dir))) {
    const said = `The house at ${house.url} has another folder: say with --host and --port where the right one is`
    throw new Failure('erase.elsewhere', `${locked.message} ${said}.`, { cause: locked })
  }
  const signal = AbortSignal.timeout(ANSWER_MAX_MS)
  return house.ask('/quipu/forget', { method: 'POST', body: { client }, signal })
}

function tell({ id, facts, kept }: Forgotten): void {
  if (facts === 0) say('No fact tells of a client of that name.')
  else say(`${countOf(facts, 'fact')} forgot it (${id}).`)
  if (kept > 0)
    say(
      `${countOf(kept, 'change')} of the house ${kept === 1 ? 'was' : 'were'} asked for under that name, and still ${kept === 1 ? 'says' : 'say'} so.`,
    )
}
