/**
 * What somebody may wish of the queue, in the headers of a request or in the fields of a job: read strictly, because a
 * wish that is misspelt must not look like none.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { Refusal } from '../../machines/entity.ts'
import type { RequestClass } from '../../machines/request.ts'
import { durationMs } from '../config.ts'
import { type Labels, labelsOf } from './labels.ts'

/** As it was written; what is not wished is undefined. */
export interface Wished {
  readonly priority?: string | undefined
  readonly class?: string | undefined
  readonly deadline?: string | undefined
  readonly client?: string | undefined
  readonly labels?: string | undefined
}

export interface Wishes {
  readonly priority: number
  readonly class?: RequestClass
  /** Milliseconds since the epoch. */
  readonly deadlineAt?: number
  /** Who asks, by a name of its own; the address where it has none. A name, and no proof of anything. */
  readonly client?: string
  readonly labels?: Labels
}

const PRIORITY = 5
/** Without commas, which stand between several in a filter; and without blanks, which nobody sees. */
const CLIENT = /^[\w.@:-]{1,64}$/
/** With its zone: without one, nobody could say whose clock is meant. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/

export function wishesIn(headers: IncomingHttpHeaders): Wished {
  const of = (name: string): string | undefined => {
    const value = headers[name]
    return value === undefined ? undefined : String(value)
  }
  return {
    priority: of('x-quipu-priority'),
    class: of('x-quipu-class'),
    deadline: of('x-quipu-deadline'),
    client: of('x-quipu-client'),
    labels: of('x-quipu-labels'),
  }
}

/** `name` is what a wish is called where it was made. Throws a Refusal `request.invalid`. */
export function readWishes(wished: Wished, now: number, name: (wish: keyof Wished) => string): Wishes {
  const wishes: { -readonly [Key in keyof Wishes]: Wishes[Key] } = { priority: PRIORITY }
  const refuse = (wish: keyof Wished, rule: string): never => {
    throw new Refusal('request.invalid', `${name(wish)} must be ${rule}`)
  }
  if (wished.priority !== undefined) {
    if (!/^[0-9]$/.test(wished.priority)) {
      refuse('priority', 'one digit, 0 (last) to 9 (first); 5 is the default')
    }
    wishes.priority = Number(wished.priority)
  }
  if (wished.class !== undefined) {
    if (wished.class !== 'interactive' && wished.class !== 'batch')
      refuse('class', 'interactive (somebody waits for it) or batch')
    wishes.class = wished.class as RequestClass
  }
  if (wished.deadline !== undefined) {
    const deadlineAt = momentOf(wished.deadline, now)
    if (!(deadlineAt > now && Number.isSafeInteger(deadlineAt))) {
      refuse(
        'deadline',
        'milliseconds or a duration from now (90s, 2h), or a time to come such as 2031-01-30T08:00:00Z',
      )
    }
    wishes.deadlineAt = deadlineAt
  }
  if (wished.client !== undefined) {
    if (!CLIENT.test(wished.client)) refuse('client', 'a name of 1 to 64 letters, digits and . _ @ : -')
    wishes.client = wished.client
  }
  if (wished.labels !== undefined) {
    try {
      wishes.labels = labelsOf(wished.labels)
    } catch (error) {
      refuse('labels', `labels of a node, as gpu=4090,room=attic: ${(error as Error).message}`)
    }
  }
  return wishes
}

/** NaN for what is no time. */
function momentOf(text: string, now: number): number {
  if (TIME.test(text)) return Date.parse(text)
  try {
    return now + durationMs(text)
  } catch {
    return Number.NaN
  }
}
