/**
 * What the house's own doors have in common: JSON in, nothing kept by caches out, no change that cannot be written, and
 * nothing told as if it were written when it is not.
 */
import type { FastifyInstance, FastifyReply, RouteOptions } from 'fastify'
import { Refusal } from '../../machines/entity.ts'
import type { Engine } from '../engine/engine.ts'
import { Failure } from '../failure.ts'
import type { Journal } from '../journal/journal.ts'

/**
 * As Ollama does, whatever the content type says: people type curl -d. Other people's web pages are kept out by their
 * Origin.
 */
export function speakJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, body === '' ? undefined : JSON.parse(String(body)))
    } catch (error) {
      done(new Refusal('request.invalid', `the body is not JSON: ${(error as Error).message}`))
    }
  })
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('Cache-Control', 'no-store')
  })
}

/** For doors that change something: asked first of all, before a body is read or a name looked up. */
export function whileWritable(engine: { readonly writable: boolean }): Pick<RouteOptions, 'onRequest'> {
  return {
    onRequest: async (_request, reply) => {
      if (engine.writable) return
      reply.raw.setHeader('Retry-After', '10')
      const message =
        'the house cannot write its journal (is the disk full?), so nothing can be changed; see /readyz'
      throw new Failure('journal.unwritable', message, { retryable: true })
    },
  }
}

/** What was read and put together is told when it is on disk; while the disk does not write, all the same. */
export async function whenWritten<T>(
  { engine, journal }: { readonly engine: Pick<Engine, 'settled'>; readonly journal: Journal },
  reply: FastifyReply,
  answer: T,
): Promise<T> {
  try {
    await engine.settled()
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    reply.header('X-Quipu-Unwritten', journal.head.seq - journal.durable)
  }
  return answer
}
