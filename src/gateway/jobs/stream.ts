/**
 * A job as a stream of events: what it waits for, its output so far and on, and how it ended. Each event that moves on has
 * an id, `attempt.byte`, and who comes back with it goes on at that byte. Where the job was begun again meanwhile, there
 * is no going on: an `attempt` event says so, and the output starts over.
 *
 *   state* (attempt output* state*)* end
 */
import { isUtf8 } from 'node:buffer'
import type { Engine } from '../../engine/engine.ts'
import { Failure } from '../../failure.ts'
import type { Job, JobsProjection } from '../../projections/jobs.ts'
import { headerIn } from '../relay.ts'
import { isRetried } from '../run.ts'
import type { News } from './news.ts'
import { type AnswerHead, answerPart, headOf, type SpoolLike } from './parts.ts'

export interface StreamNeeds {
  readonly engine: Engine
  readonly jobs: JobsProjection
  readonly spool: SpoolLike
  readonly news: News
}

/** How far somebody has come; `end` is after the end. */
export interface Mark {
  readonly attempt: number
  readonly byte: number | 'end'
}

export type StreamEvent =
  /** It is in the queue, on a node that has said nothing yet, or with a worker. */
  | { readonly event: 'state'; readonly data: { readonly state: string } }
  | {
      readonly event: 'attempt'
      readonly id: string
      readonly data: {
        readonly attempt: number
        readonly node: string
        readonly status: number
        readonly contentType: string
      }
    }
  | {
      readonly event: 'output'
      readonly id: string
      /** Text where it is text; bytes else. */
      readonly data: { readonly text: string } | { readonly base64: string }
    }
  | {
      readonly event: 'end'
      readonly id: string
      readonly data: {
        readonly state: string
        readonly status?: number
        readonly reason?: string
        readonly bytes?: number
        readonly digest?: string
      }
    }

/** Undefined for what is no mark. */
export function markIn(text: string): Mark | undefined {
  const found = /^(\d{1,9})\.(\d{1,15}|end)$/.exec(text)
  if (found === null) return undefined
  const byte = found[2] === 'end' ? 'end' : Number(found[2])
  return { attempt: Number(found[1]), byte }
}

/** Ends after the `end` event; or with the signal's reason, when it is aborted. */
export async function* streamOf(
  needs: StreamNeeds,
  id: string,
  after: Mark | undefined,
  signal: AbortSignal,
): AsyncGenerator<StreamEvent, void, void> {
  const { engine, jobs, news } = needs
  let attempt = after?.attempt
  let byte = after?.byte === 'end' ? 0 : (after?.byte ?? 0)
  /** All of this attempt's output was told. */
  let told: number | undefined
  let said = ''
  for (;;) {
    signal.throwIfAborted()
    const job = jobs.state.all.get(id)
    if (job === undefined) return yield { event: 'end', id: `${attempt ?? 0}.end`, data: { state: 'erased' } }
    const { state } = job
    const over = job.endedAt !== undefined
    if (over) await engine.settled()
    if (over && (job.digest === undefined || told === job.attempt)) return yield endOf(job)
    const head = told === job.attempt ? undefined : await answered(needs, job)
    if (head === undefined) {
      if (over) return
      if (state !== said && state !== 'answering') yield { event: 'state', data: { state } }
      said = state
      // What happened meanwhile is seen at once.
      if (job.state === state) await news.next(id, signal)
      continue
    }
    if (attempt !== job.attempt) {
      attempt = job.attempt
      byte = 0
      yield begun(attempt, head)
    }
    said = ''
    for await (const piece of output(needs, id, attempt, byte, signal)) {
      if (piece === 'whole') {
        told = attempt
        break
      }
      byte += piece.length
      yield { event: 'output', id: `${attempt}.${byte}`, data: written(piece) }
    }
  }
}

/** What the attempt has brought, where that is, or may become, the answer. */
async function answered({ spool }: StreamNeeds, job: Job): Promise<AnswerHead | undefined> {
  if (job.digest === undefined && job.state !== 'answering') return undefined
  const head = await headOf(spool, job.id, job.attempt)
  return head !== undefined && job.digest === undefined && isRetried(head.status) ? undefined : head
}

/** Pieces that end where characters end; `whole` at the end, and nothing more where the rest will never come. */
async function* output(
  { spool }: StreamNeeds,
  id: string,
  attempt: number,
  from: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer | 'whole', void, void> {
  let rest = Buffer.alloc(0)
  try {
    for await (const chunk of spool.follow(id, answerPart(attempt), from, signal)) {
      const all = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      const end = endOfCharacters(all)
      rest = Buffer.from(all.subarray(end))
      if (end > 0) yield all.subarray(0, end)
    }
  } catch (error) {
    if (error instanceof Failure && error.code === 'spool.gone') return
    throw error
  }
  if (rest.length > 0) yield rest
  yield 'whole'
}

/** Where the last character that is whole ends; UTF-8 takes up to four bytes for one. */
function endOfCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back]!
    if ((byte & 0xc0) === 0x80) continue
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return length > back ? bytes.length - back : bytes.length
  }
  return bytes.length
}

function written(piece: Buffer): { readonly text: string } | { readonly base64: string } {
  return isUtf8(piece) ? { text: piece.toString() } : { base64: piece.toString('base64') }
}

function begun(attempt: number, { node, status, headers }: AnswerHead): StreamEvent {
  const contentType = headerIn(headers, 'content-type')
  return { event: 'attempt', id: `${attempt}.0`, data: { attempt, node, status, contentType } }
}

function endOf({ attempt, state, status, reason, bytes, digest }: Job): StreamEvent {
  const data = {
    state,
    ...(status !== undefined && { status }),
    ...(reason !== undefined && { reason }),
    ...(digest !== undefined && bytes !== undefined && { bytes, digest }),
  }
  return { event: 'end', id: `${attempt}.end`, data }
}
