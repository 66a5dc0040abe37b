/** The doors of jobs: submit, look, fetch, follow, call off, erase. */
import type { FastifyPluginAsync, FastifyReply } from 'fastify'
import { Refusal } from '../../../machines/entity.ts'
import type { Clock } from '../../clock.ts'
import type { Config } from '../../config.ts'
import type { Engine } from '../../engine/engine.ts'
import { Failure } from '../../failure.ts'
import type { Journal } from '../../journal/journal.ts'
import { eitherName } from '../../naming.ts'
import type { Deliveries } from '../../projections/deliveries.ts'
import type { History } from '../../projections/history.ts'
import { type Job, type JobsProjection, jobs as jobsOf } from '../../projections/jobs.ts'
import type { Open, RequestsProjection } from '../../projections/requests.ts'
import type { Admission } from '../admission.ts'
import type { Bodies } from '../body.ts'
import { Client } from '../client.ts'
import { doors, hang } from '../doors.ts'
import { type Refused, refuse } from '../refusals.ts'
import { JOBS_LIMIT } from '../schema/jobs.ts'
import { Trail } from '../trail.ts'
import { Writer } from '../writer.ts'
import { whenWritten, whileWritable } from '../writing.ts'
import { type Jobs, REPLAYED } from './jobs.ts'
import type { Callback, SpoolLike } from './parts.ts'
import { streamOf } from './stream.ts'
import { readErase, readJob } from './submission.ts'
import { markOf, styleFor, tell } from './teller.ts'
import { saidOf } from './unanswered.ts'
import { isOf, jobView, someJobs } from './view.ts'

export interface JobDoorsNeeds {
  /** Under which name a client is written down; see naming.ts. */
  readonly naming: (name: string) => string
  readonly engine: Engine
  readonly clock: Clock
  readonly config: Config
  readonly journal: Journal
  readonly history: History
  readonly jobs: JobsProjection
  readonly spool: SpoolLike
  readonly requests: RequestsProjection
  readonly admission: Pick<Admission, 'judge'>
  /** How long it will wait for its turn; see scheduler/eta.ts. */
  readonly expect: (open: Open) => { readonly waitMs?: number }
  readonly bodies: Bodies
  readonly work: Jobs
  readonly deliveries: Deliveries
  /** Throws a Refusal where it may not be called. */
  readonly mayCall: (callback: Callback) => void
}

/** Each follows a file. */
const STREAMS_MAX = 256
const ERASE_BYTES_MAX = 65_536
/** Of those who ask for a result that is not there yet. */
const AGAIN_MIN_MS = 1_000
const AGAIN_MAX_MS = 60_000

export const jobDoors: FastifyPluginAsync<JobDoorsNeeds> = async (app, needs) => {
  const { admission, bodies, clock, config, deliveries, engine, expect, jobs, mayCall, requests, work } =
    needs
  const trail = new Trail(needs)
  const streams = new Set<AbortController>()
  const write = whileWritable(engine)

  // Bodies are read by the handlers: a job's may be large, and counts against what the house holds.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('Cache-Control', 'no-store')
  })
  app.addHook('preClose', async () => {
    for (const stream of streams) stream.abort()
  })

  /** One that is open or kept, or told from its facts. */
  async function found(id: string, reply: FastifyReply): Promise<Job & { readonly erased?: true }> {
    const job = jobs.state.all.get(id)
    if (job !== undefined) return job
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort())
    const { state, rows } = jobsOf()
    for (const fact of await trail.of(id, gone.signal)) rows[fact.type]?.(fact)
    const old = state.all.get(id)
    if (old === undefined) throw new Refusal('job.unknown', `there was never a job ${id}; see /quipu/jobs`)
    return { ...old, erased: true }
  }

  /** When it is worth asking again: where it waits, when it may have its turn. */
  function againS(id: string): number {
    const open = requests.state.open.get(id)
    const waitMs = open?.state === 'queued' ? (expect(open).waitMs ?? AGAIN_MAX_MS) : AGAIN_MIN_MS
    return Math.ceil(Math.min(AGAIN_MAX_MS, Math.max(AGAIN_MIN_MS, waitMs)) / 1_000)
  }

  async function kept(id: string, reply: FastifyReply): Promise<Job> {
    const job = await found(id, reply)
    if (!job.erased) return job
    throw new Refusal('job.erased', 'it was over, and nothing of it is kept any more; see --keep-finished')
  }

  hang(
    app,
    doors.submitJob,
    async ({ by, request: { raw: req }, reply }) => {
      const text = await bodies.whole(req, reply.raw, config.bodyMaxBytes)
      const { path: route, body, wished, key, callback } = await readJob(text, req.headers)
      if (callback !== undefined) mayCall(callback)
      const headers = { ...req.headers, 'content-type': 'application/json' }
      delete headers['content-encoding']
      const verdict = await admission.judge({ route, body, headers, by, wished, wishName: wish => wish })
      if (verdict.as === 'refused') return refused(reply, verdict.refused)
      if (verdict.as === 'nameless') throw new Refusal('request.invalid', 'body names no model')
      if (verdict.as === 'unload') throw new Refusal('request.invalid', 'to unload a model is no job')
      const { id, fresh } = await work.submit({ target: route, headers, body, key, callback }, verdict)
      reply.header('Location', `/quipu/jobs/${id}`)
      if (!fresh) reply.headers(REPLAYED)
      return jobView(await found(id, reply), deliveries)
    },
    write,
  )

  hang(app, doors.jobs, ({ query: { limit = JOBS_LIMIT, ...wanted }, reply }) => {
    const client = wanted.client && eitherName(wanted.client, needs.naming)
    return whenWritten(needs, reply, someJobs({ jobs, deliveries }, { ...wanted, client, limit }))
  })
  hang(app, doors.job, async ({ params, reply }) =>
    whenWritten(needs, reply, jobView(await found(params.id, reply), deliveries)),
  )

  hang(
    app,
    doors.cancelJob,
    async ({ params: { id }, by, reply }) => {
      const job = await found(id, reply)
      if (job.endedAt === undefined) engine.commit('request', id, { type: 'request.cancel', data: {}, by })
      else if (job.state !== 'cancelled') throw new Refusal('job.over', `it is over: ${job.state}`)
      await engine.settled()
      return jobView(job, deliveries)
    },
    write,
  )

  hang(app, doors.jobResult, async ({ params: { id }, reply }) => {
    const job = await kept(id, reply)
    if (job.endedAt === undefined) {
      reply.raw.setHeader('Retry-After', String(againS(id)))
      throw new Refusal(
        'job.open',
        `it is ${job.state}, and has no result yet; come back, or follow its stream`,
      )
    }
    reply.hijack()
    const unanswered = await work.along(id, new Client(reply.raw, clock))
    if (unanswered !== undefined) refuse(reply.raw, 'control', saidOf(unanswered))
  })

  hang(app, doors.jobStream, async ({ params: { id }, query, request, reply }) => {
    const after = markOf(request.headers['last-event-id'], query.after)
    const job = await kept(id, reply)
    if (streams.size >= STREAMS_MAX) {
      const message = `${STREAMS_MAX} streams of jobs are open, and no more than that may be; try again`
      throw new Failure('events.full', message, { retryable: true })
    }
    const res = reply.raw
    const stream = new AbortController()
    const leave = (): void => {
      streams.delete(stream)
      stream.abort()
    }
    streams.add(stream)
    res.once('close', leave)
    if (res.destroyed) leave()
    reply.hijack()
    // A browser that was told the end comes back all the same, unless it hears this.
    if (after?.byte === 'end' && job.endedAt !== undefined) return void res.writeHead(204).end()
    const style = styleFor(request.headers.accept)
    res.writeHead(200, {
      'Content-Type': style.type,
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
      'X-Quipu-Request': id,
    })
    // Not awaited: Fastify is done with it, and what is no Failure is a bug, which must not be swallowed.
    const events = streamOf({ ...needs, news: work.news }, id, after, stream.signal)
    void tell(new Writer(res, clock), style, events, stream.signal)
  })

  hang(
    app,
    doors.erase,
    async ({ by, request: { raw: req }, reply }) => {
      const { client, request } = await readErase(await bodies.whole(req, reply.raw, ERASE_BYTES_MAX))
      const ids = [...jobs.state.all.values()]
        .filter(
          job =>
            job.id === request ||
            (client !== undefined && (isOf(job, client) || isOf(job, needs.naming(client)))),
        )
        .map(({ id }) => id)
      for (const id of ids) engine.attempt('request', id, { type: 'request.cancel', data: {}, by })
      await engine.settled()
      return work.erase(ids, by)
    },
    write,
  )
}

/** Told in the words of who judged it, past Fastify. */
function refused(reply: FastifyReply, words: Refused): never {
  reply.hijack()
  return refuse(reply.raw, 'control', words) as never
}
