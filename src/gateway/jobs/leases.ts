/**
 * Workers from outside. Instead of a node, one of them takes a queued job on a lease, and brings the answer before it
 * runs out; else somebody else gets the job. The attempt is the fence: what comes with an older one is late, changes
 * nothing, and is remembered.
 *
 *   queued ─take─▶ leased ─complete─▶ answer-N, synced ─▶ completed
 *      ▲             └── fail, or the lease runs out ──┐
 *      └───────────────────────────────────────────────┘
 */
import { createHash } from 'node:crypto'
import { type Json, Refusal } from '../../../machines/entity.ts'
import type { Clock } from '../../clock.ts'
import type { Config } from '../../config.ts'
import type { Engine } from '../../engine/engine.ts'
import { Failure } from '../../failure.ts'
import type { Fleet } from '../../projections/fleet.ts'
import type { Job, JobsProjection } from '../../projections/jobs.ts'
import { before, turnOf } from '../../projections/queue.ts'
import type { Open, RequestsProjection } from '../../projections/requests.ts'
import { readFigures } from '../figures.ts'
import { type AnswerHead, answerPart, BODY, bodyHead, type Kept, type SpoolLike } from './parts.ts'
import type { Tidy } from './tidy.ts'

export interface LeasesNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly fleet: Fleet
  readonly config: Pick<Config, 'starveMs'>
  readonly jobs: JobsProjection
  readonly requests: RequestsProjection
  readonly spool: Pick<SpoolLike, 'put' | 'read' | 'drop'>
  readonly tidy: Pick<Tidy, 'free'>
}

export interface Taking {
  /** Only jobs for these; canonical names. */
  readonly models?: readonly string[] | undefined
  readonly batchSize: number
  readonly worker: string
  readonly leaseMs: number
}

/** What a worker is given. `attempt` goes back with the answer. */
export interface Lease {
  readonly id: string
  readonly attempt: number
  /** When it runs out, milliseconds since the epoch. */
  readonly until: number
  readonly path: string
  readonly model: string
  /** An answer is of no use after this, milliseconds since the epoch. */
  readonly deadlineAt?: number
  /** Of the question, as a node would see them. */
  readonly headers: Readonly<Record<string, string>>
  /** The question, where it is JSON; else its bytes, base64. */
  readonly body?: Json
  readonly bodyBase64?: string
}

export interface Brought {
  readonly attempt: number
  readonly worker: string
  readonly status: number
  readonly contentType: string
  readonly bytes: Buffer
}

/** Questions handed out at once, all together; one more than that may be larger. */
const BATCH_BYTES_MAX = 16 * 1024 * 1024
/** The figures stand at the end of an answer; see relay.ts. */
const TAIL_BYTES = 64 * 1024

export class Leases {
  readonly #needs: LeasesNeeds
  /** Jobs whose answer is on its way to the disk. */
  readonly #bringing = new Set<string>()

  constructor(needs: LeasesNeeds) {
    this.#needs = needs
  }

  /** The first jobs of the queue, as many as there are. Throws a Refusal `request.worker` or a Failure. */
  async take({ models, batchSize, worker, leaseMs }: Taking, by: string): Promise<readonly Lease[]> {
    const { clock, engine, fleet } = this.#needs
    if (fleet.state.has(worker)) {
      throw new Refusal('request.worker', `${worker} is the name of a node; a worker needs one of its own`)
    }
    const until = clock.now() + leaseMs
    const taken: Job[] = []
    for (let leftBytes = BATCH_BYTES_MAX; taken.length < batchSize && leftBytes > 0; ) {
      const next = this.#next(models)
      if (next === undefined) break
      engine.commit('request', next.id, { type: 'request.lease', by, data: { worker, until } })
      const job = this.#job(next.id)
      taken.push({ ...job }) // as it is now: what follows may take a while
      leftBytes -= job.bodyBytes
    }
    await engine.settled()
    const leases = await Promise.all(taken.map(job => this.#lease(job, until)))
    return leases.filter(lease => lease !== undefined)
  }

  /** The answer is on disk, and the job is over. Throws a Refusal where the lease is lost, or a Failure. */
  async complete(id: string, { bytes, ...brought }: Brought, by: string): Promise<void> {
    const { engine, spool } = this.#needs
    const { attempt, worker, status, contentType } = brought
    const job = this.#job(id)
    if (this.#isDone(job, brought, bytes)) return engine.settled()
    if (this.#bringing.has(id)) throw new Refusal('engine.out-of-turn', `${id} is being completed right now`)
    const sent = { bytes: bytes.length, chunks: 1, attempt, worker, status }
    if (!isHeld(job, brought)) {
      await engine.dispatch('request', id, { type: 'request.complete', by, data: sent })
      throw lost(id, attempt)
    }
    this.#bringing.add(id)
    try {
      const head: AnswerHead = { status, headers: ['Content-Type', contentType], node: worker }
      const { digest } = await this.#keep(id, answerPart(attempt), head, bytes)
      const tail = bytes.subarray(-TAIL_BYTES)
      const { figures } = readFigures(job.path, { ...sent, contentType, tail })
      const data = { ...sent, digest, ...figures }
      const [fact] = await engine.dispatch('request', id, { type: 'request.complete', by, data })
      if (fact?.type === 'request.completed') return
      await spool.drop(id, answerPart(attempt))
      throw lost(id, attempt)
    } finally {
      this.#bringing.delete(id)
    }
  }

  /** An answer may displace what is over. */
  async #keep(...[id, part, head, bytes]: Parameters<SpoolLike['put']>): Promise<Kept> {
    const { spool, tidy } = this.#needs
    try {
      return await spool.put(id, part, head, bytes)
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'spool.full') throw error
      await tidy.free(bytes.length)
      return spool.put(id, part, head, bytes)
    }
  }

  /** Resolves to what becomes of the job. Throws a Refusal where the lease is lost, or a Failure. */
  async fail(
    id: string,
    trouble: {
      readonly attempt: number
      readonly worker: string
      readonly reason: string
      readonly retryable: boolean
    },
    by: string,
  ): Promise<'queued' | 'failed'> {
    const { engine } = this.#needs
    this.#job(id)
    const data = { ...trouble, reason: `worker.${trouble.reason}`, bytes: 0, chunks: 0 }
    const [fact] = await engine.dispatch('request', id, { type: 'request.fail', by, data })
    if (fact?.type === 'request.late') throw lost(id, trouble.attempt)
    return fact?.type === 'request.retried' ? 'queued' : 'failed'
  }

  /** Resolves to when it runs out now. Throws a Refusal where it has run out already, or a Failure. */
  async extend(id: string, attempt: number, leaseMs: number, by: string): Promise<number> {
    const { clock, engine } = this.#needs
    this.#job(id)
    const until = clock.now() + leaseMs
    await engine.dispatch('request', id, { type: 'request.extend', by, data: { attempt, until } })
    return until
  }

  /** Whose turn it is, of the jobs. One that asks for labels is for a node that has them. */
  #next(models: readonly string[] | undefined): Open | undefined {
    const { clock, config, requests } = this.#needs
    const { queue } = requests.state
    const look = { now: clock.now(), starveMs: config.starveMs, skip: ({ job }: Open) => !job }
    let first: Open | undefined
    for (const line of queue.lines.values()) {
      if (Object.keys(line.labels).length > 0 || models?.includes(line.model) === false) continue
      const one = turnOf(queue, line, look)
      if (one !== undefined && (first === undefined || before(queue, one, first, look))) first = one
    }
    return first
  }

  async #lease(
    { id, attempt, node, path, model, deadlineAt }: Job,
    until: number,
  ): Promise<Lease | undefined> {
    const { engine, spool } = this.#needs
    const lease = { id, attempt, until, path, model, ...(deadlineAt !== undefined && { deadlineAt }) }
    try {
      const stored = await spool.read(id, BODY)
      if (stored === undefined) throw new Failure('spool.gone', 'the body is not there any more')
      return { ...lease, headers: bodyHead(stored.head).headers, ...question(stored.bytes) }
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      const trouble = { reason: 'spool', retryable: error.retryable, bytes: 0, chunks: 0 }
      const data = { ...trouble, attempt, worker: node }
      engine.attempt('request', id, { type: 'request.fail', data })
      return undefined
    }
  }

  #job(id: string): Job {
    const job = this.#needs.jobs.state.all.get(id)
    if (job !== undefined) return job
    throw new Refusal('request.unknown', `there is no job ${id}, or it has been erased; see /quipu/jobs`)
  }

  /** A worker that did not hear that all was well asks again. */
  #isDone(job: Job, { attempt, worker }: Pick<Brought, 'attempt' | 'worker'>, bytes: Buffer): boolean {
    if (job.state !== 'completed' || job.attempt !== attempt || job.node !== worker) return false
    return job.digest === createHash('sha256').update(bytes).digest('hex')
  }
}

function isHeld(job: Job, { attempt, worker }: Pick<Brought, 'attempt' | 'worker'>): boolean {
  return job.state === 'leased' && job.attempt === attempt && job.node === worker
}

function lost(id: string, attempt: number): Refusal {
  return new Refusal(
    'request.lease-lost',
    `the lease of ${id} for attempt ${attempt} is over or was never yours: what came with it is dropped`,
  )
}

function question(bytes: Buffer): Pick<Lease, 'body' | 'bodyBase64'> {
  try {
    return { body: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as Json }
  } catch {
    return { bodyBase64: bytes.toString('base64') }
  }
}
