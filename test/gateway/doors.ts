/**
 * The house's own doors over a journal in memory and a clock that stands still: a server, an engine and projections, but
 * no node and no scheduler. Tests make the facts.
 */

import type { Test } from 'tap'
import type { Candidate } from '../../machines/request.ts'
import { bindTo } from '../../src/backtest/hindsight.ts'
import { type BoundPolicy, POLICIES } from '../../src/backtest/policies.ts'
import { type VirtualClock, virtualClock } from '../../src/clock.ts'
import { type Flags, readConfig } from '../../src/config.ts'
import { Engine } from '../../src/engine/engine.ts'
import { gaugesOf } from '../../src/fleet/gauges.ts'
import { hear } from '../../src/fleet/hearsay.ts'
import { register } from '../../src/fleet/register.ts'
import type { Admission, Asked } from '../../src/gateway/admission.ts'
import { agentDoors } from '../../src/gateway/agents.ts'
import { Bodies } from '../../src/gateway/body.ts'
import { checkpointDoors, type Signing } from '../../src/gateway/checkpoints.ts'
import { control } from '../../src/gateway/control.ts'
import { events } from '../../src/gateway/events.ts'
import { jobDoors } from '../../src/gateway/jobs/doors.ts'
import { Jobs } from '../../src/gateway/jobs/jobs.ts'
import { Leases } from '../../src/gateway/jobs/leases.ts'
import { workers } from '../../src/gateway/jobs/workers.ts'
import { metrics } from '../../src/gateway/metrics.ts'
import { type MirrorDoorNeeds, mirrorDoor } from '../../src/gateway/mirror.ts'
import { openServer } from '../../src/gateway/server.ts'
import { subscriptions } from '../../src/gateway/subscriptions.ts'
import type { Agents, NodeVitals } from '../../src/gateway/views.ts'
import { Beginnings } from '../../src/journal/beginning.ts'
import { Feed } from '../../src/journal/feed.ts'
import { type MemoryOptions, openMemoryJournal } from '../../src/journal/memory.ts'
import { Stories } from '../../src/journal/stories.ts'
import { wantedBy } from '../../src/journal/wanted.ts'
import { liveConfig } from '../../src/live.ts'
import { plainNames } from '../../src/naming.ts'
import { Past } from '../../src/past/past.ts'
import { travel } from '../../src/past/travel.ts'
import { views } from '../../src/projections/views.ts'
import { Scrub } from '../../src/proofs/scrub.ts'
import { Registry } from '../../src/registry/registry.ts'
import { expectWait } from '../../src/scheduler/eta.ts'
import { weigh } from '../../src/scheduler/hindsight.ts'
import { choose } from '../../src/scheduler/scheduler.ts'
import { openSpool } from '../../src/spool/store.ts'
import { ServerStats } from '../../src/stats/sampler.ts'
import { marksIn } from '../../src/subscriptions/marks.ts'
import { Subscriptions } from '../../src/subscriptions/subscriptions.ts'
import { targetsIn } from '../../src/subscriptions/targets.ts'
import { dataFolder } from '../house/world.ts'

export type Doors = Awaited<ReturnType<typeof openDoors>>

export interface DoorsOptions extends MemoryOptions {
  readonly clock?: VirtualClock
  readonly look?: (name: string) => Promise<void>
  /** As on the command line. */
  readonly flags?: Flags
  /** With `flags.kafka`: what the mirror would say. */
  readonly mirror?: MirrorDoorNeeds['mirror']
}

export async function openDoors(
  t: Test,
  { look = async () => {}, flags = {}, mirror, ...options }: DoorsOptions = {},
) {
  const clock = options.clock ?? virtualClock()
  const config = readConfig({ log: 'silent', ...flags }, {})
  const journal = openMemoryJournal({ ...options, clock })
  const answers = views()
  const engine = new Engine(journal, clock, Object.values(answers))
  await engine.replay()
  const vitals = new Map<string, NodeVitals>()
  /** What agents said, by node; those in `up` have a line. */
  const said = new Map<string, NonNullable<ReturnType<Agents['of']>>>()
  const up = new Set<string>()
  const agents: Agents = {
    of: node => said.get(node),
    up: node => up.has(node),
    gauges: node => (said.get(node)?.fresh ? gaugesOf(said.get(node)!.status) : undefined),
  }
  const live = liveConfig(config, answers.settings.state.values)
  const common = {
    engine,
    clock,
    config: live,
    startConfig: config,
    journal,
    version: '1.2.3',
    naming: plainNames,
    vitals,
    ...answers,
    agents,
  }
  const reading = {
    feed: new Feed(common),
    stories: new Stories({ ...common, remembered: id => answers.history.state.get(id) }),
    beginnings: new Beginnings(common),
  }
  const samples = new ServerStats({ ...common, warn: message => t.fail(message) })
  samples.start()
  const never = {} as never
  const bodies = new Bodies(clock)
  const dir = dataFolder(t)
  const spool = await openSpool({ dir, clock })
  const snapshots = { figures: { written: 2, failed: 1, seq: 400, bytes: 5_000, pauseMs: 25 } }
  const checkpoints: Signing = {
    latest: { note: 'note', size: 3 },
    vkey: 'quipu/memory+0+A',
    trouble: undefined,
    sign: async () => ({ note: 'note' }),
    rotate: async () => ({ vkey: 'quipu/memory+1+B', before: 'quipu/memory+0+A', seq: 9 }),
    inclusion: async seq => `proof of ${seq}`,
    consistency: async old => `proof from ${old}`,
  }
  const marks = marksIn({ ...common, dir, warn: message => t.fail(message) })
  const named = new Subscriptions({
    ...common,
    turns: reading.feed.turns,
    marks,
    wantedBy: filter => wantedBy(filter, reading.stories),
    targets: targetsIn(spool),
    call: async () => ({ status: 204 }),
    mayCall: () => {},
  })
  const budget = { usedBytes: 1, budgetBytes: 2, standing: 'fine' } as const
  /** Nothing is pulled: it stays in line. */
  const registry = new Registry({
    ...common,
    look,
    freeBytes: () => undefined,
    heard: () => undefined,
    ollama: () => ({ ask: async () => Buffer.alloc(0) }),
    puller: { pull: () => new Promise(() => {}), cancel: async () => true },
  })
  const gauges = metrics({
    pulling: registry,
    budget,
    ...common,
    named,
    spool,
    snapshots,
    affinity: { seen: 0, hits: 0 },
    checkpoints,
    scrub: new Scrub({ ...common, dir: undefined, warn: t.fail }),
    mirror,
  })
  /** Lets in whatever comes, for one model; nothing runs anyway. */
  const admission = {
    judge: async ({ route, body, by }: Asked) => {
      const order = { path: route, model: 'tiny:latest', client: by, priority: 5, bodyBytes: body.length }
      return { as: 'admissible', order, body, peeked: {} }
    },
  } as unknown as Admission
  const work = new Jobs({
    ...common,
    config: { ...config, data: dir },
    spool,
    admission,
    runs: never,
    secret: Buffer.alloc(32),
    touched: () => {},
  })
  const app = await openServer({
    turnedAway: () => {},
    naming: plainNames,
    config: live,
    bodies,
    inference: never,
    ollama: never,
    onBug: error => t.fail('a bug', { error }),
    control: async scope => {
      await scope.register(control, {
        ...common,
        look,
        samples,
        archivist: { dir: '/archive', work: undefined, seal: () => {}, trim: () => {} },
        registry,
        budget,
        register: (spec, by) => register(common, spec, 'api', by),
        choose: open => choose(common, open),
        expect: (open, ahead) => expectWait(common, open, ahead),
        past: new Past({
          journal,
          snapshots: { newest: async () => undefined },
          clock,
          starveMs: () => config.starveMs,
          zone: 'UTC',
        }),
        forget: async () => ({ id: '', facts: 0, kept: 0 }),
        hindsight: {
          moments: seqs =>
            travel(
              { journal, snapshots: { newest: async () => undefined } },
              seqs.map(seq => ({ seq })),
            ),
          weigh,
          bind: (policy, moment, id) => bindTo(policy as BoundPolicy, moment, id),
          bound: Object.keys(POLICIES),
        },
      })
      await scope.register(checkpointDoors, { ...common, checkpoints })
      await scope.register(jobDoors, {
        ...common,
        spool,
        admission,
        bodies,
        work,
        expect: () => ({ waitMs: 7_000 }),
        mayCall: () => {},
      })
      const leases = new Leases({ ...common, spool, tidy: work.tidy })
      await scope.register(workers, { ...common, leases, tidy: work.tidy })
      await scope.register(events, { ...common, ...reading, named })
      await scope.register(subscriptions, { ...common, ...reading, named })
      await scope.register(agentDoors, {
        ...common,
        attachAt: () => '127.0.0.1:1',
        async invite(node, ttlMs, by) {
          const until = clock.now() + ttlMs
          await engine.dispatch('agent', node, { type: 'agent.invite', by, data: { tokenHash: 'h', until } })
          return { node, token: 'quipu-t', until }
        },
      })
      await scope.register(mirrorDoor, { ...common, mirror })
      await scope.register(gauges.plugin)
    },
  })
  engine.start(gauges.reactor, ...work.reactors, named.reactor)
  t.teardown(async () => {
    await app.close()
    await samples.close()
    await work.stop()
    named.close()
    registry.close()
    await marks.close()
    engine.close()
    await spool.close()
    await journal.close().catch(() => {})
  })

  const doors = {
    app,
    ...common,
    spool,
    named,
    ...reading,

    /** The agent of a node says something; and from then on a line to it is up, or is not. */
    tell(node: string, status: object, { fresh = true, ageMs = 40, line = true } = {}): void {
      said.set(node, { status: hear({ at: 1, ...status }), heardAt: clock.now() - ageMs, ageMs, fresh })
      if (line) up.add(node)
      else up.delete(node)
    },

    change: (url: string, payload: object) => app.inject({ method: 'PUT', url, payload }),
    remove: (url: string) => app.inject({ method: 'DELETE', url }),
    get: (url: string, headers: Record<string, string> = {}) => app.inject({ method: 'GET', url, headers }),
    post: (url: string, payload?: object | string) =>
      app.inject({ method: 'POST', url, ...(payload !== undefined && { payload }) }),

    /** A node that has joined. */
    join(name: string, { slots = 1, residentMax = 3, labels = {} as Record<string, string> } = {}): void {
      const data = { url: `http://${name}:11434`, slots, residentMax, labels, origin: 'api' } as const
      engine.commit('node', name, { type: 'node.register', data })
      engine.commit('node', name, { type: 'node.answer', data: { version: '0.33.0' } })
    },

    /** A model on a node, on disk or in memory. */
    put(model: string, node: string, as: 'present' | 'resident' = 'resident'): void {
      const id = `${model}@${node}`
      const data = {
        digest: 'd1',
        sizeBytes: 1_000,
        family: 'llama',
        parameterSize: '1B',
        quantization: 'Q4_0',
        capabilities: ['completion'],
      }
      engine.commit('model', model, { type: 'model.find', data })
      engine.commit('replica', id, { type: 'replica.find', data: { digest: 'd1', sizeBytes: 1_000 } })
      if (as !== 'resident') return
      const residence = { sizeBytes: 1_200, vramBytes: 1_100, contextLength: 4_096 }
      engine.commit('replica', id, { type: 'replica.confirm', data: { residence } })
    },

    admit(id: string, { model = 'tiny:latest', priority = 5, client = '127.0.0.1', job = false } = {}): void {
      engine.commit('request', id, {
        type: 'request.admit',
        data: {
          path: '/api/generate',
          model,
          client,
          priority,
          bodyBytes: 42,
          expiresAt: clock.now() + 600_000,
          attemptsMax: 3,
          ...(job && { job }),
        },
      })
    },

    assign(id: string, node: string, candidates: readonly Candidate[] = []): void {
      engine.commit('request', id, { type: 'request.assign', data: { node, candidates } })
    },

    begin(id: string, status = 200): void {
      engine.commit('request', id, { type: 'request.begin', data: { status } })
    },

    complete(id: string): void {
      const figures = { promptTokens: 7, outputTokens: 20, outputMs: 400, doneReason: 'stop' }
      engine.commit('request', id, { type: 'request.complete', data: { bytes: 900, chunks: 21, ...figures } })
    },

    fail(
      id: string,
      reason: string,
      { retryable = false, status }: { retryable?: boolean; status?: number } = {},
    ) {
      const data = { reason, retryable, bytes: 0, chunks: 0, ...(status !== undefined && { status }) }
      return engine.commit('request', id, { type: 'request.fail', data })
    },
  }
  return doors
}

export const row = (node: string, more: Partial<Candidate> = {}): Candidate => ({
  node,
  resident: true,
  idle: 1,
  estimateMs: 0,
  ...more,
})
