/**
 * A journal's records out of a topic, from the first on, each once and in order, whatever else is there: other journals,
 * and what was sent twice. Whoever writes them down verifies them (journal/level.ts, importRecords).
 */
import { Failure } from '../failure.ts'
import { seqIn } from '../journal/chain.ts'
import type { TopicReader } from './topic.ts'

export interface Restored {
  readonly journal: string
  /** Consume it once, to its end; it rejects with what read() does, and `restore.gap`, `restore.several`. */
  readonly pages: AsyncIterable<readonly string[]>
  /** As far as it was consumed. */
  readonly seen: { facts: number; doubles: number; others: number }
}

/** Of the journal `wanted`, or of the only one there is. Rejects with `restore.nothing`, or what read() does. */
export async function recordsFrom(reader: TopicReader, wanted?: string): Promise<Restored> {
  const seen = { facts: 0, doubles: 0, others: 0 }
  const source = reader.read()
  let journal = wanted
  let first: readonly string[] = []

  function take(page: readonly { readonly journal: string; readonly record: string }[]): readonly string[] {
    const records: string[] = []
    for (const { journal: key, record } of page) {
      const seq = seqIn(record)
      // Somebody else's messages are none of ours.
      if (Number.isNaN(seq)) {
        seen.others += 1
        continue
      }
      journal ??= key
      if (key !== journal) {
        if (wanted === undefined) throw several(journal, key)
        seen.others += 1
        continue
      }
      if (seq <= seen.facts) {
        seen.doubles += 1
        continue
      }
      if (seq > seen.facts + 1) throw gap(seen.facts + 1, seq)
      seen.facts = seq
      records.push(record)
    }
    return records
  }

  while (first.length === 0) {
    const { value, done } = await source.next()
    if (done) throw nothing(wanted)
    first = take(value)
  }

  async function* pages(): AsyncGenerator<readonly string[]> {
    yield first
    for await (const page of source) {
      const records = take(page)
      if (records.length > 0) yield records
    }
  }
  return { journal: journal!, pages: pages(), seen }
}

function several(...journals: readonly string[]): Failure {
  return new Failure(
    'restore.several',
    `the topic holds more than one journal (${journals.join(', ')}); say with --journal which one is meant`,
  )
}

function gap(seq: number, found: number): Failure {
  return new Failure(
    'restore.gap',
    `fact ${seq} is not in the topic, and the next one there is ${found}: it has forgotten the facts before it`,
  )
}

function nothing(wanted: string | undefined): Failure {
  const what = wanted === undefined ? 'a journal' : `the journal ${wanted}`
  return new Failure('restore.nothing', `the topic holds nothing of ${what}`)
}
