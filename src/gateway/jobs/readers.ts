/**
 * A job's answer for somebody who asked for it as for any other: the node's status, headers and bytes, as they come or
 * when all is there. Who reads along may have seen a part of an answer whose node then dies; it is told so, because the
 * next attempt's answer is another one.
 */
import type { Engine } from '../../engine/engine.ts'
import { Failure } from '../../failure.ts'
import type { Job, JobsProjection } from '../../projections/jobs.ts'
import { dialectOf, lastWords } from '../refusals.ts'
import { headerIn } from '../relay.ts'
import { isRetried } from '../run.ts'
import type { Sink } from '../sink.ts'
import type { News } from './news.ts'
import { type AnswerHead, answerPart, headOf, type SpoolLike } from './parts.ts'
import type { Unanswered } from './unanswered.ts'

export interface ReadersNeeds {
  readonly engine: Engine
  readonly jobs: JobsProjection
  readonly spool: SpoolLike
  readonly news: News
}

const BEGUN_AGAIN =
  'the node went away in the middle of its answer, and another begins it again; ask again with the same key'

export class Readers {
  readonly #needs: ReadersNeeds
  readonly #stopping = new AbortController()

  constructor(needs: ReadersNeeds) {
    this.#needs = needs
  }

  /** Sends everybody away. */
  stop(): void {
    this.#stopping.abort()
  }

  /** Undefined where the answer was written, or begun and broken off; else nothing has been. */
  async along(id: string, sink: Sink, marks: Marks): Promise<Unanswered | undefined> {
    const { engine, jobs, news } = this.#needs
    const { signal, deaf } = this.#signal(sink)
    try {
      for (;;) {
        if (signal.aborted) return { as: 'stopped' }
        const job = jobs.state.all.get(id)
        if (job === undefined) return { as: 'erased' }
        if (job.endedAt !== undefined) {
          await engine.settled()
          return job.digest === undefined ? { as: 'over', job } : await this.#whole(job, sink, marks, signal)
        }
        const { attempt, state } = job
        const head = state === 'answering' ? await this.#head(id, attempt) : undefined
        if (head !== undefined && flows(head)) {
          if (await this.#flow(job, attempt, head, sink, marks, signal)) return undefined
        } else if (job.attempt === attempt && job.state === state) await news.next(id, signal)
      }
    } finally {
      deaf()
    }
  }

  /** All of an answer that is there. */
  async #whole(job: Job, sink: Sink, marks: Marks, signal: AbortSignal): Promise<Unanswered | undefined> {
    const { spool } = this.#needs
    const part = answerPart(job.attempt)
    const head = await this.#head(job.id, job.attempt)
    if (head === undefined) return { as: 'erased' }
    sink.head(head.status, [...head.headers, ...marks(head.node)])
    try {
      for await (const chunk of spool.follow(job.id, part, 0, signal)) await written(sink, chunk, signal)
      sink.end()
    } catch (error) {
      sink.breakOff('', Buffer.alloc(0))
      if (!(error instanceof Failure) && !signal.aborted) throw error
    }
    return undefined
  }

  /** An answer as it comes. False where nothing was written of it, because that attempt came to nothing. */
  async #flow(
    job: Job,
    attempt: number,
    head: AnswerHead,
    sink: Sink,
    marks: Marks,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { engine, jobs, news, spool } = this.#needs
    const { id, path } = job
    let tail: Buffer | undefined
    const open = (): void => {
      if (tail === undefined) sink.head(head.status, [...head.headers, ...marks(head.node)])
      tail ??= Buffer.alloc(0)
    }
    try {
      for await (const chunk of spool.follow(id, answerPart(attempt), 0, signal)) {
        open()
        await written(sink, chunk, signal)
        tail = chunk
      }
      // It is whole; but it is the answer only when the journal says so, on disk.
      for (;;) {
        const now = jobs.state.all.get(id)
        if (now === undefined || now.attempt !== attempt || now.state === 'queued' || signal.aborted) break
        if (now.state === 'completed') {
          await engine.settled()
          open()
          sink.end()
          return true
        }
        if (now.endedAt !== undefined) break
        await news.next(id, signal)
      }
    } catch (error) {
      if (!(error instanceof Failure) && !signal.aborted) throw error
    }
    if (tail === undefined) return false
    const encoded = headerIn(head.headers, 'content-encoding') !== ''
    const type = headerIn(head.headers, 'content-type')
    sink.breakOff(encoded ? '' : lastWords(dialectOf(path), path, type, BEGUN_AGAIN), tail)
    return true
  }

  #head(id: string, attempt: number): Promise<AnswerHead | undefined> {
    return headOf(this.#needs.spool, id, attempt)
  }

  /** Aborted when the reader leaves, or the house stops. */
  #signal(sink: Sink): { readonly signal: AbortSignal; readonly deaf: () => void } {
    const gone = new AbortController()
    const stopping = this.#stopping.signal
    const leave = (): void => gone.abort()
    const deafSink = sink.hear({ left: leave, drained() {} })
    stopping.addEventListener('abort', leave)
    if (sink.closed || stopping.aborted) leave()
    return {
      signal: gone.signal,
      deaf: () => {
        deafSink()
        stopping.removeEventListener('abort', leave)
      },
    }
  }
}

/** Headers that say whose answer it is, as name, value, name, value … */
export type Marks = (node: string) => readonly string[]

/**
 * May bytes of it go out before it is known to be the answer? Not where they would be the whole of it before the journal
 * knows: an answer with a length is whole with its last byte. And not where another node may yet do better.
 */
function flows({ status, headers }: AnswerHead): boolean {
  return !isRetried(status) && headerIn(headers, 'content-length') === ''
}

/** Resolves when more may follow. */
function written(sink: Sink, chunk: Buffer, signal: AbortSignal): Promise<void> | undefined {
  if (sink.write(chunk) || signal.aborted) return undefined
  return new Promise(resolve => {
    const go = (): void => {
      deaf()
      signal.removeEventListener('abort', go)
      resolve()
    }
    const deaf = sink.hear({ left: go, drained: go })
    signal.addEventListener('abort', go)
  })
}
