/** The doors of workers from outside, and the one that clears away what is over. */
import type { FastifyPluginAsync } from 'fastify'
import { Refusal } from '../../../machines/entity.ts'
import { canonicalName } from '../../../machines/name.ts'
import type { Config } from '../../config.ts'
import { durationMs } from '../../config.ts'
import type { Engine } from '../../engine/engine.ts'
import { type Asked, doors, hang } from '../doors.ts'
import { speakJson, whileWritable } from '../writing.ts'
import type { Leases } from './leases.ts'
import type { Tidy } from './tidy.ts'

export interface WorkersNeeds {
  readonly engine: Engine
  readonly config: Config
  readonly leases: Leases
  readonly tidy: Pick<Tidy, 'clear'>
}

const LEASE_MS = 60_000
/** An answer may be some thousand vectors; as bytes it is a third larger. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024

export const workers: FastifyPluginAsync<WorkersNeeds> = async (app, { engine, config, leases, tidy }) => {
  speakJson(app)
  const write = whileWritable(engine)

  hang(
    app,
    doors.take,
    ({ body: { worker, model, batchSize = 1, leaseMs = LEASE_MS }, by }) => {
      const models = model?.split(',').map(name => canonicalName(name.trim()) ?? name)
      return leases.take({ worker, models, batchSize, leaseMs }, by)
    },
    write,
  )
  hang(
    app,
    doors.complete,
    async ({ params: { id }, body: { worker, attempt, status = 200, ...answer }, by }) => {
      await leases.complete(id, { worker, attempt, status, ...broughtIn(answer) }, by)
      return { id, state: 'completed' } as const
    },
    { ...write, bodyLimit: ANSWER_BYTES_MAX },
  )
  hang(
    app,
    doors.fail,
    async ({ params: { id }, body: { worker, attempt, reason = 'failed', retryable = true }, by }) => {
      return { id, state: await leases.fail(id, { worker, attempt, reason, retryable }, by) }
    },
    write,
  )
  hang(
    app,
    doors.extend,
    async ({ params: { id }, body: { attempt, leaseMs }, by }) => {
      return { id, until: await leases.extend(id, attempt, leaseMs, by) }
    },
    write,
  )
  hang(
    app,
    doors.cleanUp,
    async ({ query: { olderThan } }) => {
      const gone = await tidy.clear(olderThan === undefined ? config.keepFinishedMs : durationMs(olderThan))
      return { erased: gone.length, bytes: gone.reduce((sum, { bytes }) => sum + bytes, 0) }
    },
    write,
  )
}

/** Throws a Refusal `request.invalid`. */
function broughtIn({
  contentType,
  body,
  bodyBase64,
}: Pick<Asked<typeof doors.complete>['body'], 'contentType' | 'body' | 'bodyBase64'>): {
  readonly contentType: string
  readonly bytes: Buffer
} {
  if ((body === undefined) === (bodyBase64 === undefined)) {
    throw new Refusal('request.invalid', 'body: an answer has either body or bodyBase64')
  }
  if (bodyBase64 !== undefined) {
    return {
      contentType: contentType ?? 'application/octet-stream',
      bytes: Buffer.from(bodyBase64, 'base64'),
    }
  }
  const isText = typeof body === 'string'
  return {
    contentType: contentType ?? (isText ? 'text/plain; charset=utf-8' : 'application/json; charset=utf-8'),
    bytes: Buffer.from(isText ? body : JSON.stringify(body)),
  }
}
