/**
 * How one side says no to the other: a canonical status, and in the trailing metadata our own code and whether the same
 * call may succeed later. What comes without them is gRPC's own, or somebody else's.
 */
import { Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js'
import { Refusal } from '../../machines/entity.ts'
import { Failure } from '../failure.ts'
import type { CallEnd } from './messages.ts'

/** Where the HTTP status says less than the code, or there is none. */
const CODES: Readonly<Record<string, status>> = {
  'events.full': status.RESOURCE_EXHAUSTED,
  'events.slow': status.RESOURCE_EXHAUSTED,
  'house.stopped': status.UNAVAILABLE,
  'journal.broken': status.DATA_LOSS,
  'journal.gap': status.DATA_LOSS,
}

/** By HTTP status. */
const CANONICAL: Readonly<Record<number, status>> = {
  400: status.INVALID_ARGUMENT,
  401: status.UNAUTHENTICATED,
  403: status.PERMISSION_DENIED,
  404: status.NOT_FOUND,
  409: status.FAILED_PRECONDITION,
  429: status.RESOURCE_EXHAUSTED,
  502: status.UNAVAILABLE,
  503: status.UNAVAILABLE,
  504: status.DEADLINE_EXCEEDED,
}

/** HTTP status of a code of ours; see gateway/refusals.ts. */
export type Statuses = Readonly<Record<string, number>>

export interface SaidNo extends Partial<StatusObject> {
  readonly code: status
  readonly details: string
}

/** What the caller hears of a Refusal or Failure; of a bug, nothing but that there is one. */
export function saidNo(error: unknown, statuses: Statuses): SaidNo {
  if (!(error instanceof Failure || error instanceof Refusal)) {
    return { code: status.INTERNAL, details: 'internal error' }
  }
  const metadata = new Metadata()
  metadata.set('quipu-code', error.code)
  metadata.set('quipu-retryable', String(error instanceof Failure && error.retryable))
  const { code, message } = error
  const canonical = CODES[code] ?? CANONICAL[statuses[code] ?? 500] ?? status.INTERNAL
  return { code: canonical, details: message, metadata }
}

/** grpc-js wraps what went wrong in words about itself: `No connection established. Last error: … Resolution note: …` */
function plainly(details: string): string {
  const [, why] =
    /^No connection established\. Last error: (?:\w+: )?(.+?)\. Resolution note:/s.exec(details) ?? []
  return why ?? details
}

/** What the other side said, as a Failure; without a code of ours `rpc.broken`, `rpc.cancelled`, `rpc.timeout`, `rpc.answer`. */
export function heardNo(error: Pick<ServiceError, 'code' | 'details' | 'metadata'>): Failure {
  const { code: canonical, details, metadata } = error
  const said = plainly(details)
  const code = metadata?.get('quipu-code')[0]?.toString()
  if (code !== undefined && /^[a-z-]+\.[a-z-]+$/.test(code)) {
    return new Failure(code, said, { retryable: metadata.get('quipu-retryable')[0] === 'true', cause: error })
  }
  if (canonical === status.UNAVAILABLE) {
    return new Failure('rpc.broken', said, { retryable: true, cause: error })
  }
  if (canonical === status.CANCELLED) {
    return new Failure('rpc.cancelled', said, { retryable: true, cause: error })
  }
  if (canonical === status.DEADLINE_EXCEEDED) {
    return new Failure('rpc.timeout', said, { retryable: true, cause: error })
  }
  return new Failure('rpc.answer', said, { cause: error })
}

/** How a call ends that is carried the other way, where the stream's own status is not ours to give. */
export function callEnd(error: unknown, statuses: Statuses): CallEnd {
  if (error === undefined) return { code: status.OK, message: '', quipuCode: '', retryable: false }
  const { code, details: message } = saidNo(error, statuses)
  const ours = error instanceof Failure || error instanceof Refusal
  const retryable = error instanceof Failure && error.retryable
  return { code, message, quipuCode: ours ? error.code : '', retryable }
}

/** Undefined where it ended in order. */
export function failureIn({ code, message, quipuCode, retryable }: CallEnd): Failure | undefined {
  if (code === status.OK) return undefined
  const metadata = new Metadata()
  if (quipuCode !== '') metadata.set('quipu-code', quipuCode)
  metadata.set('quipu-retryable', String(retryable))
  return heardNo({ code, details: message, metadata })
}
