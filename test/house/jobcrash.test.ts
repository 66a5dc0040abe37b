/**
 * Jobs in a house that is killed with SIGKILL again and again, on nodes that die and fail, submitted twice and more: what
 * was acknowledged is there, each job has exactly one end and at most one answer, and the answer is the one that the
 * journal says. QUIPU_KILL_ROUNDS and QUIPU_KILL_JOBS make it longer, SEED repeats its choices.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import t from 'tap'
import { mulberry32, systemClock } from '../../src/clock.ts'
import type { Entry } from '../../src/journal/journal.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { type Sim, startSims } from '../../src/sim/sim.ts'
import { openSpool } from '../../src/spool/store.ts'
import { freePort, start } from './child.ts'

const ROUNDS = Number(process.env.QUIPU_KILL_ROUNDS ?? 5)
const JOBS = Number(process.env.QUIPU_KILL_JOBS ?? 120)
const SUBMITTERS = 8
const ENDS = new Set(['request.completed', 'request.failed', 'request.expired', 'request.cancelled'])

t.test(
  `${JOBS} jobs in a house killed ${ROUNDS} times end exactly once each`,
  { timeout: 60_000 + ROUNDS * 20_000 + JOBS * 200 },
  async t => {
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
    t.comment(`SEED=${seed}`)
    const random = mulberry32(seed)
    const data = `${t.testdir()}/data`
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const quick = { slots: 4, loadMs: 20, prefillTps: 1e6, decodeTps: 300, words: 20 }
    const sims = await startSims({ nodes: 3, ...quick })
    t.teardown(() => Promise.all(sims.map(sim => sim.close())))
    const flags = ['--data', data, '--port', String(port), '--probe-every', '200ms', '--grace', '0ms']
    const nodes = sims.flatMap(({ name, url }) => ['--node', `${url},name=${name},slots=4,resident=1`])
    const tries = ['--job-attempts-max', '20', '--attempts-max', '20', '--suspect-after', '2s']
    const serve = () => start(url, [...flags, ...nodes, ...tries])

    /** Ids that submissions of each key were answered with, in order. */
    const told = new Map<string, string[]>()
    /** Whole answers to plain requests with a key, by key and id. */
    const read = new Map<string, Set<string>>()
    let next = 0
    let submissions = 0

    for (let round = 0; round < ROUNDS; round += 1) {
      const house = await serve()
      const stop = new AbortController()
      const busy = Array.from({ length: SUBMITTERS }, () => submitting(stop.signal))
      const trouble = misbehave(sims, random, stop.signal)
      await pause(300 + random() * 900)
      house.kill('SIGKILL')
      await once(house, 'exit')
      stop.abort()
      await Promise.all([...busy, trouble])
    }

    /** One key after the other, each at least once until it is acknowledged, and old ones again. */
    async function submitting(signal: AbortSignal): Promise<void> {
      while (!signal.aborted) {
        const again = random() < 0.3 || next >= JOBS
        const key = `job-${again ? Math.floor(random() * Math.min(next + 1, JOBS)) : next++}`
        // Twice at the same moment, now and then.
        const asks = random() < 0.2 ? [ask(key, signal), ask(key, signal)] : [ask(key, signal)]
        await Promise.all(asks)
        await pause(random() * 20)
      }
    }

    async function ask(key: string, signal: AbortSignal | null = null): Promise<void> {
      const number = Number(key.slice('job-'.length))
      const body = { model: number % 3 === 0 ? 'embed' : 'tiny', prompt: key }
      const path = number % 3 === 0 ? '/api/embed' : '/api/generate'
      const question = number % 3 === 0 ? { model: 'embed', input: key } : body
      submissions += 1
      try {
        if (number % 5 === 0) {
          const headers = { 'Idempotency-Key': key }
          const res = await fetch(url + path, {
            method: 'POST',
            body: JSON.stringify(question),
            headers,
            signal,
          })
          const id = res.headers.get('x-quipu-request')
          const text = await res.text()
          if (res.status !== 200 || id === null) return
          told.set(key, [...(told.get(key) ?? []), id])
          read.set(`${key} ${id}`, (read.get(`${key} ${id}`) ?? new Set()).add(text))
        } else {
          const body = JSON.stringify({ path, body: question, idempotencyKey: key })
          const res = await fetch(`${url}/quipu/jobs`, { method: 'POST', body, signal })
          const { id } = (await res.json()) as { id?: string }
          if (res.status === 202) told.set(key, [...(told.get(key) ?? []), id!])
        }
      } catch {
        await pause(20) // the house is gone, or the stream was broken off
      }
    }

    for (const sim of sims) {
      sim.setMode('ok')
      await sim.up()
    }
    const last = await serve()
    for (let number = 0; number < JOBS; number += 1) {
      while (!told.has(`job-${number}`)) await ask(`job-${number}`)
    }
    for (;;) {
      const open = (await (await fetch(`${url}/quipu/jobs?state=open&limit=1`)).json()) as unknown[]
      if (open.length === 0) break
      await pause(100)
    }
    const results = new Map<
      string,
      { readonly status: number; readonly digest: string; readonly text: string }
    >()
    for (const id of new Set([...told.values()].flat())) {
      const res = await fetch(`${url}/quipu/jobs/${id}/result`)
      const bytes = Buffer.from(await res.arrayBuffer())
      const digest = createHash('sha256').update(bytes).digest('hex')
      results.set(id, { status: res.status, digest, text: bytes.toString() })
    }
    last.kill('SIGTERM')
    t.same(await once(last, 'exit'), [0, null])

    const journal = await openLevelJournal({ dir: data, clock: systemClock })
    const entries: Entry[] = []
    for await (const page of journal.read()) entries.push(...page) // read() verifies the chain
    const spool = await openSpool({ dir: data, clock: systemClock })
    const kept = new Map(spool.items().map(({ id, parts }) => [id, parts.map(({ part }) => part)]))
    await spool.close()
    await journal.close()

    const stories = new Map<string, Entry[]>()
    for (const entry of entries)
      if (entry.kind === 'request') stories.set(entry.id, [...(stories.get(entry.id) ?? []), entry])
    const count = (type: string) => entries.filter(entry => entry.type === type).length
    t.comment(`${submissions} submissions, ${stories.size} jobs, ${entries.length} facts`)
    t.comment(
      `${count('request.retried')} attempts came to nothing, ${entries.filter(isRestart).length} of them with the house; ` +
        `${count('request.failed')} jobs failed`,
    )
    t.ok(entries.some(isRestart), 'something ran when the house was killed')

    const unended = [...stories].filter(
      ([, story]) => story.filter(({ type }) => ENDS.has(type)).length !== 1,
    )
    t.same(unended, [], 'each job ended exactly once')

    const endOf = (id: string): Entry => stories.get(id)!.findLast(({ type }) => ENDS.has(type))!
    for (const [key, ids] of told) {
      const lost = ids.filter(id => !stories.has(id))
      if (lost.length > 0) t.fail(`${key}: ${lost} was acknowledged, and is not there`)
      // Another id for the same key: only after the job before had come to nothing.
      for (const id of new Set(ids.slice(0, -1)))
        if (id !== ids.at(-1) && endOf(id).type === 'request.completed') t.fail(`${key} ran twice: ${ids}`)
    }
    t.equal(told.size, JOBS)

    for (const [id, { status, digest, text }] of results) {
      const end = endOf(id)
      const said = end.data as { readonly digest?: string; readonly status?: number }
      if (said.digest === undefined) t.ok(status === 502 || status === 504, `${id}: ${end.type} ${text}`)
      else if (said.digest !== digest || said.status !== status)
        t.fail(`${id}: another answer than the journal says`)
      const answers = kept.get(id)!.filter(part => part.startsWith('answer-'))
      if (answers.length !== (said.digest === undefined ? 0 : 1)) t.fail(`${id} keeps ${answers}`)
    }
    const completed = [...results.keys()].filter(id => endOf(id).type === 'request.completed')
    t.ok(completed.length >= JOBS * 0.8, `${completed.length} of ${JOBS} were answered`)

    for (const [which, texts] of read) {
      const [, id = ''] = which.split(' ')
      t.same([...texts], [results.get(id)!.text], `${which}: whoever read all of it read the same`)
    }
    t.comment(`${read.size} keys were read along`)
  },
)

function isRestart({ type, data }: Entry): boolean {
  return type === 'request.retried' && (data as { readonly reason: string }).reason === 'restart'
}

async function misbehave(sims: readonly Sim[], random: () => number, signal: AbortSignal): Promise<void> {
  const modes = ['ok', 'ok', 'ok', 'flaky', 'busy', 'die-midstream', 'runner-dies'] as const
  while (!signal.aborted) {
    const sim = sims[Math.floor(random() * sims.length)]!
    if (random() < 0.15) {
      await sim.down()
      await pause(50 + random() * 200)
      await sim.up()
    } else sim.setMode(modes[Math.floor(random() * modes.length)]!, { every: 4 })
    await pause(50 + random() * 150)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
