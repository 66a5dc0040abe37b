/** The line that an agent keeps to its house: how it comes up, breaks, comes back, and how many calls it takes. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { openAgent } from '../../src/agent/agent.ts'
import { inPlainText } from '../../src/agent/introductions.ts'
import { systemClock } from '../../src/clock.ts'
import type { Failure } from '../../src/failure.ts'
import { statuses } from '../../src/gateway/refusals.ts'
import type { CommandProgress, NodeStatus } from '../../src/rpc/messages.ts'
import { storyOf } from '../house/world.ts'
import { agentOf, houseForAgents, simOf, together } from './beside.ts'
import { bridge, houseSide, taking, ways } from './stand.ts'

const never = new AbortController().signal

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(5)
}

for (const [way, open] of Object.entries(ways)) {
  t.test(`${way}: the line tells a status, goes on telling, and takes commands`, async t => {
    const house = await houseSide(t)
    const sim = await simOf(t)
    await open(t, house, { ollama: sim.url })
    const link = await house.link('n1')
    const status = await link.status({ fresh: true, signal: never })
    t.match(status, { identity: { node: 'n1', ollamaUrl: sim.url, ollamaVersion: '0.33.0' } })
    t.same(status.present?.models.map(({ name }) => name).toSorted(), ['embed:latest', 'tiny:latest'])

    const watching = new AbortController()
    const told: NodeStatus[] = []
    for await (const news of link.watch({ intervalMs: 1_000, signal: watching.signal })) {
      told.push(news)
      if (told.length === 2) watching.abort()
    }
    t.equal(told[0]!.identity?.node, 'n1')

    const progress: CommandProgress[] = []
    for await (const word of link.command(
      { id: 'c1', copy: { source: 'tiny', destination: 'twin' } },
      never,
    )) {
      progress.push(word)
    }
    t.match(progress.at(-1), { end: { outcome: 'OUTCOME_DONE' } })
    t.ok(sim.models().includes('twin:latest'))
    t.equal(await link.cancel('c1', never), false, 'it is over')
    await t.rejects(
      (async () => {
        for await (const _ of link.command({ id: 'c1', delete: { model: 'twin' } }, never));
      })(),
      { code: 'agent.known' },
      'what the agent refuses comes with its own code',
    )
  })
}

t.test(
  'a node comes with what its agent says of it, and one that comes back as it was is nothing new',
  async t => {
    const { w, sim, agent } = await together(t, {
      agent: { slots: 3, residentMax: 2, labels: { zone: 'a' } },
    })
    const [registered] = await w.facts('node.registered')
    t.match(registered, {
      id: 'n1',
      by: 'agent',
      data: { url: 'agent://n1', slots: 3, residentMax: 2, origin: 'agent', labels: { zone: 'a' } },
    })
    const url = 'agent://n1'
    t.equal(
      (await w.post('/quipu/nodes', { url, name: 'other' })).status,
      400,
      'nobody else can claim to be one',
    )
    await agent.close(0)
    await agentOf(t, {
      ollama: sim.url,
      house: w.house.agents!,
      slots: 3,
      residentMax: 2,
      labels: { zone: 'a' },
    })
    await w.fact('node.joined')
    t.equal((await w.facts('node.registered')).length, 1, 'one that comes back as it was is nothing new')
  },
)

t.test('of what an agent says of its node, no more comes into the journal than people may say', async t => {
  const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`label${i}`, 'x'.repeat(1_000)]))
  const bell = String.fromCharCode(7)
  const labels = { [`zo${bell}ne`]: `a${bell}`, ...many }
  const { w } = await together(t, { agent: { slots: 4e9, residentMax: 0, labels } })
  const { data } = await w.fact('node.registered')
  t.match(data, { slots: 1, residentMax: 3, labels: { zone: 'a', label0: 'x'.repeat(256) } })
  t.equal(Object.keys(data.labels).length, 64)
})

t.test('whoever removes a node whose agent is attached is told that this brings it back', async t => {
  const { w, sim, agent } = await together(t)
  const removed = await fetch(`${w.url}/quipu/nodes/n1`, { method: 'DELETE' })
  t.same(await removed.json(), { name: 'n1', standing: 'removed', returns: true })
  t.same(await (await fetch(`${w.url}/quipu/nodes`)).json(), [])
  await agent.close(0)
  await agentOf(t, { ollama: sim.url, house: w.house.agents! })
  await w.fact('node.registered', ({ seq }) => seq > 5)
})

t.test('when the house is away, its agent comes back by itself', async t => {
  const { w, sim } = await together(t)
  const port = w.house.agents!.split(':')[1]!
  await w.house.close()
  await sleep(200)
  const again = await houseForAgents(t, { agents: `127.0.0.1:${port}` })
  await again.fact('node.joined')
  const res = await again.generate()
  t.equal(res.status, 200)
  t.match(await res.text(), /"done":true/)
  t.ok(sim.models().length > 0)
})

t.test('a client that leaves is told to Ollama at once, through house and agent', async t => {
  const { w, sim } = await together(t, { sim: { decodeTps: 20, words: 500 } })
  const leaving = new AbortController()
  const res = await fetch(`${w.url}/api/generate`, {
    method: 'POST',
    body: JSON.stringify({ model: 'tiny', prompt: 'x' }),
    signal: leaving.signal,
  })
  await res.body!.getReader().read()
  t.equal(sim.counters.inFlight, 1)
  const began = performance.now()
  leaving.abort()
  await until(() => sim.counters.inFlight === 0)
  t.ok(performance.now() - began < 5_000)
})

t.test(
  'a line that breaks in the middle of an answer is told as a node that died, and the next request is answered',
  async t => {
    const w = await houseForAgents(t)
    const sim = await simOf(t, { decodeTps: 20, words: 500 })
    const way = await bridge(t, w.house.agents!)
    await agentOf(t, { ollama: sim.url, house: way.address })
    await w.fact('node.joined')
    const res = await w.generate()
    const reader = res.body!.getReader()
    await reader.read()
    way.cut()
    let rest = ''
    const text = new TextDecoder()
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) break
        rest += text.decode(value)
      }
    } catch {
      // It ends broken off: half an answer must not pass for a whole one.
    }
    t.match(rest, /"error":"[^"]*node n1 went away in the middle/)
    const id = res.headers.get('x-quipu-request')
    t.match((await storyOf(w, id)).at(-1), 'request.failed')
    await until(() => sim.counters.inFlight === 0)
    t.equal((await w.generate({ options: { num_predict: 1 } })).status, 200)
  },
)

t.test('a line that says nothing more is found out, by the agent and by the house', async t => {
  const probe = { afterMs: 150, patienceMs: 150 }
  const house = await houseSide(t, { probe })
  const sim = await simOf(t)
  const way = await bridge(t, house.address)
  const heard: [boolean, string | undefined][] = []
  await agentOf(t, {
    ollama: sim.url,
    house: way.address,
    probe,
    heard: (up, why?: Failure) => heard.push([up, why?.code]),
  })
  const link = await house.link('n1')
  const silent = link.watch({ intervalMs: 60_000, signal: never })[Symbol.asyncIterator]()
  await silent.next()
  way.silence()
  await t.rejects(silent.next(), { code: 'agent.broken' }, 'who waits for news hears that none will come')
  await until(() => heard.length >= 3)
  t.match(heard, [
    [true, undefined],
    [false, /^rpc\./],
    [true, undefined],
  ])
  t.match(await (await house.link('n1')).status({ fresh: false, signal: never }), {
    identity: { node: 'n1' },
  })
})

t.test('more calls than idle streams wait for the next ones, and none is lost', async t => {
  const house = await houseSide(t)
  const sim = await simOf(t)
  await agentOf(t, { ollama: sim.url, house: house.address, idleMin: 1 })
  const link = await house.link('n1')
  const answers = await Promise.all(
    Array.from({ length: 300 }, () => {
      const receiver = taking()
      link.send({ method: 'GET', path: '/api/version', headers: {}, body: null }, receiver)
      return receiver.answer
    }),
  )
  t.same(new Set(answers.map(({ status, failure }) => failure?.message ?? status)), new Set([200]))
})

t.test('a later run of an agent puts out an earlier one, and not the other way round', async t => {
  const house = await houseSide(t)
  const sim = await simOf(t)
  const heard: (string | undefined)[] = []
  const at = (now: number) => ({ ...systemClock, now: () => now })
  const run = (now: number, version: string) =>
    agentOf(t, {
      clock: at(now),
      version,
      ollama: sim.url,
      house: house.address,
      heard: (_up, why?: Failure) => heard.push(`${version} ${why?.code ?? 'up'}`),
    })
  const versionOf = async () =>
    (await (await house.link('n1')).status({ fresh: false, signal: never })).identity?.agentVersion
  const now = Date.now()
  await run(now, 'first')
  await until(() => heard.includes('first up'))
  await run(now + 5_000, 'second')
  await until(() => heard.includes('second up') && heard.includes('first agent.superseded'))
  t.equal(await versionOf(), 'second')
  await sleep(600)
  t.equal(await versionOf(), 'second', 'the first one came back, and was turned away')
})

t.test('plain text stays on this machine, whatever either side is told', async t => {
  const options = {
    clock: systemClock,
    version: '0',
    name: 'n1',
    ollama: 'http://127.0.0.1:1',
    labels: {},
    introductions: inPlainText,
    statuses,
    onBug: () => {},
  }
  for (const [where, message] of [
    [{ house: '192.0.2.1:1' }, /^--house: 192\.0\.2\.1:1 is not on this machine/],
    [{ listen: '0.0.0.0:0' }, /^--listen: 0\.0\.0\.0:0 is not on this machine/],
  ] as const) {
    await t.rejects(openAgent({ ...options, ...where }), { code: 'config.invalid', message })
  }
  await t.rejects(houseForAgents(t, { agents: '0.0.0.0:0' }), { code: 'config.invalid' })
})
