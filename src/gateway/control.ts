/**
 * The operators' doors: every write is a command, every read is a projection. A read is put together first and told
 * when what it shows is on disk; while the disk does not write it is told all the same, and the header
 * X-Quipu-Unwritten says how many of the facts behind it are in memory only.
 */
import type { FastifyPluginAsync, FastifyReply, RouteOptions } from 'fastify'
import { Refusal } from '../../machines/entity.ts'
import type { NodeCommand } from '../../machines/node.ts'
import type { Config, NodeSpec } from '../config.ts'
import type { Ask } from '../engine/engine.ts'
import type { Entry, Journal } from '../journal/journal.ts'
import { eitherName } from '../naming.ts'
import { type ArchiveNeeds, archiveDoors } from './archive.ts'
import { type CountNeeds, queueStats } from './counts.ts'
import { type Door, doors, hang } from './doors.ts'
import { Hindsight, type HindsightNeeds } from './hindsight.ts'
import { meanwhile } from './meanwhile.ts'
import { openapi } from './openapi.ts'
import { allPolicies, modelNamed, onePolicy, type PolicyNeeds, policyFrom } from './policies.ts'
import { type RegistryNeeds, registryDoors } from './registry.ts'
import type { Forgotten } from './schema/journal.ts'
import type { Diff, State } from './schema/past.ts'
import { QUEUE_LIMIT } from './schema/queue.ts'
import { REQUESTS_LIMIT } from './schema/requests.ts'
import type { Told } from './schema/words.ts'
import { type SettingsNeeds, settingDoors } from './settings.ts'
import { type TablesNeeds, tableDoors } from './tables.ts'
import { Trail } from './trail.ts'
import {
  allModels,
  allNodes,
  goneNode,
  nodeStatus,
  oneNode,
  outlook,
  someRequests,
  theQueue,
  upCount,
  type ViewNeeds,
} from './views.ts'
import { story, summary } from './why.ts'
import { speakJson, whenWritten, whileWritable } from './writing.ts'

export interface ControlNeeds
  extends ArchiveNeeds,
    ViewNeeds,
    CountNeeds,
    PolicyNeeds,
    RegistryNeeds,
    SettingsNeeds,
    TablesNeeds {
  readonly config: Config
  readonly journal: Journal
  /** How the data folder stands to its budget. */
  readonly budget: {
    readonly budgetBytes: number
    readonly usedBytes: number
    readonly standing: 'fine' | 'tight' | 'full'
  }
  /** Of the package. */
  readonly version: string
  /** Registers a node, or changes it, and resolves to its name. Throws a Failure or a Refusal. */
  readonly register: (spec: NodeSpec, by: string) => Promise<string>
  /** Looks at a node now. */
  readonly look: (name: string) => Promise<void>
  /** What was; see past/past.ts. */
  readonly past: {
    state(at: string, signal: AbortSignal): Promise<Told<typeof State>>
    difference(from: string, to: string, signal: AbortSignal): Promise<Told<typeof Diff>>
  }
  /** Under which name a client is written down; see naming.ts. */
  readonly naming: (name: string) => string
  /** Takes a client's name out of the journal. Throws a Refusal `forgetting.open`, a Failure `house.busy`. */
  readonly forget: (client: string, by: string) => Promise<Told<typeof Forgotten>>
  /** Decides once more what has been decided. */
  readonly hindsight: Pick<HindsightNeeds, 'moments' | 'weigh' | 'bind' | 'bound'>
}

/** How all of these doors go about it. */
export interface Manners {
  /** The answer, once what it shows is on disk. */
  readonly told: <T>(reply: FastifyReply, answer: T) => Promise<T>
  /** For doors that write: not while the journal cannot. */
  readonly write: Pick<RouteOptions, 'onRequest'>
}

/** Who registers a node wants to hear whether it answers, but not for long. */
const FIRST_LOOK_MS = 2_000

export const control: FastifyPluginAsync<ControlNeeds> = async (app, needs) => {
  const { budget, clock, engine, fleet, history, journal, look, register, requests, version } = needs
  const trail = new Trail(needs)
  const hindsight = new Hindsight({ ...needs, ...needs.hindsight })
  const document = openapi(version)

  speakJson(app)
  const write = whileWritable(engine)

  const told = <T>(reply: FastifyReply, answer: T): Promise<T> => whenWritten(needs, reply, answer)

  function node(name: string) {
    const found = oneNode(needs, name)
    if (found === undefined) throw new Refusal('node.unknown', `there is no node ${name}; see /quipu/nodes`)
    return found
  }

  async function change<T>(name: string, type: NodeCommand['type'], by: string, answer: () => T): Promise<T> {
    engine.commit('node', name, { type, data: {}, by } as Ask<NodeCommand>)
    const changed = answer()
    await engine.settled()
    return changed
  }

  async function factsOf(
    id: string,
    reply: FastifyReply,
    signal = goneSignal(reply),
  ): Promise<readonly Entry[]> {
    const facts = await trail.of(id, signal)
    if (facts.length > 0) return facts
    throw new Refusal('request.unknown', `there was never a request ${id}; see /quipu/requests`)
  }

  // ── nodes and models ─────────────────────────────────────────────────────────────────────────────────────────

  hang(app, doors.nodes, ({ reply }) => told(reply, allNodes(needs)))
  hang(app, doors.node, ({ params, reply }) => told(reply, node(params.name)))
  hang(app, doors.nodeStatus, ({ params: { name }, reply }) => {
    node(name)
    return told(reply, nodeStatus(needs, name))
  })

  hang(
    app,
    doors.addNode,
    async ({ body, by, reply }) => {
      const name = await register({ ...body, labels: body.labels ?? {} }, by)
      await new Promise<void>((resolve, reject) => {
        const timer = clock.after(FIRST_LOOK_MS, resolve)
        look(name)
          .finally(() => timer.cancel())
          .then(resolve, reject)
      })
      reply.header('Location', `/quipu/nodes/${encodeURIComponent(name)}`)
      return told(reply, node(name))
    },
    write,
  )
  hang(
    app,
    doors.removeNode,
    ({ params, by }) => {
      const gone = goneNode(needs, node(params.name))
      return change(gone.name, 'node.remove', by, () => gone)
    },
    write,
  )
  hang(
    app,
    doors.drainNode,
    ({ params: { name }, by }) => change(name, 'node.drain', by, () => node(name)),
    write,
  )
  hang(
    app,
    doors.resumeNode,
    ({ params: { name }, by }) => change(name, 'node.resume', by, () => node(name)),
    write,
  )

  hang(app, doors.models, ({ reply }) => told(reply, allModels(needs)))

  hang(app, doors.policies, ({ reply }) => told(reply, allPolicies(needs)))
  hang(app, doors.policy, ({ params, reply }) => told(reply, onePolicy(needs, modelNamed(params.model))))
  hang(
    app,
    doors.setPolicy,
    async ({ params, body, by }) => {
      const model = modelNamed(params.model)
      engine.commit('policy', model, { type: 'policy.set', data: policyFrom(body), by })
      const policy = onePolicy(needs, model)
      await engine.settled()
      return policy
    },
    write,
  )
  hang(
    app,
    doors.clearPolicy,
    async ({ params, by }) => {
      const { model } = onePolicy(needs, modelNamed(params.model))
      engine.commit('policy', model, { type: 'policy.clear', data: {}, by })
      await engine.settled()
      return { model, cleared: true }
    },
    write,
  )

  // ── the queue and the requests ───────────────────────────────────────────────────────────────────────────────

  hang(app, doors.queue, ({ query: { model, limit = QUEUE_LIMIT }, reply }) =>
    told(reply, theQueue(needs, { model, limit })),
  )
  hang(app, doors.queueStats, ({ reply }) => told(reply, queueStats(needs)))
  hang(app, doors.requests, ({ query: { limit = REQUESTS_LIMIT, ...filters }, reply }) => {
    const client = filters.client && eitherName(filters.client, needs.naming)
    return told(reply, someRequests(needs, { ...filters, client, limit }))
  })
  hang(app, doors.request, async ({ params, reply }) => {
    const facts = await factsOf(params.id, reply)
    return told(reply, { ...summary(facts, clock.now()), facts })
  })
  hang(app, doors.why, async ({ params: { id }, reply }) => {
    const found = await factsOf(id, reply)
    await engine.settled().catch(() => {}) // what happened around it is read from the disk
    const around = await trail.around(found)
    // It may have gone on meanwhile, and what it waits for is asked of now.
    const facts = history.state.get(id) ?? found
    const open = requests.state.open.get(id)
    const waits = open?.state === 'queued' ? { waits: outlook(needs, open) } : {}
    return told(reply, {
      ...story(facts, { now: clock.now(), around, ...waits }),
      meanwhile: meanwhile(facts, around),
    })
  })

  hang(app, doors.hindsight, async ({ params: { id }, query: { compare }, reply }) => {
    const signal = goneSignal(reply)
    const facts = await factsOf(id, reply, signal)
    await engine.settled().catch(() => {}) // it is read from the disk
    return told(reply, await hindsight.of(facts, compare?.split(';') ?? [], signal))
  })

  // ── the past ─────────────────────────────────────────────────────────────────────────────────────────────────

  // Read from the disk, so that what is decided now is not missing from it.
  const recorded = (): Promise<void> => engine.settled().catch(() => {})
  hang(app, doors.state, async ({ query: { at = 'now' }, reply }) => {
    await recorded()
    return needs.past.state(at, goneSignal(reply))
  })
  hang(app, doors.diff, async ({ query: { from = '1d', to = 'now' }, reply }) => {
    await recorded()
    return needs.past.difference(from, to, goneSignal(reply))
  })
  hang(app, doors.forget, ({ body: { client }, by }) => needs.forget(client, by), write)

  // ── settings and tables ──────────────────────────────────────────────────────────────────────────────────────

  settingDoors(app, needs, { told, write })
  tableDoors(app, needs, { told, write })
  archiveDoors(app, needs, { told, write })
  registryDoors(app, needs, { told, write })

  // ── the house itself ─────────────────────────────────────────────────────────────────────────────────────────

  hang(app, doors.index, async ({ reply }) => {
    const { seq: head, hash } = journal.head
    const waiting = requests.state.queue.count
    const counts = {
      nodes: { total: fleet.state.size, up: upCount(needs) },
      requests: { waiting, running: requests.state.open.size - waiting },
    }
    await told(reply, counts)
    const { id, durable, writable } = journal
    const { budgetBytes, standing, usedBytes } = budget
    const disk = { used: usedBytes, ...(budgetBytes > 0 && { budget: budgetBytes }), standing }
    return {
      name: 'quipu',
      version,
      journal: { id, head, hash, durable, writable },
      disk,
      ...counts,
      links: LINKS,
    }
  })
  hang(app, doors.openapi, () => document)

  // These wait for nothing: they must answer most of all when the disk does not.
  hang(app, doors.healthz, () => ({ status: 'ok' }) as const, PROBED)
  hang(
    app,
    doors.readyz,
    ({ reply }) => {
      const reasons = [
        ...(engine.writable ? [] : ['the journal cannot be written']),
        ...(budget.standing === 'full' ? ['the disk budget is used up'] : []),
        ...(upCount(needs) > 0 ? [] : [fleet.state.size === 0 ? 'no node is registered' : 'no node is up']),
      ]
      if (reasons.length === 0) return { status: 'ok' } as const
      reply.code(503)
      return { status: 'no', reasons } as const
    },
    PROBED,
  )
}

/** Nobody waits for the answer any more. */
function goneSignal({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController()
  raw.once('close', () => gone.abort())
  return gone.signal
}

/** Load balancers ask with HEAD. */
const PROBED = { exposeHeadRoute: true }

const LINKS: Readonly<Record<string, string>> = Object.fromEntries(
  (Object.entries(doors) as [string, Door][])
    .filter(([name, { method, params }]) => name !== 'index' && method === 'GET' && params === undefined)
    .map(([name, { path }]) => [name, path]),
)
