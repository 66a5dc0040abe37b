/** Readers that share a subscription: leases that end in every way, and what that means for the mark. */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { mulberry32, virtualClock } from '../../src/clock.ts'
import type { Entry } from '../../src/journal/journal.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import type { Subscription } from '../../src/projections/subscriptions.ts'
import { marksIn } from '../../src/subscriptions/marks.ts'
import { LEASES_MAX, Reader, type Taken } from '../../src/subscriptions/reader.ts'
import { dataFolder } from '../house/world.ts'
import { fact } from '../journal/facts.ts'

// The clock stands still, and does not keep a process alive; somebody waits here.
const alive = setInterval(() => {}, 1_000)
t.teardown(() => clearInterval(alive))

const MINUTE_MS = 60_000
const which: Subscription = {
  name: 's',
  seq: 1,
  createdAt: 0,
  after: 0,
  filter: {},
  state: 'active',
  since: 0,
}
/** Every third. */
const thirds = { of: (page: readonly Entry[]) => page.filter(({ seq }) => seq % 3 === 0) }

async function stage(t: Test, { facts = 0, wanted = undefined as typeof thirds | undefined } = {}) {
  const clock = virtualClock()
  const journal = openMemoryJournal({ clock })
  const dir = dataFolder(t)
  const write = async (count: number): Promise<void> => {
    for (let left = count; left > 0; left -= 1_000) {
      journal.stage(
        'node',
        'n',
        Array.from({ length: Math.min(left, 1_000) }, (_, n) => fact({ n })),
      )
      await journal.flushed()
    }
  }
  await write(facts)
  let starts = 0
  /** A house that finds the marks as the last one would have left them, had it been killed now. */
  const open = async () => {
    const before = join(dir, String(starts), 'marks/subscriptions')
    starts += 1
    const now = join(dir, String(starts))
    if (existsSync(before)) {
      // The file alone: it is there as a whole at any moment; what is beside it comes and goes while it is written.
      mkdirSync(join(now, 'marks'), { recursive: true })
      copyFileSync(before, join(now, 'marks/subscriptions'))
    }
    const marks = marksIn({ dir: now, clock, journal, warn: message => t.fail(message) })
    await marks.open()
    const reader = new Reader({ clock, journal, marks, turns }, which, wanted)
    t.teardown(async () => {
      reader.close()
      await marks.close()
    })
    return { marks, reader }
  }
  const { marks, reader } = await open()
  const stay = new AbortController().signal
  return {
    clock,
    journal,
    marks,
    reader,
    write,
    open,
    take: (max = 10, { waitMs = 0, leaseMs = MINUTE_MS, signal = stay, from = reader } = {}) =>
      from.take({ max, leaseMs, waitMs, signal }),
  }
}

/** Whoever is behind may read the disk at once. */
const turns = { take: async () => () => {} }

const seqs = ({ facts }: Taken): number[] => facts.map(({ seq }) => seq)
const range = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i)

t.test('each taker gets other facts, in order, and the mark waits for the slowest', async t => {
  const { take, reader } = await stage(t, { facts: 25 })
  const [a, b, c] = await Promise.all([take(), take(), take()])
  t.same([seqs(a), seqs(b), seqs(c)], [range(1, 10), range(11, 20), range(21, 25)])
  t.same([a.attempt, reader.leases, reader.mark], [1, 3, 0])
  void reader.ack(b.lease!)
  t.equal(reader.mark, 0)
  void reader.ack(a.lease!, 4)
  t.equal(reader.mark, 4)
  void reader.ack(a.lease!)
  t.equal(reader.mark, 20)
  t.same(await take(), { facts: [] })
})

t.test('a lapsed lease is for the next taker, and its owner is told so', async t => {
  const { take, reader, clock } = await stage(t, { facts: 20 })
  const a = await take()
  t.equal(a.until, clock.now() + MINUTE_MS)
  await clock.advance(MINUTE_MS - 1)
  t.equal(reader.extend(a.lease!, MINUTE_MS), clock.now() + MINUTE_MS)
  await clock.advance(MINUTE_MS - 1)
  t.same(seqs(await take()), range(11, 20), 'not yet')
  await clock.advance(1)
  await t.rejects(reader.ack(a.lease!), { code: 'subscription.lease-lost' })
  t.throws(() => reader.giveBack(a.lease!), { code: 'subscription.lease-lost' })
  t.throws(() => reader.extend(a.lease!, 1_000), { code: 'subscription.lease-lost' })
  const again = await take(4)
  t.same([seqs(again), again.attempt], [range(1, 4), 2])
  reader.giveBack(again.lease!)
  const third = await take(100)
  t.same([seqs(third), third.attempt], [range(1, 4), 3])
})

t.test('a taker waits for facts, for what comes back, and for room, but not for ever', async t => {
  const { take, reader, clock, write } = await stage(t)
  const first = take(10, { waitMs: 5_000 })
  await write(3)
  const { lease, ...taken } = await first
  t.same(seqs(taken), [1, 2, 3])
  const second = take(10, { waitMs: 5_000 })
  await clock.advance(0)
  reader.giveBack(lease!)
  t.same(seqs(await second), [1, 2, 3])
  const late = take(10, { waitMs: 5_000 })
  await clock.advance(5_000)
  t.same(await late, { facts: [] })

  await write(LEASES_MAX + 3)
  for (let n = 1; n < LEASES_MAX; n += 1) await take(1)
  t.equal(reader.leases, LEASES_MAX)
  const crowded = take(1, { waitMs: 5_000 })
  await clock.advance(1_000)
  reader.passed(0) // nothing comes of that
  await reader.ackThrough(3)
  t.same(seqs(await crowded), [3 + LEASES_MAX])
})

t.test('a taker that has left gets nothing, and keeps nothing', async t => {
  const { take, reader, write } = await stage(t)
  const gone = new AbortController()
  const left = take(10, { waitMs: 5_000, signal: gone.signal })
  gone.abort()
  t.same(await left, { facts: [] })
  await write(3)
  const leaving = new AbortController()
  const half = take(10, { signal: leaving.signal })
  leaving.abort()
  t.same(await half, { facts: [] })
  t.equal(reader.leases, 0)
  t.same(seqs(await take()), [1, 2, 3])
})

t.test('facts that are not wanted pass without a lease, however many, and are looked at once', async t => {
  let looked = 0
  const last = {
    of(page: readonly Entry[]) {
      looked += page.length
      return page.filter(({ seq }) => seq > 59_000)
    },
  }
  const { take, reader } = await stage(t, { facts: 60_000, wanted: last })
  t.same(await take(10), { facts: [] }, 'not all in one go')
  t.equal(reader.mark, 50_000)
  t.same(seqs(await take(10)), range(59_001, 59_010))
  t.same(seqs(await take(10)), range(59_011, 59_020))
  t.equal(looked, 60_000)
})

t.test('after a restart it goes on at its mark; one that is damaged begins again where it began', async t => {
  const { take, reader, open, marks, clock, journal } = await stage(t, { facts: 30 })
  const [a] = [await take(), await take()]
  await reader.ack(a.lease!)
  reader.close()
  t.same(await take(), { facts: [] })
  const next = await open()
  t.same([next.reader.mark, next.reader.leases], [10, 0])
  t.same(seqs(await take(100, { from: next.reader })), range(11, 30))
  next.reader.close()
  const other = { ...which, seq: 2 }
  t.equal(new Reader({ clock, journal, marks, turns }, other, undefined).mark, 0)
  await next.marks.move({ name: 's', seq: 2 }, 31)
  t.equal(
    new Reader({ clock, journal, turns, marks: next.marks }, other, undefined).mark,
    0,
    'beyond the end',
  )
})

t.test(
  'random takers that die, dawdle and change their minds: no fact is lost, none passes the mark',
  async t => {
    const seed = Date.now() % 1_000_000
    t.comment(`seed ${seed}`)
    const random = mulberry32(seed)
    const whole = (max: number): number => Math.floor(random() * max)
    let handed = 0
    let restarts = 0
    for (let story = 0; story < 30; story += 1) {
      const wanted = story % 2 === 0 ? undefined : thirds
      const house = await stage(t, { wanted })
      let { reader } = house
      const acked = new Set<number>()
      let leases: Taken[] = []
      const check = (): void => {
        for (let seq = 1; seq <= reader.mark; seq += 1)
          if (!acked.has(seq) && (wanted === undefined || seq % 3 === 0))
            t.fail(`story ${story}: ${seq} is lost`)
      }
      for (let turn = 0; turn < 80; turn += 1) {
        const roll = random()
        const lease = leases[whole(leases.length)]
        if (roll < 0.2) await house.write(whole(20))
        else if (roll < 0.55) {
          const taken = await house.take(1 + whole(8), { leaseMs: 1_000 + whole(4_000), from: reader })
          if (taken.lease !== undefined) leases.push(taken)
          const found = seqs(taken)
          handed += found.length
          if (found.some((seq, i) => i > 0 && seq <= found[i - 1]!)) t.fail(`story ${story}: ${found}`)
        } else if (roll < 0.9 && lease !== undefined) {
          const part = roll < 0.6 ? lease.facts[whole(lease.facts.length)]!.seq : undefined
          try {
            if (roll < 0.8) {
              const kept = reader.ack(lease.lease!, part)
              const lost = await Promise.race([kept.catch(error => error), house.clock.advance(0)])
              if (lost !== undefined) throw lost
              for (const { seq } of lease.facts) if (part === undefined || seq <= part) acked.add(seq)
            } else reader.giveBack(lease.lease!)
          } catch (error) {
            t.match(error, { code: 'subscription.lease-lost' })
          }
          if (part === undefined) leases = leases.filter(one => one !== lease)
        } else if (roll < 0.97) await house.clock.advance(whole(2_000))
        else {
          restarts += 1
          await house.clock.advance(1_000) // what was acknowledged is written
          reader.close()
          reader = (await house.open()).reader
          leases = []
        }
        check()
      }
      // Then somebody takes it all.
      await house.clock.advance(10_000)
      for (;;) {
        const taken = await house.take(7, { from: reader })
        if (taken.lease === undefined) break
        void reader.ack(taken.lease)
        await house.clock.advance(0)
        for (const { seq } of taken.facts) acked.add(seq)
      }
      const due = range(1, house.journal.durable).filter(seq => wanted === undefined || seq % 3 === 0)
      if (reader.mark !== house.journal.durable || due.some(seq => !acked.has(seq)))
        t.fail(`story ${story}: ${due.filter(seq => !acked.has(seq))} at ${reader.mark}`)
      reader.close()
    }
    t.comment(`${handed} handed out, ${restarts} restarts`)
    t.ok(handed > 1_000 && restarts > 10)
  },
)
