/** Jobs in a real spool, a clock that stands still, and workers that take, bring, give up and come too late. */
import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { virtualClock } from '../../../src/clock.ts'
import { Engine } from '../../../src/engine/engine.ts'
import { Failure } from '../../../src/failure.ts'
import { Leases, type LeasesNeeds } from '../../../src/gateway/jobs/leases.ts'
import { BODY, type BodyHead } from '../../../src/gateway/jobs/parts.ts'
import { openMemoryJournal } from '../../../src/journal/memory.ts'
import { fleet } from '../../../src/projections/fleet.ts'
import { jobs } from '../../../src/projections/jobs.ts'
import { requests } from '../../../src/projections/requests.ts'
import { openSpool } from '../../../src/spool/store.ts'

const MINUTE_MS = 60_000
const JSON_HEAD: BodyHead = { target: '/api/generate', headers: { 'content-type': 'application/json' } }

async function house(t: Test, given: Partial<LeasesNeeds['spool']> = {}) {
  const clock = virtualClock()
  const journal = openMemoryJournal({ clock })
  const answers = { fleet: fleet(), jobs: jobs(), requests: requests() }
  const engine = new Engine(journal, clock, Object.values(answers))
  engine.start()
  const spool = await openSpool({ dir: t.testdir(), clock })
  t.teardown(async () => {
    engine.close()
    await spool.close()
  })
  const kept = { put: spool.put, read: spool.read, drop: spool.drop, ...given }
  const freed: number[] = []
  const tidy = { free: async (bytes: number) => void freed.push(bytes) }
  const config = { starveMs: MINUTE_MS }
  const leases = new Leases({ engine, clock, config, spool: kept, tidy, ...answers })

  return {
    clock,
    engine,
    journal,
    spool,
    jobs: answers.jobs.state,
    freed,

    async submit(
      id: string,
      {
        model = 'tiny:latest',
        priority = 5,
        client = 'c',
        body = Buffer.from(`{"prompt":"${id}"}`),
        head = JSON_HEAD,
        ...more
      }: {
        model?: string
        priority?: number
        client?: string
        body?: Buffer
        head?: BodyHead
        labels?: Record<string, string>
        deadlineAt?: number
      } = {},
    ): Promise<void> {
      await spool.put(id, BODY, head, body)
      const data = { path: '/api/generate', model, client, priority, bodyBytes: body.length }
      const wait = { expiresAt: clock.now() + 60 * MINUTE_MS, attemptsMax: 3, job: true } as const
      engine.commit('request', id, { type: 'request.admit', data: { ...data, ...wait, ...more } })
    },

    take: (batchSize = 1, models?: readonly string[]) =>
      leases.take({ models, batchSize, worker: 'w', leaseMs: MINUTE_MS }, 'cli'),
    complete: (id: string, attempt: number, text = 'done', { worker = 'w', status = 200 } = {}) => {
      const bytes = Buffer.from(text)
      return leases.complete(id, { attempt, worker, status, contentType: 'text/plain', bytes }, 'cli')
    },
    fail: (id: string, attempt: number, retryable: boolean) =>
      leases.fail(id, { attempt, worker: 'w', reason: 'memory', retryable }, 'cli'),
    extend: (id: string, attempt: number) => leases.extend(id, attempt, MINUTE_MS, 'cli'),
    takeAs: (worker: string) => leases.take({ batchSize: 1, worker, leaseMs: MINUTE_MS }, 'cli'),

    async story(id: string): Promise<readonly string[]> {
      const types: string[] = []
      for await (const page of journal.read())
        types.push(...page.filter(entry => entry.id === id).map(({ type }) => type))
      return types
    },
  }
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

t.test('a worker gets the first of the queue, with what to do and until when', async t => {
  const { submit, take, clock, story, jobs } = await house(t)
  await submit('late', { priority: 1 })
  await submit('first')
  await submit('second', { deadlineAt: clock.now() + 5 * MINUTE_MS })
  await submit('urgent', { priority: 9 })
  await submit('picky', { labels: { gpu: '4090' } })
  const [urgent, second, ...none] = await take(2)
  t.same(urgent, {
    id: 'urgent',
    attempt: 1,
    until: clock.now() + MINUTE_MS,
    path: '/api/generate',
    model: 'tiny:latest',
    headers: { 'content-type': 'application/json' },
    body: { prompt: 'urgent' },
  })
  t.match(second, { id: 'second', deadlineAt: clock.now() + 5 * MINUTE_MS })
  t.same(none, [])
  t.same(await story('urgent'), ['request.admitted', 'request.leased'])
  t.match(jobs.all.get('urgent'), { state: 'leased', node: 'w', attempt: 1 })
  t.match(await take(9), [{ id: 'first' }, { id: 'late' }])
  t.same(await take(9), [], 'what asks for labels is for a node that has them')
})

t.test('clients take turns here, too, and who waits at a screen is not in it', async t => {
  const { submit, take, engine, clock } = await house(t)
  for (const id of ['a1', 'a2', 'a3']) await submit(id, { client: 'a' })
  const data = { path: '/', model: 'tiny:latest', client: 'b', priority: 9, bodyBytes: 1, attemptsMax: 1 }
  engine.commit('request', 'live', {
    type: 'request.admit',
    data: { ...data, expiresAt: clock.now() + MINUTE_MS },
  })
  await submit('b1', { client: 'b' })
  t.same(
    (await take(9)).map(({ id }) => id),
    ['a1', 'b1', 'a2', 'a3'],
  )
})

t.test('of one model, and what is not JSON as bytes', async t => {
  const { submit, take } = await house(t)
  const body = Buffer.from([0xff, 0xfe, 0])
  const headers = { 'content-type': 'multipart/form-data; boundary=x' }
  await submit('a', { model: 'a:latest' })
  await submit('b', { model: 'b:latest', body, head: { target: '/v1/audio/transcriptions', headers } })
  const [b, ...none] = await take(9, ['b:latest', 'c:latest'])
  t.match(b, { id: 'b', headers, bodyBase64: '//4A', body: undefined })
  t.same(none, [])
})

t.test('no more is handed out at once than fits into an answer', async t => {
  const { submit, take, spool } = await house(t)
  const large = Buffer.alloc(9 * 1024 * 1024, ' ')
  for (const id of ['a', 'b', 'c']) {
    await submit(id, { body: large })
  }
  t.equal(spool.usage.items, 3)
  t.same(
    (await take(9)).map(({ id }) => id),
    ['a', 'b'],
  )
})

t.test('what a worker brings is on disk before the job is over', async t => {
  const { submit, take, complete, spool, journal, story } = await house(t)
  await submit('j')
  await take()
  const answer = '{"model":"tiny","done":true,"prompt_eval_count":3,"eval_count":5}'
  await complete('j', 1, answer, { status: 203 })
  t.match(await spool.read('j', 'answer-1'), {
    head: { status: 203, headers: ['Content-Type', 'text/plain'], node: 'w' },
    bytes: Buffer.from(answer),
    ended: true,
  })
  for await (const page of journal.read()) {
    const { bytes, ...told } = page.at(-1)!.data as Record<string, unknown>
    t.equal(bytes, answer.length)
    t.match(told, { node: 'w', status: 203, digest: sha256(answer), promptTokens: 3, outputTokens: 5 })
  }
  t.same(await story('j'), ['request.admitted', 'request.leased', 'request.completed'])
})

t.test('a worker that did not hear that all was well may bring the same again, and no other', async t => {
  const { submit, take, complete, story } = await house(t)
  await submit('j')
  await take()
  await complete('j', 1)
  await t.resolves(complete('j', 1))
  t.same(await story('j'), ['request.admitted', 'request.leased', 'request.completed'])
  await t.rejects(complete('j', 1, 'other'), { code: 'request.lease-lost' })
  await t.rejects(complete('j', 1, 'done', { worker: 'v' }), { code: 'request.lease-lost' })
  t.same((await story('j')).slice(3), ['request.late', 'request.late'])
})

t.test('two at once with the same answer are one', async t => {
  const { submit, take, complete, story } = await house(t)
  await submit('j')
  await take()
  const [one, two] = await Promise.allSettled([complete('j', 1), complete('j', 1)])
  t.equal(one.status, 'fulfilled')
  t.match(two, { status: 'rejected', reason: { code: 'engine.out-of-turn' } })
  t.same(await story('j'), ['request.admitted', 'request.leased', 'request.completed'])
})

t.test('a lease that runs out gives the job to the next, and what the first brings is dropped', async t => {
  const { submit, take, complete, fail, extend, clock, spool, story } = await house(t)
  await submit('j')
  await take()
  await clock.advance(MINUTE_MS)
  await t.rejects(complete('j', 1), { code: 'request.lease-lost' })
  t.match(await take(), [{ id: 'j', attempt: 2 }])
  await t.rejects(complete('j', 1), { code: 'request.lease-lost' })
  await t.rejects(fail('j', 1, true), { code: 'request.lease-lost' })
  await t.rejects(extend('j', 1), { code: 'request.lease-lost' })
  t.same(
    spool.parts('j').map(({ part }) => part),
    ['body'],
  )
  await complete('j', 2)
  t.same(
    (await story('j')).filter(type => type !== 'request.late'),
    ['request.admitted', 'request.leased', 'request.retried', 'request.leased', 'request.completed'],
  )
  t.equal((await story('j')).filter(type => type === 'request.late').length, 3)
})

t.test('a lease that runs out while the answer is written is lost, and so is the answer', async t => {
  const slow: { held?: () => void } = {}
  const put: LeasesNeeds['spool']['put'] = async (...part) => {
    await new Promise<void>(resolve => {
      slow.held = resolve
    })
    return h.spool.put(...part)
  }
  const h = await house(t, { put })
  await h.submit('j')
  await h.take()
  const bringing = h.complete('j', 1)
  await h.clock.advance(MINUTE_MS)
  slow.held!()
  await t.rejects(bringing, { code: 'request.lease-lost' })
  t.same(
    h.spool.parts('j').map(({ part }) => part),
    ['body'],
  )
  t.match(await h.story('j'), { length: 4, 3: 'request.late' })
})

t.test('an answer for which there is no room displaces what is over', async t => {
  let full = true
  const put: LeasesNeeds['spool']['put'] = (...part) => {
    if (!full) return h.spool.put(...part)
    full = false
    return Promise.reject(new Failure('spool.full', 'no', { retryable: true }))
  }
  const h = await house(t, { put })
  await h.submit('j')
  await h.take()
  await h.complete('j', 1, 'done')
  t.same(h.freed, [4])
  t.match(h.jobs.all.get('j'), { state: 'completed' })
})

t.test('who needs longer says so in time', async t => {
  const { submit, take, complete, extend, clock } = await house(t)
  await submit('j')
  await take()
  await clock.advance(MINUTE_MS - 1)
  t.equal(await extend('j', 1), clock.now() + MINUTE_MS)
  await clock.advance(MINUTE_MS - 1)
  await complete('j', 1)
})

t.test('who gives up says whether it makes sense to try again', async t => {
  const { submit, take, fail, jobs, journal } = await house(t)
  await submit('j')
  await take()
  t.equal(await fail('j', 1, true), 'queued')
  await take()
  t.equal(await fail('j', 2, false), 'failed')
  t.match(jobs.all.get('j'), { state: 'failed', reason: 'worker.memory', attempt: 2 })
  for await (const page of journal.read()) t.match(page.at(-1), { by: 'cli', data: { leased: true } })
})

t.test('a worker needs a name of its own, and a job that is there', async t => {
  const { engine, submit, takeAs, complete, fail, extend } = await house(t)
  const data = { url: 'http://n', slots: 1, residentMax: 1, labels: {}, origin: 'api' } as const
  engine.commit('node', 'n1', { type: 'node.register', data })
  await submit('j')
  await t.rejects(takeAs('n1'), { code: 'request.worker' })
  await t.rejects(complete('x', 1), { code: 'request.unknown' })
  await t.rejects(fail('x', 1, true), { code: 'request.unknown' })
  await t.rejects(extend('x', 1), { code: 'request.unknown' })
})

t.test('a job whose question cannot be read is not handed out', async t => {
  const lost = await house(t, { read: async () => undefined })
  await lost.submit('j')
  t.same(await lost.take(), [])
  t.match(lost.jobs.all.get('j'), { state: 'failed', reason: 'spool' })

  const disk = new Failure('spool.disk', 'no', { retryable: true })
  const troubled = await house(t, { read: () => Promise.reject(disk) })
  await troubled.submit('j')
  t.same(await troubled.take(), [])
  t.match(troubled.jobs.all.get('j'), { state: 'queued' })
})
