/**
 * `quipu restore`: a journal anew, out of its copy in Kafka. Every record is verified against the one before it, from the
 * origin on, before it is written; until the last one is, the folder holds no journal.
 */
import { readdir, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { KafkaSpec } from '../brokers.ts'
import { systemClock } from '../clock.ts'
import { readConfig } from '../config.ts'
import { Failure } from '../failure.ts'
import { headerOf } from '../journal/chain.ts'
import { Damage } from '../journal/damage.ts'
import { importRecords } from '../journal/import.ts'
import type { Head } from '../journal/journal.ts'
import { JournalTopic } from '../mirror/journaltopic.ts'
import { type Restored, recordsFrom } from '../mirror/restore.ts'
import { countOf, durationOf, timeOf } from './quantities.ts'
import { told } from './settings.ts'
import { interruption, stayingFor } from './signals.ts'
import { progress, say, sayJson, tinted } from './terminal.ts'
import { type Given, jsonOption, misused, textOf, type Verb } from './verb.ts'

export const restore: Verb = {
  usage: ['restore --from kafka --kafka SPEC --data NEWDIR'],
  about:
    'Makes a journal anew out of its copy in a topic of Kafka, in a folder that is empty or not there yet. Every fact is ' +
    'verified against the chain, from the first to the last, before it is written; what is there twice is taken once. ' +
    'The topic holds facts only: questions and answers of jobs, statistics, and the secrets of the folder are not in it.',
  options: {
    from: { value: 'kafka', sentence: 'where from' },
    ...told({
      kafka: 'the brokers, the topic, and who we are to them',
      data: 'folder to make the journal in',
    }),
    journal: {
      value: 'ID',
      fallback: 'the only one there is',
      sentence: 'which journal, where the topic holds several',
    },
    ...jsonOption,
  },
  examples: [
    [
      'quipu restore --from kafka --kafka brokers=kafka-a:9092 --data ./restored',
      'the journal of which quipu.journal is a copy',
    ],
    ['quipu audit --data ./restored', 'verify it once more, and that every chart accepts it'],
  ],
  // Between two tries nothing else keeps the process alive.
  run: given => stayingFor(bring(given)),
}

async function bring(given: Given): Promise<void> {
  if (textOf(given, 'from') !== 'kafka') throw misused('restore needs --from kafka')
  const { kafka, kafkaPassword: password, data: dir, sources } = readConfig(given.flags)
  if (kafka === undefined) throw misused('restore needs --kafka brokers=HOST:PORT, or QUIPU_KAFKA')
  if (sources.data === 'default') throw misused('restore needs --data NEWDIR')
  await mustBeEmpty(dir)
  const topic = new JournalTopic({ spec: kafka, clock: systemClock, password })
  const began = systemClock.monotonic()
  try {
    const total = await topic.count()
    const restored = await recordsFrom(topic, textOf(given, 'journal'))
    const span = { first: 0, last: 0 }
    const records = watched(restored, total, span, interruption())
    const head = await importRecords({ dir, clock: systemClock, id: restored.journal, records })
    const ms = systemClock.monotonic() - began
    progress('')
    report({ dir, kafka, restored, head, span, ms }, given.switches.has('json'))
  } catch (error) {
    progress('')
    await clear(dir)
    throw error instanceof Damage ? altered(error) : error
  } finally {
    topic.close()
  }
}

interface Span {
  /** When the first and the last fact happened, ms. */
  first: number
  last: number
}

async function* watched(
  { pages, seen }: Restored,
  total: number,
  span: Span,
  stop: AbortSignal,
): AsyncGenerator<readonly string[]> {
  for await (const page of pages) {
    if (stop.aborted) throw stopped()
    yield page
    if (span.first === 0) span.first = headerOf(page[0]!).at
    span.last = headerOf(page.at(-1)!).at
    const read = seen.facts + seen.doubles + seen.others
    const share = Math.min(1, read / Math.max(1, total))
    const bar = '█'.repeat(Math.round(share * 20)).padEnd(20, '░')
    progress(`${bar} ${Math.round(share * 100)} %  ${countOf(seen.facts, 'fact')} verified and written`)
  }
}

async function mustBeEmpty(dir: string): Promise<void> {
  const files = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw new Failure('restore.folder', `${dir} cannot be used: ${error.message}`, { cause: error })
  })
  if (files.length === 0) return
  throw new Failure(
    'restore.folder',
    `${dir} is not empty: name a folder that is, or one that is not there yet`,
  )
}

/** It was empty before. */
async function clear(dir: string): Promise<void> {
  await rm(join(dir, 'journal'), { recursive: true, force: true })
  await rm(join(dir, 'journal.json.new'), { force: true })
  await rmdir(dir).catch(() => {})
}

interface Report {
  readonly dir: string
  readonly kafka: KafkaSpec
  readonly restored: Restored
  readonly head: Head
  readonly span: Span
  readonly ms: number
}

function report({ dir, kafka: { topic }, restored, head, span, ms }: Report, json: boolean): void {
  const { journal, seen } = restored
  const anchor = `${head.seq}:${head.hash}`
  const { doubles, others } = seen
  if (json)
    return sayJson({
      dir,
      topic,
      journal,
      facts: head.seq,
      head: anchor,
      doubles,
      others,
      ms: Math.round(ms),
    })
  say(tinted('green', 'The journal is restored: every fact follows from the one before it.'))
  say()
  say(`journal  ${dir} (${journal}), from ${topic}`)
  say(`facts    ${countOf(head.seq)} in ${durationOf(ms)}`)
  say(`first    ${timeOf(span.first)}`)
  say(`last     ${timeOf(span.last)}`)
  const left = [
    ...(doubles > 0
      ? [countOf(doubles, 'message that was there twice', 'messages that were there twice')]
      : []),
    ...(others > 0
      ? [countOf(others, 'message that is not of this journal', 'messages that are not of this journal')]
      : []),
  ]
  if (left.length > 0) say(`left out ${left.join(', ')}`)
  say(`head     ${anchor}`)
  say()
  say(`Next: quipu audit --data ${dir}, then quipu serve --data ${dir}`)
}

function altered({ seq, cause, message }: Damage): Failure {
  const said =
    seq === undefined
      ? message
      : `Fact ${seq} in the topic does not follow from the one before it: it was altered, or the topic holds two ` +
        'histories of this journal. Nothing is restored.'
  return new Failure('restore.broken', said, { cause })
}

function stopped(): Failure {
  return new Failure('restore.stopped', 'The restore was stopped before its end: nothing is restored.')
}
