/**
 * The trials of test/agent/network.test.ts, run in a network namespace of their own: half-open lines, lines that lose, and
 * processes that stand still, with houses and agents as processes.
 */
import { createConnection } from 'node:net'
import t, { type Test } from 'tap'
import { conform } from '../conformance/conform.ts'
import type { Dying } from '../conformance/probe.ts'
import { cable, Place, swallow, translate, until } from './places.ts'
import {
  agentProcess,
  ask,
  factsOf,
  houseProcess,
  joinedAgent,
  oddlyEnded,
  settledFacts,
  simNode,
  standingOf,
  stands,
  type Told,
} from './processes.ts'

/** Within this, both ends know that nothing comes through any more (see src/rpc/limits.ts), with some to spare. */
const NOTICED_MS = 25_000
const STILL_MS = 30_000

t.setTimeout(600_000)
Place.here.run('ip', 'link', 'set', 'lo', 'up')

t.test('a line that swallows everything in mid-answer: both ends notice, and meet again', async t => {
  const house = await houseProcess(t)
  const slow = await simNode(t, { decodeTps: 5, words: 2_000 })
  agentProcess(t, house, 'n1', slow.url)
  await stands(house, 'n1', 'up')
  const begun = Promise.withResolvers<void>()
  const told = ask(house, { began: () => begun.resolve() })
  await begun.promise

  const cut = performance.now()
  const heal = swallow(Place.here, house.agentsPort)
  const { whole } = await told
  const clientMs = performance.now() - cut
  t.equal(whole, false)
  t.ok(clientMs < NOTICED_MS, `the client is told after ${Math.round(clientMs)} ms`)
  await stands(house, 'n1', 'down', NOTICED_MS)
  // The agent has let go of it, too: whoever waits for nobody is not worked for.
  await until(() => slow.counters.inFlight === 0 || undefined, 'Ollama works for nobody any more', NOTICED_MS)
  t.ok(performance.now() - cut < NOTICED_MS)
  t.comment(`both ends know after ${Math.round(performance.now() - cut)} ms`)

  heal()
  const healed = performance.now()
  await stands(house, 'n1', 'up', 30_000)
  t.comment(`up again ${Math.round(performance.now() - healed)} ms after the line was healed`)
  t.same(oddlyEnded(await settledFacts(house)), [])
})

t.test('a line that swallows everything before the first byte: the request goes elsewhere', async t => {
  const house = await houseProcess(t)
  const stuck = await simNode(t)
  agentProcess(t, house, 'n1', stuck.url)
  await stands(house, 'n1', 'up')
  t.match(await ask(house), { whole: true, node: 'n1' })
  stuck.setMode('hang')
  const told = ask(house, { withinMs: 120_000 })
  await until(() => stuck.counters.inFlight === 1 || undefined, 'it is on n1')
  const heal = swallow(Place.here, house.agentsPort)
  t.teardown(heal)
  const cut = performance.now()
  const other = await simNode(t)
  await fetch(`${house.url}/quipu/nodes`, {
    method: 'POST',
    body: JSON.stringify({ url: other.url, name: 'n2' }),
  })
  t.match(await told, { whole: true, status: 200, node: 'n2' })
  t.comment(`answered elsewhere ${Math.round(performance.now() - cut)} ms after the line was cut`)
  t.ok(performance.now() - cut < NOTICED_MS)
  t.same(oddlyEnded(await settledFacts(house)), [])
})

t.test('a line that loses 30 % of what is sent: most are answered, only later, and all are told', async t => {
  const house = await houseProcess(t)
  const sim = await simNode(t, { slots: 4 })
  agentProcess(t, house, 'n1', sim.url, '--slots', '4')
  await stands(house, 'n1', 'up')
  const heal = swallow(Place.here, house.agentsPort, 0.3)
  t.teardown(heal)
  const told: Told[] = []
  const client = async (): Promise<void> => {
    for (let i = 0; i < 10; i += 1) told.push(await ask(house, { withinMs: 120_000 }))
  }
  await Promise.all(Array.from({ length: 4 }, client))
  const times = told.map(({ ms }) => ms).sort((a, b) => a - b)
  t.comment(`${told.length} answers, half within ${times[20]} ms, the slowest ${times.at(-1)} ms`)
  // One run in some loses the same few packets until both ends give the line up, with what is on it.
  const untold = told.filter(({ whole, status }) => !whole && status === 0)
  t.same(untold, [], 'nobody waited for nothing')
  t.ok(told.filter(({ whole }) => whole).length >= 30, 'most of them came through')
  heal()
  await stands(house, 'n1', 'up')
  t.match(await ask(house, { withinMs: 120_000 }), { whole: true, node: 'n1' })
  t.same(oddlyEnded(await settledFacts(house)), [])
})

t.test('an agent that stands still for 30 s: its node is lost meanwhile, and as before after', async t => {
  const house = await houseProcess(t)
  const slow = await simNode(t, { decodeTps: 5, words: 2_000 })
  const agent = agentProcess(t, house, 'n1', slow.url)
  await stands(house, 'n1', 'up')
  const begun = Promise.withResolvers<void>()
  const told = ask(house, { began: () => begun.resolve() })
  await begun.promise
  agent.signal('SIGSTOP')
  const still = performance.now()
  t.equal((await told).whole, false)
  t.ok(performance.now() - still < NOTICED_MS, 'its client is told')
  await stands(house, 'n1', 'down', NOTICED_MS)
  await new Promise(resolve => setTimeout(resolve, STILL_MS - (performance.now() - still)))
  agent.signal('SIGCONT')
  await stands(house, 'n1', 'up', 30_000)
  await until(() => slow.counters.inFlight === 0 || undefined, 'Ollama works for nobody any more', NOTICED_MS)
  const facts = await settledFacts(house)
  t.same(oddlyEnded(facts), [])
  t.equal(facts.filter(({ type }) => type === 'node.registered').length, 1)
})

t.test('a house that stands still for 30 s: agents come back, and what was written is whole', async t => {
  const house = await houseProcess(t)
  const sim = await simNode(t)
  const agent = agentProcess(t, house, 'n1', sim.url)
  await stands(house, 'n1', 'up')
  t.match(await ask(house), { whole: true })
  const before = await factsOf(house)
  house.process.signal('SIGSTOP')
  await agent.saw(/not attached/, NOTICED_MS)
  await new Promise(resolve => setTimeout(resolve, STILL_MS - 20_000))
  house.process.signal('SIGCONT')
  await until(
    async () => (await ask(house, { withinMs: 5_000 })).whole || undefined,
    'the house answers again, through the agent',
    40_000,
  )
  await stands(house, 'n1', 'up')
  const facts = await settledFacts(house)
  t.same(facts.slice(0, before.length), before)
  t.same(oddlyEnded(facts), [])
})

for (const who of ['agent', 'house'] as const) {
  t.test(
    `${who === 'agent' ? 'an agent' : 'a house'} that stands still in mid-pull: Ollama is asked once, and the copy comes`,
    async t => {
      const model = 'llama3:8b'
      const house = await houseProcess(t)
      const sim = await simNode(t, { pullBytesPerSec: 4e9 })
      sim.setMode('slow', { factor: 80 })
      const agent = agentProcess(t, house, 'n1', sim.url)
      await stands(house, 'n1', 'up')
      const transfer = async () => {
        const answer = await fetch(`${house.url}/quipu/transfers?model=${model}`)
        const [row] = (await answer.json()) as readonly { state: string; progress?: { bytes: number } }[]
        return row
      }
      const headers = { 'Content-Type': 'application/json' }
      const body = JSON.stringify({ model, nodes: ['n1'] })
      const ordered = await fetch(`${house.url}/quipu/models/pull`, { method: 'POST', headers, body })
      t.ok(ordered.ok)
      const begun = await until(async () => (await transfer())?.progress?.bytes || undefined, 'bytes come')

      const still = who === 'agent' ? agent : house.process
      still.signal('SIGSTOP')
      await new Promise(resolve => setTimeout(resolve, STILL_MS))
      still.signal('SIGCONT')
      await stands(house, 'n1', 'up', 60_000)
      await until(
        async () => {
          const bytes = (await transfer())?.progress?.bytes ?? 0
          return bytes > begun || undefined
        },
        'it is seen to go on',
        60_000,
      )
      sim.setMode('ok')
      await until(
        async () => (await transfer())?.state === 'completed' || undefined,
        'the copy is there',
        60_000,
      )
      t.equal(sim.counters.requests['POST /api/pull'], 1, 'Ollama was asked once')
      t.ok(sim.models().includes(model))
      const facts = (await factsOf(house)).filter(({ id }) => id === `${model}@n1`)
      for (const type of ['transfer.ordered', 'replica.found', 'transfer.completed'])
        t.equal(facts.filter(fact => fact.type === type).length, 1, type)
    },
  )
}

/** What simulated node, house and agent are told. */
interface Wishes {
  readonly sim?: readonly string[]
  readonly flags?: readonly string[]
  readonly run?: readonly string[]
}

/** A house outside, a router that translates, and a home behind it, with an Ollama that only the home itself reaches. */
async function behindNat(t: Test, { sim = [], flags = [], run = [] }: Wishes = {}) {
  const [router, home] = [await Place.open(t), await Place.open(t)]
  nets += 1
  const net = `10.71.${nets}`
  const [outside, address] = cable(Place.here, router, net)
  const [gateway, inside] = cable(router, home, '192.168.71')
  home.run('ip', 'route', 'add', 'default', 'via', gateway)
  translate(router, '192.168.71')
  // The house even knows the way: it is the router that lets nobody in.
  Place.here.run('ip', 'route', 'replace', '192.168.71.0/24', 'via', address)
  const node = home.quipu(t, 'sim', '--nodes', '1', '--port', '21434', ...sim)
  await node.saw(/sim-1/)
  const house = await houseProcess(t, { elsewhere: outside, flags })
  const agent = await joinedAgent(t, home, house, 'n1', OLLAMA, ...run)
  await stands(house, 'n1', 'up')
  return { router, home, inside, house, agent, net }
}

let nets = 0

const OLLAMA = 'http://127.0.0.1:21434'

t.test('a node behind NAT, its Ollama on loopback there, is Ollama to every client of the house', async t => {
  const slots = ['--slots', '12']
  const { home, inside, house } = await behindNat(t, {
    sim: [
      ...[...slots, '--max-queue', '8', '--load-ms', '300', '--decode-tps', '600', '--words', '32'],
      ...['--prefill-tps', '2000', '--pull-bytes-per-sec', '2e10'],
    ],
    flags: ['--queue-max', '8'],
    run: [...slots, '--resident', '1'],
  })
  for (const port of [21434, house.agentsPort])
    t.equal(await reaches(inside, port), false, 'nobody outside reaches it')
  const dying: Dying = async stream => {
    const tell = (mode: string): void => {
      const code =
        'fetch(process.argv[1], { method: "POST", body: JSON.stringify({ mode: process.argv[2] }) })'
      home.run(process.execPath, '-e', code, `${OLLAMA}/sim/mode`, mode)
    }
    tell('runner-dies')
    try {
      return await stream(() => {})
    } finally {
      tell('ok')
    }
  }
  const results = await conform({ url: house.url, model: 'tiny', embed: 'embed', maxQueue: 8, dying })
  for (const { number, promise, outcome, reason = '' } of results)
    t.not(outcome, 'failed', `${number} ${promise}: ${reason}`)
  t.equal(results.length, 75)
})

t.test('a router that forgets its connections: the agent dials again, and is itself', async t => {
  const { router, house, agent, net } = await behindNat(t)
  t.match(await ask(house), { whole: true, node: 'n1' })
  // Another outer address, as after a night: what was translated before leads nowhere.
  const [, outer = ''] = new RegExp(`(q\\d+[ab])[^\\n]* ${net}\\.2/`).exec(
    router.run('ip', '-o', '-4', 'addr'),
  )!
  router.run('ip', 'addr', 'del', `${net}.2/24`, 'dev', outer)
  router.run('ip', 'addr', 'add', `${net}.3/24`, 'dev', outer)
  Place.here.run('ip', 'neigh', 'flush', 'all')
  const cut = performance.now()
  await agent.saw(/not attached.*attached/s, 60_000)
  t.comment(`back ${Math.round(performance.now() - cut)} ms after the router had another address`)
  await stands(house, 'n1', 'up')
  t.match(await ask(house), { whole: true, node: 'n1' })
  const facts = await settledFacts(house)
  t.equal(facts.filter(({ type }) => type === 'node.registered').length, 1)
  t.equal(facts.filter(({ type }) => type === 'agent.joined').length, 1)
})

t.test('revoked in mid-answer, an agent behind NAT is out at once, and stays out', async t => {
  const { house, agent } = await behindNat(t, { sim: ['--decode-tps', '5', '--words', '2000'] })
  const begun = Promise.withResolvers<void>()
  const told = ask(house, { began: () => begun.resolve() })
  await begun.promise
  const cut = performance.now()
  const headers = { 'Content-Type': 'application/json' }
  const revoked = await fetch(`${house.url}/quipu/agents/n1/revoke`, { method: 'POST', headers, body: '{}' })
  t.equal(revoked.status, 200)
  t.equal((await told).whole, false)
  t.ok(performance.now() - cut < 2_000, 'its client is told at once')
  await agent.saw(/revoked|sent away/, 20_000)
  await stands(house, 'n1', 'down')
  await new Promise(resolve => setTimeout(resolve, 5_000))
  t.equal(await standingOf(house, 'n1'), 'down')
})

function reaches(host: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = createConnection({ host, port, timeout: 2_000 })
  socket.once('connect', () => resolve(true))
  socket.once('error', () => resolve(false))
  socket.once('timeout', () => resolve(false))
  return promise.finally(() => socket.destroy())
}
