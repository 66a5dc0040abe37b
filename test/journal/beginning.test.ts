import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { Beginnings } from '../../src/journal/beginning.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { chance, fact } from './facts.ts'

const { signal } = new AbortController()
const NOON = Date.UTC(2030, 0, 1, 12)

/** A journal with a fact at each of these times, in this order. */
async function written(times: readonly number[]): Promise<Journal> {
  const journal = openMemoryJournal()
  for (const [i, at] of times.entries()) {
    journal.stage('node', 'a', [{ ...fact({}), at }])
    if (i % 1_000 === 0) await journal.flushed()
  }
  await journal.flushed()
  return journal
}

t.test('start, now, a fact, and a time', async t => {
  const journal = await written([0, 1, 2, 3, 4].map(s => NOON + s * 1_000))
  const beginnings = new Beginnings({ journal, clock: systemClock })
  const mark = (from: string) => beginnings.mark(from, signal)
  t.equal(await mark('start'), 0)
  t.equal(await mark('now'), 5)
  t.equal(await mark('3'), 2, 'that fact is the first')
  t.equal(await mark('0'), 0)
  t.equal(await mark('2030-01-01T12:00:02Z'), 2)
  t.equal(await mark('2030-01-01T12:00:02'), 2, 'UTC where there is no zone')
  t.equal(await mark('2030-01-01T14:00:02+02:00'), 2)
  t.equal(await mark('2030-01-01'), 0)
  t.equal(await mark(String(NOON + 1_500)), 2)
  t.equal(await mark('2031-01-01'), 5, 'nothing is so late yet')
  await t.rejects(mark('noon'), { code: 'request.invalid', message: /"noon" is not a time/ })
})

t.test('an empty journal begins where it ends', async t => {
  const beginnings = new Beginnings({ journal: await written([]), clock: systemClock })
  t.equal(await beginnings.mark('2030-01-01', signal), 0)
})

t.test('a time is found where the clock jumps, as by looking at every fact', async t => {
  const { seed, below } = chance()
  t.comment(`SEED=${seed}`)
  let at = NOON
  const times = Array.from({ length: 7_300 }, () => {
    at += below(500) === 0 ? below(2_000_000) - 1_000_000 : below(200)
    return at
  })
  const journal = await written(times)
  const beginnings = new Beginnings({ journal, clock: systemClock })
  const look = async (time: number): Promise<void> => {
    const first = times.findIndex(at => at >= time)
    const found = await beginnings.before(time, signal)
    if (found !== (first === -1 ? times.length : first)) t.equal(found, first, `at ${time}`)
  }
  const span = Math.max(...times) - NOON + 1_000_000
  for (let i = 0; i < 300; i += 1) await look(NOON - 500_000 + below(span))
  await Promise.all(times.slice(0, 100).map(look))
  // It goes on where the last search ended.
  for (let i = 0; i < 1_500; i += 1) {
    at += 100
    times.push(at)
    journal.stage('node', 'a', [{ ...fact({}), at }])
  }
  await journal.flushed()
  for (let i = 0; i < 50; i += 1) await look(at - below(150_000))
  t.pass('every time was found')
})
