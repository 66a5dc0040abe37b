/** What is said of a job in place of an answer: of one that ended without, and of one that is gone. */
import type { Job } from '../../projections/jobs.ts'
import { type Refused, STOPPING, statuses } from '../refusals.ts'

export type Unanswered =
  | { readonly as: 'over'; readonly job: Job }
  /** The house stops, or nobody reads any more. */
  | { readonly as: 'stopped' }
  | { readonly as: 'erased' }

export function saidOf(unanswered: Unanswered): Refused {
  if (unanswered.as === 'stopped') return STOPPING
  if (unanswered.as === 'erased') return said('job.erased', 'nothing of it is kept any more')
  const { state, model, node, reason = '' } = unanswered.job
  if (state === 'expired') return said('job.expired', 'it waited too long for a slot')
  if (state === 'cancelled') return said('job.cancelled', 'it was called off')
  const who = node === '' ? 'nobody could' : `${node} could not`
  return said('job.failed', `${who} answer for ${model}: ${reason}`)
}

function said(code: keyof typeof statuses, message: string): Refused {
  return { status: statuses[code]!, code, message }
}
