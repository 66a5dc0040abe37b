/**
 * Takes jobs in. The body is on disk before the fact is decided, and the fact is on disk before anybody hears of the job:
 * who was told its id will find it, whatever happens to the house. The same Idempotency-Key brings the same job.
 */
import type { Json } from '../../../machines/entity.ts'
import { Refusal } from '../../../machines/entity.ts'
import type { Clock } from '../../clock.ts'
import type { Config } from '../../config.ts'
import type { Engine } from '../../engine/engine.ts'
import { Failure } from '../../failure.ts'
import { type JobsProjection, openCount } from '../../projections/jobs.ts'
import type { KeysProjection } from '../../projections/keys.ts'
import type { Order } from '../admission.ts'
import type { Digests } from './digests.ts'
import { BODY, type BodyHead, CALLBACK, type SpoolLike } from './parts.ts'
import type { Tidy } from './tidy.ts'

export interface IntakeNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly config: Pick<Config, 'jobsMax'>
  readonly jobs: JobsProjection
  readonly keys: KeysProjection
  readonly spool: SpoolLike
  readonly tidy: Pick<Tidy, 'admit'>
  readonly digests: Digests
}

export interface Work {
  readonly order: Order
  readonly head: BodyHead
  /** As a node is sent it. */
  readonly body: Buffer
  /** As it was asked: a policy may have changed it, and not always the same way. */
  readonly asked: Buffer
  readonly waitMaxMs: number
  readonly attemptsMax: number
  /** The Idempotency-Key, after whose it is. */
  readonly key?: readonly string[]
  /** Who wants to be called when it is over: for the spool, never for a fact. */
  readonly callback?: Json
}

export interface Taken {
  readonly id: string
  /** False where the same key has brought it before. */
  readonly fresh: boolean
}

const EMPTY = Buffer.alloc(0)

export class Intake {
  readonly #needs: IntakeNeeds
  /** Keys whose jobs are being taken in. */
  readonly #coming = new Map<string, Promise<unknown>>()
  #comingCount = 0

  constructor(needs: IntakeNeeds) {
    this.#needs = needs
  }

  /**
   * Resolves when it is on disk. Throws a Refusal `key.reused` or `job.full`, and a Failure of the spool or the
   * journal.
   */
  async take(work: Work): Promise<Taken> {
    const { digests, engine, keys } = this.#needs
    if (work.key === undefined) return { id: await this.#admit(work), fresh: true }
    const key = digests.of('key', ...work.key)
    const bodyDigest = digests.of('body', work.head.target, work.asked)
    for (;;) {
      const known = keys.state.byKey.get(key)
      if (known !== undefined) {
        if (known.bodyDigest !== bodyDigest) throw new Refusal('key.reused', REUSED)
        await engine.settled()
        return { id: known.id, fresh: false }
      }
      const coming = this.#coming.get(key)
      if (coming === undefined) break
      await coming
    }
    const admitted = this.#admit(work, { key, bodyDigest })
    this.#coming.set(
      key,
      admitted.catch(() => {}).finally(() => this.#coming.delete(key)),
    )
    return { id: await admitted, fresh: true }
  }

  async #admit(
    { order, head, body, waitMaxMs, attemptsMax, callback }: Work,
    digests: { readonly key?: string; readonly bodyDigest?: string } = {},
  ): Promise<string> {
    const { clock, config, engine, jobs, spool, tidy } = this.#needs
    if (openCount(jobs.state) + this.#comingCount >= config.jobsMax) {
      throw new Refusal('job.full', `${config.jobsMax} jobs are open, and no more may be; try again later`)
    }
    const id = clock.id()
    this.#comingCount += 1
    try {
      await tidy.admit(body.length)
      await Promise.all([
        spool.put(id, BODY, head, body),
        callback !== undefined && spool.put(id, CALLBACK, callback, EMPTY),
      ])
      const expiresAt = Math.min(clock.now() + waitMaxMs, order.deadlineAt ?? Number.POSITIVE_INFINITY)
      const called = callback === undefined ? {} : ({ callback: true } as const)
      engine.commit('request', id, {
        type: 'request.admit',
        data: { ...order, expiresAt, attemptsMax, job: true, ...digests, ...called },
      })
    } catch (error) {
      await spool.erase([id]).catch(stays)
      throw error
    } finally {
      this.#comingCount -= 1
    }
    await engine.settled()
    return id
  }
}

const REUSED =
  'this Idempotency-Key came with another body before, so one of the two is a mistake; a new request needs a new key'

/** What cannot be erased now is a stray, and goes with the next start. */
function stays(error: unknown): void {
  if (!(error instanceof Failure)) throw error
}
