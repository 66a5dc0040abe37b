import t from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { TurnedAway } from '../../src/gateway/turned.ts'

function counter() {
  const clock = virtualClock({ start: 1_000 })
  const facts: object[] = []
  const engine = {
    writable: true,
    attempt: (_kind: string, _id: string, { data }: { data: object }) => {
      facts.push(data)
      return []
    },
  }
  return { clock, facts, engine, turned: new TurnedAway({ clock, engine } as never) }
}

t.test('those of a minute are one fact, and a quiet hour is none', async t => {
  const { clock, facts, turned } = counter()
  for (const code of ['house.untrusted', 'http.404', 'house.untrusted']) turned.count(code)
  await clock.advance(3_600_000)
  t.same(facts, [{ since: 1_000, codes: { 'house.untrusted': 2, 'http.404': 1 } }])
  turned.count('job.full')
  turned.close()
  t.same(facts[1], { since: 3_601_000, codes: { 'job.full': 1 } })
})

t.test('while nothing can be written they are kept', async t => {
  const { clock, facts, engine, turned } = counter()
  engine.writable = false
  turned.count('journal.unwritable')
  await clock.advance(300_000)
  t.same(facts, [])
  engine.writable = true
  await clock.advance(60_000)
  t.same(facts, [{ since: 1_000, codes: { 'journal.unwritable': 1 } }])
})
