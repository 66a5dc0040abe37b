/** A journal brought back from its records is the journal it was. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock as clock } from '../../src/clock.ts'
import { importRecords } from '../../src/journal/import.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { failure, texts, write } from './facts.ts'

async function written(t: Test, count: number) {
  const journal = openMemoryJournal({ id: 'elsewhere' })
  write(journal, count)
  await journal.flushed()
  const records = await texts(journal)
  const { id, head } = journal
  await journal.close()
  return { id, head, records, dir: join(t.testdir(), 'house') }
}

/** In pages of 700. */
function* pages(records: readonly string[]): Generator<readonly string[]> {
  for (let at = 0; at < records.length; at += 700) yield records.slice(at, at + 700)
}

t.test('what was brought back goes on under its old id, where it ended', async t => {
  const { id, head, records, dir } = await written(t, 2_500)
  const seen: number[] = []
  t.same(
    await importRecords({ dir, id, records: pages(records), clock, progress: seq => seen.push(seq) }),
    head,
  )
  t.same(seen, [700, 1_400, 2_100, 2_500])
  const journal = await openLevelJournal({ dir, clock })
  t.same([journal.id, journal.head, journal.durable], [id, head, 2_500])
  t.strictSame(await texts(journal), records)
  write(journal, 1)
  await journal.close()
})

t.test('an empty journal can be brought back, too', async t => {
  const { id, head, dir } = await written(t, 0)
  t.same(await importRecords({ dir, id, records: [], clock }), head)
  const journal = await openLevelJournal({ dir, clock })
  t.same([journal.id, journal.head], [id, head])
  await journal.close()
})

t.test('what is no whole chain of that journal leaves no journal behind, and may be tried again', async t => {
  const { id, head, records, dir } = await written(t, 1_500)
  const altered = records.with(1_200, records[1_200]!.replace('shed', 'barn'))
  for (const [what, wrong, code, seq] of [
    ['altered', altered, 'journal.broken', 1_201],
    ['with a gap', records.toSpliced(800, 1), 'journal.gap', 801],
    ['without a beginning', records.slice(1), 'journal.gap', 1],
  ] as const) {
    t.match(
      await failure(() => importRecords({ dir, id, records: pages(wrong), clock })),
      { code, seq },
      what,
    )
    t.match(await failure(() => openLevelJournal({ dir, clock })), { code: 'journal.missing' }, what)
  }
  const other = await failure(() => importRecords({ dir, id: 'another', records: pages(records), clock }))
  t.match(other, { code: 'journal.broken', seq: 1 })
  async function* cut(): AsyncGenerator<readonly string[]> {
    yield records.slice(0, 700)
    throw new Error('the line went dead')
  }
  await t.rejects(importRecords({ dir, id, records: cut(), clock }), { message: 'the line went dead' })
  t.notOk((await readdir(dir)).includes('lock'))
  t.same(await importRecords({ dir, id, records: pages(records), clock }), head)
})

t.test('a folder that has a journal keeps it', async t => {
  const { id, records, dir } = await written(t, 10)
  const journal = await openLevelJournal({ dir, clock, create: true })
  write(journal, 3)
  await journal.close()
  const refused = await failure(() => importRecords({ dir, id, records: pages(records), clock }))
  t.match(refused, { code: 'journal.present', message: journal.id })
  const again = await openLevelJournal({ dir, clock })
  t.same([again.id, again.durable], [journal.id, 3])
  await again.close()
})
