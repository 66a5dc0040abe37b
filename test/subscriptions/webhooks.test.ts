/** Batches to a real receiver on this machine, from an engine whose clock stands still until it is told to move. */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { Caller } from '../../src/callbacks/caller.ts'
import { signature } from '../../src/callbacks/signature.ts'
import { type VirtualClock, virtualClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { Failure } from '../../src/failure.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { wantedBy } from '../../src/journal/wanted.ts'
import { subscriptions } from '../../src/projections/subscriptions.ts'
import { marksIn } from '../../src/subscriptions/marks.ts'
import { type Order, Subscriptions, type Targets } from '../../src/subscriptions/subscriptions.ts'
import { waitAfter } from '../../src/subscriptions/webhooks.ts'
import { dataFolder } from '../house/world.ts'
import { all, until } from '../journal/facts.ts'

const alive = setInterval(() => {}, 1_000)
t.teardown(() => clearInterval(alive))

interface Call {
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

type Answer = (res: ServerResponse) => void

/** Somebody who is called; each call is answered by the next, the last one again and again. */
async function receiver(t: Test, ...answers: Answer[]) {
  const calls: Call[] = []
  const server = createServer(async (req, res) => {
    calls.push({ headers: req.headers, body: (await buffer(req)).toString() })
    answers[Math.min(calls.length, answers.length) - 1]!(res)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { calls, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=hush` }
}

const status =
  (code: number, headers = {}): Answer =>
  res =>
    void res.writeHead(code, headers).end()
const hang: Answer = () => {}

interface Setting {
  readonly clock?: VirtualClock
  readonly journal?: Journal
  readonly dir?: string
  readonly kept?: Map<string, { readonly url: string; readonly secret?: string }>
  readonly get?: Targets['get']
}

async function house(
  t: Test,
  {
    clock = virtualClock(),
    journal = openMemoryJournal({ clock }),
    dir = dataFolder(t),
    kept = new Map(),
    ...more
  }: Setting = {},
) {
  const views = { subscriptions: subscriptions() }
  const engine = new Engine(journal, clock, Object.values(views))
  await engine.replay()
  const marks = marksIn({ dir, clock, journal, warn: message => t.fail(message) })
  await marks.open()
  const caller = new Caller({ clock, config: { allowedCallbacks: ['127.0.0.0/8'] } })
  const named = new Subscriptions({
    ...views,
    engine,
    clock,
    journal,
    turns: { take: async () => () => {} },
    marks,
    wantedBy: filter => wantedBy(filter, {} as never),
    targets: {
      put: async (item, target) => void kept.set(item, target),
      get: more.get ?? (async item => kept.get(item)),
      erase: async item => void kept.delete(item),
    },
    call: (...letter) => caller.call(...letter),
    mayCall: target => caller.check(target),
  })
  engine.start(named.reactor)
  const close = async (): Promise<void> => {
    named.close()
    engine.close()
    await marks.close()
  }
  t.teardown(close)
  return {
    clock,
    journal,
    dir,
    kept,
    named,
    close,
    hook: (
      url: string,
      more: Partial<Order> & { secret?: string; failuresMax?: number; batchMax?: number } = {},
    ) => {
      const { secret, failuresMax = 3, batchMax = 4, ...order } = more
      const how = { format: 'json', batchMax, lingerMs: 0, failuresMax } as const
      const webhook = { url, ...how, ...(secret !== undefined && { secret }) }
      return named.create({ name: 'h', filter: { kind: 'policy' }, webhook, ...order }, 'cli')
    },
    /** So many facts that are wanted. */
    async happen(count: number): Promise<void> {
      for (let n = 0; n < count; n += 1)
        engine.commit('policy', `m${n}`, { type: 'policy.set', data: { numCtx: journal.head.seq + 1 } })
      await engine.settled()
    },
    /** Lets sockets do what they do, and time pass, until something holds. */
    async pass(holds: () => boolean, what: string): Promise<void> {
      let since = performance.now()
      await until(() => {
        // A wait that is armed is over in a moment; a call gets all the real time it needs.
        if (performance.now() - since > 20) {
          since = performance.now()
          void clock.advance(400)
        }
        return holds()
      }, what)
    },
  }
}

type Batch = {
  readonly first: number
  readonly last: number
  readonly facts: readonly { readonly seq: number }[]
}
const batchOf = ({ body }: Call): Batch => JSON.parse(body)
const seqsOf = (call: Call): number[] => batchOf(call).facts.map(({ seq }) => seq)

t.test('batches come in order, each as large as it may be, signed, with seqs to tell doubles by', async t => {
  const h = await house(t)
  const { calls, url } = await receiver(t, status(204))
  await h.happen(6)
  await h.hook(url, { after: 0, secret: 'shh-do-not-tell' })
  await until(() => calls.length === 2, 'two calls')
  t.same(calls.map(seqsOf), [
    [1, 2, 3, 4],
    [5, 6],
  ])
  const { headers, body } = calls[0]!
  const id = 'h:1-4'
  t.match(JSON.parse(body), { subscription: 'h', journal: h.journal.id, id, first: 1, last: 4 })
  t.match(headers, {
    'content-type': 'application/json; charset=utf-8',
    'user-agent': 'quipu',
    'x-quipu-subscription': 'h',
    'x-quipu-journal': h.journal.id,
    'x-quipu-delivery': id,
    'x-quipu-first': '1',
    'x-quipu-last': '4',
    'x-quipu-attempt': '1',
    'x-quipu-signature': signature('shh-do-not-tell', body, h.clock.now()),
  })
  await until(() => h.named.standing('h').lag === 0, 'acknowledged')
  for (const told of [h.named.all(), await all(h.journal)])
    t.notMatch(JSON.stringify(told), /hush|do-not-tell|\/hook/, 'neither path nor secret is told')
  t.match(h.named.standing('h').webhook, { origin: new URL(url).origin, signed: true })
})

t.test('a batch may wait for company, and may be lines', async t => {
  const h = await house(t)
  const { calls, url } = await receiver(t, status(200))
  const how = { format: 'ndjson', batchMax: 3, lingerMs: 5_000, failuresMax: 3 } as const
  await h.named.create({ name: 'h', filter: { kind: 'policy' }, webhook: { url, ...how } }, 'cli')
  await h.happen(1)
  await h.clock.advance(4_000)
  await h.happen(1)
  t.equal(calls.length, 0)
  await h.clock.advance(1_000)
  await until(() => calls.length === 1, 'the time is up')
  await until(() => h.named.standing('h').lag === 0, 'acknowledged')
  await h.happen(3)
  await until(() => calls.length === 2, 'there are enough')
  const lines = calls.map(({ body }) => body.split('\n'))
  t.same(
    lines.map(all => all.map(line => line && JSON.parse(line).seq)),
    [
      [2, 3, ''],
      [4, 5, 6, ''],
    ],
  )
  t.equal(calls[0]!.headers['content-type'], 'application/x-ndjson')
})

t.test(
  'what fails, hangs, redirects or breaks off is tried again with the same batch, until it is taken',
  async t => {
    const h = await house(t)
    const answers = [
      status(503),
      hang,
      status(302, { location: '/elsewhere' }),
      (res: ServerResponse) => res.destroy(),
    ]
    const { calls, url } = await receiver(t, ...answers, status(200))
    await h.happen(2)
    await h.hook(url, { after: 0, failuresMax: 9 })
    const met: string[] = []
    await h.pass(() => {
      const { failing, lag } = h.named.standing('h')
      if (failing !== undefined && met.length < failing.failures)
        met.push(`${failing.reason} ${failing.status ?? ''}`)
      return lag <= 1
    }, 'taken')
    t.same(calls.map(seqsOf), Array(5).fill([1, 2]))
    t.same(
      calls.map(({ headers }) => headers['x-quipu-attempt']),
      ['1', '2', '3', '4', '5'],
    )
    t.same(met, ['status 503', 'timeout ', 'status 302', 'broken '])
    t.equal(h.named.standing('h').failing, undefined)
    await h.happen(1)
    await until(() => calls.length === 6, 'and on')
    t.equal(calls[5]!.headers['x-quipu-attempt'], '1')
  },
)

t.test(
  'after so many failures in a row it is parked, costs nothing, and goes on where it was when resumed',
  async t => {
    const h = await house(t)
    const { calls, url } = await receiver(t, status(500), status(500), status(500), status(200))
    await h.happen(5)
    await h.hook(url, { after: 0 })
    await h.pass(() => h.named.standing('h').state === 'parked', 'parked')
    t.match(h.named.standing('h'), { reason: 'status', status: 500, failures: 3, mark: 0, by: 'cli' })
    await h.happen(2)
    await h.clock.advance(3_600_000)
    t.equal(calls.length, 3)
    await h.named.resume('h', 'cli')
    await until(() => calls.length === 5, 'both batches')
    t.same(calls.slice(3).map(seqsOf), [
      [1, 2, 3, 4],
      [5, 8, 9],
    ])
    t.match(h.named.standing('h'), { state: 'active', reason: undefined, failures: undefined })
  },
)

t.test('a receiver that says never again, or that is not there any more, is parked at once', async t => {
  const gone = await house(t)
  const { calls, url } = await receiver(t, status(410))
  await gone.happen(1)
  await gone.hook(url, { after: 0 })
  await until(() => gone.named.standing('h').state === 'parked', 'parked')
  t.match(gone.named.standing('h'), { reason: 'status', status: 410, failures: 1 })
  t.equal(calls.length, 1)

  const erased = await house(t, { get: async () => undefined })
  await erased.happen(1)
  await erased.hook(url, { after: 0 })
  await until(() => erased.named.standing('h').state === 'parked', 'parked')
  t.match(erased.named.standing('h'), { reason: 'erased', failures: 1 })

  const disk = new Failure('spool.damaged', 'no')
  const damaged = await house(t, { get: () => Promise.reject(disk) })
  await damaged.happen(1)
  await damaged.hook(url, { after: 0 })
  await until(() => damaged.named.standing('h').state === 'parked', 'parked')
  t.match(damaged.named.standing('h'), { reason: 'damaged' })
})

t.test('a batch that nobody can digest is skipped by hand', async t => {
  const h = await house(t)
  const { calls, url } = await receiver(t, status(400), status(400), status(400), status(200))
  await h.happen(5)
  await h.hook(url, { after: 0 })
  await h.pass(() => h.named.standing('h').state === 'parked', 'parked')
  await h.named.ackThrough('h', 4)
  await h.named.resume('h', 'cli')
  await until(() => calls.length === 4, 'the next one')
  t.same(seqsOf(calls[3]!), [5])
  await t.rejects(h.named.ackThrough('h', 99), { code: 'request.invalid' })
})

t.test('a restart goes on at the mark; the last batches may come twice, and none is missed', async t => {
  const first = await house(t)
  const { calls, url } = await receiver(t, status(200))
  await first.happen(3)
  await first.hook(url, { after: 0 })
  await until(() => first.named.standing('h').mark >= 3, 'taken')
  await first.close()
  const second = await house(t, first)
  await second.happen(2)
  await until(() => calls.length === 2, 'the next')
  t.same(calls.map(seqsOf), [
    [1, 2, 3],
    [5, 6],
  ])
  await second.close()
  const third = await house(t, { ...second, dir: dataFolder(t) })
  await until(() => calls.length === 4, 'all again')
  t.same(calls.slice(2).map(seqsOf), [[1, 2, 3, 5], [6]])
  await third.close()
})

t.test(
  'while it is parked by hand, or after it was deleted, nobody is called; its target is erased',
  async t => {
    const h = await house(t)
    const { calls, url } = await receiver(t, hang)
    await h.hook(url)
    await h.happen(1)
    await until(() => calls.length === 1, 'under way')
    await h.named.park('h', 'cli')
    t.match(h.named.standing('h'), { state: 'parked', reason: 'asked', failures: 0 })
    await h.clock.advance(60_000)
    t.equal(calls.length, 1)
    await h.named.resume('h', 'cli')
    await until(() => calls.length === 2, 'again')
    t.equal(h.kept.size, 1)
    await h.named.delete('h', 'cli')
    await h.happen(1)
    await h.clock.advance(60_000)
    t.same([calls.length, h.kept.size, h.named.all()], [2, 0, []])
    await h.hook(url, { filter: { kind: 'breaker' } })
    t.match(h.named.standing('h'), { mark: 6, filter: { kind: 'breaker' } }, 'a new one of the same name')
  },
)

t.test('what may not be called is refused, and leaves nothing behind', async t => {
  const h = await house(t)
  await t.rejects(h.hook('http://10.0.0.1/'), { code: 'callback.address' })
  await t.rejects(h.hook('http://user:pass@hooks.example/'), { code: 'callback.url' })
  await t.rejects(h.hook('https://hooks.example/', { after: 99 }), { code: 'request.invalid' })
  await t.rejects(h.hook('https://hooks.example/', { filter: { since: 'tea time' } }), {
    code: 'request.invalid',
  })
  t.same([h.kept.size, h.journal.head.seq], [0, 0])
  await h.named.create({ name: 'h', filter: {} }, 'cli')
  await t.rejects(h.hook('https://hooks.example/'), { code: 'subscription.taken' })
  t.equal(h.kept.size, 0)
})

t.test(
  'each wait may be twice as long as the one before, up to five minutes, and is left to chance',
  async t => {
    t.same(
      [1, 2, 3, 9, 20].map(failures => waitAfter(failures, 0.5)),
      [500, 1_000, 2_000, 128_000, 150_000],
    )
    t.same([waitAfter(1, 0), waitAfter(20, 0.999_999_999)], [250, 300_000])
  },
)
