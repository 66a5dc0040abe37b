/** The wall clock jumps by ten years while a house runs, as NTP, a dead battery or a person makes it. */
import t, { type Test } from 'tap'
import { type Clock, systemClock } from '../../src/clock.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { storyOf, world } from './world.ts'

const YEARS_MS = 10 * 365 * 86_400_000

/** The system's, but for the time of day; and how many timers were set. */
function jumpy() {
  let aheadMs = 0
  let timers = 0
  const clock: Clock = {
    ...systemClock,
    now: () => systemClock.now() + aheadMs,
    after(ms, run) {
      timers += 1
      if (!Number.isFinite(ms)) throw new RangeError(`a timer of ${ms} ms`)
      return systemClock.after(ms, run)
    },
  }
  return {
    clock,
    jump(ms: number): void {
      aheadMs += ms
    },
    /** Timers set in so many ms from now. */
    async within(ms: number): Promise<number> {
      const before = timers
      await new Promise(resolve => setTimeout(resolve, ms))
      return timers - before
    },
  }
}

async function jumps(t: Test, byMs: number): Promise<void> {
  const { clock, jump, within } = jumpy()
  const records: string[] = []
  const journal = openMemoryJournal({ id: 'jumps', records, clock })
  const w = await world(t, { sims: [{ decodeTps: 40, words: 30 }], journal, clock })
  const ran = await w.generate()
  const waiting = w.generate({ prompt: 'next' })
  await w.fact('request.admitted', ({ id }) => id !== ran.headers.get('x-quipu-request'))
  const quiet = await within(300)

  jump(byMs)
  const busy = await within(300)
  t.ok(busy < quiet + 100, `${quiet} timers in 300 ms before the jump, ${busy} after it`)
  t.match(await ran.text(), /"done":true/, 'what ran is answered to its end')
  const served = await waiting
  t.equal(served.status, 200, 'who waited is not sent away: it has waited as long as before')
  await served.text()
  const later = await w.generate({ stream: false, prompt: 'later' })
  t.equal(later.status, 200)
  await later.text()

  jump(-2 * byMs)
  const back = await w.generate({ stream: false, prompt: 'back' })
  t.equal(back.status, 200, 'and back again, and further')
  await w.fact('request.completed', ({ id }) => id === back.headers.get('x-quipu-request'))
  for (const res of [ran, served, later, back]) {
    const story = await storyOf(w, res.headers.get('x-quipu-request'))
    t.same([story[0], story.at(-1)], ['request.admitted', 'request.completed'])
  }
  t.equal((await fetch(`${w.url}/readyz`)).status, 200)
  t.equal((await w.facts('request.expired', 'node.lost')).length, 0)
  const facts = await w.facts()
  t.same(
    facts.map(({ seq }) => seq),
    Array.from(facts, (_, i) => i + 1),
    'the order is that of the journal',
  )
  t.ok(facts.length < 200, `${facts.length} facts`)

  const closing = performance.now()
  const closed = w.house.close()
  jump(byMs)
  await closed
  t.ok(performance.now() - closing < 5_000, 'it closes in its own time')
  const again = openMemoryJournal({ id: 'jumps', records, clock })
  t.ok(again.head.seq >= facts.length, 'and the chain holds')
  await again.close()
}

t.test('ten years forward', t => jumps(t, YEARS_MS))
t.test('ten years back', t => jumps(t, -YEARS_MS))
