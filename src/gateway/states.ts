/** What a request may be, in the words of the doors and of the command line: the first four are open. */
export const REQUEST_STATES = [
  'queued',
  'running',
  'answering',
  'leased',
  'completed',
  'failed',
  'expired',
  'abandoned',
  'cancelled',
] as const

/** A job has nobody who could leave. */
export const JOB_STATES = REQUEST_STATES.filter(state => state !== 'abandoned')
/** As tables have them: they do not tell who runs from who answers. */
export const QUEUE_STATES = REQUEST_STATES.filter(state => state !== 'answering')
