/**
 * `quipu erase`: what the spool holds of a request, or of all requests of a client, is erased, and shown to be. A house
 * that runs on the folder does it; where none does, the verb itself, under the folder's lock.
 */
import { systemClock } from '../clock.ts'
import { readConfig } from '../config.ts'
import { Engine } from '../engine/engine.ts'
import { Failure } from '../failure.ts'
import type { Entry } from '../journal/journal.ts'
import { openLevelJournal } from '../journal/level.ts'
import { namesOf } from '../naming.ts'
import type { Proof } from '../spool/proof.ts'
import { openSpool } from '../spool/store.ts'
import { type Client, clientOf } from './client.ts'
import { sameFolder } from './elsewhere.ts'
import { countOf, sizeOf } from './quantities.ts'
import { houseOptions, told } from './settings.ts'
import { type Column, sayTable } from './table.ts'
import { say, sayJson } from './terminal.ts'
import { type Given, jsonOption, misused, textOf, type Verb } from './verb.ts'

/** Exactly one of the two. */
type Whose = { readonly request: string } | { readonly client: string }

export const erase: Verb = {
  usage: ['erase --request ID', 'erase --client NAME'],
  about:
    'Erases the bodies and answers that are kept of one request, or of all requests of a client: zeros are written over ' +
    'their keys, and their files are removed. Then it looks whether anything is left: in the file of keys, among the ' +
    'files, and for the bytes of each old key in the whole folder. Exit code 1 where anything is. What is open is called ' +
    'off. The facts stay: that there was a request, whose, when and for which model. What backups and snapshots hold ' +
    'stays, too.',
  options: {
    request: { value: 'ID', sentence: 'what is kept of this request' },
    client: {
      value: 'NAME',
      sentence: 'what is kept of all requests of this client, as `quipu requests` shows it',
    },
    ...told({
      data: 'folder of the journal and the spool',
      archiveDir: 'folder of archive files, as seen from the data folder',
    }),
    ...houseOptions,
    ...jsonOption,
  },
  examples: [
    ['quipu erase --client 10.0.0.7', 'all that this client asked for and was answered'],
    ['quipu erase --request 01M7Z02NPBY5W9M7ATPG6V6H9Q --json', 'one request; the proof for another program'],
  ],
  async run(given) {
    const whose = whoseOf(given)
    const { data: dir, archiveDir } = readConfig(given.flags)
    const proofs = await here(dir, archiveDir, whose).catch(error => {
      if (!(error instanceof Failure) || error.code !== 'journal.locked') throw error
      return there(clientOf(given), dir, whose, error)
    })
    if (given.switches.has('json')) sayJson(proofs)
    else tell(proofs)
    const left = proofs.filter(({ proved }) => !proved)
    if (left.length > 0) throw unproved(left, dir)
  },
}

function whoseOf(given: Given): Whose {
  const [request, client] = [textOf(given, 'request'), textOf(given, 'client')]
  if (request !== undefined && client === undefined) return { request }
  if (client !== undefined && request === undefined) return { client }
  throw misused('erase needs --request ID or --client NAME, and not both')
}

/** No house runs on the folder. */
async function here(dir: string, archiveDir: string, whose: Whose): Promise<readonly Proof[]> {
  const isOf = isOfAny('client' in whose ? await namesOf(dir, whose.client) : [], whose)
  const journal = await openLevelJournal({ dir, archiveDir, clock: systemClock })
  try {
    const ids: string[] = []
    const note = (entry: Entry): void => {
      if (isOf(entry)) ids.push(entry.id)
    }
    const engine = new Engine(journal, systemClock, [{ rows: { 'request.admitted': note } }])
    await engine.replay()
    const spool = await openSpool({ dir, clock: systemClock })
    try {
      const held = new Set(spool.items().map(({ id }) => id))
      const known = ids.filter(id => held.has(id))
      // What is open would begin again with the next house, and find nothing to ask.
      for (const id of known) engine.attempt('request', id, { type: 'request.cancel', data: {}, by: 'cli' })
      await engine.settled()
      const proofs = await spool.eraseAndProve(known, dir)
      for (const { id, bytes } of proofs) {
        engine.commit('spool', id, { type: 'spool.erase', data: { why: 'asked', bytes }, by: 'cli' })
      }
      await engine.settled()
      return proofs
    } finally {
      engine.close()
      await spool.close()
    }
  } finally {
    await journal.close()
  }
}

/** By name, or by what it is written down as. */
function isOfAny(names: readonly string[], whose: Whose): (entry: Entry) => boolean {
  const known = new Set<string | undefined>(names.map(plain))
  return ({ type, id, data }) => {
    if ('request' in whose) return id === whose.request
    return type === 'request.admitted' && known.has(plain(data?.client))
  }
}

/** An IPv4 address looks like either, depending on what the house listens on. */
function plain(client: string | undefined): string | undefined {
  return client?.replace(/^::ffff:/i, '')
}

/** A house runs on the folder. */
async function there(client: Client, dir: string, whose: Whose, locked: Failure): Promise<readonly Proof[]> {
  await sameFolder(client, dir, locked)
  return client.ask<readonly Proof[]>('/quipu/erase', { method: 'POST', body: whose })
}

const COLUMNS: readonly Column<Proof>[] = [
  { name: 'REQUEST', cell: ({ id }) => id },
  { name: 'PARTS', cell: ({ parts }) => parts.join(' ') },
  { name: 'SIZE', right: true, cell: ({ bytes }) => sizeOf(bytes) },
  {
    name: 'KEY',
    cell: ({ slot }) => ({ zero: 'zeros', another: "another's", key: 'still there' })[slot],
    tint: ({ slot }) => (slot === 'key' ? 'red' : undefined),
  },
  {
    name: 'FILES',
    cell: ({ files, readable }) =>
      files.length === 0 ? 'gone' : `${files.length}, ${readable.length} readable`,
    tint: ({ files }) => (files.length === 0 ? undefined : 'red'),
  },
  {
    name: 'KEY FOUND IN',
    cell: ({ keyFoundIn }) => (keyFoundIn.length === 0 ? 'no file' : keyFoundIn.join(' ')),
    tint: ({ keyFoundIn }) => (keyFoundIn.length === 0 ? undefined : 'red'),
  },
]

function tell(proofs: readonly Proof[]): void {
  if (proofs.length === 0) return say('Nothing is kept of that.')
  sayTable(proofs, COLUMNS)
  if (proofs.some(({ proved }) => !proved)) return
  const bytes = proofs.reduce((sum, proof) => sum + proof.bytes, 0)
  say()
  say(`${countOf(proofs.length, 'request')} erased, ${sizeOf(bytes)}.`)
}

function unproved(left: readonly Proof[], dir: string): Failure {
  return new Failure(
    'erase.unproved',
    `something is left of ${countOf(left.length, 'request')}: remove what the table names from ${dir}`,
  )
}
