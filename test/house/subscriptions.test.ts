/**
 * Named subscriptions on whole houses: readers that share one, a reader that follows another, and a webhook, while the
 * house is killed with SIGKILL again and again. QUIPU_KILL_ROUNDS makes it longer.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { subscribe } from '../../src/client/index.ts'
import { mulberry32, systemClock } from '../../src/clock.ts'
import { readConfig } from '../../src/config.ts'
import type { Entry } from '../../src/journal/journal.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { openHouse } from '../../src/main.ts'
import { startSims } from '../../src/sim/sim.ts'
import { until } from '../journal/facts.ts'
import { freePort, start } from './child.ts'
import { dataFolder, view, world } from './world.ts'

interface Row {
  readonly name: string
  readonly lag: number
  readonly mark: number
}

const ROUNDS = Number(process.env.QUIPU_KILL_ROUNDS ?? 6)

/** Somebody whose webhook is called, and who is well at times only. */
async function receiver(t: Test, well: () => boolean) {
  const got: number[] = []
  const secrets = new Set<unknown>()
  const server = createServer(async (req, res) => {
    let text = ''
    for await (const chunk of req) text += chunk
    if (!well()) return void res.writeHead(503).end()
    secrets.add(req.headers['x-quipu-signature'] === undefined)
    for (const { seq } of JSON.parse(text).facts) got.push(seq)
    res.end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { got, secrets, url: `http://127.0.0.1:${port}/hook?token=hush` }
}

t.test(
  `${ROUNDS} times killed under load: whoever shares, follows or is called misses no fact`,
  { timeout: 60_000 + ROUNDS * 20_000 },
  async t => {
    const seed = Date.now() % 1_000_000
    t.comment(`seed ${seed}`)
    const random = mulberry32(seed)
    const dir = dataFolder(t)
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const sims = await startSims({
      nodes: 2,
      slots: 4,
      loadMs: 20,
      prefillTps: 1e6,
      decodeTps: 800,
      words: 6,
    })
    t.teardown(() => Promise.all(sims.map(sim => sim.close())))
    const nodes = sims.flatMap(({ name, url }) => ['--node', `${url},name=${name},slots=4,resident=1`])
    const flags = ['--data', dir, '--port', String(port), '--allow-callback', '127.0.0.1', ...nodes]
    const hook = await receiver(t, () => random() > 0.1)
    const post = (path: string, body: object): Promise<Response> =>
      fetch(url + path, { method: 'POST', body: JSON.stringify(body) })

    const [idle, stop] = [new AbortController(), new AbortController()]
    const shared = new Set<number>()
    const followed: number[] = []
    let taken = 0

    async function taker(): Promise<void> {
      while (!stop.signal.aborted) {
        try {
          const body = { max: 1 + Math.floor(random() * 40), leaseMs: 1_000, waitMs: 500 }
          const res = await post('/quipu/subscriptions/shared/take', body)
          const { lease, facts } = (await res.json()) as { lease?: string; facts: readonly Entry[] }
          if (lease === undefined) continue
          taken += facts.length
          if (random() < 0.1) continue // dies, and its lease lapses
          // It counts from here on: the answer may get lost, and what it acknowledged is acknowledged.
          for (const { seq } of facts) shared.add(seq)
          await post('/quipu/subscriptions/shared/ack', { lease })
        } catch {
          await pause(10)
        }
      }
    }

    async function follower(): Promise<void> {
      const options = { url, name: 'followed', from: 'start', waitMaxMs: 100, attemptsMax: 10_000 } as const
      while (!stop.signal.aborted) {
        // Begins anew now and then, as a program does that is itself restarted: then the house knows where.
        const gone = new AbortController()
        const facts = subscribe({ ...options, signal: AbortSignal.any([stop.signal, gone.signal]) })
        let left = 200
        for await (const { seq } of facts) {
          followed.push(seq)
          if (seq % 50 === 0) void facts.ack().catch(() => {}) // waited for, it would be five times a second
          left -= 1
          if (left === 0) gone.abort()
        }
        await facts.ack().catch(() => {})
      }
    }

    async function client(): Promise<void> {
      while (!idle.signal.aborted) {
        await post('/api/generate', { model: 'tiny', prompt: 'x' })
          .then(res => res.text())
          .catch(() => pause(10))
      }
    }

    let house = await start(url, flags)
    t.teardown(() => house.kill('SIGKILL'))
    await post('/quipu/subscriptions', { name: 'shared', from: 'start' })
    const webhook = { url: hook.url, secret: 'shh-do-not-tell', lingerMs: 20, failuresMax: 1_000 }
    await post('/quipu/subscriptions', { name: 'called', from: 'start', webhook })
    const work = [...Array.from({ length: 3 }, taker), follower(), ...Array.from({ length: 4 }, client)]
    for (let round = 0; round < ROUNDS; round += 1) {
      await pause(300 + random() * 700)
      house.kill('SIGKILL')
      await once(house, 'exit')
      house = await start(url, flags)
    }
    idle.abort()
    const laggards = async (): Promise<number> => {
      const rows = (await (await fetch(`${url}/quipu/subscriptions`)).json()) as Row[]
      return rows.filter(({ name, lag }) => name !== 'followed' && lag > 0).length
    }
    for (let left = 400; left > 0 && (await laggards()) > 0; left -= 1) await pause(50)
    t.equal(await laggards(), 0, 'nobody is behind any more')
    const { journal: stood } = (await (await fetch(`${url}/quipu`)).json()) as {
      journal: { durable: number }
    }
    const end = stood.durable
    await until(() => followed.includes(end), 'the follower is there')
    stop.abort()
    await Promise.all(work)
    house.kill('SIGTERM')
    t.equal((await once(house, 'exit'))[0], 0)

    t.comment(`${end} facts; ${taken} taken, ${followed.length} followed, ${hook.got.length} called`)
    for (const [name, got] of [
      ['shared', shared],
      ['followed', new Set(followed)],
      ['called', new Set(hook.got)],
    ] as const) {
      const missed = Array.from({ length: end }, (_, i) => i + 1).filter(seq => !got.has(seq))
      t.same(missed, [], `${name} misses none`)
    }
    t.same([...hook.secrets], [false], 'every call was signed')

    const journal = await openLevelJournal({ dir, clock: systemClock })
    const told: Entry[] = []
    for await (const page of journal.read()) told.push(...page.filter(({ kind }) => kind === 'subscription'))
    await journal.close()
    t.notMatch(JSON.stringify(told), /hush|do-not-tell|\/hook/)
  },
)

t.test('a webhook is parked, seen in the metrics, and goes on after a restart and a resume', async t => {
  let well = false
  const hook = await receiver(t, () => well)
  const data = dataFolder(t)
  const flags = { port: '0', embedded: 'off', log: 'silent', data, 'allow-callback': ['127.0.0.1'] }
  const open = () =>
    openHouse({ config: readConfig(flags, {}), version: '0.0.0', onBug: error => t.fail('a bug', { error }) })
  const first = view(await open(), [])
  const webhook = { url: hook.url, lingerMs: 0, failuresMax: 2 }
  await first.post('/quipu/subscriptions', { name: 'pager', filter: { kind: 'setting' }, webhook })
  const set = (w: typeof first, value: number): Promise<Response> =>
    fetch(`${w.url}/quipu/config/queue-max`, {
      method: 'PUT',
      body: JSON.stringify({ value: String(value) }),
    })
  await set(first, 7)
  t.match((await first.fact('subscription.parked')).data, { reason: 'status', failures: 2, status: 503 })
  t.match(
    await (await fetch(`${first.url}/metrics`)).text(),
    /quipu_subscription_parked\{subscription="pager"\} 1/,
  )
  await first.house.close()

  const second = view(await open(), [])
  t.teardown(() => second.house.close())
  well = true
  const { seq } = await (await set(second, 8))
    .json()
    .then(async () => (await second.facts('setting.set')).at(-1)!)
  t.same(hook.got, [])
  await second.post('/quipu/subscriptions/pager/resume', {})
  await until(() => hook.got.includes(seq), 'called again')
  t.equal(hook.got.length, 2)
  const row = await (await fetch(`${second.url}/quipu/subscriptions/pager`)).json()
  t.match(row, { state: 'active', webhook: { origin: new URL(hook.url).origin } })
})

t.test('where a second reader follows, the first is told, and ends', async t => {
  const w = await world(t, { sims: [] })
  const options = { url: w.url, name: 'one', from: 'start' } as const
  const first = subscribe(options)[Symbol.asyncIterator]()
  t.match((await first.next()).value, { seq: 1 })
  const second = subscribe({ url: w.url, name: 'one' })
  for await (const fact of second) {
    t.equal(fact.seq, 1, 'nothing was acknowledged')
    await second.ack(fact)
    break
  }
  await t.rejects(
    (async () => {
      for (;;) await first.next()
    })(),
    { code: 'subscription.followed', retryable: false },
  )
  const [row] = (await (await fetch(`${w.url}/quipu/subscriptions`)).json()) as Row[]
  t.match(row, { name: 'one', mark: 1 })
  const other = subscribe({ url: w.url, name: 'one', kinds: ['node'] })[Symbol.asyncIterator]()
  await t.rejects(other.next(), { code: 'subscription.taken' })
  const nobody = subscribe({ url: w.url, name: 'two' })[Symbol.asyncIterator]()
  await t.rejects(nobody.next(), { code: 'subscription.unknown' })
})
