import t from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { Feed } from '../../src/journal/feed.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { Stories } from '../../src/journal/stories.ts'
import { wantedBy } from '../../src/journal/wanted.ts'
import { until, write } from './facts.ts'

/** A clock on which looking twice takes so long, as if a wave had. */
function slowClock(waveMs: number) {
  const clock = virtualClock()
  let looks = 0
  return { ...clock, monotonic: () => (looks++ % 2) * waveMs }
}

/** The seqs that a reader is told of, stretch by stretch. */
function follow(feed: Feed, after = 0): number[] {
  const told: number[] = []
  void (async () => {
    for await (const { seq } of feed.follow(after, undefined, feed.enter().signal)) told.push(seq)
  })()
  return told
}

t.test('after a wave that took a while, readers rest for three times as long, and miss nothing', async t => {
  const clock = slowClock(10)
  const journal = openMemoryJournal({ clock })
  const feed = new Feed({ clock, journal })
  const told = follow(feed)
  const grow = async (): Promise<void> => {
    write(journal, 1)
    await journal.flushed()
    await clock.advance(0)
  }
  await grow()
  t.same(told, [1])
  await grow()
  await grow()
  await clock.advance(29)
  t.same(told, [1], 'they rest')
  await clock.advance(1)
  t.same(told, [1, 3], 'and are told of all there is by then, at once')
  feed.close()
  t.equal(feed.readers, 0)
})

t.test('a wave for a few is followed by no rest', async t => {
  const clock = slowClock(0.5)
  const journal = openMemoryJournal({ clock })
  const feed = new Feed({ clock, journal })
  const told = follow(feed)
  for (let i = 1; i <= 5; i += 1) {
    write(journal, 1)
    await journal.flushed()
    await until(() => told.length === i, 'each is told at once')
  }
  t.same(told, [1, 2, 3, 4, 5])
  feed.close()
})

t.test('readers are not held up by a rest when the journal is closed', async t => {
  const clock = slowClock(30)
  const journal = openMemoryJournal({ clock })
  const feed = new Feed({ clock, journal })
  let over = false
  void (async () => {
    for await (const _ of feed.follow(0, undefined, feed.enter().signal));
    over = true
  })()
  write(journal, 1)
  await journal.flushed()
  await clock.advance(0)
  await journal.close()
  await until(() => over, 'its readers are sent home')
  t.pass('at once')
})

t.test('a stretch in which nothing is wanted moves the mark all the same', async t => {
  const clock = virtualClock()
  const journal = openMemoryJournal({ clock })
  write(journal, 3)
  await journal.flushed()
  const feed = new Feed({ clock, journal })
  const wanted = wantedBy({ kind: 'breaker' }, new Stories({ clock, journal, remembered: () => undefined }))
  for await (const stretch of feed.follow(1, wanted, feed.enter().signal)) {
    t.same(stretch, { facts: [], seq: 3 })
    break
  }
  feed.close()
})
