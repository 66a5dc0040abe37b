/**
 * A house killed with SIGKILL under load, again and again: whatever it had acknowledged is in the journal, every
 * request has exactly one end, and the chain is whole. QUIPU_KILL_ROUNDS makes it longer.
 */
import { once } from 'node:events'
import t from 'tap'
import { mulberry32, systemClock } from '../../src/clock.ts'
import type { Entry } from '../../src/journal/journal.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { startSims } from '../../src/sim/sim.ts'
import { freePort, start } from './child.ts'

const ROUNDS = Number(process.env.QUIPU_KILL_ROUNDS ?? 20)
const CLIENTS = 12
const ENDS = new Set(['request.completed', 'request.failed', 'request.expired', 'request.abandoned'])

t.test(
  `${ROUNDS} times killed under load, nothing acknowledged is lost`,
  { timeout: 60_000 + ROUNDS * 12_000 },
  async t => {
    const seed = Date.now() % 1_000_000
    t.comment(`seed ${seed}`)
    const random = mulberry32(seed)
    const dir = t.testdir()
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const sims = await startSims({
      nodes: 3,
      slots: 4,
      loadMs: 20,
      prefillTps: 1e6,
      decodeTps: 400,
      words: 12,
    })
    t.teardown(() => Promise.all(sims.map(sim => sim.close())))
    const nodes = sims.flatMap(({ name, url }) => ['--node', `${url},name=${name},slots=4,resident=1`])

    /** Requests a client has seen the house's mark on, and drains it was told are done. */
    const marked = new Set<string>()
    const answered = new Set<string>()
    const drained: number[] = []

    for (let round = 0; round < ROUNDS; round += 1) {
      const house = await start(url, [
        '--data',
        `${dir}/data`,
        '--port',
        String(port),
        '--probe-every',
        '300ms',
        ...nodes,
      ])
      const stop = new AbortController()
      const clients = Array.from({ length: CLIENTS }, () => client(url, stop.signal, marked, answered))
      const operator = drainAndResume(url, stop.signal, drained)
      await new Promise(resolve => setTimeout(resolve, 100 + random() * 400))
      house.kill('SIGKILL')
      await once(house, 'exit')
      stop.abort()
      await Promise.all([...clients, operator])
    }

    const last = await start(url, ['--data', `${dir}/data`, '--port', String(port), ...nodes])
    last.kill('SIGTERM')
    const [code] = await once(last, 'exit')
    t.equal(code, 0)

    const journal = await openLevelJournal({ dir: `${dir}/data`, clock: systemClock })
    const entries: Entry[] = []
    for await (const page of journal.read()) entries.push(...page) // read() verifies the chain
    await journal.close()
    t.comment(
      `${entries.length} facts, ${marked.size} requests marked, ${answered.size} answered, ${drained.length} drains`,
    )
    t.ok(answered.size > ROUNDS, 'there was something to lose')
    t.same(
      entries.map(({ seq }) => seq),
      Array.from(entries, (_, i) => i + 1),
    )

    const stories = new Map<string, string[]>()
    for (const { id, type, kind } of entries)
      if (kind === 'request') stories.set(id, [...(stories.get(id) ?? []), type])
    const lost = [...marked].filter(id => !stories.get(id)?.includes('request.assigned'))
    t.same(lost, [], 'every request that got as far as a node is there')
    const unended = [...stories].filter(([, story]) => story.filter(type => ENDS.has(type)).length !== 1)
    t.same(unended, [], 'each request ended exactly once')
    const at = new Set(entries.filter(({ type }) => type === 'node.drained').map(({ seq }) => seq))
    t.same(
      drained.filter(seq => !at.has(seq)),
      [],
      'every acknowledged drain is there',
    )
    const restarts = entries.filter(
      ({ type, data }) => type === 'request.failed' && (data as { reason: string }).reason === 'restart',
    )
    t.ok(restarts.length > 0, `${restarts.length} requests were closed after a restart`)
  },
)

async function client(
  url: string,
  signal: AbortSignal,
  marked: Set<string>,
  answered: Set<string>,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const body = JSON.stringify({ model: 'tiny', prompt: 'x' })
      const res = await fetch(`${url}/api/generate`, { method: 'POST', body, signal })
      const id = res.headers.get('x-quipu-request')
      if (id !== null) marked.add(id)
      await res.text()
      if (res.ok && id !== null) answered.add(id)
    } catch {
      await new Promise(resolve => setTimeout(resolve, 5))
    }
  }
}

async function drainAndResume(url: string, signal: AbortSignal, drained: number[]): Promise<void> {
  while (!signal.aborted) {
    try {
      const head = async (): Promise<number> => {
        const text = await (
          await fetch(`${url}/quipu/journal?limit=10000&after=${drained.at(-1) ?? 0}`, { signal })
        ).text()
        const facts = text
          .trim()
          .split('\n')
          .filter(Boolean)
          .map(line => JSON.parse(line) as Entry)
        return facts.findLast(({ type }) => type === 'node.drained')?.seq ?? 0
      }
      const before = await head()
      const res = await fetch(`${url}/quipu/nodes/sim-3/drain`, { method: 'POST', signal })
      if (res.ok) {
        const seq = await head()
        if (seq > before) drained.push(seq)
      }
      await fetch(`${url}/quipu/nodes/sim-3/resume`, { method: 'POST', signal })
    } catch {
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }
}
