/**
 * A journal on a disk that forgets what was not synced, stopped at a random moment of staging, writing and finding the
 * way back, again and again. All in virtual time: a seed says what happens. QUIPU_CRASHES=10000 makes it longer.
 */
import t from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { seqIn } from '../../src/journal/chain.ts'
import { follow } from '../../src/journal/follow.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { Disk } from './disk.ts'
import { chance, fact, texts } from './facts.ts'

const ROUNDS = Number(process.env['QUIPU_CRASHES'] ?? 400)
/** Then another journal begins: each start verifies all of it. */
const ROUNDS_A_JOURNAL = 50

t.test(
  `in ${ROUNDS} crashes nothing acknowledged is lost, and nobody had heard of what is`,
  { timeout: 30_000 + ROUNDS * 50 },
  async t => {
    const { seed, random, below } = chance()
    t.comment(`SEED=${seed}`)
    const clock = virtualClock({ seed })
    const told = { staged: 0, acknowledged: 0, lost: 0, failed: 0, heard: 0, inFlight: 0 }
    let trouble = 0
    let disk = new Disk('none', { clock })

    for (let round = 0; round < ROUNDS; round += 1) {
      if (round % ROUNDS_A_JOURNAL === 0) {
        disk = new Disk(`journal ${round}`, {
          clock,
          syncMs: () => below(12),
          fault(call) {
            if (call === 'page' || random() > trouble) return undefined
            told.failed += 1
            return { says: 'No space left on device', keeps: random() < 0.5 }
          },
        })
      }
      // Two rounds of three are on a healthy disk.
      trouble = round % 3 === 2 ? 0.2 : 0
      const before = disk.synced.length
      const journal = await disk.open()
      if (journal.durable !== before) t.fail(`round ${round}: ${journal.durable} facts of ${before}`)
      const stop = new AbortController()
      const heard = listen(journal, below(before + 1), stop.signal)
      let acknowledged = before
      const decisions: string[][] = []

      for (let step = 2 + below(14); step > 0; step -= 1) {
        if (below(4) > 0) {
          const facts = Array.from({ length: 1 + below(4) }, () => fact({ round, step }))
          const entries = journal.stage('node', `n${below(5)}`, facts, below(4) === 0)
          decisions.push(entries.map(({ hash }) => hash))
          const { seq } = entries.at(-1)!
          journal.flushed().then(
            () => {
              acknowledged = Math.max(acknowledged, seq)
            },
            () => {},
          )
        }
        await clock.advance(below(2) === 0 ? 0 : below(2_500) ** (below(2) === 0 ? 0.3 : 1))
        if (journal.durable > disk.synced.length) t.fail(`round ${round}: durable before it is on the disk`)
      }
      // Whatever is on its way is cut off here.
      const inFlight = journal.head.seq - journal.durable
      stop.abort()
      disk.crash(batches => below(batches + 1))

      const left = disk.synced
      if (heard.failed !== undefined) throw heard.failed
      if (left.length < Math.max(acknowledged, journal.durable))
        t.fail(`round ${round}: ${acknowledged} lost`)
      if (heard.last > left.length) t.fail(`round ${round}: a fact was told of that is lost`)
      const again = await texts(await disk.open())
      if (again.some((record, index) => seqIn(record) !== index + 1)) t.fail(`round ${round}: out of order`)
      const kept = new Set(again.map(record => record.slice(0, 43)))
      for (const hashes of decisions) {
        const there = hashes.filter(hash => kept.has(hash)).length
        if (there !== 0 && there !== hashes.length) t.fail(`round ${round}: half a decision`)
      }
      told.staged += journal.head.seq - before
      told.acknowledged += acknowledged - before
      told.lost += journal.head.seq - left.length
      told.heard += heard.count
      if (inFlight > 0) told.inFlight += 1
    }
    t.comment(told)
    t.ok(told.inFlight > ROUNDS / 3, 'most of the time something was on its way')
    t.ok(told.lost > 0 && told.acknowledged > told.lost && told.failed > 0, 'there was something to lose')
  },
)

/** A follower, and how far it has heard. */
function listen(journal: Journal, after: number, signal: AbortSignal) {
  const heard = { last: after, count: 0, failed: undefined as unknown }
  const reading = async (): Promise<void> => {
    for await (const page of follow(journal, { after, signal })) {
      if (page[0]!.seq !== heard.last + 1) throw new Error(`${page[0]!.seq} follows ${heard.last}`)
      heard.last = page.at(-1)!.seq
      heard.count += page.length
    }
  }
  reading().catch(error => {
    heard.failed = error
  })
  return heard
}
