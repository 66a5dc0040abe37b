/**
 * What named subscriptions give: one reader that waits for each acknowledgement, one that does not, four that share, and
 * webhooks to a receiver on this machine. Facts lie on a disk, marks are synced.
 */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Caller } from '../../src/callbacks/caller.ts'
import { systemClock as clock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { Feed } from '../../src/journal/feed.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { subscriptions } from '../../src/projections/subscriptions.ts'
import { marksIn } from '../../src/subscriptions/marks.ts'
import { Subscriptions } from '../../src/subscriptions/subscriptions.ts'
import { fact } from '../journal/facts.ts'
import type { Row } from './row.ts'

const FACTS = 50_000
const BATCH = 500
/** As large as the assignment of a request between four nodes. */
const DATA = { node: 'gpu-1', attempt: 1, candidates: 'x'.repeat(300) }

export async function subscriptionsBench(): Promise<Row[]> {
  const dir = await mkdtemp(join(tmpdir(), 'quipu-bench-'))
  const alive = setInterval(() => {}, 1_000)
  const journal = await openLevelJournal({ dir, clock, create: true })
  const views = { subscriptions: subscriptions() }
  const engine = new Engine(journal, clock, Object.values(views))
  const marks = marksIn({ dir, clock, journal, warn: console.error })
  const caller = new Caller({ clock, config: { allowedCallbacks: ['127.0.0.1'] } })
  const feed = new Feed({ clock, journal })
  const named = new Subscriptions({
    ...views,
    engine,
    clock,
    journal,
    marks,
    turns: feed.turns,
    wantedBy: () => undefined,
    targets: { put: async () => {}, get: async () => ({ url, secret: 'shh' }), erase: async () => {} },
    call: (...letter) => caller.call(...letter),
    mayCall: () => {},
  })
  let received = 0
  const server = createServer((req, res) => {
    req.on('data', chunk => {
      received += chunk.length
    })
    req.on('end', () => res.end())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  try {
    for (let left = FACTS; left > 0; left -= 1_000) {
      journal.stage(
        'node',
        'n',
        Array.from({ length: 1_000 }, () => fact(DATA)),
      )
      await journal.flushed()
    }
    engine.start(named.reactor)
    const { signal } = new AbortController()
    const take = (name: string, max: number) => named.take(name, { max, leaseMs: 60_000, waitMs: 0, signal })
    /** Resolves to how many there were, once all is acknowledged. */
    const drain = async (name: string, max: number, patient: boolean, until = FACTS): Promise<number> => {
      let count = 0
      let last: Promise<void> = Promise.resolve()
      while (count < until) {
        const { lease, facts } = await take(name, max)
        if (lease === undefined) break
        count += facts.length
        last = named.ack(name, lease)
        if (patient) await last
      }
      await last
      return count
    }
    const rate = async (work: () => Promise<number>): Promise<number> => {
      const began = performance.now()
      return ((await work()) / (performance.now() - began)) * 1_000
    }
    for (const name of ['patient', 'hasty', 'shared'])
      await named.create({ name, filter: {}, after: 0 }, 'bench')
    const hook = async (batchMax: number): Promise<number> => {
      const name = `hook-${batchMax}`
      const how = { format: 'ndjson', batchMax, lingerMs: 0, failuresMax: 1 } as const
      await named.create({ name, filter: {}, after: 0, webhook: { url, secret: 'shh', ...how } }, 'bench')
      while (named.standing(name).mark < FACTS) await new Promise(resolve => setTimeout(resolve, 2))
      await named.delete(name, 'bench')
      return FACTS
    }
    const batch = `${BATCH} facts at once`
    return [
      {
        name: `taken, each acknowledgement waited for, ${batch}`,
        value: await rate(() => drain('patient', BATCH, true, 10_000)),
        unit: 'facts/s',
        note: 'five acknowledgements a second are written',
      },
      {
        name: `… the next taken meanwhile, ${batch}`,
        value: await rate(() => drain('hasty', BATCH, false)),
        unit: 'facts/s',
      },
      {
        name: `… by four who share, ${batch}`,
        value: await rate(async () => {
          const counts = await Promise.all([1, 2, 3, 4].map(() => drain('shared', BATCH, false)))
          return counts.reduce((sum, count) => sum + count, 0)
        }),
        unit: 'facts/s',
      },
      { name: 'webhook, signed, 100 facts a batch', value: await rate(() => hook(100)), unit: 'facts/s' },
      {
        name: 'webhook, signed, 1,000 facts a batch',
        value: await rate(() => hook(1_000)),
        unit: 'facts/s',
        note: `${Math.round(received / FACTS / 2)} bytes a fact`,
      },
    ]
  } finally {
    clearInterval(alive)
    named.close()
    await marks.close()
    server.close()
    engine.close()
    await journal.close()
    await rm(dir, { recursive: true })
  }
}
