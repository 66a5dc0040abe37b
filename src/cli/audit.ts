/**
 * `quipu audit`: is the journal what was written? Replays it from zero with an engine that does nothing else, which
 * verifies the chain and that every fact is one its chart accepts. Reads a copy (copy.ts), so that nothing is
 * changed, and a house may be running on the folder.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../clock.ts'
import { readConfig } from '../config.ts'
import { Engine } from '../engine/engine.ts'
import { Failure } from '../failure.ts'
import { Damage } from '../journal/damage.ts'
import type { Entry, Head, Journal } from '../journal/journal.ts'
import { openLevelJournal } from '../journal/level.ts'
import { views } from '../projections/views.ts'
import { type Copy, ofFolder, takeCopy } from './copy.ts'
import { countOf, durationOf, timeOf } from './quantities.ts'
import { reporting, reportOption } from './report.ts'
import { told } from './settings.ts'
import { interruption } from './signals.ts'
import { sayTable } from './table.ts'
import { progress, say, sayJson, tinted } from './terminal.ts'
import { type Given, jsonOption, misused, textOf, type Verb } from './verb.ts'

export const audit: Verb = {
  usage: ['audit'],
  about:
    'Verifies a journal from its first fact to its last: none missing, none altered, each one acceptable where it ' +
    'stands. Changes nothing, and a house may be running on the folder: what it reads is a copy, made in TMPDIR. ' +
    'Where anything is wrong it names the first bad fact, and the exit code is 1. Whoever can rewrite the whole ' +
    'folder can also rewrite the whole chain: keep the head of an audit somewhere else, and give it to the next one ' +
    'with --expect.',
  options: {
    ...told({ data: 'folder of the journal' }),
    expect: {
      value: 'SEQ:HASH',
      sentence: 'the head of an earlier audit, which must still be part of the chain',
    },
    ...reportOption,
    ...jsonOption,
  },
  examples: [
    ['quipu audit --data ./data', 'verify every fact'],
    ['quipu audit --report audit.html', 'and a page for people: who asked for what, and what became of it'],
    ['quipu audit --json | jq -r .head', 'the head alone, to be kept somewhere else'],
  ],
  async run(given) {
    const { data: dir } = readConfig(given.flags)
    const json = given.switches.has('json')
    const expected = expectation(given)
    const account = reporting(given)
    try {
      const findings = await examine(dir, interruption(), { expected, onlookers: account.onlookers })
      await account.write(findings)
      report(dir, findings, json)
    } catch (error) {
      if (error instanceof Damage) await account.writeDamaged(dir, error)
      if (json && error instanceof Failure) sayJson(complaint(dir, error))
      throw error
    }
  },
}

/** The copy is gone again before anything is said. */
async function examine(dir: string, signal: AbortSignal, order: Order): Promise<Findings> {
  let copy: Copy | undefined
  try {
    copy = await takeCopy(dir, signal)
    return await verify(copy.dir, signal, order)
  } catch (error) {
    throw signal.aborted ? stopped() : ofFolder(dir, copy?.dir ?? dir, error)
  } finally {
    progress('')
    await copy?.remove()
  }
}

interface Findings {
  readonly id: string
  readonly facts: number
  readonly head: Head
  readonly first: Entry | undefined
  readonly last: Entry | undefined
  readonly types: ReadonlyMap<string, number>
  readonly ms: number
  /** What it all comes to. */
  readonly now: { readonly nodes: number; readonly models: number; readonly openRequests: number }
}

/** Is shown every page as it is replayed. What it makes of them is proved once the audit has come to its end. */
export interface Onlooker {
  see(page: readonly Entry[]): void
}

interface Order {
  readonly expected: Head | undefined
  readonly onlookers: readonly Onlooker[]
}

async function verify(dir: string, signal: AbortSignal, { expected, onlookers }: Order): Promise<Findings> {
  const { journal, endless } = await openCopy(dir)
  try {
    const types = new Map<string, number>()
    let first: Entry | undefined
    let last: Entry | undefined
    const see = (page: readonly Entry[]): void => {
      if (signal.aborted) throw stopped()
      for (const entry of page) types.set(entry.type, (types.get(entry.type) ?? 0) + 1)
      for (const onlooker of onlookers) onlooker.see(page)
      first ??= page[0]
      last = page.at(-1)
      if (expected !== undefined) compare(expected, page)
      progress(`${countOf(last?.seq ?? 0)} of ${countOf(journal.durable, 'fact')} verified`)
    }
    const answers = views()
    const engine = new Engine(watched(journal, see), systemClock, Object.values(answers))
    const began = systemClock.monotonic()
    const head = await engine.replay().catch(async error => {
      throw await pinned(journal, error)
    })
    if (endless !== undefined) throw endless
    if (expected !== undefined && expected.seq > head.seq) throw shorter(expected, head)
    return {
      id: journal.id,
      facts: head.seq,
      head,
      first,
      last,
      types,
      ms: systemClock.monotonic() - began,
      now: {
        nodes: answers.fleet.state.size,
        models: answers.catalog.state.size,
        openRequests: answers.requests.state.open.size,
      },
    }
  } finally {
    await journal.close()
  }
}

/**
 * A journal whose end is missing does not open, but an audit looks at all that is left first: without the mark it
 * opens. Where it does not even then, something among its last facts is wrong, and perhaps something before them.
 */
async function openCopy(dir: string): Promise<{ readonly journal: Journal; readonly endless?: Damage }> {
  const open = (tailFacts?: number): Promise<Journal> =>
    openLevelJournal({ dir, clock: systemClock, ...(tailFacts !== undefined && { tailFacts }) })
  try {
    return { journal: await open() }
  } catch (error) {
    if (!(error instanceof Damage) || error.seq === undefined) throw error
    await rm(join(dir, 'mark'), { force: true })
    return { journal: await open(Number.POSITIVE_INFINITY), endless: error }
  }
}

/** The same journal; every page read is seen on its way. */
function watched(journal: Journal, see: (page: readonly Entry[]) => void): Journal {
  async function* read(): AsyncGenerator<readonly Entry[]> {
    for await (const page of journal.read()) {
      see(page)
      yield page
    }
  }
  return Object.create(journal, { read: { value: read } })
}

/** Where LevelDB itself stumbles, a page is all that it names. One fact at a time says which it is. */
async function pinned(journal: Journal, error: unknown): Promise<unknown> {
  if (!(error instanceof Damage) || error.seq === undefined || error.cause === undefined) return error
  for (let seq = error.seq; seq <= journal.durable; seq += 1) {
    try {
      for await (const _ of journal.records({ after: seq - 1, until: seq }));
    } catch (nearer) {
      if (!(nearer instanceof Damage) || nearer.cause === undefined) return nearer
      const said = nearer.message.replace(', or one soon after it,', '')
      return new Damage('journal.broken', said, { seq, cause: nearer.cause })
    }
  }
  return error
}

function expectation(given: Given): Head | undefined {
  const text = textOf(given, 'expect')
  if (text === undefined) return undefined
  const [, seq, hash] = /^(\d{1,16}):([\w-]{43})$/.exec(text) ?? []
  if (seq === undefined) throw misused(`--expect: "${text}" is not a head, such as an audit prints it`)
  return { seq: Number(seq), hash: hash! }
}

function compare({ seq, hash }: Head, page: readonly Entry[]): void {
  const entry = page[seq - page[0]!.seq]
  if (entry === undefined || entry.hash === hash) return
  throw new Failure(
    'audit.rewritten',
    `Fact ${seq} has the hash ${entry.hash}, and ${hash} was expected: this is not the journal of that audit, or its ` +
      'past was rewritten since. The chain by itself holds.',
  )
}

function shorter({ seq }: Head, head: Head): Failure {
  const said = `The journal ends at fact ${head.seq}, and fact ${seq} was expected: its end is missing, or it is another.`
  return new Failure('audit.rewritten', said)
}

function stopped(): Failure {
  return new Failure('audit.stopped', 'The audit was stopped before its end: nothing is proved.')
}

function complaint(dir: string, failure: Failure): object {
  const { code, message } = failure
  const seq =
    failure instanceof Damage ? failure.seq : Number(/^[Ff]act (\d+)/.exec(message)?.[1] ?? Number.NaN)
  return { ok: false, dir, code, message, seq: seq === undefined || Number.isNaN(seq) ? null : seq }
}

function report(
  dir: string,
  { id, facts, head, first, last, types, ms, now }: Findings,
  json: boolean,
): void {
  const anchor = `${head.seq}:${head.hash}`
  const speed = Math.round(facts / Math.max(ms / 1_000, 0.001))
  const byType = [...types].sort(([a], [b]) => (a < b ? -1 : 1))
  if (json) {
    const edge = (entry: Entry | undefined): object | null =>
      entry === undefined ? null : { seq: entry.seq, at: entry.at, type: entry.type }
    return sayJson({
      ok: true,
      dir,
      id,
      facts,
      head: anchor,
      first: edge(first),
      last: edge(last),
      types: Object.fromEntries(byType),
      ms: Math.round(ms),
      factsPerSecond: speed,
      now,
    })
  }
  say(
    tinted(
      'green',
      facts === 0 ? 'The journal is empty, and whole.' : 'Every fact verifies, and every chart accepts it.',
    ),
  )
  say()
  say(`journal  ${dir} (${id})`)
  say(`facts    ${countOf(facts)} in ${durationOf(ms)}${facts === 0 ? '' : `, ${countOf(speed)} a second`}`)
  if (first !== undefined && last !== undefined) {
    say(`first    ${timeOf(first.at)}`)
    say(`last     ${timeOf(last.at)}`)
  }
  const { nodes, models, openRequests } = now
  const parts = [countOf(nodes, 'node'), countOf(models, 'model'), countOf(openRequests, 'open request')]
  say(`adds up  ${parts.join(', ')}`)
  say(`head     ${anchor}`)
  if (byType.length === 0) return
  say()
  sayTable(byType, [
    { name: 'FACT', cell: ([type]) => type },
    { name: 'COUNT', right: true, cell: ([, count]) => countOf(count) },
  ])
}
