/**
 * What somebody may wish of the queue, in the headers of a request or in the fields of a job: read strictly, because a
 * wish that is misspelt must not look like none.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { Refusal } from '../../machines/entity.ts'
import type { RequestClass } from '../../machines/request.ts'
import { durationMs } from '../config.ts'

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
  /** Who asks, by a name of its own; the address where it has none. */
  readonly client?: string
  readonly labels?: Readonly<Record<string, string>>
}

const PRIORITY = 5
const CLIENT = /^[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?$/
const LABEL = /^([A-Za-z0-9][A-Za-z0-9_./-]{0,62})=([^\s,=](?:[^,=]{0,254}[^\s,=])?)$/
const LABELS_MAX = 16

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
    if (!(deadlineAt > now)) {
      refuse(
        'deadline',
        'milliseconds or a duration from now (90s, 2h), or a time to come such as 2031-01-30T08:00:00Z',
      )
    }
    wishes.deadlineAt = deadlineAt
  }
  if (wished.client !== undefined) {
    if (!CLIENT.test(wished.client)) refuse('client', 'a name of up to 128 characters of ASCII')
    wishes.client = wished.client
  }
  if (wished.labels !== undefined) wishes.labels = labelsIn(wished.labels) ?? refuse('labels', LABELS_RULE)
  return wishes
}

const LABELS_RULE = `up to ${LABELS_MAX} labels of a node, as gpu=4090,site=lab`

/** NaN for what is no time. */
function momentOf(text: string, now: number): number {
  if (/^\d{4}-\d{2}-\d{2}T/.test(text)) return Date.parse(text)
  try {
    return now + durationMs(text)
  } catch {
    return Number.NaN
  }
}

function labelsIn(text: string): Readonly<Record<string, string>> | undefined {
  const parts = text.split(',').map(part => LABEL.exec(part.trim()))
  if (parts.length > LABELS_MAX || parts.includes(null)) return undefined
  return Object.fromEntries(parts.map(part => [part![1], part![2]]))
}
