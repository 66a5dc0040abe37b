import t from 'tap'
import { Failure } from '../../src/failure.ts'
import type { Entry, Journal, Range } from '../../src/journal/journal.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { Shelf } from '../../src/journal/shelf.ts'
import { failure, write } from './facts.ts'

/** A shelf, and what was read from the disk for it. */
async function shelved(count: number) {
  const journal = openMemoryJournal()
  for (let left = count; left > 0; left -= 5_000) {
    write(journal, Math.min(left, 5_000))
    await journal.flushed()
  }
  const reads: string[] = []
  const trouble: { failure?: Failure } = {}
  const read = (range: Range = {}): AsyncIterable<readonly Entry[]> => {
    reads.push(`${range.after}-${range.until}`)
    if (trouble.failure !== undefined) throw trouble.failure
    return journal.read(range)
  }
  const watched: Pick<Journal, 'durable' | 'read'> = {
    get durable() {
      return journal.durable
    },
    read,
  }
  return { journal, reads, trouble, shelf: new Shelf(watched) }
}

async function seqs(shelf: Shelf, range?: Range): Promise<number[]> {
  const found: number[] = []
  for await (const page of shelf.read(range)) found.push(...page.map(({ seq }) => seq))
  return found
}
const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)

t.test('many who read the same, at once or later, read the disk once', async t => {
  const { shelf, reads } = await shelved(3_500)
  const all = await Promise.all([0, 0, 0].map(after => seqs(shelf, { after })))
  all.push(await seqs(shelf))
  for (const found of all) t.same(found, numbers(1, 3_500))
  t.same(reads, ['0-1000', '1000-2000', '2000-3000', '3000-3500'])
})

t.test('who begins elsewhere soon reads what others have read', async t => {
  const { shelf, reads, journal } = await shelved(3_000)
  await seqs(shelf)
  reads.length = 0
  t.same(await seqs(shelf, { after: 700 }), numbers(701, 3_000))
  t.same(await seqs(shelf, { after: 10, until: 1_500 }), numbers(11, 1_500))
  t.same(reads, ['700-1000', '10-1000', '1000-1500'])
  write(journal, 1)
  await journal.flushed()
  t.same(await seqs(shelf, { after: 3_000 }), [3_001], 'and what has come since')
  t.same(await seqs(shelf, { after: 3_001 }), [])
})

t.test('what could not be read is tried again', async t => {
  const { shelf, trouble } = await shelved(10)
  trouble.failure = new Failure('journal.unwritable', 'not now', { retryable: true })
  t.match(await failure(() => seqs(shelf)), { code: 'journal.unwritable' })
  delete trouble.failure
  t.same(await seqs(shelf), numbers(1, 10))
})

t.test('not everything is kept', async t => {
  const { shelf, reads } = await shelved(20_000)
  await seqs(shelf)
  await seqs(shelf, { after: 19_000 })
  t.equal(reads.length, 20)
  await seqs(shelf, { until: 1_000 })
  t.equal(reads.length, 21)
})
