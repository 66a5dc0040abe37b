/**
 * A house that is killed or stopped under load, again and again, and those who follow it with the client of the package:
 * none misses a fact, none is given one twice or out of order. QUIPU_SUBSCRIBER_ROUNDS makes it longer.
 */
import { once } from 'node:events'
import t from 'tap'
import { type Fact, type Mark, type SubscribeOptions, subscribe } from '../../src/client/index.ts'
import { mulberry32, systemClock } from '../../src/clock.ts'
import type { Entry } from '../../src/journal/journal.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { startSims } from '../../src/sim/sim.ts'
import { freePort, start } from './child.ts'

const ROUNDS = Number(process.env.QUIPU_SUBSCRIBER_ROUNDS ?? 20)
const CLIENTS = 8

t.test(
  `a consumer survives ${ROUNDS} restarts of the house with no fact lost, doubled or out of order`,
  { timeout: 60_000 + ROUNDS * 12_000 },
  async t => {
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
    t.comment(`SEED=${seed}`)
    const random = mulberry32(seed)
    const dir = t.testdir()
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const sims = await startSims({
      nodes: 2,
      slots: 4,
      loadMs: 20,
      prefillTps: 1e6,
      decodeTps: 400,
      words: 12,
    })
    t.teardown(() => Promise.all(sims.map(sim => sim.close())))
    const nodes = sims.flatMap(({ name, url }) => ['--node', `${url},name=${name},slots=4,resident=1`])
    const flags = ['--data', `${dir}/data`, '--port', String(port), '--grace', '0ms', ...nodes]

    const over = new AbortController()
    let interruptions = 0
    const follow = (options: SubscribeOptions) =>
      subscribe({
        url,
        from: 'start',
        signal: over.signal,
        waitMaxMs: 200,
        attemptsMax: Number.POSITIVE_INFINITY,
        onTrouble: ({ attempt }) => {
          if (attempt === 1) interruptions += 1
        },
        ...options,
      })
    const received: Record<string, Fact[]> = { whole: [], some: [], mine: [], saved: [] }
    /** Until it is stopped. */
    const consume = async (name: string, options: SubscribeOptions): Promise<void> => {
      for await (const fact of follow(options)) received[name]!.push(fact)
    }
    /** Ends after every few facts, and begins anew with what it has kept of its mark, as a process would. */
    const consumeAndSave = async (): Promise<void> => {
      let saved: string | undefined
      while (!over.signal.aborted) {
        let left = 1 + Math.floor(random() * 100)
        const facts = follow({ from: saved === undefined ? 'start' : (JSON.parse(saved) as Mark) })
        for await (const fact of facts) {
          received['saved']!.push(fact)
          saved = JSON.stringify(facts.mark)
          left -= 1
          if (left === 0) break
        }
      }
    }
    const consumers = [
      consume('whole', {}),
      consume('some', { types: ['request.completed', 'node.'] }),
      consume('mine', { clients: ['ann'] }),
      consumeAndSave(),
    ]

    let killed = 0
    for (let round = 0; round < ROUNDS; round += 1) {
      const house = await start(url, flags)
      const stop = new AbortController()
      const asking = Array.from({ length: CLIENTS }, (_, i) =>
        ask(url, i % 2 === 0 ? 'ann' : 'bob', stop.signal),
      )
      await new Promise(resolve => setTimeout(resolve, 100 + random() * 300))
      const signal = random() < 0.7 ? 'SIGKILL' : 'SIGTERM'
      if (signal === 'SIGKILL') killed += 1
      house.kill(signal)
      await once(house, 'exit')
      stop.abort()
      await Promise.all(asking)
    }
    const last = await start(url, flags)
    // Who has come to the end knows all there was.
    const { journal } = (await (await fetch(`${url}/quipu`)).json()) as { journal: { durable: number } }
    for await (const fact of follow({ from: journal.durable })) if (fact.seq >= journal.durable) break
    while (
      ![received['whole'], received['saved']].every(facts => (facts?.at(-1)?.seq ?? 0) >= journal.durable)
    )
      await new Promise(resolve => setTimeout(resolve, 10))
    over.abort()
    await Promise.all(consumers)
    last.kill('SIGTERM')
    await once(last, 'exit')

    const entries = await written(`${dir}/data`)
    const hashes = (facts: readonly { readonly seq: number; readonly hash: string }[]): string[] =>
      facts.map(({ seq, hash }) => `${seq} ${hash}`)
    const upTo = (facts: readonly Fact[] = []): Entry[] =>
      entries.filter(({ seq }) => seq <= (facts.at(-1)?.seq ?? 0))
    t.comment(`${entries.length} facts, ${killed} of ${ROUNDS} times killed, ${interruptions} interruptions`)
    t.ok(entries.length > ROUNDS * 10, 'there was something to lose')
    t.ok(interruptions >= ROUNDS, 'and the consumers were cut off')
    for (const name of ['whole', 'saved']) {
      t.same(hashes(received[name]!), hashes(upTo(received[name])), `${name}: every fact, once, in order`)
    }
    const some = (entry: Entry): boolean => entry.type === 'request.completed' || entry.kind === 'node'
    t.same(hashes(received['some']!), hashes(upTo(received['some']).filter(some)), 'some: only those')
    const ofAnn = new Set(entries.flatMap(({ type, id, data }) => (isAnn(type, data) ? [id] : [])))
    const mine = upTo(received['mine']).filter(({ kind, id }) => kind === 'request' && ofAnn.has(id))
    t.same(
      hashes(received['mine']!.filter(({ kind }) => kind === 'request')),
      hashes(mine),
      'mine: requests whole, also those that began in a house that is gone',
    )
  },
)

const isAnn = (type: string, data: unknown): boolean =>
  type === 'request.admitted' && (data as { client: string }).client === 'ann'

/** read() verifies the chain. */
async function written(dir: string): Promise<Entry[]> {
  const journal = await openLevelJournal({ dir, clock: systemClock })
  const entries: Entry[] = []
  for await (const page of journal.read()) entries.push(...page)
  await journal.close()
  return entries
}

async function ask(url: string, client: string, signal: AbortSignal): Promise<void> {
  const body = JSON.stringify({ model: 'tiny', prompt: 'x' })
  while (!signal.aborted) {
    await fetch(`${url}/api/generate`, {
      method: 'POST',
      body,
      signal,
      headers: { 'X-Quipu-Client': client },
    })
      .then(res => res.text())
      .catch(() => new Promise(resolve => setTimeout(resolve, 5)))
  }
}
