/**
 * Jobs: requests that outlive their clients. What is asked and what is answered lies in the spool; that it was asked, where
 * it ran and how it ended are facts like those of any request.
 *
 *   doors, Prefer: respond-async, Idempotency-Key ─▶ intake ─▶ the queue ─▶ runner ─▶ the spool ─▶ readers, streams
 *                                                                                        └──▶ tidy
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Json } from '../../../machines/entity.ts'
import type { Clock } from '../../clock.ts'
import type { Config } from '../../config.ts'
import type { Engine } from '../../engine/engine.ts'
import type { Reactor } from '../../engine/reactor.ts'
import type { Fleet } from '../../projections/fleet.ts'
import type { JobsProjection } from '../../projections/jobs.ts'
import type { KeysProjection } from '../../projections/keys.ts'
import type { Admissible, Admission } from '../admission.ts'
import { Client } from '../client.ts'
import { dialectOf, marks, refuse } from '../refusals.ts'
import { headersForNode } from '../relay.ts'
import type { Runs } from '../run.ts'
import type { Visit } from '../visit.ts'
import { Digests, scopeOf } from './digests.ts'
import { Intake, type Taken } from './intake.ts'
import { News } from './news.ts'
import { type BodyHead, CALLBACK, type Callback, type Proof, type SpoolLike } from './parts.ts'
import { Readers } from './readers.ts'
import { Runner } from './runner.ts'
import { Tidy } from './tidy.ts'
import { saidOf, type Unanswered } from './unanswered.ts'
import { jobView } from './view.ts'

export interface JobsNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly config: Config
  readonly fleet: Fleet
  readonly jobs: JobsProjection
  readonly keys: KeysProjection
  readonly spool: SpoolLike
  readonly admission: Admission
  readonly runs: Runs
  /** With it, digests are keyed. */
  readonly secret: Buffer
  /** See RunnerNeeds. */
  readonly touched: (node: string, keepAlive: unknown) => void
}

export class Jobs {
  readonly reactors: readonly Reactor[]
  readonly news = new News()
  readonly tidy: Tidy
  readonly digests: Digests
  readonly #needs: JobsNeeds
  readonly #intake: Intake
  readonly #runner: Runner
  readonly #readers: Readers

  constructor(needs: JobsNeeds) {
    const { news } = this
    this.#needs = needs
    this.digests = new Digests(needs.secret)
    this.tidy = new Tidy(needs)
    this.#intake = new Intake({ ...needs, tidy: this.tidy, digests: this.digests })
    this.#runner = new Runner({ ...needs, freed: bytes => this.tidy.free(bytes) })
    this.#readers = new Readers({ ...needs, news })
    this.reactors = [this.#runner.reactor, this.tidy.reactor, news.reactor]
  }

  /** A job as its doors take it: it may wait long, and is of the class `batch` unless it says otherwise. */
  submit(
    { target, headers, body, key, callback }: Question,
    { order, ...verdict }: Admissible,
  ): Promise<Taken> {
    const { config } = this.#needs
    return this.#intake.take({
      order: { ...order, class: order.class ?? 'batch' },
      head: headOf(target, headers, verdict),
      body: verdict.body,
      asked: body,
      waitMaxMs: config.jobWaitMaxMs,
      attemptsMax: config.jobAttemptsMax,
      ...(callback !== undefined && { callback }),
      ...(key !== undefined && { key: [...scopeOf(order.client, headers), key] }),
    })
  }

  /** For a client that would rather not wait (RFC 7240). */
  async defer(
    { req, res, target, body }: Visit,
    verdict: Admissible,
    key: string | undefined,
  ): Promise<void> {
    const { id, fresh } = await this.submit({ target, headers: req.headers, body, key }, verdict)
    if (res.headersSent || res.destroyed) return
    const job = this.#needs.jobs.state.all.get(id)
    res.writeHead(202, {
      'Content-Type': 'application/json; charset=utf-8',
      'Preference-Applied': 'respond-async',
      Location: `/quipu/jobs/${id}`,
      'X-Quipu-Request': id,
      ...(fresh ? {} : REPLAYED),
    })
    res.end(JSON.stringify(job === undefined ? { id } : jobView(job)))
  }

  /** A plain request with an Idempotency-Key: a job that its client reads along. */
  async keyed(
    { req, res, target, body }: Visit,
    { order, ...verdict }: Admissible,
    key: string,
  ): Promise<void> {
    const { admission, clock, config } = this.#needs
    const { id, fresh } = await this.#intake.take({
      order,
      head: headOf(target, req.headers, verdict),
      body: verdict.body,
      asked: body,
      waitMaxMs: config.waitMaxMs,
      attemptsMax: config.attemptsMax,
      key: [...scopeOf(order.client, req.headers), key],
    })
    const unanswered = await this.along(id, new Client(res, clock), fresh ? {} : REPLAYED)
    if (unanswered === undefined) return
    const expired = unanswered.as === 'over' && unanswered.job.state === 'expired'
    const refused = expired ? admission.busy(order) : saidOf(unanswered)
    const headers = { ...refused.headers, 'X-Quipu-Request': id }
    refuse(res, dialectOf(order.path), { ...refused, headers })
  }

  /** Writes the answer as it comes, marked as any other; see readers.ts. */
  along(
    id: string,
    client: Client,
    more: Readonly<Record<string, string>> = {},
  ): Promise<Unanswered | undefined> {
    return this.#readers.along(id, client, node => Object.entries({ ...marks(id, node), ...more }).flat())
  }

  /** Erases what has ended, once nothing of it is under way any more, and looks for what is left. */
  async erase(ids: readonly string[], by: string): Promise<readonly Proof[]> {
    await Promise.all(ids.map(id => this.#runner.over(id)))
    return this.tidy.prove(ids, this.#needs.config.data, by)
  }

  /** Who wants to be called when it is over; undefined where nobody does, or it has been erased. */
  async callback(id: string): Promise<Callback | undefined> {
    return (await this.#needs.spool.head(id, CALLBACK)) as Callback | undefined
  }

  /** Is an attempt of it under way here? */
  runs(id: string): boolean {
    return this.#runner.runs(id)
  }

  /** The house is about to stop: nothing more is begun. */
  halt(): void {
    this.#runner.halt()
    this.tidy.close()
  }

  /** Sends readers away and calls off what runs; the next house begins it again. */
  async stop(): Promise<void> {
    this.halt()
    this.#readers.stop()
    await this.#runner.stop()
  }
}

export const REPLAYED = { 'Idempotent-Replayed': 'true' } as const

/** What is asked, as it came. */
export interface Question {
  /** Path and query for the node. */
  readonly target: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly key: string | undefined
  /** Who wants to be called when it is over. */
  readonly callback?: Callback | undefined
}

function headOf(
  target: string,
  headers: IncomingHttpHeaders,
  { peeked: { keepAlive } }: Pick<Admissible, 'peeked'>,
): BodyHead {
  const kept = keepAlive === undefined ? {} : { keepAlive: keepAlive as Json } // it was read from JSON
  return { target, headers: headersForNode(headers), ...kept }
}
