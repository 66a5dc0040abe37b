/** Queue, scheduler and projections under a virtual clock, with nodes that exist only as facts. */
import { replicaId } from '../../machines/replica.ts'
import type { RequestClass } from '../../machines/request.ts'
import { virtualClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import type { Entry } from '../../src/journal/journal.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { views } from '../../src/projections/views.ts'
import { type Scheduler, scheduler } from '../../src/scheduler/scheduler.ts'
import { Seats } from '../../src/scheduler/seats.ts'
import { trips } from '../../src/scheduler/trips.ts'

export function yard(records: string[] = [], config?: Scheduler['config']) {
  const clock = virtualClock()
  const journal = openMemoryJournal({ records, clock })
  const answers = views()
  const engine = new Engine(journal, clock, Object.values(answers))
  const all = { engine, clock, journal, ...answers, ...(config && { config }) }
  const seats = new Seats(all)
  const self = {
    ...all,
    records,
    seats,
    start: (more: Partial<Scheduler> = {}) =>
      engine.start(seats.reactor, scheduler({ ...all, ...more }), trips(all)),

    async node(
      name: string,
      models: readonly string[],
      { slots = 1, residentMax = 1, resident = [] as string[], labels = {} as Record<string, string> } = {},
    ) {
      const data = { url: `http://${name}`, slots, residentMax, labels, origin: 'api' } as const
      await engine.dispatch('node', name, { type: 'node.register', data })
      // One look at a node is one turn: it joins together with what it has.
      engine.commit('node', name, { type: 'node.answer', data: { version: '1' } })
      for (const model of models) {
        const found = { digest: 'd', sizeBytes: 1e9 }
        engine.commit('replica', replicaId(model, name), { type: 'replica.find', data: found })
      }
      await clock.advance(0)
      for (const model of resident) await self.loaded(model, name)
    },
    async loaded(model: string, node: string, ms = 1_000) {
      await engine.dispatch('replica', replicaId(model, node), { type: 'replica.confirm', data: { ms } })
      await clock.advance(0)
    },
    async ask(
      id: string,
      model: string,
      {
        priority = 5,
        waitMs = 600_000,
        client = 'c',
        kind,
        ...wishes
      }: {
        priority?: number
        waitMs?: number
        client?: string
        kind?: RequestClass
        variant?: string
        labels?: Record<string, string>
      } = {},
    ) {
      const data = {
        path: '/api/chat',
        model,
        client,
        ...(kind && { class: kind }),
        ...wishes,
        priority,
        bodyBytes: 1,
        attemptsMax: 3,
        expiresAt: clock.now() + waitMs,
      }
      await engine.dispatch('request', id, { type: 'request.admit', data })
      await clock.advance(0)
    },
    async done(id: string, ms = 0) {
      await clock.advance(ms)
      engine.attempt('request', id, { type: 'request.begin', data: { status: 200 } })
      engine.attempt('request', id, { type: 'request.complete', data: { bytes: 1, chunks: 1 } })
      await clock.advance(0)
    },
    async failed(id: string, reason: string, status?: number) {
      const data = { reason, retryable: true, bytes: 0, chunks: 0, ...(status !== undefined && { status }) }
      engine.attempt('request', id, { type: 'request.fail', data })
      await clock.advance(0)
    },
    /** Where a request runs, or that it waits, or how it ended. */
    at: (id: string): string => {
      const open = answers.requests.state.open.get(id)
      return open === undefined ? 'over' : open.state === 'queued' ? 'queued' : open.node
    },
    async facts(type: string): Promise<Entry[]> {
      const found: Entry[] = []
      for await (const page of journal.read()) found.push(...page.filter(entry => entry.type === type))
      return found
    },
  }
  return self
}
