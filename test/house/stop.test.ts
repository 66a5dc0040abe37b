/** A house that stops: what runs may end, who must go is told, and each request has its last fact. */
import t from 'tap'
import type { Entry } from '../../src/journal/journal.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { world } from './world.ts'

const SLOW = { decodeTps: 50, words: 40 }

async function lastFacts(records: string[]): Promise<[string, string][]> {
  const journal = openMemoryJournal({ records })
  const last = new Map<string, Entry>()
  for await (const page of journal.read())
    for (const entry of page) if (entry.kind === 'request') last.set(entry.id, entry)
  return [...last.values()].map(({ type, data }) => [type, (data as { reason?: string }).reason ?? ''])
}

t.test('answers under way end, within the grace they are given', async t => {
  const records: string[] = []
  const w = await world(t, { sims: [SLOW], flags: { grace: '5s' }, journal: openMemoryJournal({ records }) })
  const running = await w.generate()
  const closed = w.house.close()
  t.match(await running.text(), /"done":true/)
  await closed
  t.same(await lastFacts(records), [['request.completed', '']])
  await t.rejects(w.generate(), 'nobody else is let in')
})

t.test('after the grace what runs is broken off, and what waits is sent away; no node is blamed', async t => {
  const records: string[] = []
  const w = await world(t, {
    sims: [{ ...SLOW, words: 1_000 }],
    flags: { grace: '100ms' },
    journal: openMemoryJournal({ records }),
  })
  const running = await w.generate()
  const waiting = w.generate()
  await w.fact('request.admitted', ({ id }) => id !== running.headers.get('x-quipu-request'))
  const text = running.text().catch(error => String(error))
  const closed = w.house.close()
  const refused = await waiting
  t.equal(refused.status, 503)
  t.match(await refused.json(), { error: /stopping/ })
  t.notMatch(await text, /"done":true/)
  await closed
  t.same(await lastFacts(records), [
    ['request.failed', 'stopped'],
    ['request.failed', 'stopped'],
  ])
})
