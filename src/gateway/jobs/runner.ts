/**
 * Runs jobs: each attempt that the scheduler decides on is carried out here. The body comes out of the spool when there is
 * a node for it; the answer goes in, and only when it is on disk does the journal hear of it, with its digest.
 *
 *   request.assigned ─▶ body ─▶ node ─▶ answer-N ─▶ synced ─▶ request.completed
 *                                          └── the node dies, or says 500: dropped, and request.retried
 *
 * What ran when the house went down has nobody here who waits for it: it is begun again.
 */
import type { RequestCommand } from '../../../machines/request.ts'
import type { Ask, Engine } from '../../engine/engine.ts'
import { type Reactor, reactor } from '../../engine/reactor.ts'
import { Failure } from '../../failure.ts'
import type { Fleet } from '../../projections/fleet.ts'
import type { Job, JobsProjection } from '../../projections/jobs.ts'
import { readFigures } from '../figures.ts'
import type { Ending } from '../relay.ts'
import { type Cut, isRetried, type Runs, reasonOf } from '../run.ts'
import { KeptAnswer } from './kept.ts'
import { type AnswerHead, answerPart, BODY, bodyHead, type SpoolLike } from './parts.ts'

export interface RunnerNeeds {
  readonly engine: Engine
  readonly fleet: Fleet
  readonly jobs: JobsProjection
  readonly runs: Runs
  readonly spool: SpoolLike
  /** Makes room in the spool, if that can be had. */
  readonly freed: (bytes: number) => Promise<unknown>
  /** Where `keepAlive` says so, the model stays longer on this node now, or shorter. */
  readonly touched: (node: string, keepAlive: unknown) => void
}

interface Attempt {
  readonly id: string
  readonly number: number
  readonly node: string
  readonly sink: KeptAnswer
  /** Settles when nothing of it is under way any more. */
  over: Promise<void>
  cut?: (why: Cut) => void
}

type Outcome = Extract<Ask<RequestCommand>, { type: 'request.complete' | 'request.fail' }>

/** What is made room for when an answer did not fit. */
const FREED_BYTES = 16 * 1024 * 1024

export class Runner {
  readonly reactor: Reactor
  readonly #needs: RunnerNeeds
  readonly #attempts = new Map<string, Attempt>()
  #halted = false

  constructor(needs: RunnerNeeds) {
    this.#needs = needs
    this.reactor = reactor(needs, {
      on: {
        'request.assigned': ({ jobs }, { id, data: { node, attempt } }) => {
          const job = jobs.state.all.get(id)
          if (job?.state === 'running' && job.attempt === attempt) this.#begin(job, node)
        },
        'request.cancelled': (_needs, { id }) => this.#attempts.get(id)?.sink.leave(),
        'node.lost': (_needs, { id, data: { reason } }) => {
          for (const { node, cut } of this.#attempts.values())
            if (node === id) cut?.(reason === 'wedged' ? 'wedged' : 'lost')
        },
      },
      resume: ({ engine, jobs }) => {
        for (const { id, state } of jobs.state.all.values()) {
          if ((state !== 'running' && state !== 'answering') || this.#attempts.has(id)) continue
          engine.attempt('request', id, { type: 'request.restart', data: {} })
        }
      },
    })
  }

  /** Begins nothing more. */
  halt(): void {
    this.#halted = true
  }

  /** Calls off what runs; the next house begins it again. */
  async stop(): Promise<void> {
    this.halt()
    const attempts = [...this.#attempts.values()]
    for (const { sink } of attempts) sink.leave()
    await Promise.all(attempts.map(({ over }) => over))
  }

  runs(id: string): boolean {
    return this.#attempts.has(id)
  }

  /** Resolves when nothing of this job is under way any more; it must have ended. */
  async over(id: string): Promise<void> {
    await this.#attempts.get(id)?.over
  }

  #begin(job: Job, node: string): void {
    const { fleet, spool } = this.#needs
    if (this.#halted) return
    const { id, attempt: number } = job
    const sink = new KeptAnswer((status, headers) => {
      const head: AnswerHead = { status, headers, node }
      return spool.open(id, answerPart(number), head)
    })
    const attempt: Attempt = { id, number, node, sink, over: Promise.resolve() }
    this.#attempts.set(id, attempt)
    attempt.over = this.#carryOut(attempt, job, fleet.state.get(node)?.url ?? '').finally(() => {
      if (this.#attempts.get(id) === attempt) this.#attempts.delete(id)
    })
  }

  async #carryOut(attempt: Attempt, job: Job, url: string): Promise<void> {
    const { id, number, node, sink } = attempt
    const { runs, spool, freed, touched } = this.#needs
    let isKept = false
    try {
      const body = await spool.read(id, BODY)
      if (body === undefined) throw new Failure('spool.gone', `the body of ${id} is not there any more`)
      const { target, headers, keepAlive } = bodyHead(body.head)
      const ending = await runs.run({
        id,
        model: job.model,
        route: job.path,
        node,
        url,
        out: { method: 'POST', path: target, headers, body: body.bytes },
        sink,
        headers: {},
        onCut: cut => {
          attempt.cut = cut
        },
      })
      const outcome = await outcomeOf(job, sink, ending)
      isKept = outcome !== undefined && this.#close(attempt, outcome)
      if (isKept) touched(node, keepAlive)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      if (error.code === 'spool.full') await freed(FREED_BYTES)
      this.#close(attempt, fail('spool', error.retryable))
    } finally {
      if (!isKept) await spool.drop(id, answerPart(number)).catch(leftBehind)
    }
  }

  /** Tells the law. Is what the attempt brought the job's answer now? Not where somebody has called the job off. */
  #close({ id, number }: Attempt, outcome: Outcome): boolean {
    const { engine, jobs } = this.#needs
    const job = jobs.state.all.get(id)
    if (job?.attempt !== number || (job.state !== 'running' && job.state !== 'answering')) return false
    try {
      engine.attempt('request', id, outcome)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      return false // the journal takes nothing; when it does, resume() begins the job again
    }
    return job.digest !== undefined
  }
}

/** What to tell the law of it; nothing where it was called off. Rejects with the spool's Failure. */
async function outcomeOf(job: Job, sink: KeptAnswer, ending: Ending): Promise<Outcome | undefined> {
  switch (ending.as) {
    case 'ended': {
      const { digest } = await sink.kept()
      const { status, bytes, chunks } = ending
      const came = { bytes, chunks, digest }
      if (isRetried(status)) return fail(status === 503 ? 'busy' : 'error', true, { ...came, status })
      const { figures, trouble } = readFigures(job.path, ending)
      // The runner on the node died in the middle of it: another may do better.
      if (trouble !== undefined) return fail(trouble, true, came)
      return { type: 'request.complete', data: { ...came, ...figures } }
    }
    case 'broken':
    case 'unreached':
      return fail(reasonOf(ending.failure), ending.failure.retryable)
    case 'left':
      if (sink.failure !== undefined) throw sink.failure
      return undefined
    case 'declined':
      return undefined
  }
}

function fail(
  reason: string,
  retryable: boolean,
  came: { bytes: number; chunks: number; digest?: string; status?: number } = { bytes: 0, chunks: 0 },
): Outcome {
  return { type: 'request.fail', data: { reason, retryable, ...came } }
}

/** What cannot be dropped now goes with the job's other parts, in the end. */
function leftBehind(error: unknown): void {
  if (!(error instanceof Failure)) throw error
}
