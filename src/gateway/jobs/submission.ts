/** A job as it is submitted: its own fields are read, and the question inside it is taken out as it was written. */
import type { IncomingHttpHeaders } from 'node:http'
import { Refusal } from '../../../machines/entity.ts'
import { fields, nameIn } from '../fields.ts'
import { INFERENCE } from '../routes.ts'
import { checked } from '../schema/check.ts'
import { Erase, NewJob } from '../schema/jobs.ts'
import type { Given } from '../schema/words.ts'
import { Walk } from '../walk.ts'
import type { Wished } from '../wishes.ts'
import { checkedKey, keyIn } from './digests.ts'

export interface Submission {
  readonly path: string
  readonly body: Buffer
  readonly wished: Wished
  readonly key?: string
  readonly callback?: NonNullable<Given<typeof NewJob>['callback']>
}

/** All fields but the question are small. */
const FIELD_BYTES_MAX = 65_536
const NAME_BYTES_MAX = 64

const body = { method: '', url: '', httpPart: 'body' } as const
const checkJob = checked({ ...body, schema: NewJob })
const checkErase = checked({ ...body, schema: Erase })

/** Throws a Refusal `request.invalid`. */
export async function readJob(text: Buffer, headers: IncomingHttpHeaders): Promise<Submission> {
  const found = await fieldsOf(text)
  if (found === undefined) throw invalid('the body must be a JSON object with path and body')
  const given: Record<string, unknown> = {}
  for (const [name, value] of found) given[name] = name === 'body' ? questionIn(value) : valueIn(name, value)
  const { error } = checkJob(given) as { readonly error?: Error }
  if (error !== undefined) throw error
  const { path, priority, deadline, labels, callback, idempotencyKey, ...job } = given as Given<typeof NewJob>
  if (!(INFERENCE as readonly string[]).includes(path)) {
    throw invalid(`path must be one of ${INFERENCE.join(', ')}`)
  }
  const key = idempotencyKey === undefined ? keyIn(headers) : checkedKey(idempotencyKey)
  return {
    path,
    body: found.get('body')!,
    wished: {
      class: job.class,
      client: job.client,
      ...(priority !== undefined && { priority: String(priority) }),
      ...(deadline !== undefined && { deadline: String(deadline) }),
      ...(labels !== undefined && { labels: listed(labels) }),
    },
    ...(key !== undefined && { key }),
    ...(callback !== undefined && { callback }),
  }
}

/** Throws a Refusal `request.invalid`. */
export function readErase(text: Buffer): Given<typeof Erase> {
  const given = valueIn('the body', text)
  const { error } = checkErase(given) as { readonly error?: Error }
  if (error !== undefined) throw error
  const wanted = given as Given<typeof Erase>
  if ((wanted.client === undefined) === (wanted.request === undefined)) {
    throw invalid('name either a client or a request')
  }
  return wanted
}

/** By name, the last of several, as they were written; undefined where that is no object, or not only one. */
async function fieldsOf(text: Buffer): Promise<ReadonlyMap<string, Buffer> | undefined> {
  const walk = new Walk(text)
  const found = new Map<string, Buffer>()
  const whole = await fields(walk, (name, { start, end }) => {
    const known = nameIn(text, name, NAME_BYTES_MAX)
    if (known !== undefined) found.set(known, text.subarray(start, end))
    return known !== undefined
  })
  return whole && /^\}\s*$/.test(text.toString('latin1', walk.at)) ? found : undefined
}

/** For its reader the question stays as it is; here, only that it is an object counts. */
function questionIn(value: Buffer): unknown {
  return value[0] === 0x7b ? {} : value.toString('utf8', 0, 32)
}

function valueIn(name: string, value: Buffer): unknown {
  if (value.length > FIELD_BYTES_MAX) throw invalid(`${name} is too long`)
  try {
    return JSON.parse(value.toString())
  } catch (error) {
    throw invalid(`${name} is not JSON: ${(error as Error).message}`)
  }
}

function listed(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(',')
}

function invalid(message: string): Refusal {
  return new Refusal('request.invalid', message)
}
