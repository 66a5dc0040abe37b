/** Group commit and the way back after a failed write, on a disk that does as it is told, in virtual time. */
import t, { type Test } from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { Failure } from '../../src/failure.ts'
import { originOf } from '../../src/journal/chain.ts'
import { journalOver } from '../../src/journal/commit.ts'
import { follow } from '../../src/journal/follow.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { all, chance, fact, failure, texts, write } from './facts.ts'

interface Write {
  readonly seq: number
  readonly records: readonly string[]
  /** The disk has it and says so. */
  done(): void
  /** The disk says it failed; `kept` is the truth. */
  fail(kept: boolean): void
}

/** A disk that answers each write when the test says so. After a failed one it must be reopened. */
function slowDisk(t: Test) {
  const clock = virtualClock()
  const records: string[] = []
  const writes: Write[] = []
  const disk = {
    clock,
    records,
    /** Writes the disk has not answered yet. */
    writes,
    poisoned: false,
    unreadable: false,
    opens: 0,
    /** Why it cannot be opened now. */
    refuses: undefined as Failure | undefined,
    settle: () => clock.advance(0),
    journal: undefined as unknown as Journal,
  }
  disk.journal = journalOver(
    {
      write(seq, batch) {
        if (disk.poisoned) t.fail('nothing may be written through a handle that has failed')
        if (writes.length > 0) t.fail('only one batch may be on its way')
        if (seq !== records.length + 1) t.fail(`written as ${seq}, after ${records.length}`)
        return new Promise((resolve, reject) => {
          const answer = (kept: boolean, settle: () => void): void => {
            writes.shift()
            if (kept) records.push(...batch)
            settle()
          }
          writes.push({
            seq,
            records: batch,
            done: () => answer(true, resolve),
            fail: kept =>
              answer(kept, () => {
                disk.poisoned = true
                reject(new Failure('journal.unwritable', 'IO error: No space left on device'))
              }),
          })
        })
      },
      async rewrite(changed) {
        if (writes.length > 0) t.fail('nothing may be replaced beside a write')
        for (const [seq, record] of changed) records[seq - 1] = record
      },
      spill: async () => {},
      compact: async () => {},
      async page(from, until) {
        if (disk.unreadable)
          throw new Failure('journal.unwritable', 'between two handles', { retryable: true })
        return records.slice(from - 1, Math.min(until, from + 999))
      },
      async reopen() {
        disk.opens += 1
        if (disk.refuses !== undefined) throw disk.refuses
        disk.poisoned = false
        return records.length
      },
      close: async () => {},
    },
    { id: 'slow', head: { seq: 0, hash: originOf('slow') }, clock },
  )
  return disk
}

const rejected = (flushed: Promise<void>) => failure(() => flushed)

t.test('all that one turn stages goes together, and all that comes meanwhile goes next', async t => {
  const { journal, writes, settle } = slowDisk(t)
  write(journal, 3)
  t.equal(writes.length, 0, 'not before the turn ends')
  await settle()
  t.equal(writes[0]!.records.length, 3)
  write(journal, 1)
  await settle()
  write(journal, 1)
  t.equal(writes.length, 1)
  writes[0]!.done()
  await settle()
  t.equal(journal.durable, 3)
  t.same([writes[0]!.seq, writes[0]!.records.length], [4, 2])
  writes[0]!.done()
  await journal.flushed()
  t.equal(journal.durable, 5)
})

t.test('what nobody waits for goes with the next write, or alone after a moment', async t => {
  const { journal, writes, settle, clock } = slowDisk(t)
  journal.stage('node', 'shed', [fact({})], true)
  await settle()
  t.equal(writes.length, 0, 'it has no write of its own yet')
  write(journal, 1)
  await settle()
  t.equal(writes[0]!.records.length, 2)
  writes[0]!.done()
  await settle()
  journal.stage('node', 'shed', [fact({})], true)
  await clock.advance(4)
  t.equal(writes.length, 0)
  await clock.advance(1)
  t.equal(writes[0]?.records.length, 1)
  writes[0]!.done()
  await settle()
  journal.stage('node', 'shed', [fact({})], true)
  const flushed = journal.flushed()
  await settle()
  t.equal(writes.length, 1, 'somebody waits after all')
  writes[0]!.done()
  await flushed
  journal.stage('node', 'shed', [fact({})], true)
  const closed = journal.close()
  await settle()
  writes[0]?.done()
  await closed
  t.equal(journal.durable, 5, 'and a close leaves nothing behind')
})

t.test('a batch has at most 512 facts or a mebibyte, and never half a decision', async t => {
  const { journal, writes, settle } = slowDisk(t)
  const sizes: number[] = []
  const drain = async (): Promise<void> => {
    await settle()
    while (writes.length > 0) {
      sizes.push(writes[0]!.records.length)
      writes[0]!.done()
      await settle()
    }
  }
  write(journal, 1_100)
  await drain()
  t.same(sizes.splice(0), [512, 512, 76])
  for (let round = 0; round < 4; round += 1)
    journal.stage(
      'node',
      'shed',
      Array.from({ length: 200 }, () => fact({})),
    )
  await drain()
  t.same(sizes.splice(0), [400, 400])
  journal.stage(
    'node',
    'shed',
    Array.from({ length: 700 }, () => fact({})),
  )
  await drain()
  t.same(sizes.splice(0), [700])
  for (let round = 0; round < 5; round += 1) journal.stage('node', 'shed', [fact('x'.repeat(400_000))])
  await drain()
  t.same(sizes.splice(0), [2, 2, 1])
  journal.stage('node', 'shed', [fact('x'.repeat(3_000_000))])
  await drain()
  t.same(sizes.splice(0), [1])
})

t.test('nobody hears before the disk', async t => {
  const { journal, writes, settle } = slowDisk(t)
  let heard = 0
  journal.watch(() => {
    heard += 1
  })
  write(journal, 1)
  const flushed = journal.flushed().then(() => 'durable')
  await settle()
  t.equal(await Promise.race([flushed, settle().then(() => 'waiting')]), 'waiting')
  t.same([journal.durable, heard, await all(journal), journal.recent(0)], [0, 0, [], []])
  writes[0]!.done()
  t.equal(await flushed, 'durable')
  t.same([journal.durable, heard], [1, 1])
})

t.test('flushed() waits for what was staged before it, not after', async t => {
  const { journal, writes, settle } = slowDisk(t)
  write(journal, 1)
  const first = journal.flushed()
  await settle()
  write(journal, 1)
  const second = journal.flushed().then(() => 'durable')
  writes[0]!.done()
  await first
  t.equal(await Promise.race([second, settle().then(() => 'waiting')]), 'waiting')
  writes[0]!.done()
  t.equal(await second, 'durable')
})

for (const kept of [false, true]) {
  t.test(
    `after a failed write that ${kept ? 'reached' : 'did not reach'} the disk every fact is there once`,
    async t => {
      const disk = slowDisk(t)
      const { journal, clock, settle } = disk
      write(journal, 2)
      await settle()
      disk.writes[0]!.done()
      await journal.flushed()
      const states: boolean[] = []
      journal.watch(() => states.push(journal.writable))

      write(journal, 2)
      const flushed = rejected(journal.flushed())
      await settle()
      write(journal, 1)
      const later = rejected(journal.flushed())
      disk.writes[0]!.fail(kept)
      const told = await flushed
      t.match(told, { code: 'journal.unwritable', retryable: true })
      t.match(told.message, 'No space left on device')
      t.equal((await later).code, 'journal.unwritable')
      t.same([journal.writable, journal.durable, journal.head.seq], [false, 2, 5])
      t.same(states, [false])

      const [staged] = journal.stage('node', 'shed', [fact({ number: 6 })])
      t.equal(staged!.seq, 6, 'what is decided meanwhile is numbered')
      t.equal((await rejected(journal.flushed())).code, 'journal.unwritable', 'and nobody waits for it')
      t.equal((await all(journal)).length, 2, 'reads go on')

      await clock.advance(999)
      t.equal(disk.opens, 0)
      await clock.advance(1)
      t.equal(disk.opens, 1)
      t.equal(journal.writable, true)
      t.same([disk.writes[0]!.seq, disk.writes[0]!.records.length], kept ? [5, 2] : [3, 4])
      disk.writes[0]!.done()
      await journal.flushed()
      t.equal(journal.durable, 6)
      t.same(
        (await all(journal)).map(({ data }) => (data as { number: number }).number),
        [1, 2, 3, 4, 5, 6],
      )
      t.ok(states.includes(true))
      t.strictSame(journal.recent(0), await all(journal))
    },
  )
}

t.test('it tries again after 1, 2, 4, 8 and then every 16 seconds, and from 1 again next time', async t => {
  const disk = slowDisk(t)
  const { journal, clock, settle } = disk
  write(journal, 1)
  await settle()
  disk.writes[0]!.fail(false)
  await settle()
  disk.refuses = new Failure('journal.unwritable', 'still full')
  const times: number[] = []
  for (let second = 1, seen = 0; second <= 65; second += 1) {
    await clock.advance(1_000)
    if (disk.opens > seen) times.push(second)
    seen = disk.opens
  }
  t.same(times, [1, 3, 7, 15, 31, 47, 63])
  t.match((await rejected(journal.flushed())).message, 'still full')
  disk.refuses = undefined
  await clock.advance(16_000)
  t.equal(journal.writable, true)
  disk.writes[0]!.fail(false)
  await settle()
  const opens = disk.opens
  await clock.advance(1_000)
  t.equal(disk.opens, opens + 1)
})

t.test('while nothing can be written, 8,192 facts may wait and no more', async t => {
  const disk = slowDisk(t)
  const { journal, clock, settle } = disk
  write(journal, 1)
  await settle()
  disk.writes[0]!.fail(true)
  await settle()
  write(journal, 8_191)
  t.match(await failure(() => write(journal, 1)), { code: 'journal.full', retryable: true })
  await clock.advance(1_000)
  while (disk.writes.length > 0) {
    disk.writes[0]!.done()
    await settle()
  }
  t.equal(journal.durable, 8_192)
  t.equal((await texts(journal)).length, 8_192)
})

t.test('a disk that has lost what was acknowledged ends the journal', async t => {
  const disk = slowDisk(t)
  const { journal, clock, settle } = disk
  write(journal, 5)
  await settle()
  disk.writes[0]!.done()
  await journal.flushed()
  write(journal, 1)
  const flushed = rejected(journal.flushed())
  await settle()
  disk.writes[0]!.fail(false)
  await flushed
  disk.records.splice(3)
  let heard = 0
  journal.watch(() => {
    heard += 1
  })
  await clock.advance(1_000)
  t.equal(heard, 1)
  t.equal(journal.writable, false)
  t.match(await rejected(journal.flushed()), { code: 'journal.gap', seq: 4, retryable: false })
  t.match(await failure(() => write(journal, 1)), { code: 'journal.gap', seq: 4 })
  await clock.advance(60_000)
  t.equal(disk.opens, 1, 'it does not try again')
  t.match(await failure(() => journal.close()), { code: 'journal.gap' })
})

t.test('a disk with what somebody else wrote ends the journal', async t => {
  for (const where of ['in place of what waits', 'after it', 'in place of what was acknowledged']) {
    const disk = slowDisk(t)
    const other = slowDisk(t)
    for (const { journal, writes, settle } of [disk, other]) {
      write(journal, 2, journal === other.journal && where !== 'after it' ? 100 : 1)
      await settle()
      writes[0]!.done()
      write(journal, 2)
      await settle()
    }
    disk.writes[0]!.fail(false)
    other.writes[0]!.done()
    await other.settle()
    if (where === 'in place of what waits') disk.records.push(...other.records.slice(2))
    if (where === 'after it') {
      write(other.journal, 1)
      await other.settle()
      other.writes[0]!.done()
      await other.settle()
      disk.records.push(...other.records.slice(2))
    }
    if (where === 'in place of what was acknowledged') disk.records.splice(0, 2, ...other.records)
    await disk.settle()
    await disk.clock.advance(1_000)
    const seq = { 'in place of what waits': 3, 'after it': 5, 'in place of what was acknowledged': 2 }[where]
    t.match(await rejected(disk.journal.flushed()), { code: 'journal.broken', seq }, where)
    t.equal(disk.journal.writable, false)
  }
})

t.test('a follower waits where nothing can be read for a while', async t => {
  const disk = slowDisk(t)
  const { journal, clock, settle } = disk
  const put = async (count: number): Promise<void> => {
    write(journal, count)
    await settle()
    while (disk.writes.length > 0) {
      disk.writes[0]!.done()
      await settle()
    }
  }
  for (let round = 0; round < 5; round += 1) await put(1_000)
  const stop = new AbortController()
  const pages = follow(journal, { signal: stop.signal })
  t.equal((await pages.next()).value![0].seq, 1)
  write(journal, 1)
  await settle()
  disk.writes[0]!.fail(true)
  disk.unreadable = true
  await settle()
  t.match(await failure(() => all(journal)), { code: 'journal.unwritable', retryable: true })
  const next = (async () => {
    for (;;) {
      const { value } = await pages.next()
      if (value === undefined || value.at(-1)!.seq === 5_001) return value
    }
  })()
  disk.refuses = new Failure('journal.unwritable', 'still full')
  await clock.advance(1_000)
  disk.unreadable = false
  disk.refuses = undefined
  await clock.advance(2_000)
  t.equal((await next)!.at(-1)!.seq, 5_001)
  stop.abort()
  t.equal((await pages.next()).done, true)
})

t.test('closing tries once more, and says so when facts are left behind', async t => {
  const disk = slowDisk(t)
  const { journal, settle } = disk
  write(journal, 1)
  await settle()
  disk.writes[0]!.fail(false)
  await settle()
  const closing = journal.close()
  await settle()
  disk.writes[0]!.done()
  await closing
  t.equal(journal.durable, 1)

  const full = slowDisk(t)
  write(full.journal, 1)
  await full.settle()
  full.writes[0]!.fail(false)
  await full.settle()
  full.refuses = new Failure('journal.unwritable', 'still full')
  t.match(await failure(() => full.journal.close()), { code: 'journal.unwritable' })
  t.equal(full.journal.closed, true)
  await full.clock.advance(60_000)
  t.equal(full.opens, 1, 'and not again after that')
})

t.test('closing while a write fails lets go all the same', async t => {
  const disk = slowDisk(t)
  write(disk.journal, 1)
  await disk.settle()
  const flushed = rejected(disk.journal.flushed())
  const closing = failure(() => disk.journal.close())
  disk.writes[0]!.fail(false)
  t.equal((await flushed).code, 'journal.unwritable')
  t.equal((await closing).code, 'journal.unwritable')
  t.equal(disk.journal.closed, true)
})

t.test('whatever the disk does, nothing acknowledged is lost and nothing is there twice', async t => {
  const { seed, below } = chance()
  t.comment(`SEED=${seed}`)
  for (let round = 0; round < 60; round += 1) {
    const disk = slowDisk(t)
    const { journal, clock, settle } = disk
    let acknowledged = 0
    const waits: Promise<unknown>[] = []
    for (let step = 0; step < 120; step += 1) {
      const dice = below(10)
      if (dice < 4) {
        journal.stage(
          'node',
          'shed',
          Array.from({ length: 1 + below(3) }, () => fact({ step })),
        )
        const seq = journal.head.seq
        const flushed = journal.flushed()
        waits.push(
          flushed.then(
            () => {
              acknowledged = Math.max(acknowledged, seq)
            },
            () => {},
          ),
        )
      } else if (dice < 8) disk.writes[0]?.done()
      else if (dice < 9) disk.writes[0]?.fail(below(2) === 0)
      else disk.refuses = below(2) === 0 ? new Failure('journal.unwritable', 'not now') : undefined
      if (below(3) > 0) await settle()
      if (below(5) === 0) await clock.advance(below(3_000))
      if (disk.records.length < acknowledged) t.fail(`fact ${acknowledged} was acknowledged and is not there`)
      if (journal.durable > disk.records.length) t.fail(`fact ${journal.durable} is not durable`)
    }
    disk.refuses = undefined
    while (journal.durable < journal.head.seq) {
      await clock.advance(1_000)
      disk.writes[0]?.done()
      await settle()
    }
    await Promise.all(waits)
    const entries = await all(journal)
    if (entries.length !== journal.head.seq) t.fail(`${entries.length} facts instead of ${journal.head.seq}`)
    if (disk.records.length !== entries.length) t.fail('there is something else on the disk')
  }
  t.pass('60 rounds')
})
