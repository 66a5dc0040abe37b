/** What is kept, for how long, and what goes first: a real spool, and a clock that stands still. */
import t, { type Test } from 'tap'
import { virtualClock } from '../../../src/clock.ts'
import { Engine } from '../../../src/engine/engine.ts'
import { Tidy } from '../../../src/gateway/jobs/tidy.ts'
import type { Entry } from '../../../src/journal/journal.ts'
import { openMemoryJournal } from '../../../src/journal/memory.ts'
import { jobs } from '../../../src/projections/jobs.ts'
import { openSpool } from '../../../src/spool/store.ts'
import { dataFolder } from '../../house/world.ts'

const HOUR_MS = 3_600_000

async function stage(t: Test, { spoolMaxBytes = 1024 ** 3, keepFinishedMs = 24 * HOUR_MS } = {}) {
  const clock = virtualClock()
  const journal = openMemoryJournal({ clock })
  const view = jobs()
  const engine = new Engine(journal, clock, [view])
  await engine.replay()
  const dir = dataFolder(t)
  const spool = await openSpool({ dir, clock })
  const config = { keepFinishedMs, spoolMaxBytes }
  const tidy = new Tidy({ engine, clock, config, jobs: view, spool })
  t.teardown(async () => {
    tidy.close()
    engine.close()
    await spool.close()
  })
  const order = { path: '/api/chat', model: 'm', client: 'c', priority: 5, bodyBytes: 1, attemptsMax: 3 }
  return {
    clock,
    dir,
    engine,
    journal,
    spool,
    tidy,
    start: () => engine.start(tidy.reactor),
    async admit(id: string, bodyBytes = 10, parts: readonly string[] = []): Promise<void> {
      await spool.put(id, 'body', {}, Buffer.alloc(bodyBytes))
      for (const part of parts) await spool.put(id, part, {}, Buffer.alloc(10))
      const data = { ...order, expiresAt: 9e15, job: true } as const
      engine.commit('request', id, { type: 'request.admit', data })
    },
    run: (id: string) =>
      engine.commit('request', id, { type: 'request.assign', data: { node: 'a', candidates: [] } }),
    complete(id: string): void {
      engine.commit('request', id, { type: 'request.begin', data: { status: 200 } })
      const data = { bytes: 10, chunks: 1, digest: 'd' }
      engine.commit('request', id, { type: 'request.complete', data })
    },
    cancel: (id: string) => engine.commit('request', id, { type: 'request.cancel', data: {} }),
    jobs: () => [...view.state.all.keys()].sort(),
    items: () =>
      spool
        .items()
        .map(({ id }) => id)
        .sort(),
    /** The clock stands still while the disk works. */
    async until(met: () => boolean): Promise<void> {
      while (!met()) await new Promise(resolve => setTimeout(resolve, 5))
    },
    async erased(): Promise<unknown[]> {
      await engine.settled()
      const all: Entry[] = []
      for await (const page of journal.read()) all.push(...page)
      return all.flatMap(({ type, id, data }) =>
        type === 'spool.erased' ? [[id, (data as { why: string }).why]] : [],
      )
    },
  }
}

t.test('what has ended is kept for a day, and what is open for as long as it takes', async t => {
  const s = await stage(t)
  await s.admit('open')
  await s.admit('first')
  await s.admit('second')
  s.cancel('first')
  s.start()
  await s.clock.advance(HOUR_MS)
  s.cancel('second')
  await s.clock.advance(22.9 * HOUR_MS)
  t.same(s.items(), ['first', 'open', 'second'])
  await s.clock.advance(HOUR_MS / 5)
  await s.until(() => s.jobs().length < 3)
  t.same(s.items(), ['open', 'second'])
  await s.clock.advance(HOUR_MS)
  await s.until(() => s.jobs().length < 2)
  await s.clock.advance(100 * HOUR_MS)
  t.same(s.items(), ['open'])
  t.same(await s.erased(), [
    ['first', 'age'],
    ['second', 'age'],
  ])
})

t.test('at the start what is too old goes at once', async t => {
  const s = await stage(t, { keepFinishedMs: 0 })
  for (let i = 0; i < 200; i += 1) {
    await s.admit(`j${i}`)
    s.cancel(`j${i}`)
  }
  s.start()
  await s.until(() => s.jobs().length === 0)
  t.equal((await s.erased()).length, 200, 'in more than one go')
})

t.test('a body finds room as long as anything has ended, the first to end first', async t => {
  const s = await stage(t, { spoolMaxBytes: 1_000_000 })
  for (const id of ['a', 'b', 'c']) await s.admit(id, 200_000)
  await s.tidy.admit(200_000)
  t.equal(s.items().length, 3, 'there was room')
  s.cancel('b')
  s.cancel('a')
  await s.tidy.admit(400_000)
  t.same(s.items(), ['a', 'c'])
  await t.rejects(s.tidy.admit(800_000), { code: 'spool.full', retryable: true })
  t.same(s.items(), ['c'], 'it was tried')
  t.same(await s.erased(), [
    ['b', 'room'],
    ['a', 'room'],
  ])
})

t.test('bodies leave a tenth of the spool to answers', async t => {
  const s = await stage(t, { spoolMaxBytes: 1_000_000 })
  await s.admit('a', 500_000)
  await t.rejects(s.tidy.admit(400_000), { code: 'spool.full' })
  await s.tidy.admit(380_000)
})

t.test('an end that finds the spool crowded makes room', async t => {
  const s = await stage(t, { spoolMaxBytes: 100_000 })
  s.start()
  await s.admit('a', 40_000)
  s.cancel('a')
  await s.admit('b', 40_000)
  t.same(s.items(), ['a', 'b'])
  await s.admit('c', 40_000)
  s.cancel('c')
  await s.until(() => s.jobs().length < 3)
  t.same(s.items(), ['b', 'c'])
})

t.test(
  'what a crash has left is swept away: strays, half answers, and facts that were not written',
  async t => {
    const s = await stage(t)
    await s.spool.put('stray', 'body', {}, Buffer.from('x'))
    await s.admit('queued', 1, ['answer-1'])
    await s.admit('done', 1, ['answer-1', 'answer-2'])
    s.run('done')
    s.engine.commit('request', 'done', { type: 'request.restart', data: {} })
    s.run('done')
    s.complete('done')
    await s.admit('cancelled', 1, ['answer-1'])
    s.cancel('cancelled')
    await s.admit('erased')
    s.cancel('erased')
    await s.spool.erase(['erased'])
    await s.tidy.sweep()
    const parts = (id: string) => s.spool.parts(id).map(({ part }) => part)
    t.same(s.items(), ['cancelled', 'done', 'queued'])
    t.same(parts('queued'), ['body'])
    t.same(parts('done'), ['body', 'answer-2'], 'the answer that the journal knows')
    t.same(parts('cancelled'), ['body'])
    t.same(await s.erased(), [['erased', 'age']])
  },
)

t.test('what is open is not erased, however it is asked', async t => {
  const s = await stage(t)
  await s.admit('open')
  await s.admit('over')
  s.cancel('over')
  t.match(await s.tidy.erase(['open', 'over', 'unknown'], 'asked'), [{ id: 'over' }])
  t.match(await s.tidy.prove(['open', 'over'], s.dir, 'me'), [])
  t.same(s.items(), ['open'])
  s.cancel('open')
  const twice = await Promise.all([s.tidy.erase(['open'], 'asked'), s.tidy.prove(['open'], s.dir, 'me')])
  t.same(
    twice.map(rows => rows.length),
    [1, 0],
    'and said once',
  )
  t.equal((await s.erased()).length, 2)
})

t.test('a spool that is gone with ten thousand kept jobs keeps no house from starting', async t => {
  const s = await stage(t)
  const data = { path: '/api/chat', model: 'm', client: 'c', priority: 5, bodyBytes: 1, attemptsMax: 3 }
  for (let i = 0; i < 10_000; i += 1) {
    s.engine.commit('request', `j${i}`, {
      type: 'request.admit',
      data: { ...data, expiresAt: 9e15, job: true },
    })
    s.cancel(`j${i}`)
    if (i % 1_000 === 0) await s.engine.settled()
  }
  await s.engine.settled()
  await s.tidy.sweep()
  t.same(s.jobs(), [])
  t.equal((await s.erased()).length, 10_000)
})
