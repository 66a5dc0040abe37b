/** Calls to a real receiver on this machine, from an engine whose clock stands still until it is told to move. */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import type { Fact } from '../../machines/index.ts'
import { Callbacks } from '../../src/callbacks/callbacks.ts'
import { Caller } from '../../src/callbacks/caller.ts'
import { signature } from '../../src/callbacks/signature.ts'
import type { Target } from '../../src/callbacks/target.ts'
import { type VirtualClock, virtualClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { Failure } from '../../src/failure.ts'
import type { Entry, Journal } from '../../src/journal/journal.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { deliveries } from '../../src/projections/deliveries.ts'

const admission = {
  path: '/api/generate',
  model: 'tiny:latest',
  client: 'c',
  priority: 5,
  bodyBytes: 1,
  expiresAt: 9e15,
  attemptsMax: 3,
  job: true,
  callback: true,
} as const

interface Call {
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Somebody who is called, and answers as told. */
async function receiver(t: Test, ...answers: ((res: ServerResponse) => void)[]) {
  const calls: Call[] = []
  const server = createServer(async (req, res) => {
    calls.push({ headers: req.headers, body: (await buffer(req)).toString() })
    const answer = answers[Math.min(calls.length, answers.length) - 1]!
    answer(res)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { calls, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=hush` }
}

const status =
  (code: number, headers = {}) =>
  (res: ServerResponse): void => {
    res.writeHead(code, headers).end()
  }

interface Setting {
  readonly target?: (job: string) => Promise<Target | undefined>
  readonly allowed?: readonly string[]
  readonly clock?: VirtualClock
  readonly journal?: Journal
}

async function house(
  t: Test,
  {
    target = async () => undefined,
    allowed = ['127.0.0.0/8'],
    clock = virtualClock(),
    ...given
  }: Setting = {},
) {
  const journal = given.journal ?? openMemoryJournal({ clock })
  const answers = { deliveries: deliveries() }
  const engine = new Engine(journal, clock, Object.values(answers))
  await engine.replay()
  const caller = new Caller({ clock, config: { allowedCallbacks: allowed } })
  const callbacks = new Callbacks({ engine, clock, caller, target, ...answers })
  engine.start(callbacks.reactor)
  const close = (): void => {
    callbacks.close()
    engine.close()
  }
  t.teardown(close)
  return {
    ...answers,
    clock,
    engine,
    journal,
    close,

    /** A job that somebody wants to be called about, over already. */
    job(id: string, { callback = true } = {}): void {
      const { callback: _asked, ...silent } = admission
      engine.commit('request', id, { type: 'request.admit', data: callback ? admission : silent })
      engine.commit('request', id, { type: 'request.assign', data: { node: 'n', candidates: [] } })
      engine.commit('request', id, { type: 'request.begin', data: { status: 200 } })
      engine.commit('request', id, {
        type: 'request.complete',
        data: { bytes: 9, chunks: 1, digest: 'd1' },
      })
    },

    /** Resolves with the next fact of a type after `seq`. */
    fact: <T extends Fact['type']>(type: T, after = 0) =>
      new Promise<Entry & { readonly type: T }>(resolve => {
        const look = async (): Promise<void> => {
          for await (const page of journal.read({ after })) {
            const found = page.find(entry => entry.type === type)
            if (found !== undefined) {
              unwatch()
              resolve(found as never)
            }
          }
        }
        const unwatch = journal.watch(() => void look())
        void look()
      }),

    async facts(): Promise<readonly string[]> {
      const types: string[] = []
      for await (const page of journal.read())
        types.push(...page.filter(({ kind }) => kind === 'delivery').map(({ type }) => type))
      return types
    },
  }
}

t.test('a job that is over is told of, in figures, with a signature', async t => {
  const { calls, url } = await receiver(t, status(204))
  const { job, fact, journal, clock } = await house(t, { target: async () => ({ url, secret: 'shh' }) })
  job('j1')
  t.match((await fact('delivery.delivered')).data, { attempt: 1, status: 204 })
  t.equal(calls.length, 1)
  const [{ headers, body }] = calls as [Call]
  t.same(JSON.parse(body), {
    id: 'j1',
    state: 'completed',
    status: 200,
    bytes: 9,
    digest: 'd1',
    endedAt: clock.now(),
    resultUrl: '/quipu/jobs/j1/result',
  })
  t.equal(headers['x-quipu-signature'], signature('shh', body, clock.now()))
  t.equal(headers['content-type'], 'application/json; charset=utf-8')
  for await (const page of journal.read()) t.notMatch(JSON.stringify(page), /127\.0\.0\.1|hush|shh/)
})

t.test('nobody is called who did not ask, and nothing is signed without a secret', async t => {
  const { calls, url } = await receiver(t, status(200))
  const { job, fact, facts } = await house(t, { target: async () => ({ url }) })
  job('silent', { callback: false })
  job('j1')
  await fact('delivery.delivered')
  t.same(
    calls.map(({ body }) => JSON.parse(body).id),
    ['j1'],
  )
  t.notOk('x-quipu-signature' in calls[0]!.headers)
  t.same(await facts(), ['delivery.ordered', 'delivery.delivered'])
})

t.test('a receiver that fails twice is called three times, each later, and hears the same', async t => {
  const { calls, url } = await receiver(t, status(500), status(302, { Location: '/' }), status(200))
  const { job, fact, clock, deliveries } = await house(t, {
    target: async () => ({ url, secret: 'shh' }),
  })
  job('j1')
  const first = await fact('delivery.failed')
  t.match(first.data, { attempt: 1, reason: 'status', status: 500 })
  t.match(deliveries.state.open.get('j1'), { state: 'waiting', until: first.at + first.data.waitMs })
  await clock.advance(first.data.waitMs - 1)
  t.equal(calls.length, 1)
  await clock.advance(1)
  const second = await fact('delivery.failed', first.seq)
  t.match(second.data, { attempt: 2, reason: 'status', status: 302 })
  await clock.advance(second.data.waitMs)
  t.match((await fact('delivery.delivered')).data, { attempt: 3, status: 200 })
  t.equal(new Set(calls.map(({ body }) => body)).size, 1)
  const signatures = calls.map(({ headers }) => headers['x-quipu-signature'])
  t.equal(new Set(signatures).size, 3, 'each with its own time')
  t.equal(deliveries.state.open.size, 0)
  t.match(deliveries.state.settled.get('j1'), { state: 'delivered', attempt: 3, status: 200 })
})

t.test('a restart neither forgets a call nor shortens its wait', async t => {
  const { calls, url } = await receiver(t, status(503), status(200))
  const clock = virtualClock()
  const journal = openMemoryJournal({ clock })
  const target = async (): Promise<Target> => ({ url })
  const before = await house(t, { target, clock, journal })
  before.job('j1')
  const { waitMs } = (await before.fact('delivery.failed')).data
  before.close()

  const after = await house(t, { target, clock, journal })
  await clock.advance(waitMs - 1)
  t.equal(calls.length, 1)
  await clock.advance(1)
  t.match((await after.fact('delivery.delivered')).data, { attempt: 2 })
  t.equal(calls[0]!.body, calls[1]!.body)
})

t.test('a house that died before it had called, or before it knew that it had, calls', async t => {
  const { calls, url } = await receiver(t, status(200))
  const clock = virtualClock()
  const journal = openMemoryJournal({ clock })
  // Nobody here orders a call, or makes the one that is ordered.
  const engine = new Engine(journal, clock, [])
  for (const id of ['unordered', 'due']) {
    engine.commit('request', id, { type: 'request.admit', data: admission })
    engine.commit('request', id, { type: 'request.cancel', data: {} })
  }
  engine.commit('delivery', 'due', { type: 'delivery.order', data: { state: 'cancelled' } })
  await engine.settled()
  engine.close()

  const { fact } = await house(t, { target: async () => ({ url }), clock, journal })
  const one = await fact('delivery.delivered')
  await fact('delivery.delivered', one.seq)
  const bodies = calls.map(({ body }) => JSON.parse(body))
  t.same(bodies.map(({ id }) => id).sort(), ['due', 'unordered'])
  for (const body of bodies) t.match(body, { state: 'cancelled', resultUrl: undefined })
})

t.test('where to call is judged again at each call', async t => {
  const { calls, url } = await receiver(t, status(200))
  for (const target of [url, url.replace('127.0.0.1', 'localhost')]) {
    const { job, fact } = await house(t, { target: async () => ({ url: target }), allowed: [] })
    job('j1')
    t.match((await fact('delivery.abandoned')).data, { attempt: 1, reason: 'address' }, target)
  }
  t.equal(calls.length, 0)
})

t.test('a receiver that says never again is not called again, and an erased one not at all', async t => {
  const { calls, url } = await receiver(t, status(410))
  const gone = await house(t, { target: async () => ({ url }) })
  gone.job('j1')
  t.match((await gone.fact('delivery.abandoned')).data, { attempt: 1, reason: 'status', status: 410 })
  t.equal(calls.length, 1)
  const erased = await house(t, { target: async () => undefined })
  erased.job('j1')
  t.match((await erased.fact('delivery.abandoned')).data, { attempt: 1, reason: 'erased' })
  t.match(erased.deliveries.state.settled.get('j1'), { state: 'abandoned', reason: 'erased' })
})

t.test('what goes wrong on the way has a word', async t => {
  const broken = await receiver(t, res => res.destroy())
  const silent = await receiver(t, () => {})
  const nobody = createServer().listen(0, '127.0.0.1')
  await once(nobody, 'listening')
  const { port } = nobody.address() as AddressInfo
  await new Promise(done => nobody.close(done))
  const lost = new Failure('spool.disk', 'no', { retryable: true })

  const words: readonly [string, () => Promise<Target>, boolean?][] = [
    ['broken', async () => ({ url: broken.url })],
    ['refused', async () => ({ url: `http://127.0.0.1:${port}/` })],
    ['refused', async () => ({ url: broken.url.replace('http:', 'https:') })],
    ['timeout', async () => ({ url: silent.url }), true],
    ['disk', () => Promise.reject(lost)],
  ]
  for (const [reason, target, hangs = false] of words) {
    const { job, fact, clock } = await house(t, { target })
    job('j1')
    if (hangs) {
      while (silent.calls.length === 0) await turn()
      await clock.advance(10_000)
    }
    t.match((await fact('delivery.failed')).data, { attempt: 1, reason })
  }
})

t.test('many are called at once, but not all', async t => {
  const held: ServerResponse[] = []
  let most = 0
  const { calls, url } = await receiver(t, res => {
    most = Math.max(most, held.push(res))
  })
  const { job, fact } = await house(t, { target: async () => ({ url }) })
  for (let i = 0; i < 50; i += 1) job(`j${i}`)
  while (held.length < 32) await turn()
  let seq = 0
  for (let done = 0; done < 50; done += 1) {
    while (held.length === 0) await turn()
    held.shift()!.end()
    seq = (await fact('delivery.delivered', seq)).seq
  }
  t.equal(most, 32)
  t.equal(new Set(calls.map(({ body }) => body)).size, 50, 'each is called about')
  t.equal(calls.length, 50, 'once')
})

t.test('a call that cannot be written down is made again', async t => {
  const held: ServerResponse[] = []
  const { calls, url } = await receiver(t, res => void held.push(res))
  const clock = virtualClock()
  let broken = false
  const fault = (): void => {
    if (broken) throw new Failure('journal.unwritable', 'no', { retryable: true })
  }
  const journal = openMemoryJournal({ clock, fault })
  const { job, fact, facts, engine } = await house(t, { target: async () => ({ url }), clock, journal })
  job('j1')
  while (held.length === 0) await turn()

  broken = true
  const filling = (): void => {
    for (let i = 0; ; i += 1) {
      const data = { url: `http://n${i}`, slots: 1, residentMax: 1, labels: {}, origin: 'api' } as const
      engine.commit('node', `n${i}`, { type: 'node.register', data })
    }
  }
  t.throws(filling, { code: 'journal.full' })
  const answered = once(held[0]!, 'close')
  held[0]!.end()
  await answered
  for (let i = 0; i < 200; i += 1) await turn()

  broken = false
  await clock.advance(1_000)
  while (calls.length < 2) await turn()
  held[1]!.end()
  t.match((await fact('delivery.delivered')).data, { attempt: 1 })
  t.same(await facts(), ['delivery.ordered', 'delivery.delivered'])
})

function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
