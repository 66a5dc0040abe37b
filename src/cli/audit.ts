/**
 * `quipu audit`: is the journal what was written, and what was signed? Verifies a copy of the folder (copy.ts,
 * verification.ts), so that nothing is changed, and a house may be running on it. What else is to be made of the facts
 * while they pass hangs in as an onlooker.
 */
import { systemClock } from '../clock.ts'
import { readConfig } from '../config.ts'
import { Failure } from '../failure.ts'
import { Damage } from '../journal/damage.ts'
import type { Entry, Head } from '../journal/journal.ts'
import { archivesIn } from '../journal/level.ts'
import { Coverage } from '../report/coverage.ts'
import { type Copy, ofFolder, takeCopy } from './copy.ts'
import { countOf, durationOf, timeOf } from './quantities.ts'
import { reporting, reportOption } from './report.ts'
import { told } from './settings.ts'
import { interruption } from './signals.ts'
import { sayTable } from './table.ts'
import { progress, remark, say, sayJson, tinted } from './terminal.ts'
import { keyOption, keysOf, textFrom } from './trusted.ts'
import { type Given, jsonOption, misused, textOf, type Verb } from './verb.ts'
import { type Findings, type Onlooker, stopped, verify, type Wanted } from './verification.ts'

export const audit: Verb = {
  usage: ['audit'],
  about:
    'Verifies a journal from its first fact to its last: none missing, none altered, each one acceptable where it ' +
    'stands. Changes nothing, and a house may be running on the folder: what it reads is a copy, made in TMPDIR. ' +
    'Where anything is wrong it names the first bad fact, and the exit code is 1. Whoever can rewrite the whole ' +
    'folder can also rewrite the whole chain: keep a checkpoint (`quipu checkpoint`) or the head of an audit somewhere ' +
    'else, and give it to the next one with --since or --expect.',
  options: {
    ...told({
      data: 'folder of the journal',
      archiveDir: 'folder of archive files, as seen from the data folder',
    }),
    expect: {
      value: 'SEQ:HASH',
      sentence: 'the head of an earlier audit, which must still be part of the chain',
    },
    since: {
      value: 'CHECKPOINT',
      sentence: 'the file of an earlier checkpoint; proves that nothing up to there was changed since',
    },
    ...keyOption,
    ...reportOption,
    ...jsonOption,
  },
  examples: [
    ['quipu audit --data ./data', 'verify every fact'],
    ['quipu audit --report audit.html', 'and a page for people: who asked for what, and what became of it'],
    ['quipu audit --since checkpoint.txt --key quipu.key', 'was nothing changed since that checkpoint?'],
    ['quipu audit --json | jq -r .head', 'the head alone, to be kept somewhere else'],
  ],
  async run(given) {
    const { data: dir, archiveDir } = readConfig(given.flags)
    const json = given.switches.has('json')
    const expected = expectation(given)
    const since = await sinceOf(given)
    const keys = await keysOf(given)
    const contents = new Contents()
    const account = reporting(given)
    try {
      const coverage = new Coverage()
      const wanted = {
        signal: interruption(),
        expected,
        since,
        keys,
        onlookers: [contents, coverage, ...account.onlookers],
      }
      const findings = await examine({ dir, archiveDir }, wanted)
      const [complaint] = coverage.complaints
      if (complaint !== undefined) throw new Failure('audit.forgotten', complaint)
      await account.write(findings)
      if (since !== undefined && keys.length === 0) remark(OWN_KEY)
      report(dir, findings, contents, json)
    } catch (error) {
      if (error instanceof Damage || (error instanceof Failure && error.code === 'audit.forgotten'))
        await account.writeDamaged(dir, error)
      if (json && error instanceof Failure) sayJson(complaint(dir, error))
      throw error
    }
  },
}

/** The copy is gone again before anything is said. */
async function examine(
  { dir, archiveDir }: { readonly dir: string; readonly archiveDir: string },
  wanted: Pick<Wanted, 'signal' | 'expected' | 'since' | 'keys' | 'onlookers'>,
): Promise<Findings> {
  let copy: Copy | undefined
  try {
    copy = await takeCopy(dir, wanted.signal)
    // Archive files are never written again, so they are read where they are.
    const archives = archivesIn(dir, archiveDir)
    return await verify({ ...wanted, dir: copy.dir, archiveDir: archives, clock: systemClock })
  } catch (error) {
    throw wanted.signal.aborted ? stopped() : ofFolder(dir, copy?.dir ?? dir, error)
  } finally {
    progress('')
    await copy?.remove()
  }
}

/** What the facts are: how many of each, and when the first and the last were decided. */
class Contents implements Onlooker {
  readonly types = new Map<string, number>()
  first: Entry | undefined
  last: Entry | undefined

  see(page: readonly Entry[]): void {
    for (const { type } of page) this.types.set(type, (this.types.get(type) ?? 0) + 1)
    this.first ??= page[0]
    this.last = page.at(-1)
  }

  again(): void {
    this.types.clear()
    this.first = undefined
  }
}

function expectation(given: Given): Head | undefined {
  const text = textOf(given, 'expect')
  if (text === undefined) return undefined
  const [, seq, hash] = /^(\d{1,16}):([\w-]{43})$/.exec(text) ?? []
  if (seq === undefined) throw misused(`--expect: "${text}" is not a head, such as an audit prints it`)
  return { seq: Number(seq), hash: hash! }
}

async function sinceOf(given: Given): Promise<string | undefined> {
  const path = textOf(given, 'since')
  if (path !== undefined) return textFrom(path)
  if (given.flags['key'] !== undefined) throw misused('--key goes with --since')
  return undefined
}

const OWN_KEY =
  'quipu: the key was taken from the journal itself, where whoever rewrote it could have put another; with --key and a ' +
  'key that was kept elsewhere this proves more'

function complaint(dir: string, failure: Failure): object {
  const { code, message } = failure
  const seq =
    failure instanceof Damage ? failure.seq : Number(/^[Ff]act (\d+)/.exec(message)?.[1] ?? Number.NaN)
  return { ok: false, dir, code, message, seq: seq === undefined || Number.isNaN(seq) ? null : seq }
}

function report(
  dir: string,
  { id, head, ms, from, vouchedBy, now, signed, keys, unendorsed, since }: Findings,
  { types, first, last }: Contents,
  json: boolean,
): void {
  const anchor = `${head.seq}:${head.hash}`
  const facts = head.seq - from + 1
  const speed = Math.round(facts / Math.max(ms / 1_000, 0.001))
  const byType = [...types].sort(([a], [b]) => (a < b ? -1 : 1))
  if (json) {
    const edge = (entry: Entry | undefined): object | null =>
      entry === undefined ? null : { seq: entry.seq, at: entry.at, type: entry.type }
    const named = keys.map(key => ({ vkey: key.vkey, seq: key.seq, endorsed: !unendorsed.includes(key) }))
    return sayJson({
      ok: true,
      dir,
      id,
      facts,
      head: anchor,
      first: edge(first),
      last: edge(last),
      types: Object.fromEntries(byType),
      signed,
      keys: named,
      since: since ?? null,
      ms: Math.round(ms),
      factsPerSecond: speed,
      from: facts === 0 ? null : from,
      vouchedBy: from === 1 ? null : vouchedBy,
      now: now ?? null,
    })
  }
  say(tinted('green', verdict(facts, from)))
  if (from > 1) {
    say(
      `Those before are in archive files that are not here. Fact ${countOf(vouchedBy)} says where they end, and the`,
    )
    say('chain agrees; whether charts accept what follows takes all of them.')
  }
  if (since !== undefined) {
    say(tinted('green', `Nothing up to fact ${countOf(since.size)} was changed since that was signed.`))
  }
  say()
  say(`journal  ${dir} (${id})`)
  say(`facts    ${countOf(facts)} in ${durationOf(ms)}${facts === 0 ? '' : `, ${countOf(speed)} a second`}`)
  if (first !== undefined && last !== undefined) {
    say(`first    ${timeOf(first.at)}`)
    say(`last     ${timeOf(last.at)}`)
  }
  if (now !== undefined) {
    const { nodes, models, openRequests } = now
    const parts = [countOf(nodes, 'node'), countOf(models, 'model'), countOf(openRequests, 'open request')]
    say(`adds up  ${parts.join(', ')}`)
  }
  say(`head     ${anchor}`)
  if ('why' in signed) say(`signed   ${signed.why}`)
  else say(`signed   up to fact ${countOf(signed.size)}, by ${signed.vkey}`)
  if (since !== undefined) say(`since    fact ${countOf(since.size)}, by ${since.vkey}`)
  for (const { vkey, seq } of unendorsed) {
    say(
      tinted('yellow', `key      fact ${seq} put ${vkey} in place without the one before it: was that you?`),
    )
  }
  if (byType.length === 0) return
  say()
  sayTable(byType, [
    { name: 'FACT', cell: ([type]) => type },
    { name: 'COUNT', right: true, cell: ([, count]) => countOf(count) },
  ])
}

function verdict(facts: number, from: number): string {
  if (facts === 0) return 'The journal is empty, and whole.'
  return from === 1
    ? 'Every fact verifies, and every chart accepts it.'
    : `Every fact from ${countOf(from)} on verifies.`
}
